"""The answer among reasoning, channels and turns, as today's open models write them."""

from __future__ import annotations

import time

import pytest

from expandr_repro.llm.answers.cleaning import clean
from expandr_repro.llm.answers.markers import mentions_marks, opened_reasoning

P = "Vitamin D is made in the skin."

ANSWERED = [
    f"<think>\nhm\n</think>\n\n{P}",
    f"hm, the template opened it\n</think>\n\n{P}",
    f"<think>\n\n</think>\n\n{P}",
    f"<think>a</think>b</think>{P}",
    f"<think>hm</thinking>{P}",
    f"<THINK>hm</THINK>{P}",
    f"<thinking>a<reflection>b</reflection>c</thinking>\n<output>{P}</output>",
    f"<reflection>b</reflection>{P}",
    f"<reasoning>hm</reasoning>\n{P}",
    f"<thought>hm</thought>\n{P}",
    f"<think>hm</think>\n<answer>\n{P}\n</answer>",
    f"<think>hm</think><response>{P}</response>",
    f"<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>{P}<|return|>",
    f"analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>{P}",
    f"<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>commentary<|message|>x<|end|><|start|>assistant<|channel|>final <|constrain|>json<|message|>{P}",
    f"<|channel|>final<|message|>{P}<|return|><|start|>user<|message|>And vitamin K?<|end|>",
    f"analysisWe need to write a passage.assistantfinal{P}",
    f"[THINK]hm[/THINK]{P}",
    f"hm[/THINK]{P}</s>",
    f"<|START_THINKING|>hm<|END_THINKING|><|START_RESPONSE|>{P}<|END_RESPONSE|><|END_OF_TURN_TOKEN|>",
    f"<seed:think>a<seed:cot_budget_reflect>b</seed:cot_budget_reflect>c</seed:think>{P}<seed:eos>",
    f"<|begin_of_thought|>\n\nhm\n\n<|end_of_thought|>\n\n<|begin_of_solution|>\n\n{P}\n\n<|end_of_solution|>",
    f"◁think▷hm◁/think▷{P}",
    f"<mm:think>hm</mm:think>{P}",
    f"<think:opensource>hm</think:opensource>{P}",
    f"<|think|>hm<|end|><|begin|>assistant<|content|>{P}<|end|>",
    f"<|think:start|>hm<|think:end|>{P}",
    f"<|inner_prefix|>hm<|inner_suffix|>{P}",
    f"<|channel>thought\nhm<channel|>{P}<turn|>",
    f"hm<|close|>think<|sep|><|open|>response<|sep|>{P}<|close|>response<|sep|><|close|>message<|sep|>",
    f"Here is my thought process:\nhm\n\nHere is my response:\n{P}",
    f"Here are my reasoning steps:\nhm\n[BEGIN FINAL RESPONSE]\n{P}\n[END FINAL RESPONSE]",
    f"[unused16]hm[unused17]{P}",
    f"<|im_start|>think\nhm\n<|im_start|>answer\n{P}",
    # turns
    f"{P}<|im_end|>\n<|im_start|>user\nWhat is vitamin K?<|im_end|>\n<|im_start|>assistant\nA vitamin.",
    f"<|im_start|>assistant\n{P}<|im_end|>",
    f"<|im_start|>user\nWrite a passage.<|im_end|>\n<|im_start|>assistant\n{P}<|im_end|>",
    f"{P}<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nhi",
    f"<|start_header_id|>assistant<|end_header_id|>\n\n{P}<|eot_id|>",
    f"{P}<|eot|><|header_start|>user<|header_end|>\n\nhi",
    f"{P}<|end_of_text|>{P}",
    f"{P}<|endoftext|>Question: next?",
    f"{P}</s>[INST] next [/INST] {P}",
    f"<s> {P} </s>",
    f"{P}<end_of_turn>\n<start_of_turn>user\nnext",
    f"<start_of_turn>model\n{P}<end_of_turn>",
    f"{P}<eos>",
    f"{P}<|end|>\n<|user|>\nnext<|end|>\n<|assistant|>\nx",
    f"{P}<|user|>\nnext",
    f"{P}<｜end▁of▁sentence｜><｜User｜>next",
    f"{P}[|endofturn|]\n[|user|]next",
    f"{P}[e~[\n]~b]user\nnext[e~[",
    f"{P}<|im_end|><|im_user|>user<|im_middle|>next",
    f"<|start_of_role|>assistant<|end_of_role|>{P}<|end_of_text|>",
    f"{P}<|END_OF_TURN_TOKEN|><|START_OF_TURN_TOKEN|><|USER_TOKEN|>next",
    f"<extra_id_1>Assistant\n{P}\n<extra_id_1>User\nnext",
    f"assistant\n\n{P}\nuser\nnext",
    f"{P}\n\n### Instruction:\nnext",
    f"{P}\nHuman: next\nAssistant: x",
    f"{P}<|reserved_special_token_5|><pad><pad>",
]

