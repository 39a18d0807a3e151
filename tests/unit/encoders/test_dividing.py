"""A chunk that several workers share gets the vectors of one: the same texts are computed together."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("torch")

from tiny_bert import save_tiny_bert

from expandr_repro.data.specs import EncoderSpec
from expandr_repro.encoders.encoder import Encoder

WORDS = ["a", "kiwi", "is", "a", "bird", "that", "sleeps", "by", "day", "and", "hunts", "worms", "at", "night"]


class Numbers(Encoder):
    """An encoder without a model, whose texts are their own token ids."""

    def __init__(self, tokens: int, packs: bool) -> None:
        self.batch_tokens, self.packs = tokens, packs

    def tokenize(self, texts, role):
        return [[ord(letter) for letter in text] for text in texts]

    def computed(self, texts):
        """Return the texts of each batch."""
        rows, _, grouped = self._grouped(self.tokenize(texts, "document"))
        return [["".join(map(chr, rows[number])) for number in batch] for batch in grouped]


@given(st.lists(st.text("abc", max_size=12), max_size=80), st.integers(1, 60), st.integers(1, 9), st.booleans())
def test_the_batches_of_all_lists_are_those_of_the_whole(texts, tokens, count, packs):
    encoder = Numbers(tokens, packs)
    lists = encoder.divided(texts, "document", count)
    assert len(lists) <= count
    assert all(rows == sorted(rows) and rows for rows in lists)
    assert sorted(row for rows in lists for row in rows) == list(range(len(texts)))
    together = encoder.computed(texts)
    assert [batch for rows in lists for batch in encoder.computed([texts[row] for row in rows])] == together
    numbers = [len(encoder.computed([texts[row] for row in rows])) for rows in lists]
    assert not numbers or max(numbers) - min(numbers) <= 1
    assert len(lists) == min(count, len(together))


@pytest.mark.parametrize("frozen", [True, False])  # by ONNX Runtime, by torch
def test_each_list_by_itself_gets_the_vectors_that_it_has_among_all_to_the_byte(tmp_path, frozen):
    folder = save_tiny_bert(tmp_path / "model")
    encoder = Encoder(EncoderSpec(model=str(folder), document_max_length=100), folder, device="cpu", batch_tokens=64, frozen=frozen)  # fmt: skip
    random = np.random.default_rng(0)
    texts = [" ".join(random.choice(WORDS, random.integers(0, 40))) for _ in range(120)]
    texts += texts[:20]
    whole = encoder.encode(texts, "document")
    for count in (2, 3, 7):
        lists = encoder.divided(texts, "document", count)
        assert len(lists) == count
        for rows in lists:
            assert encoder.encode([texts[row] for row in rows], "document").tobytes() == whole[rows].tobytes()
