"""Why a text ended, in the words of many backends."""

from __future__ import annotations

import pytest

from expandr_repro.llm.answers.finishes import finish_of


@pytest.mark.parametrize(
    ("words", "finish"),
    [
        (
            (
                "stop",
                "STOP",
                "eos",
                "eos_token",
                "end_turn",
                "stop_sequence",
                "COMPLETE",
                "FinishReason.STOP",
                "",
                None,
            ),
            "stop",
        ),
        (("length", "max_tokens", "MAX_TOKENS", "model_length", "max-tokens"), "length"),
        (("content_filter", "content-filter", "SAFETY", "PROHIBITED_CONTENT", "sensitive"), "content_filter"),
        (("refusal",), "refusal"),
        (
            ("error", "abort", "cancelled", "timeout", "tool_calls", "insufficient_system_resource", "x", 7, ["stop"]),
            None,
        ),
    ],
)
def test_words_of_backends_have_one_meaning(words, finish):
    assert {finish_of(word) for word in words} == {finish}
