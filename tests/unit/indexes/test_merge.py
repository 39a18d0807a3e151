"""An index that is merged from shards is the one that is encoded at once, of whatever kind."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from expandr_repro.data.corpus import CorpusFacts, Document
from expandr_repro.errors import ExpandrError
from expandr_repro.indexes import build as building
from expandr_repro.indexes.build import Shard, build_faiss
from expandr_repro.indexes.merge import merge_shards

DOCUMENTS = 150


@dataclass
class Numbers:
    """A corpus of numbers."""

    source: str = "numbers"

    def read(self):
        return (Document(f"d{n}", "", str(n)) for n in range(DOCUMENTS))


class Hashes:
    """An encoder whose vectors depend on their text alone."""

    name, dimension, separator = "hashes", 8, ""

    @property
    def identity(self):
        return {"name": "hashes", "dimension": 8}

    def encode(self, texts, role):
        seeds = [int.from_bytes(hashlib.sha256(t.encode()).digest()[:4], "big") for t in texts]
        return np.stack([np.random.default_rng(s).standard_normal(8) for s in seeds]).astype(np.float32)


def build(folder: Path, factory: str = "Flat", shard: Shard | None = None) -> Path:
    build_faiss(Numbers(), CorpusFacts(DOCUMENTS, "hash"), Hashes(), folder, factory, shard)
    return folder


@pytest.mark.parametrize("training", [40, 65536])
@pytest.mark.parametrize("factory", ["Flat", "HNSW4", "IVF3,Flat", "SQ8"])
@pytest.mark.parametrize("count", [1, 2, 4])
def test_merged_shards_are_byte_for_byte_the_index_that_is_encoded_at_once(
    tmp_path, monkeypatch, factory, count, training
):
    monkeypatch.setattr(building, "CHUNK", 16)
    monkeypatch.setattr(building, "TRAINING", training)  # each third vector, and 3 does not divide 16
    whole = build(tmp_path / "whole", factory)
    shards = [build(tmp_path / str(n), shard=Shard(n, count)) for n in range(count)]
    assert merge_shards(shards[::-1], tmp_path / "merged", factory) == DOCUMENTS
    names = sorted(p.name for p in whole.iterdir())
    assert names == sorted(p.name for p in (tmp_path / "merged").iterdir())
    assert all((whole / n).read_bytes() == (tmp_path / "merged" / n).read_bytes() for n in names)


def test_an_index_is_trained_on_the_same_vectors_whatever_the_chunks():
    rows = np.arange(100, dtype=np.float32)[:, None]
    for size in (1, 2, 7, 16, 100):
        parts = iter([rows[n : n + size] for n in range(0, 100, size)])
        assert np.array_equal(np.concatenate(list(building._every(parts, 3))), rows[::3])


def test_shards_that_are_too_few_to_train_on_are_refused_in_one_line(tmp_path):
    shards = [build(tmp_path / str(n), shard=Shard(n, 2)) for n in range(2)]
    with pytest.raises(ExpandrError, match="150 documents are too few to train it"):
        merge_shards(shards, tmp_path / "merged", "IVF1000,Flat")
