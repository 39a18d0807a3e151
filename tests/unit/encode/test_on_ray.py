"""Chunks become orders: whole ones while there is one for each worker, the last ones in a list for each."""

from __future__ import annotations

import pytest

from expandr_repro.encode.on_ray import divided
from expandr_repro.encoders.encoder import Encoder
from expandr_repro.indexes import build

CHUNK = 128


class Halves(Encoder):
    """An encoder that divides texts without looking at them."""

    def __init__(self) -> None:
        pass

    def divided(self, texts, role, count):
        return [list(range(len(texts)))[n::count] for n in range(count)]


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(build, "CHUNK", CHUNK)


def lists_of(documents, workers, encoder=None):
    """Return into how many lists each chunk of a corpus is divided; all its texts are in one of them."""
    chunks = [[str(n) for n in range(documents)][i : i + CHUNK] for i in range(0, documents, CHUNK)]
    counts = []
    for number, texts, lists in divided(iter(chunks), encoder or Halves(), workers):
        assert number == len(counts)
        assert texts == chunks[number]
        assert sorted(row for rows in lists for row in rows) == list(range(len(texts)))
        counts.append(len(lists))
    assert len(counts) == len(chunks)
    return counts


@pytest.mark.parametrize(
    ("documents", "workers", "expected"),
    [
        (3 * CHUNK, 2, [1, 1, 2]),
        (3 * CHUNK - 10, 2, [1, 1, 2]),
        (4 * CHUNK, 2, [1] * 4),
        (4 * CHUNK - 10, 2, [1, 1, 2, 2]),  # the last is not full, so the two are not alike
        (CHUNK + 10, 2, [2, 1]),  # ten texts are not worth it
        (5 * CHUNK, 4, [1] * 4 + [4]),
        (7 * CHUNK, 1, [1] * 7),
        (CHUNK, 64, [4]),  # no list of fewer than 32 texts
        (0, 3, []),
    ],
)
def test_the_last_chunks_are_divided_among_all_workers(documents, workers, expected):
    assert lists_of(documents, workers) == expected


def test_another_toolkits_encoder_gets_whole_chunks():
    assert lists_of(3 * CHUNK, 2, object()) == [1, 1, 1]


def test_no_more_chunks_are_read_ahead_than_there_are_workers():
    read = []

    def chunks():
        for number in range(20):
            read.append(number)
            yield ["x"] * CHUNK

    next(divided(chunks(), Halves(), 3))
    assert len(read) == 3
