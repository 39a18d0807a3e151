"""An index has the same bytes whatever the number of processes or shards that encoded it: each encodes whole chunks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tiny_bert import save_tiny_bert

from expandr_repro.indexes import build
from expandr_repro.io.paths import resource

POCKET = resource("pocket")
COUNTS = [1, 2, 4, 7, 20]
"""Of processes; there are 15 chunks."""


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    return save_tiny_bert(tmp_path_factory.mktemp("bert"))


@pytest.fixture
def encode(command, bert, tmp_path, monkeypatch):
    """Encode 117 passages in chunks of eight, into a folder of that name; two batches or more are of one chunk."""
    monkeypatch.setattr(build, "CHUNK", 8)
    lines = (POCKET / "corpus.jsonl").read_text().splitlines(keepends=True)[:117]
    (tmp_path / "corpus.jsonl").write_text("".join(lines))
    words = ["encode", "--corpus", tmp_path / "corpus.jsonl", "--encoder", bert, "--pooling", "mean", "--normalize", "--batch-tokens", 700, "--quiet"]  # fmt: skip

    def call(name, *more):
        found = command(*words, "--output", tmp_path / name, *more)
        assert found.code == 0, found.err
        return tmp_path / name

    return call


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def documents_in(folder: Path) -> int:
    documents = json.loads((folder / "manifest.json").read_text())["documents"]
    assert len((folder / "docid").read_text().splitlines()) == documents
    return int(documents)


@pytest.mark.parametrize("count", COUNTS)
def test_shards_are_merged_to_the_bytes_of_one_process(command, encode, tmp_path, count):
    parts = [encode(f"parts/{n}", "--shard-id", n, "--num-shards", count) for n in range(count)]
    assert command("encode", "--merge", *parts, "--output", tmp_path / "merged").code == 0
    assert contents(tmp_path / "merged") == contents(encode("one"))
    sizes = [documents_in(part) for part in parts]
    assert sum(sizes) == 117
    assert all(size % 8 == 0 or size % 8 == 5 for size in sizes)
    assert max(sizes) - min(sizes) <= 8
    assert sizes.count(0) == max(0, count - 15)


@pytest.mark.parametrize("count", COUNTS[1:])
def test_the_processes_of_torchrun_give_the_bytes_of_one(encode, tmp_path, monkeypatch, count):
    one = encode("one")
    monkeypatch.setenv("WORLD_SIZE", str(count))
    for rank in (*range(1, count), 0):  # the first merges, so it comes last where one process is all of them
        monkeypatch.setenv("RANK", str(rank))
        encode("many")
    assert contents(tmp_path / "many") == contents(one)
    assert not list(tmp_path.glob("many.shard-*"))


def test_fewer_chunks_than_shards_are_searched_and_exported_as_one(command, encode, bert, tmp_path, monkeypatch):
    pytest.importorskip("pyarrow", reason="pyarrow is not installed (the extra `parquet`)")
    monkeypatch.setattr(build, "CHUNK", 64)
    for n in range(3):
        encode(f"parts/{n}", "--shard-id", n, "--num-shards", 3)
    one, empty = encode("one"), tmp_path / "parts" / "0"
    assert documents_in(empty) == 0
    (tmp_path / "topics.tsv").write_text("1\tstatins\n2\tcells and genes\n")

    def searched(index, name):
        found = command("search", "--topics", tmp_path / "topics.tsv", "--index", index, "--encoder", bert, "--pooling", "mean", "--normalize",
                        "--output", tmp_path / name, "--quiet")  # fmt: skip
        assert found.code == 0, found.err
        return (tmp_path / name).read_text()

    assert searched(tmp_path / "parts", "parts.trec") == searched(one, "one.trec")
    assert searched(empty, "empty.trec") == ""
    for name, index in (("all", tmp_path / "parts"), ("empty", empty)):
        found = command("encode", "--export", index, "--output", tmp_path / f"{name}.parquet")
        assert found.code == 0, found.err


def test_a_shard_of_the_former_division_is_refused_next_to_one_of_this(command, encode, tmp_path):
    parts = [encode(f"parts/{n}", "--shard-id", n, "--num-shards", 2) for n in range(2)]
    manifest = json.loads((parts[1] / "manifest.json").read_text())
    del manifest["shard"]["chunk"]
    (parts[1] / "manifest.json").write_text(json.dumps(manifest))
    for words in (["encode", "--merge", *parts], ["search", "--topics", "pocket", "--index", *parts]):
        found = command(*words, "--output", tmp_path / "out")
        assert (found.code, found.out) == (2, "")
        assert "shard.chunk is None there, 8 in " in found.error
        assert "Traceback" not in found.err
    assert not (tmp_path / "out").exists()