UNFINISHED = [
    "<think>\nThe user wants a passage, so I will",
    "<|channel|>analysis<|message|>We need to",
    "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>",
    "analysisWe need to write",
    "[THINK]hm",
    "<|START_THINKING|>hm",
    "<seed:think>hm",
    "<|begin_of_thought|>hm",
    "<|channel>thought\nhm",
    "◁think▷hm",
    "Here is my thought process:\nhm",
]


@pytest.mark.parametrize("raw", ANSWERED)
def test_the_answer_alone_is_kept(raw):
    assert clean(raw).text == P


@pytest.mark.parametrize("raw", UNFINISHED)
def test_reasoning_that_was_cut_off_is_no_answer(raw):
    found = clean(raw, "length")

    assert (found.text, found.cut, found.refused) == ("", True, False)
    assert clean(raw).text == ""


def test_thinking_aloud_without_any_mark_is_no_answer_where_it_was_cut_off():
    raw = "Okay, so the user wants me to write a passage about vitamin D. Let me think about"

    assert clean(raw, "length").cut
    assert clean("We have shown that vitamin D is made in the", "length").text.startswith("We have shown")


@pytest.mark.parametrize(
    "text",
    [
        "In ChatML, the token `<|im_end|>` ends a turn, and `<think>` opens the reasoning of DeepSeek-R1.",
        "The price was <s>20</s> 15 dollars.",
        "Thoughts on [THE NEWS] and <b>analysis</b> of x < y.",
        "Here is my thought: process engineers measure twice.",
        "Analysis of variance compares means.",
        "The user of the library reads books.\nAssistants help.",
    ],
)
def test_a_text_about_such_marks_stays_as_it_is(text):
    assert clean(text).text == text


def test_a_prompt_that_opens_the_reasoning_is_told_from_one_that_closes_it():
    assert opened_reasoning("<|im_start|>assistant\n<think>\n") == "<think>"
    assert opened_reasoning("<|im_start|>assistant\n<think>\n\n</think>\n\n") == ""
    assert opened_reasoning("Question: what is <think>?\nPassage:") == ""


def test_a_tokenizer_with_marks_of_reasoning_is_told_from_others():
    for mark in ("<think>", "[THINK]", "<|START_THINKING|>", "<|channel|>", "<seed:think>", "</think>"):
        assert mentions_marks(f'"content": "{mark}"')
    assert not mentions_marks('"<|im_end|>", "<tool_call>", "</s>", "[INST]", "think", "Here is my thought process:"')


@pytest.mark.parametrize(
    "part",
    [
        "<think>",
        "</think>",
        "<think></b>",
        "<|x|>",
        "<s>a",
        "</s>",
        "<|channel|>",
        "<|im_end|>",
        "\n here",
        "assistantfinal",
        "<|",
        "[THINK]",
    ],
)
def test_many_marks_do_not_take_long(part):
    start = time.process_time()
    clean("analysis" + part * 20000)
    clean(part * 20000)

    assert time.process_time() - start < 4
