"""Faiss folders: a flat index that is streamed into its file is the one that Faiss would have written."""

from __future__ import annotations

from pathlib import Path

import faiss
import numpy as np
import pytest

from expandr_repro.errors import ExpandrError
from expandr_repro.indexes import flat_file as module
from expandr_repro.indexes.faiss_index import FaissIndex, faiss_threads, new_index, save_index
from expandr_repro.indexes.flat_file import save_flat


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


def approximate(factory, rows):
    index = new_index(rows.shape[1], factory)
    if not index.is_trained:
        index.train(rows)
    index.add(rows)
    return FaissIndex(module.Path("x"), index, [str(n) for n in range(len(rows))], None)


@pytest.mark.parametrize(
    ("factory", "setting"), [("IVF32,Flat", "nprobe=32"), ("HNSW8", "efSearch=2000"), ("PCA4,IVF32,SQ8", "nprobe=32")]
)
def test_a_thorough_search_of_an_approximate_index_finds_what_an_exact_one_does(factory, setting):
    rows = vectors(2000, 8)
    index = approximate(factory, rows)
    before = index.search(rows[:40], 10)
    index.set_parameters(setting)
    after = index.search(rows[:40], 10)
    exact = approximate("Flat", rows).search(rows[:40], 10)
    agree = [sum(len(f.keys() & e.keys()) for f, e in zip(found, exact, strict=True)) for found in (before, after)]
    assert agree[0] < agree[1]
    assert agree[1] == 400 or "PCA" in factory


@pytest.mark.parametrize(
    ("factory", "written", "problem"),
    [
        (
            "Flat",
            "nprobe=4",
            r"an index of this kind \(IndexFlat.*\) has no nprobe; an IVF index has nprobe, an HNSW one efSearch",
        ),
        ("IVF4,Flat", "efSearch=4", "has no efSearch"),
        ("IVF4,Flat", "nprob=4", "has no nprob;"),
        ("IVF4,Flat", "nprobe=2,nonsense=1", "has no nonsense"),
        ("IVF4,Flat", "nprobe", "wanted name=number"),
        ("IVF4,Flat", "nprobe=", "wanted name=number"),
        ("IVF4,Flat", "", "wanted name=number"),
        ("IVF4,Flat", "nprobe=-1", "wanted name=number"),
        ("IVF4,Flat", "nprobe=0", "nprobe is 0; wanted a whole number from 1"),
        ("HNSW8", "efSearch=1.5", "efSearch is 1.5; wanted a whole number from 1"),
    ],
)
def test_a_setting_that_the_index_does_not_have_is_refused(factory, written, problem):
    with pytest.raises(ExpandrError, match=problem):
        approximate(factory, vectors(200, 8)).set_parameters(written)


@pytest.mark.parametrize("threads", [1, 2, 3, 16])
@pytest.mark.parametrize(("queries", "rows", "dimension"), [(400, 5183, 384), (1100, 3000, 128), (2100, 2500, 64), (200, 4100, 768)])  # fmt: skip
def test_a_flat_search_has_the_bits_of_one_thread_and_every_tie_in_any_number_of_threads(queries, rows, dimension, threads):  # fmt: skip
    documents, asked = vectors(rows, dimension), vectors(queries, dimension)
    documents[7::1000] = documents[7]  # ties in all threads' parts
    documents /= np.linalg.norm(documents, axis=1, keepdims=True)
    flat = new_index(dimension, "Flat")
    flat.add(documents)
    docids = [f"{n:04d}"[::-1] for n in range(rows)]
    found = FaissIndex(Path(), flat, docids, None).search(asked, 30, threads)
    with faiss_threads(1):
        scores, _ = flat.search(asked, 30)
    if queries < 2048:
        assert np.array([list(ranked.values()) for ranked in found], np.float32).tobytes() == scores.tobytes()
    exact = asked.astype(np.float64) @ documents.astype(np.float64).T
    for row, ranked in enumerate(found):
        assert list(ranked) == [docid for _, docid in sorted((-score, docid) for docid, score in ranked.items())]
        assert np.allclose(sorted(exact[row])[: -len(ranked) - 1 : -1], list(ranked.values()), atol=1e-4)
    assert found == FaissIndex(Path(), flat, docids, None).search(asked, 30, 5)
