"""What fits and what does not."""

from __future__ import annotations

import pytest
from tiny_llama import tokenizer_like_llama_3

from expandr_repro.train_generator.trl.examples import ALIKE, CUT, LONG, Texts, fit


@pytest.fixture(scope="module")
def tokenizer():
    return tokenizer_like_llama_3(None)


def fitted(tokenizer, rows, max_prompt_length=20, max_length=40):
    texts = Texts([prompt for prompt, *_ in rows], [tuple(passages) for _, *passages in rows])
    return fit(tokenizer, texts, max_prompt_length, max_length, {tokenizer.eos_token_id})


def test_a_prompt_over_the_limit_drops_its_example_and_one_at_the_limit_stays(tokenizer):
    made = fitted(tokenizer, [("x" * 19, "y", "z"), ("x" * 20, "y", "z")])  # and the beginning of sequence

    assert made.counts == {"read": 2, LONG: 1, CUT: 0, ALIKE: 0, "used": 1}
    assert [len(p) for p in made.prompts] == [20]


def test_a_passage_over_the_limit_is_cut_with_its_end_and_counted_by_side(tokenizer):
    made = fitted(tokenizer, [("x", "y" * 60, "z"), ("x", "y" * 60, "z" * 60)])

    assert made.counts[CUT] == 3
    assert [len(side) + 2 for row in made.passages for side in row] == [40, 5, 40, 40]
    assert tokenizer.eos_token_id not in made.passages[0][0]


def test_sides_that_are_the_same_once_cut_teach_nothing(tokenizer):
    made = fitted(tokenizer, [("x", "y" * 60, "y" * 60 + "z")])

    assert made.counts == {"read": 1, LONG: 0, CUT: 0, ALIKE: 1, "used": 0}
    assert len(made) == 0


def test_one_passage_a_prompt_is_enough(tokenizer):
    assert fitted(tokenizer, [("x", "y")]).counts["used"] == 1
