"""`encode --export`: the vectors of an index in a Parquet file, whatever its kind and its parts."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import faiss
import numpy as np
import pytest

from expandr_repro.encode import export
from expandr_repro.encode.export import export_parquet
from expandr_repro.indexes.faiss_index import FaissIndex, new_index, save_index
from expandr_repro.indexes.flat_file import save_flat

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

DOCIDS = [*(f"{n:03}" for n in range(298)), "a/b/c", "née 7"]
RNG = np.random.default_rng(1)
VECTORS = RNG.standard_normal((len(DOCIDS), 8)).astype(np.float32)
ENCODER = {"name": "hashes", "dimension": 8, "fingerprint": "f00", "precision": "fp32"}


def written(folder: Path, factory: str = "Flat", begin: int = 0, end: int = 300, shard: tuple[int, int] = (0, 1)) -> Path:  # fmt: skip
    """Write an index folder of some of the vectors, as `encode` does."""
    index = new_index(8, factory)
    if not index.is_trained:
        index.train(VECTORS)
    index.add(VECTORS[begin:end])
    folder.mkdir(parents=True)
    save_index(index, DOCIDS[begin:end], folder)
    manifest = {"kind": "faiss-index", "encoder": ENCODER, "corpus": {"source": "numbers", "documents": 300}, "factory": factory,
                "documents": end - begin, "shard": {"number": shard[0], "count": shard[1]}}  # fmt: skip
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def read(path: Path) -> tuple[list[str], np.ndarray]:
    table = pq.read_table(path)
    assert table.schema.field("docid").type == pa.string()
    assert table.schema.field("vector").type == pa.list_(pa.float32(), 8)
    vectors = table["vector"].combine_chunks().flatten().to_numpy().reshape(-1, 8)
    return table["docid"].to_pylist(), vectors


@pytest.mark.parametrize("factory", ["Flat", "HNSW4", "IVF4,Flat"])
def test_an_index_that_keeps_vectors_is_exported_bit_for_bit_with_its_docids(command, tmp_path, factory):
    index = written(tmp_path / "index", factory)
    found = command("encode", "--export", index, "--output", tmp_path / "all.parquet")
    assert (found.code, "warning" in found.err) == (0, False), found.err
    docids, vectors = read(tmp_path / "all.parquet")
    assert docids == DOCIDS
    assert vectors.tobytes() == VECTORS.tobytes()


def test_the_metadata_of_the_file_and_the_manifest_next_to_it_state_encoder_and_corpus(command, tmp_path):
    index = written(tmp_path / "index")
    assert command("encode", "--export", index, "--output", tmp_path / "all.parquet").code == 0
    manifest = json.loads((tmp_path / "all.parquet.manifest.json").read_text())
    stated = json.loads(pq.read_schema(tmp_path / "all.parquet").metadata[b"expandr_repro"])
    assert stated == manifest
    assert (manifest["encoder"], manifest["corpus"]["source"]) == (ENCODER, "numbers")
    assert (manifest["kind"], manifest["documents"], manifest["dimension"], manifest["exact"]) == ("exported-vectors", 300, 8, True)  # fmt: skip


def test_parts_in_any_order_and_with_a_memory_mapped_file_give_the_file_of_one_index(command, tmp_path):
    whole = written(tmp_path / "whole")
    bounds = [0, 7, 100, 300]
    parts = [written(tmp_path / "parts" / str(n), "Flat", bounds[n], bounds[n + 1], (n, 3)) for n in range(3)]
    tables = []
    for name, indexes in (("one", [whole]), ("named", parts[::-1]), ("folder", [tmp_path / "parts"])):
        output = tmp_path / f"{name}.parquet"
        assert command("encode", "--export", *indexes, "--output", output).code == 0
        tables.append(read(output))
    assert [docids for docids, _ in tables] == [DOCIDS] * 3
    assert {vectors.tobytes() for _, vectors in tables} == {VECTORS.tobytes()}


def test_a_part_alone_is_exported_and_parts_that_do_not_belong_together_are_refused(command, tmp_path):
    one = written(tmp_path / "0", "Flat", 0, 100, (0, 3))
    two = written(tmp_path / "1", "Flat", 100, 300, (1, 3))
    assert command("encode", "--export", one, "--output", tmp_path / "one.parquet").code == 0
    assert read(tmp_path / "one.parquet")[0] == DOCIDS[:100]
    found = command("encode", "--export", one, two, "--output", tmp_path / "two.parquet")
    assert (found.code, (tmp_path / "two.parquet").exists()) == (2, False)
    assert "2 of 3" in found.err


@pytest.mark.parametrize("factory", ["SQ8", "PQ4x4", "IVF4,PQ4x4", "OPQ4,PQ4x4"])
def test_vectors_of_a_compressed_index_are_decoded_with_a_warning_that_counts_them(command, tmp_path, factory):
    index = written(tmp_path / "index", factory)
    found = command("encode", "--export", index, "--output", tmp_path / "near.parquet")
    assert found.code == 0, found.err
    assert "300 vectors are decoded from the codes of a compressed index" in found.err
    assert json.loads((tmp_path / "near.parquet.manifest.json").read_text())["exact"] is False
    kept = FaissIndex.load(index).index
    if factory.startswith("IVF"):
        kept.make_direct_map()
    assert read(tmp_path / "near.parquet")[1].tobytes() == kept.reconstruct_batch(np.arange(300)).tobytes()


def test_an_index_that_does_not_return_its_vectors_is_one_error_and_leaves_no_file(command, tmp_path):
    index = written(tmp_path / "index")
    numbered = faiss.IndexIDMap(new_index(8, "Flat"))
    numbered.add_with_ids(VECTORS, np.arange(300))
    faiss.write_index(numbered, str(index / "index"))
    before = sorted(tmp_path.rglob("*"))
    found = command("encode", "--export", index, "--output", tmp_path / "none.parquet")
    assert found.code == 2
    assert found.err.count("error:") == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_vectors_are_written_in_row_groups_and_the_same_bytes_come_twice(tmp_path, monkeypatch):
    monkeypatch.setattr(export, "ROWS", 64)
    index = written(tmp_path / "index")
    for name in "ab":
        assert export_parquet([str(index)], tmp_path / name) == 300
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert pq.ParquetFile(tmp_path / "a").num_row_groups == 5
    assert read(tmp_path / "a")[1].tobytes() == VECTORS.tobytes()


def test_an_export_is_replaced_and_another_file_is_not(command, tmp_path):
    index, output = written(tmp_path / "index"), tmp_path / "all.parquet"
    for _ in range(2):
        assert command("encode", "--export", index, "--output", output).code == 0
    pq.write_table(pa.table({"docid": ["1"]}), output)
    found = command("encode", "--export", index, "--output", output)
    assert found.code == 2
    assert "is not a Parquet file that `encode --export` wrote" in found.err


def test_an_index_without_a_manifest_is_exported_with_a_warning(command, tmp_path):
    index = written(tmp_path / "index")
    (index / "manifest.json").unlink()
    found = command("encode", "--export", index, "--output", tmp_path / "all.parquet")
    assert (found.code, read(tmp_path / "all.parquet")[0]) == (0, DOCIDS)
    assert "has no manifest" in found.err


@pytest.mark.parametrize("words", [["--factory", "SQ8"], ["--overwrite"], ["--corpus", "pocket"], ["--num-shards", "2"], ["--retriever", "bm25"]])  # fmt: skip
def test_an_option_that_would_change_nothing_is_refused(command, tmp_path, words):
    found = command("encode", "--export", written(tmp_path / "index"), "--output", tmp_path / "o.parquet", *words)
    assert found.code == 2
    assert words[0] in found.err


def test_a_name_that_is_no_index_is_one_error(command, tmp_path):
    found = command("encode", "--export", tmp_path / "nothing", "--output", tmp_path / "o.parquet")
    assert found.code == 2
    assert "no Faiss index there" in found.err


def test_a_dry_run_names_the_index_and_writes_nothing(command, tmp_path):
    index = written(tmp_path / "index")
    found = command("encode", "--export", index, "--output", tmp_path / "o.parquet", "--dry-run")
    assert (found.code, (tmp_path / "o.parquet").exists()) == (0, False)
    assert "Parquet" in found.out


def test_a_missing_pyarrow_is_one_line_with_what_to_install(command, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    found = command("encode", "--export", written(tmp_path / "index"), "--output", tmp_path / "o.parquet")
    assert found.code == 2
    assert "pip install expandr-repro[parquet]" in found.err


MEASURED = """
import sys
from pathlib import Path
import expandr_repro.encode.export as export
import expandr_repro.indexes.parted, faiss, pyarrow.parquet
def anonymous(): return next(int(l.split()[1]) for l in open("/proc/self/status") if l.startswith("RssAnon")) / 1024
peak, before, update = [], anonymous(), export.progress
class Watched:
    def __init__(self, *words): pass
    def __enter__(self): return self
    def __exit__(self, *words): pass
    def update(self, count): peak.append(anonymous())
export.progress = Watched
export.export_parquet([sys.argv[1]], Path(sys.argv[2]))
print(max(peak) - before)
"""


def test_the_memory_that_an_export_takes_does_not_grow_with_the_index(tmp_path):
    taken = []
    for count in (40_000, 400_000):  # 20 and 205 MB
        folder = tmp_path / str(count)
        folder.mkdir()
        save_flat(128, (np.full((10_000, 128), n, np.float32) for n in range(count // 10_000)), [str(n) for n in range(count)], folder)  # fmt: skip
        done = subprocess.run([sys.executable, "-c", MEASURED, str(folder), str(tmp_path / f"{count}.parquet")], capture_output=True, text=True)  # fmt: skip
        assert done.returncode == 0, done.stderr
        taken.append(float(done.stdout))
    print(taken)
    assert taken[1] - taken[0] < 100  # MB: 360,000 docids, and not 184 MB of vectors
