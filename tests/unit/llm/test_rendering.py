"""How prompts were rendered: read from sampling and provenance, one for all."""

from __future__ import annotations

import pytest

from expandr_repro.errors import MismatchError
from expandr_repro.llm.rendering import one_rendering, recorded_rendering, rendering_of


@pytest.mark.parametrize(
    ("sampling", "provenance", "rendering"),
    [
        ({}, None, {}),
        ({"extra": {"top_k": 5}}, {"model": "m", "api": "chat"}, {}),
        ({"extra": {"chat_template_kwargs": {}}}, {}, {}),
        ({"extra": {"chat_template_kwargs": {"a": 1}, "top_k": 5}}, {}, {"chat_template_kwargs": {"a": 1}}),
        ({"extra": {"add_generation_prompt": False}}, {}, {"add_generation_prompt": False}),
        ({"extra": "not an object"}, {"api": "completions"}, {"api": "completions"}),
    ],
)
def test_only_what_changes_the_prompt_counts(sampling, provenance, rendering):
    assert rendering_of(sampling, provenance) == rendering
    assert recorded_rendering({"prompt": "q2d", **rendering}) == rendering


def test_all_must_share_one_whatever_the_order_of_its_keys():
    one = {"chat_template_kwargs": {"a": 1, "b": 2}}
    other = {"chat_template_kwargs": {"b": 2, "a": 1}}

    assert one_rendering([("1", one), ("2", other)], "f") == one
    assert one_rendering([], "f") == {}
    with pytest.raises(MismatchError, match=r"f: .*\(chat_template_kwargs: \{'a': 1, 'b': 2\} for topic '1', None for topic '2'\)"):  # fmt: skip
        one_rendering([("1", one), ("2", {})], "f")
