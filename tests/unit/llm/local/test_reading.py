"""What a local model reads and what is kept of what it says: one day for ever, marks of reasoning kept until they are cleaned."""

from __future__ import annotations

import datetime

import pytest
from tiny_llama import LLAMA_3_TEMPLATE, save_tiny_llama, tokenizer_like_llama_3

from expandr_repro.llm.answers.cleaning import clean
from expandr_repro.llm.base import GeneratorOptions, Identity, Request, load_generator
from expandr_repro.llm.local.chat import TEMPLATE_DATE, completion_ids, prompt_ids, reasoning_opened
from expandr_repro.llm.sampling import Sampling

DATED = (
    "{% if strftime_now is defined %}{% set today = strftime_now('%d %b %Y') %}{% endif %}"
    "{% macro iso() %}{{ strftime_now(\"%Y-%m-%d\") }}{% endmacro %}  {% if true %}Today is {{ today }}, {{ iso() }}, {{ strftime_now('%A, %B %-d') }}. {% endif %}"
)


def test_a_chat_template_is_told_the_same_day_for_ever():
    tokenizer = tokenizer_like_llama_3(DATED + LLAMA_3_TEMPLATE)

    text = tokenizer.decode(prompt_ids(tokenizer, ["rain"])[0])
    assert "Today is 26 Jul 2024, 2024-07-26, Friday, July 26. " in text
    day = datetime.date.fromisoformat(TEMPLATE_DATE)
    assert day.strftime("%d %b %Y, %A") == "26 Jul 2024, Friday"
    assert completion_ids(tokenizer, ["rain"], ["snow"], [])


def test_a_fixed_day_changes_nothing_else_of_a_template():
    for start in ("", "\n", "  {% if true %}x{% endif %}", "\n  {% if true %}x{% endif %}\n"):
        undated = f"{start}{LLAMA_3_TEMPLATE}"
        dated = f"{undated}{{# strftime_now #}}"
        rows = [prompt_ids(tokenizer_like_llama_3(t), ["rain"]) for t in (undated, dated)]
        assert rows[0] == rows[1]


def test_all_formats_of_a_date_give_what_python_gives_for_that_day():
    day = datetime.datetime(2024, 7, 26)
    for code in "aAbBdHIjmMpSUwWxXyYFTDRcuVG":
        tokenizer = tokenizer_like_llama_3("{{ strftime_now('%" + code + "') }}")
        assert tokenizer.decode(prompt_ids(tokenizer, ["rain"])[0]) == day.strftime(f"%{code}")


def test_the_mark_with_which_a_template_opens_the_reasoning_is_known():
    opening = tokenizer_like_llama_3(LLAMA_3_TEMPLATE.replace("\n\n{% endif %}", "\n\n<think>\n{% endif %}"))
    switched = tokenizer_like_llama_3(LLAMA_3_TEMPLATE + "{% if enable_thinking %}<think>\n{% endif %}")

    assert reasoning_opened(opening, "rain") == "<think>"
    assert reasoning_opened(tokenizer_like_llama_3(), "rain") == ""
    assert reasoning_opened(switched, "rain", {"enable_thinking": True}) == "<think>"
    assert reasoning_opened(switched, "rain") == ""


@pytest.fixture(scope="module")
def thinking(tmp_path_factory):
    """A model whose template opens the reasoning, so that a text without its end is not an answer."""
    template = LLAMA_3_TEMPLATE.replace("\n\n{% endif %}", "\n\n<think>\n{% endif %}")
    return save_tiny_llama(tmp_path_factory.mktemp("models") / "thinking", template)


def generate(folder, **settings):
    replies = []
    generator = load_generator("transformers", GeneratorOptions(str(folder), device="cpu"))
    generator.generate(iter([Request("x", "rain", Sampling(temperature=0.0, **settings), 1)]), replies.append)
    return replies[0]


