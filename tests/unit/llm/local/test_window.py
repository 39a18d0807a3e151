"""How much a local model reads, from its folder alone; and messages as its chat template writes them."""

from __future__ import annotations

import json

import pytest
from tiny_llama import tokenizer_like_llama_3

from expandr_repro.llm.chats import asked_text, messages_of, opens_answer, plain_text
from expandr_repro.llm.local.chat import prompt_ids
from expandr_repro.llm.local.window import prompt_lengths, window_of

CHAT = (("system", "Be brief."), ("user", "why do cats purr"))
BEGUN = (*CHAT, ("assistant", "Sure:"))


@pytest.mark.parametrize(
    ("config", "window"),
    [
        ({"max_position_embeddings": 512}, 512),
        ({"text_config": {"max_position_embeddings": 64}}, 64),
        ({"max_position_embeddings": None}, None),
        ({"max_position_embeddings": True}, None),
        ({"max_position_embeddings": -1}, None),
        ([], None),
        ({}, None),
    ],
)
def test_the_window_is_what_config_json_says(tmp_path, config, window):
    (tmp_path / "config.json").write_text(json.dumps(config))

    assert window_of(tmp_path) == window


def test_a_folder_without_a_config_says_nothing(tmp_path):
    assert window_of(tmp_path) is None
    (tmp_path / "config.json").write_text("{")
    assert window_of(tmp_path) is None


def test_messages_are_written_by_the_chat_template_and_a_begun_answer_goes_on():
    tokenizer = tokenizer_like_llama_3()

    def text(prompt):
        return tokenizer.decode(prompt_ids(tokenizer, [prompt])[0])

    assert text("why do cats purr") == text((("user", "why do cats purr"),))
    whole = [{"role": r, "content": c} for r, c in CHAT]
    assert text(CHAT) == tokenizer.decode(tokenizer(tokenizer.apply_chat_template(whole, tokenize=False, add_generation_prompt=True), add_special_tokens=False)["input_ids"])  # fmt: skip
    assert text(BEGUN).endswith("Sure:")
    assert text(BEGUN).startswith(text(CHAT))


def test_prompts_of_both_kinds_keep_their_order_and_have_the_length_that_the_model_reads():
    tokenizer = tokenizer_like_llama_3()
    prompts = ["one", BEGUN, CHAT, "two three", BEGUN]

    assert prompt_ids(tokenizer, prompts) == [prompt_ids(tokenizer, [p])[0] for p in prompts]
    assert prompt_lengths(tokenizer, prompts, {}) == [len(ids) for ids in prompt_ids(tokenizer, prompts)]


def test_a_model_without_a_chat_template_reads_the_messages_one_after_the_other():
    tokenizer = tokenizer_like_llama_3(None)

    assert prompt_ids(tokenizer, [BEGUN]) == prompt_ids(tokenizer, ["Be brief.\n\nwhy do cats purr\n\nSure:"])
    assert plain_text(BEGUN) == "Be brief.\n\nwhy do cats purr\n\nSure:"


def test_what_the_user_says_last_is_what_an_answer_may_repeat():
    assert asked_text(BEGUN) == asked_text("why do cats purr") == "why do cats purr"
    assert messages_of("x") == (("user", "x"),)
    assert [opens_answer(p) for p in ("x", CHAT, BEGUN)] == [False, False, True]
