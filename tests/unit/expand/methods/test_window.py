"""Passages that do not fit into the model's window are left out whole, from the end."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from expandr_repro.expand.methods.window import fitting, lengths_of, window_of


class Words:
    """A generator that says how much it reads, and counts words."""

    window = 100

    def prompt_lengths(self, prompts, extra):
        return [len(p.split()) for p in prompts]


class Endpoint:
    """A generator that says nothing of itself."""


def render(qid, passages):
    return " ".join(["ask", qid, *passages])


PASSAGES = st.dictionaries(
    st.sampled_from(["a", "b", "c"]), st.lists(st.integers(1, 9).map(lambda n: " ".join(["word"] * n)), max_size=6)
)


@given(passages=PASSAGES, room=st.integers(0, 40))
def test_as_many_passages_as_fit_are_kept_and_never_a_part_of_one(passages, room):
    found = fitting(passages, render, lambda prompts: [len(p.split()) for p in prompts], room)

    for qid, some in passages.items():
        sizes = [2 + sum(len(p.split()) for p in some[:n]) for n in range(len(some) + 1)]
        most = max((n for n, size in enumerate(sizes) if size <= room), default=0)
        assert found[qid] == some[:most]


def test_the_window_is_the_models_own_unless_it_is_said_and_unknown_for_an_endpoint():
    assert window_of(Words(), None) == 100
    assert window_of(Words(), 50) == 50
    assert window_of(Endpoint(), 50) == 50
    assert window_of(Endpoint(), None) is None


def test_lengths_are_counted_by_the_tokenizer_or_estimated_from_above():
    assert lengths_of(Words(), ["one two three"], {}) == [3]
    text = "The quick brown fox jumps over the lazy dog. " * 20
    assert len(text.split()) < lengths_of(Endpoint(), [text], {})[0] < len(text)