def test_reasoning_that_the_template_opens_and_the_limit_cuts_is_no_answer(thinking):
    reply = generate(thinking, max_tokens=8)

    assert reply.text.startswith("<think>")
    assert (reply.finish, clean(reply.text, reply.finish).cut) == ("length", True)


def test_tokens_that_mark_a_channel_are_there_when_the_text_is_cleaned(tmp_path, monkeypatch):
    from transformers import PreTrainedTokenizerFast

    folder = save_tiny_llama(tmp_path / "model")
    seen = []
    plain = PreTrainedTokenizerFast.decode
    monkeypatch.setattr(
        PreTrainedTokenizerFast, "decode", lambda self, ids, **more: seen.append(more) or plain(self, ids, **more)
    )
    generate(folder, max_tokens=4)

    assert seen[-1] == {"skip_special_tokens": False}


def identity_of(folder, backend="transformers"):
    return load_generator(
        backend, GeneratorOptions(str(folder), device="cpu" if backend == "transformers" else "auto")
    ).identity


def test_what_changes_a_local_model_s_texts_is_part_of_its_identity(thinking, tmp_path):
    plain = identity_of(save_tiny_llama(tmp_path / "plain"))
    dated = identity_of(save_tiny_llama(tmp_path / "dated", DATED + LLAMA_3_TEMPLATE))

    assert (plain.template_date, plain.decoding) == (None, None)
    assert (dated.template_date, dated.decoding) == (TEMPLATE_DATE, None)
    assert (identity_of(thinking).template_date, identity_of(thinking).decoding) == (None, "marks kept")
    assert dated.record()["template_date"] == TEMPLATE_DATE


def test_keys_of_what_is_asked_as_before_stay_and_others_change():
    before = {"backend": "openai", "model": "m", "revision": None, "adapter_sha256": None, "precision": None}

    assert Identity("openai", "m", api="chat").key() == before
    assert Identity("openai", "m", api="completions").key() == before | {"api": "completions"}
    assert Identity("openai", "m", api="chat").record() == {"backend": "openai", "model": "m", "api": "chat"}
    assert Identity("transformers", "m", template_date="2024-07-26").key()["template_date"] == "2024-07-26"


def test_vllm_is_asked_for_the_marks_and_an_end_that_is_none_is_a_failure(monkeypatch, tmp_path):
    import sys
    import types

    made = []

    class Engine:
        def __init__(self, **settings):
            self.settings = settings

        def get_tokenizer(self):
            return tokenizer_like_llama_3(LLAMA_3_TEMPLATE.replace("\n\n{% endif %}", "\n\n<think>\n{% endif %}"))

        def generate(self, prompts, params, **more):
            made.extend(params)
            ends = ["stop", "length", "abort"]
            return [
                types.SimpleNamespace(
                    outputs=[types.SimpleNamespace(text="hm</think>rain", finish_reason=end, token_ids=[1])]
                )
                for end, _ in zip(ends, prompts, strict=True)
            ]

    fake = types.ModuleType("vllm")
    fake.LLM, fake.SamplingParams = Engine, lambda **settings: settings
    request = types.ModuleType("vllm.lora.request")
    request.LoRARequest = lambda *names: names
    for name, module in (("vllm", fake), ("vllm.lora", types.ModuleType("vllm.lora")), ("vllm.lora.request", request)):
        monkeypatch.setitem(sys.modules, name, module)
    generator = load_generator("vllm", GeneratorOptions(str(save_tiny_llama(tmp_path / "m"))))
    replies = []
    generator.generate(iter([Request(i, "rain", Sampling(), i) for i in range(3)]), replies.append)

    assert {p["skip_special_tokens"] for p in made} == {False}
    assert [(r.finish, r.failure) for r in replies] == [
        ("stop", None),
        ("length", None),
        ("", "vLLM ended it with 'abort'"),
    ]
    assert clean(replies[0].text).text == "rain"
