"""Addresses and keys of endpoints."""

from __future__ import annotations

import pytest

from expandr_repro.errors import ExpandrError, UnknownNameError
from expandr_repro.llm.base import GeneratorOptions, Request, load_generator
from expandr_repro.llm.openai.client import reply_of
from expandr_repro.llm.openai.endpoints import DEFAULT_URL, api_key, base_urls
from expandr_repro.llm.openai.retries import Fault
from expandr_repro.llm.sampling import Sampling

REQUEST = Request("1", "prompt", Sampling(), 7)


def test_the_address_is_the_one_given_else_the_environment_s_else_openai_s(monkeypatch):
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    assert base_urls(()) == [DEFAULT_URL]
    monkeypatch.setenv("OPENAI_BASE_URL", "http://localhost:1/v1")
    assert base_urls(()) == ["http://localhost:1/v1"]
    assert base_urls(("http://a/v1/", "http://b/v1/chat/completions")) == ["http://a/v1", "http://b/v1"]


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://x", "http://", "http://x:port/v1", ""])
def test_an_address_that_is_none_is_refused_without_being_repeated(url):
    with pytest.raises(ExpandrError, match="--base-url: one of those given is not an http:// or https:// address"):
        base_urls((url, "http://user:secret@x/v1") if url else ("x:secret",))


def test_the_key_is_read_from_the_named_variable(monkeypatch):
    monkeypatch.setenv("MY_KEY", " sk-1\n")
    monkeypatch.delenv("NO_KEY", raising=False)

    assert api_key("MY_KEY") == "sk-1"
    assert api_key("NO_KEY") is None


def test_a_key_that_no_header_can_carry_is_refused_without_being_shown(monkeypatch):
    monkeypatch.setenv("MY_KEY", "sk-1\u2013x")

    with pytest.raises(ExpandrError, match=r"\$MY_KEY") as caught:
        api_key("MY_KEY")
    assert "sk-1" not in str(caught.value)


def test_a_chat_answer_is_read():
    answer = {
        "choices": [{"message": {"content": "a text"}, "finish_reason": "length"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 5},
    }
    reply = reply_of(REQUEST, answer, 2)

    assert (reply.text, reply.finish, reply.tokens_in, reply.tokens_out, reply.retries) == ("a text", "length", 3, 5, 2)


@pytest.mark.parametrize(
    ("choice", "text", "finish"),
    [
        ({"text": "plain"}, "plain", "stop"),
        ({"message": {"content": None}}, "", "stop"),
        ({"message": {"content": [{"type": "text", "text": "a "}, {"type": "text", "text": "b"}]}}, "a b", "stop"),
        ({"message": {"content": None, "refusal": "I won't."}}, "I won't.", "refusal"),
        ({"message": {"content": "", "reasoning_content": "hm"}, "finish_reason": "length"}, "", "length"),
    ],
)
def test_answers_of_other_shapes_are_read_too(choice, text, finish):
    reply = reply_of(REQUEST, {"choices": [choice]}, 0)

    assert (reply.text, reply.finish, reply.tokens_in) == (text, finish, 0)


@pytest.mark.parametrize(
    "answer", [{}, {"choices": []}, {"choices": None}, {"choices": ["x"]}, {"choices": [{"message": {"content": 7}}]}]
)
def test_an_answer_without_a_text_is_a_fault_worth_another_try(answer):
    fault = reply_of(REQUEST, answer, 0)

    assert isinstance(fault, Fault)
    assert fault.retry


def test_odd_token_counts_count_as_none():
    reply = reply_of(
        REQUEST, {"choices": [{"text": "x"}], "usage": {"prompt_tokens": "3", "completion_tokens": True}}, 0
    )

    assert (reply.tokens_in, reply.tokens_out) == (0, 0)


def test_an_unknown_backend_offers_the_nearest():
    with pytest.raises(UnknownNameError, match="unknown backend 'transformer': did you mean 'transformers'"):
        load_generator("transformer", GeneratorOptions("m"))


@pytest.mark.parametrize(
    ("backend", "option", "value"),
    [
        ("openai", "adapter", "a"),
        ("openai", "device", "cpu"),
        ("transformers", "base_url", ("http://x",)),
        ("vllm", "device", "cpu"),
    ],
)
def test_an_option_that_a_backend_has_no_use_for_is_refused(backend, option, value):
    flag = "--" + option.replace("_", "-")
    with pytest.raises(ExpandrError, match=f"{flag} has no meaning for --backend {backend}"):
        load_generator(backend, GeneratorOptions("m", **{option: value}))
