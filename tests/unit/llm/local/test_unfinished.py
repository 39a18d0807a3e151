"""Passages that generation cut off: learned as far as they go."""

from __future__ import annotations

import pytest
from tiny_llama import LLAMA_3_TEMPLATE, tokenizer_like_llama_3

from expandr_repro.llm.local.chat import completion_ids, prompt_ids
from expandr_repro.train_generator.trl.examples import OPEN, Texts, fit

SPACED = LLAMA_3_TEMPLATE.replace("<|eot_id|>", "<|eot_id|>\n")
STRIPPED = LLAMA_3_TEMPLATE.replace("message['content']", "message['content'] | trim")


def said(tokenizer, completion, unfinished):
    return tokenizer.decode(completion_ids(tokenizer, ["rain?"], [completion], {tokenizer.eos_token_id}, None, [unfinished])[0])  # fmt: skip


@pytest.mark.parametrize("template", [None, LLAMA_3_TEMPLATE, SPACED, STRIPPED])
@pytest.mark.parametrize("add_end", [False, True])
def test_a_passage_that_was_cut_off_ends_with_its_last_word_and_another_with_an_end(template, add_end):
    tokenizer = tokenizer_like_llama_3(template, add_end=add_end)

    assert said(tokenizer, "it is wa", True).strip() == "it is wa"
    assert said(tokenizer, "it is wa ", True).strip() == "it is wa"
    assert said(tokenizer, "it is water", False).strip() not in ("", "it is water")


def test_the_values_of_the_template_are_in_the_prompt_and_the_completion_goes_on_from_it():
    template = LLAMA_3_TEMPLATE.replace("<|eot_id|>", "{{ ending }}")
    tokenizer = tokenizer_like_llama_3(template)
    values = {"ending": "<|end_of_text|>"}
    start = prompt_ids(tokenizer, ["rain?"], values)[0]

    assert "<|end_of_text|>" in tokenizer.decode(start)
    (row,) = completion_ids(tokenizer, ["rain?"], ["water"], {tokenizer.convert_tokens_to_ids("<|end_of_text|>")}, values)  # fmt: skip
    assert tokenizer.decode(row) == "water<|end_of_text|>"


def test_only_passages_that_are_used_are_counted():
    tokenizer = tokenizer_like_llama_3(None)
    texts = Texts(["x", "x" * 50], [("y", "z"), ("y", "z")], [(True, False), (True, True)])

    assert fit(tokenizer, texts, 20, 40, {tokenizer.eos_token_id}).counts[OPEN] == 1
    assert OPEN not in fit(tokenizer, Texts(texts.prompts, texts.passages), 20, 40, {tokenizer.eos_token_id}).counts
