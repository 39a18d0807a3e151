"""Faiss folders: a flat index that is streamed into its file is the one that Faiss would have written."""

from __future__ import annotations

import faiss
import numpy as np
import pytest

from expandr_repro.models import index as module
from expandr_repro.models.index import FaissIndex, new_index, save_flat, save_index


def vectors(count, dimension):
    return np.random.default_rng(0).standard_normal((count, dimension)).astype(np.float32)


@pytest.mark.parametrize("count", [0, 1, 100])
@pytest.mark.parametrize("dimension", [1, 24, 384])
@pytest.mark.parametrize("known", [True, False])
def test_a_streamed_flat_index_is_faisss_to_the_byte(tmp_path, monkeypatch, count, dimension, known):
    rows, docids = vectors(count, dimension), [f"d{n}" for n in range(count)]
    for name in ("plain", "streamed"):
        (tmp_path / name).mkdir()
    index = new_index(dimension, "Flat")
    index.add(rows)
    save_index(index, docids, tmp_path / "plain")
    if not known:  # a Faiss that lays its files out otherwise
        monkeypatch.setattr(module, "sys", type("Big", (), {"byteorder": "big"}))
    save_flat(dimension, (rows[i : i + 7] for i in range(0, count, 7)), docids, tmp_path / "streamed")
    for file in ("index", "docid"):
        assert (tmp_path / "streamed" / file).read_bytes() == (tmp_path / "plain" / file).read_bytes()


def test_chunks_are_taken_one_after_the_other(tmp_path):
    alive = []

    class Chunk(np.ndarray):
        def __del__(self):
            alive.pop()

    def chunks():
        for n in range(5):
            assert len(alive) <= 1, n
            alive.append(n)
            yield vectors(10, 8).view(Chunk)

    save_flat(8, chunks(), [str(n) for n in range(50)], tmp_path)
    assert faiss.read_index(str(tmp_path / "index")).ntotal == 50


def test_a_mapped_index_holds_the_same_vectors(tmp_path):
    rows = vectors(50, 8)
    save_flat(8, [rows], [str(n) for n in range(50)], tmp_path)
    mapped, plain = FaissIndex.load(tmp_path, mapped=True), FaissIndex.load(tmp_path)
    assert mapped.docids == plain.docids
    assert (mapped.index.reconstruct_n(0, 50) == rows).all()
    assert mapped.search(rows[:3], 5) == plain.search(rows[:3], 5)
