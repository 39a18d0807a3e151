"""A corpus is divided into shards at the borders of chunks, so that all shards together are the index of one process."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expandr_repro.errors import ExpandrError, MismatchError
from expandr_repro.indexes import build as building
from expandr_repro.indexes.build import CHUNK, Shard
from expandr_repro.indexes.faiss_index import FaissIndex
from expandr_repro.indexes.merge import merge_shards
from expandr_repro.indexes.parted import load_parts
from unit.indexes.test_merge import DOCUMENTS, build


@given(st.one_of(st.integers(0, 10 * CHUNK), st.integers(0, 10**9)), st.integers(1, 70))
def test_every_document_is_in_one_shard_in_order_and_no_chunk_is_cut(documents, count):
    bounds = [Shard(n, count).bounds(documents) for n in range(count)]
    assert bounds[0][0] == 0
    assert bounds[-1][1] == documents
    assert all(end == following for (_, end), (following, _) in pairwise(bounds))
    assert all(border in (documents, border // CHUNK * CHUNK) for pair in bounds for border in pair)
    sizes = [end - first for first, end in bounds]
    assert max(sizes) - min(sizes) <= CHUNK
    assert sizes.count(0) == max(0, count - -(-documents // CHUNK))


def former(shard: Shard, documents: int) -> tuple[int, int]:
    """Return the borders of before: of documents, wherever chunks end."""
    return documents * shard.number // shard.count, documents * (shard.number + 1) // shard.count


@pytest.fixture
def shards(tmp_path, monkeypatch):
    """Four shards as they were made before, and as they are made now."""
    monkeypatch.setattr(building, "CHUNK", 25)  # six chunks of 150 documents
    new = [build(tmp_path / "new" / str(n), shard=Shard(n, 4)) for n in range(4)]
    with monkeypatch.context() as before:
        before.setattr(Shard, "bounds", former)
        old = [build(tmp_path / "old" / str(n), shard=Shard(n, 4)) for n in range(4)]
    for folder in old:
        manifest = json.loads((folder / "manifest.json").read_text())
        del manifest["shard"]["chunk"]
        (folder / "manifest.json").write_text(json.dumps(manifest))
    return old, new


def test_shards_of_the_former_division_are_merged_and_searched_among_themselves(shards, tmp_path):
    old, new = shards
    assert [FaissIndex.load(folder).index.ntotal for folder in old] == [37, 38, 37, 38]
    assert [FaissIndex.load(folder).index.ntotal for folder in new] == [25, 50, 25, 50]
    for name, folders in (("old", old), ("new", new)):
        assert merge_shards(folders[::-1], tmp_path / f"merged.{name}") == DOCUMENTS
        assert len(load_parts(folders, "", lambda index: None).docids) == DOCUMENTS
    whole = build(tmp_path / "whole")
    for name in ("old", "new"):
        assert all((tmp_path / f"merged.{name}" / p.name).read_bytes() == p.read_bytes() for p in whole.iterdir())


def test_shards_of_the_former_division_and_of_this_one_are_not_mixed(shards, tmp_path):
    old, new = shards
    for number in range(4):
        mixed = [*new[:number], old[number], *new[number + 1 :]]
        with pytest.raises(MismatchError, match=r"shard.chunk is .*; encode them alike"):
            merge_shards(mixed, tmp_path / "merged")
        with pytest.raises(MismatchError, match=r"shard.chunk is .*; encode both alike"):
            load_parts(mixed, "", lambda index: None)
    assert not (tmp_path / "merged").exists()


def test_a_shard_of_the_former_division_is_not_taken_for_the_one_that_is_asked_for(shards, tmp_path):
    old, _ = shards
    assert build(old[1], shard=Shard(1, 4))
    assert FaissIndex.load(old[1]).index.ntotal == 50


@pytest.mark.parametrize("factory", ["Flat", "SQ8", "HNSW4", "IVF3,Flat"])
def test_a_shard_without_documents_is_a_part_like_any_other(tmp_path, factory):
    shards = [build(tmp_path / str(n), factory, Shard(n, 3)) for n in range(3)]  # one chunk
    sizes = [FaissIndex.load(folder).index.ntotal for folder in shards]
    assert sizes == [0, 0, DOCUMENTS]
    queries = FaissIndex.load(build(tmp_path / "flat")).index.reconstruct_n(0, 2)
    assert FaissIndex.load(shards[1]).search(queries, 10) == [{}, {}]
    alone = FaissIndex.load(shards[2]).search(queries, 10)
    for memory in (None, 10**6):
        assert load_parts(shards, "", lambda index: None, memory).search(queries, 10) == alone


def test_a_shard_that_is_none_is_refused():
    for number, count in ((2, 2), (-1, 2), (0, 0)):
        with pytest.raises(ExpandrError, match="--shard-id goes from 0 to --num-shards less one"):
            Shard(number, count)


def test_a_whole_index_says_nothing_of_chunks(tmp_path):
    manifest = json.loads((build(tmp_path / "whole") / Path("manifest.json")).read_text())
    assert manifest["shard"] == {"number": 0, "count": 1}
