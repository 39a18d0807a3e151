"""What differs between Pyserini 1.6 and 2.4 works on whichever is installed: feedback, encoded queries, silence, imports without a network."""

from __future__ import annotations

import subprocess
import sys

import pytest

from expandr_repro.data.topics import read_topics
from expandr_repro.data.trec import read_run
from expandr_repro.io.paths import resource

pytestmark = pytest.mark.jvm


@pytest.mark.parametrize("fusion", ["rm3", "rocchio"])
def test_feedback_finds_the_same_through_our_searcher_and_pyserinis(command, tmp_path, fusion):
    for searcher in ("expandr", "pyserini"):
        result = command(
            "search", "--topics", "pocket", "--retriever", "bm25", "--fusion", fusion, "--searcher", searcher,
            "--hits", 20, "--output", tmp_path / f"{searcher}.trec",
        )  # fmt: skip
        assert result.code == 0, result.err
    ours, theirs = read_run(tmp_path / "expandr.trec"), read_run(tmp_path / "pyserini.trec")

    assert {q: list(ranked) for q, ranked in ours.items()} == {q: list(ranked) for q, ranked in theirs.items()}


def test_feedback_in_an_index_without_document_vectors_is_refused(command, tmp_path):
    command("encode", "--corpus", "pocket", "--retriever", "bm25", "--output", tmp_path / "index")
    result = command(
        "search", "--topics", "pocket", "--index", tmp_path / "index", "--retriever", "bm25", "--fusion", "rm3"
    )

    assert result.code == 2
    assert "stores no document vectors" in result.error


def test_encoded_queries_search_in_pyserinis_searcher_as_in_ours(command, pocket_index, tmp_path):
    from expandr_repro.pyserini.queries import encoded_queries

    result = command(
        "search", "--topics", "pocket", "--index", pocket_index, "--hits", 10, "--output", tmp_path / "ours.trec",
        "--export-queries", tmp_path / "queries",
    )  # fmt: skip
    assert result.code == 0, result.err
    encoder = encoded_queries(tmp_path / "queries")
    from pyserini.search.faiss import FaissSearcher

    searcher = FaissSearcher(str(pocket_index), encoder)
    ours = read_run(tmp_path / "ours.trec")
    for topic in read_topics(resource("pocket") / "queries.jsonl")[:10]:
        hits = {hit.docid: hit.score for hit in searcher.search(topic.title, k=10)}
        assert hits == pytest.approx(ours[topic.qid], abs=1e-5)


def test_a_folder_without_encoded_queries_is_an_error_that_names_the_way(tmp_path):
    from expandr_repro.errors import NotAvailableError
    from expandr_repro.pyserini.queries import encoded_queries

    with pytest.raises(NotAvailableError, match="--export-queries"):
        encoded_queries(tmp_path)


def test_bm25_says_nothing_but_its_scores(process):
    result = process("expandr_repro.search", "--topics", "pocket", "--retriever", "bm25", "--fusion", "none", "-q")

    assert result.code == 0
    assert [line for line in result.err.splitlines() if not line.startswith("warning: pocket/test")] == []


def test_every_part_of_pyserini_that_is_used_can_be_imported_without_a_network():
    program = (
        "import socket\n"
        "def refuse(*_, **__): raise OSError('no network')\n"
        "socket.getaddrinfo = socket.socket.connect = refuse\n"
        "from expandr_repro.pyserini.jvm import start; start()\n"
        "import pyserini.encode, pyserini.search.faiss, pyserini.search.lucene, pyserini.util\n"
        "from pyserini.prebuilt_index_info import FAISS_INDEX_INFO\n"
        "assert FAISS_INDEX_INFO['beir-v1.0.0-scifact.bge-base-en-v1.5']['md5'] == '248b6db6e61d18f17674219aecd8b41d'\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr


def test_an_index_of_a_newer_lucene_is_one_line_that_says_so(monkeypatch, tmp_path):
    from expandr_repro.errors import FormatError
    from expandr_repro.indexes import lucene

    refused = java_exception("java.lang.IllegalArgumentException: indexCreatedVersionMajor is in the future: 10")
    monkeypatch.setattr(lucene, "java_class", lambda _: refused)
    for use in (lucene.document_count, lambda folder: lucene.holds_any(folder, ["d1"]), lucene.lucene_facts):
        with pytest.raises(FormatError, match=r"newer Lucene .* build it again here"):
            use(tmp_path)


def java_exception(message):
    import jnius

    def refuse(_):
        raise jnius.JavaException(message)

    return refuse


def test_cached_indexes_of_each_lucene_lie_apart(monkeypatch):
    from pathlib import Path

    from expandr_repro.indexes import find

    for name, kind in (("anserini-1.7.1-fatjar.jar", "lucene"), ("anserini-2.3.0-fatjar.jar", "lucene.anserini2")):
        monkeypatch.setattr(find, "jar", lambda name=name: Path(name))
        assert find._lucene_kind() == kind


NESTED = """
import json
from expandr_repro.pyserini import jvm
jvm.start()
for depth in (900, 9_900, 50_000):
    for text in ("[" * depth + "]" * depth, '{"a":' * depth + "1" + "}" * depth):
        try:
            json.loads(text)
        except RecursionError:
            pass
"""


def test_deeply_nested_json_is_read_or_refused_in_a_process_that_runs_java():
    """Java guards the end of the stack of the thread that starts it; Python 3.13 crashed there."""
    done = subprocess.run([sys.executable, "-c", NESTED], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
