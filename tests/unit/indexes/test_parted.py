"""Several index folders are searched as the one index of all their vectors, to the last bit."""

from __future__ import annotations

import json
import subprocess
import sys
from argparse import ArgumentTypeError
from itertools import pairwise
from pathlib import Path

import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expandr_repro.console.options import size
from expandr_repro.errors import ExpandrError, FormatError, MismatchError, NotAvailableError
from expandr_repro.indexes.faiss_index import FaissIndex
from expandr_repro.indexes.parted import load_parts, parts_of

ENCODER = {"model": "m", "fingerprint": "f", "precision": "fp32", "dimension": 8, "name": "m"}


def made(rows: int, dimension: int = 8, seed: int = 0) -> np.ndarray:
    """Return unit vectors, every tenth of them equal to the first: ties across all parts."""
    vectors = np.random.default_rng(seed).standard_normal((rows, dimension)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors[::10] = vectors[:1]
    return vectors


def write(folder: Path, vectors, docids, factory="Flat", shard=(0, 1), corpus=None, **encoder) -> Path:
    """Write an index folder as `encode` does; `shard` is None for a folder without a manifest."""
    folder.mkdir(parents=True)
    index = faiss.index_factory(vectors.shape[1], factory, faiss.METRIC_INNER_PRODUCT)
    if not index.is_trained:
        index.train(vectors)
    index.add(vectors)
    faiss.write_index(index, str(folder / "index"))
    (folder / "docid").write_text("".join(f"{d}\n" for d in docids))
    if shard:
        manifest = {
            "kind": "faiss-index", "encoder": {**ENCODER, "dimension": vectors.shape[1], **encoder}, "corpus": corpus or {"source": "s", "documents": len(docids), "sha256": "c"},
            "factory": factory, "metric": "inner product", "documents": len(vectors), "shard": {"number": shard[0], "count": shard[1]},
        }  # fmt: skip
        (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def cut(folder: Path, vectors, docids, borders, factory="Flat") -> list[Path]:
    """Write the parts between some borders, as shards of one corpus."""
    edges = [0, *borders, len(vectors)]
    corpus = {"source": "s", "documents": len(docids), "sha256": "c"}
    return [
        write(folder / f"part{n}", vectors[a:b], docids[a:b], factory, (n, len(edges) - 1), corpus)
        for n, (a, b) in enumerate(pairwise(edges))
    ]


def opened(folders, max_memory=None):
    return load_parts(folders, [str(f) for f in folders], lambda part: None, max_memory)


def listed(found):
    return [list(ranked.items()) for ranked in found]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    vectors, docids = made(2600), [f"{n:03d}" if n % 2 else f"a/b/{n}" for n in range(2600)]
    folder = write(tmp_path_factory.mktemp("whole") / "index", vectors, docids)
    return vectors, docids, FaissIndex.load(folder)


@settings(max_examples=25, deadline=None)
@given(borders=st.lists(st.integers(0, 2600), max_size=5).map(sorted), queries=st.sampled_from([1, 3, 25, 300]), hits=st.sampled_from([1, 10, 1000, 2600]), memory=st.booleans())  # fmt: skip
def test_parts_give_the_bits_of_one_index_wherever_they_are_cut(whole, tmp_path_factory, borders, queries, hits, memory):  # fmt: skip
    vectors, docids, one = whole
    asked = made(queries, seed=1)
    folders = cut(tmp_path_factory.mktemp("parts"), vectors, docids, borders)
    largest = max((f / "index").stat().st_size for f in folders)
    parts = opened(folders[::-1], largest if memory else None)
    assert parts.docids == docids
    assert listed(parts.search(asked, hits)) == listed(one.search(asked, hits))


@pytest.mark.parametrize("threads", [1, 2, 7, 16])
@pytest.mark.parametrize(("queries", "rows", "dimension"), [(1, 5183, 384), (2, 5183, 384), (1100, 5183, 384), (1, 12_000, 32), (1, 40_000, 32)])  # fmt: skip
def test_the_bits_are_those_of_one_index_with_as_many_threads(tmp_path, queries, rows, dimension, threads):
    vectors, docids = made(rows, dimension), [str(n) for n in range(rows)]
    one = FaissIndex.load(write(tmp_path / "whole", vectors, docids))
    asked = made(queries, dimension, seed=1)
    folders = cut(tmp_path, vectors, docids, [100, 101, 2591, 5000])
    wanted = listed(one.search(asked, 50, threads))
    assert listed(opened(folders).search(asked, 50, threads)) == wanted
    assert listed(opened(folders, 2**23).search(asked, 50, threads)) == wanted


def test_only_one_part_is_open_where_the_memory_holds_one(tmp_path, whole, monkeypatch):
    vectors, docids, _ = whole
    folders = cut(tmp_path, vectors, docids, [1000, 2000])
    parts = opened(folders, 40_000)
    assert [p.index for p in parts.parts] == [None] * 3
    assert all(p.index is not None for p in opened(folders, 2**20).parts)
    with pytest.raises(ExpandrError, match=r"part0 alone takes 32,\d+ bytes, more than 30,000; allow more, or encode in more parts"):  # fmt: skip
        opened(folders, 30_000)


@pytest.mark.parametrize("factory", ["SQ8", "HNSW8", "IVF4,Flat"])
@pytest.mark.parametrize("together", [False, True])
def test_approximate_parts_are_searched_too(tmp_path, whole, factory, together):
    vectors, docids, one = whole
    folders = cut(tmp_path, vectors, docids, [600, 1200, 1800], factory)
    parts = opened(folders, None if together else max((f / "index").stat().st_size for f in folders))
    if factory[0] == "I":
        parts.set_parameters("nprobe=4")
        with pytest.raises(ExpandrError, match="has no efSearch"):
            parts.set_parameters("efSearch=3")
    asked = made(5, seed=1)
    found, exact = parts.search(asked, 5), one.search(asked, 5)
    assert parts.index.together is together
    assert sum(len(set(a) & set(b)) for a, b in zip(found, exact, strict=True)) > 15


@pytest.mark.parametrize("factory", ["IVF4,Flat", "HNSW8", "SQ8"])
def test_feedback_finds_the_vectors_of_approximate_parts(tmp_path, whole, factory):
    vectors, docids, _ = whole
    _, rows, taken = opened(cut(tmp_path, vectors, docids, [1000, 2000], factory)).index.search_and_reconstruct(made(3, seed=1), 4)  # fmt: skip
    assert np.allclose(taken, vectors[rows], atol=0.02)


@pytest.mark.parametrize("memory", [None, 40_000])
def test_feedback_finds_the_vectors_of_its_documents_in_their_parts(tmp_path, whole, memory):
    vectors, docids, one = whole
    parts = opened(cut(tmp_path, vectors, docids, [1000, 2000]), memory)
    asked = made(30, seed=1)
    wanted, found = (index.index.search_and_reconstruct(asked, 3) for index in (one, parts))
    assert np.array_equal(wanted[0], found[0])
    assert np.array_equal(found[2], vectors[found[1]])


def test_the_memory_of_a_search_is_that_of_the_largest_part(tmp_path):
    rows, dimension, count = 20_000, 256, 8  # 20 MB each
    for n in range(count):
        vectors = np.random.default_rng(n).standard_normal((rows, dimension)).astype(np.float32)
        write(tmp_path / f"{n}", vectors, [f"{n}-{r}" for r in range(rows)], "Flat", (n, count), {"documents": rows * count, "sha256": "c"})  # fmt: skip
    code = """
import sys, faiss, numpy as np
from pathlib import Path
from expandr_repro.indexes.parted import load_parts, parts_of
def resident(key): return next(int(l.split()[1]) for l in open('/proc/self/status') if l.startswith(key)) / 1000
asked = np.ones((64, 256), np.float32)
faiss.knn(asked, asked, 1, faiss.METRIC_INNER_PRODUCT)
before = resident('VmRSS')
name, memory = sys.argv[1], int(sys.argv[2])
index = load_parts(parts_of(name), name, lambda part: None, memory)
index.search(asked, 100, 1)
print(resident('VmHWM') - before)
"""

    def measured(memory: int) -> float:
        done = subprocess.run([sys.executable, "-c", code, str(tmp_path), str(memory)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return float(done.stdout)

    part = rows * dimension * 4 / 1e6
    docids = 40  # MB: 160,000 ids, and each once more while they are compared
    assert measured(30_000_000) < part + docids
    assert measured(1_000_000_000) > (count - 1) * part


def test_a_folder_of_index_folders_alone_is_its_parts_in_natural_order(tmp_path, whole):
    vectors = whole[0][:4]
    for n in (10, 2, 1):
        write(tmp_path / "parts" / f"part{n}", vectors, list("abcd"))
    (tmp_path / "parts" / ".part1.lock").touch()
    assert [p.name for p in parts_of(str(tmp_path / "parts"))] == ["part1", "part2", "part10"]
    assert parts_of(str(tmp_path / "parts" / "part1")) == []
    (tmp_path / "parts" / "part3").mkdir()
    with pytest.raises(NotAvailableError, match=r"part3: no index is there; .* each folder in it must be one"):
        parts_of(str(tmp_path / "parts"))
    (tmp_path / "parts" / "corpus.jsonl").touch()
    assert parts_of(str(tmp_path / "parts")) == []
    with pytest.raises(NotAvailableError, match="nowhere: no index is there"):
        parts_of([str(tmp_path / "parts" / "part1"), "nowhere"])


def both(tmp_path, first, second):
    vectors = made(4)
    defaults = {"vectors": vectors, "corpus": {"documents": 8, "sha256": "c"}}
    one = {"docids": list("abcd"), "shard": (0, 2), **defaults, **first}
    two = {"docids": list("efgh"), "shard": (1, 2), **defaults, **second}
    return opened([write(tmp_path / "p0", **one), write(tmp_path / "p1", **two)])


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ({}, {"docids": list("ebgh")}, "p1: the docid 'b' is in .*p0 too"),
        ({}, {"fingerprint": "other"}, "p1: is part of another index: encoder.fingerprint is 'other' there, 'f' in .*p0"),
        ({}, {"precision": "bf16"}, "encoder.precision is 'bf16' there"),
        ({}, {"corpus": {"documents": 8, "sha256": "d"}}, "corpus.sha256 is 'd' there"),
        ({}, {"shard": (0, 2)}, "p1: is part 0 of 2, and so is .*p0; name each part once"),
        ({"shard": (0, 4)}, {"shard": (2, 4)}, r"parts 1, 3 of 4 \(counted from 0\) of this corpus: not among those named"),
        ({"shard": (0, 3)}, {"shard": (1, 3)}, "part 2 of 3"),
        ({}, {"shard": (0, 1)}, "p0: is one of several parts of a corpus, and .*p1 is a whole index"),
        ({}, {"shard": None}, "p1: has no manifest that says which encoder made it, and .*p0 has one"),
        ({"shard": (0, 1)}, {"shard": (0, 1), "fingerprint": "other"}, "encoder.fingerprint is 'other' there"),
        ({}, {"docids": list("efgh"), "corpus": {"documents": 9, "sha256": "c"}}, "corpus.documents is 9 there"),
    ],
)  # fmt: skip
def test_what_does_not_belong_together_is_refused_with_both_names(tmp_path, first, second, message):
    with pytest.raises(MismatchError, match=message):
        both(tmp_path, first, second)


def test_whole_indexes_of_several_corpora_by_one_encoder_are_searched_as_one(tmp_path):
    index = both(tmp_path, {"shard": (0, 1)}, {"shard": (0, 1), "corpus": {"documents": 4, "sha256": "other"}})
    assert index.docids == list("abcdefgh")
    assert index.manifest == {"encoder": {**ENCODER}}


def test_parts_without_manifests_are_searched_as_one_index_without_a_manifest_is(tmp_path):
    index = both(tmp_path, {"shard": None}, {"shard": None})
    assert (len(index.docids), index.manifest) == (8, None)


@pytest.mark.parametrize("shard", [{"number": "x", "count": 2}, {"number": 3, "count": 2}, [1, 2], {"number": 0}])
def test_a_damaged_shard_in_a_manifest_is_one_line(tmp_path, shard):
    folders = cut(tmp_path, made(20), [str(n) for n in range(20)], [10])
    manifest = json.loads((folders[1] / "manifest.json").read_text()) | {"shard": shard}
    (folders[1] / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(FormatError, match="shard has no whole `number` and `count`"):
        opened(folders)


@pytest.mark.parametrize("text", ["", "two", "2XiB", "-1", "0", "1e9GiB", "2 G iB"])
def test_a_size_that_is_none_is_refused(text):
    with pytest.raises(ArgumentTypeError, match=r"is not a size; wanted e\.g\. 2GiB"):
        size(text)


@pytest.mark.parametrize(("text", "value"), [("2GiB", 2**31), ("1.5GB", 1_500_000_000), ("7", 7), ("64kib", 65536), ("3 MB", 3_000_000), ("9B", 9)])  # fmt: skip
def test_a_size_has_decimal_and_binary_units(text, value):
    assert size(text) == value
