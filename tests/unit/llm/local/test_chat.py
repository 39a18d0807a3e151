"""From prompts to token ids: one beginning of sequence, with and without a chat template."""

from __future__ import annotations

import pytest
from tiny_llama import LLAMA_3_TEMPLATE, tokenizer_like_llama_3

from expandr_repro.errors import FormatError
from expandr_repro.llm.local.chat import completion_ids, prompt_ids


@pytest.fixture(scope="module")
def tokenizer():
    return tokenizer_like_llama_3()


def test_the_tokenizer_would_write_a_second_start_by_itself(tokenizer):
    """This is the fault of the official code that the next test guards against."""
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": "rain"}], tokenize=False, add_generation_prompt=True
    )

    assert tokenizer(text)["input_ids"][:2] == [tokenizer.bos_token_id] * 2


def test_a_chat_prompt_has_one_start_and_ends_where_the_assistant_begins(tokenizer):
    ids = prompt_ids(tokenizer, ["what is rain", "snow"])

    for row in ids:
        assert row.count(tokenizer.bos_token_id) == 1
        assert row[0] == tokenizer.bos_token_id
        assert tokenizer.decode(row).endswith("<|start_header_id|>assistant<|end_header_id|>\n\n")
    assert "what is rain" in tokenizer.decode(ids[0])


def test_a_template_that_writes_the_start_twice_is_mended():
    tokenizer = tokenizer_like_llama_3("{{ bos_token }}" + LLAMA_3_TEMPLATE)

    assert prompt_ids(tokenizer, ["rain"])[0].count(tokenizer.bos_token_id) == 1


def test_plain_text_has_one_start_and_no_end():
    tokenizer = tokenizer_like_llama_3(None)
    row = prompt_ids(tokenizer, ["what is rain"])[0]

    assert row.count(tokenizer.bos_token_id) == 1
    assert tokenizer.decode(row[1:]) == "what is rain"


def test_an_end_that_a_tokenizer_adds_to_plain_text_is_taken_off():
    tokenizer = tokenizer_like_llama_3(None, add_end=True)
    assert tokenizer("rain")["input_ids"][-1] == tokenizer.eos_token_id

    assert tokenizer.eos_token_id not in prompt_ids(tokenizer, ["rain"])[0]


def test_values_reach_the_template():
    tokenizer = tokenizer_like_llama_3("{{ bos_token }}{{ messages[0]['content'] }}{% if loud %}!{% endif %}")

    assert tokenizer.decode(prompt_ids(tokenizer, ["rain"], {"loud": True})[0][1:]) == "rain!"


def test_a_template_that_cannot_be_rendered_is_an_error_of_one_line():
    tokenizer = tokenizer_like_llama_3("{{ raise_exception('system first') }}")

    with pytest.raises(FormatError, match="chat template cannot be rendered"):
        prompt_ids(tokenizer, ["rain"])


def said(tokenizer, prompt, completion, ends=()):
    return tokenizer.decode(completion_ids(tokenizer, [prompt], [completion], {tokenizer.eos_token_id, *ends})[0])


def test_a_completion_ends_as_the_template_ends_it_and_brings_no_start(tokenizer):
    assert said(tokenizer, "rain?", "it is water") == "it is water<|eot_id|>"


def test_prompt_and_completion_are_the_whole_chat(tokenizer):
    chat = [{"role": "user", "content": "rain?"}, {"role": "assistant", "content": "it is water"}]
    whole = tokenizer(tokenizer.apply_chat_template(chat, tokenize=False), add_special_tokens=False)["input_ids"]

    start = prompt_ids(tokenizer, ["rain?"])[0]
    assert start + completion_ids(tokenizer, ["rain?"], ["it is water"], {tokenizer.eos_token_id})[0] == whole


@pytest.mark.parametrize(("prompt", "text"), [("Passage:", " rain"), ("Passage: ", "rain"), ("Passage:\n", "rain")])
def test_plain_text_goes_on_after_white_space_and_is_ended(prompt, text):
    tokenizer = tokenizer_like_llama_3(None)

    assert said(tokenizer, prompt, "rain") == f"{text}<|eot_id|>"
    assert said(tokenizer, prompt, "\nrain") == "\nrain<|eot_id|>"


def test_a_tokenizer_that_ends_texts_itself_gives_one_end():
    tokenizer = tokenizer_like_llama_3(None, add_end=True)

    assert said(tokenizer, "Passage:", "rain") == " rain<|end_of_text|>"


def test_a_template_without_an_end_gets_one():
    tokenizer = tokenizer_like_llama_3("{{ bos_token }}{% for m in messages %}{{ m['content'] }}|{% endfor %}")

    assert said(tokenizer, "rain?", "it is water") == "it is water|<|eot_id|>"


def test_an_end_of_the_model_that_is_not_the_tokenizers_is_enough():
    tokenizer = tokenizer_like_llama_3()
    tokenizer.eos_token = "<|end_of_text|>"
    turn = tokenizer.convert_tokens_to_ids("<|eot_id|>")

    assert said(tokenizer, "rain?", "water", {turn}) == "water<|eot_id|>"


def test_a_template_that_opens_an_answer_otherwise_gets_the_completion_as_it_is():
    tokenizer = tokenizer_like_llama_3(
        "{{ bos_token }}{{ messages[0]['content'] }}{% if add_generation_prompt %}>{% endif %}"
    )

    assert said(tokenizer, "rain?", "water") == "water<|eot_id|>"
