"""`search` with real parts: what it writes, every fusion, names and paths, groups, ids."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from expandr_repro.data.specs import datasets
from expandr_repro.data.topics import Expansion, Topic, read_topics, write_topics
from expandr_repro.data.trec import read_run
from expandr_repro.errors import ExpandrError
from expandr_repro.io.paths import resource
from expandr_repro.search.bm25 import Bm25Search
from expandr_repro.search.dense import DenseSearch
from expandr_repro.search.fusion import FUSIONS

POCKET = resource("pocket")


def found(result):
    assert result.code == 0, result.err
    return json.loads(result.out)[0]


def beir_folder(folder, documents, queries, qrels):
    (folder / "qrels").mkdir(parents=True)
    (folder / "corpus.jsonl").write_text(
        "".join(json.dumps({"_id": i, "title": "", "text": t}) + "\n" for i, t in documents)
    )
    (folder / "queries.jsonl").write_text("".join(json.dumps({"_id": i, "text": t}) + "\n" for i, t in queries))
    (folder / "qrels" / "test.tsv").write_text(
        "query-id\tcorpus-id\tscore\n" + "".join(f"{q}\t{d}\t{g}\n" for q, d, g in qrels)
    )
    return folder


def test_a_run_is_in_trec_form_with_strictly_decreasing_scores_and_a_manifest(command, tmp_path):
    path = tmp_path / "mean.trec"
    assert command("search", "--topics", "pocket", "--hits", 50, "--output", path, "--tag", "mine").code == 0
    lines = [line.split(" ") for line in path.read_text().splitlines()]
    assert len(lines) == 72 * 50
    assert {(len(x), x[1], x[5]) for x in lines} == {(6, "Q0", "mine")}
    for qid, ranked in read_run(path).items():
        scores = np.array(list(ranked.values()), dtype=np.float32)
        assert (np.diff(scores) < 0).all(), qid
    manifest = json.loads((tmp_path / "mean.trec.manifest.json").read_text())
    assert manifest["kind"] == "run"
    assert manifest["fusion"] == "mean"
    assert manifest["encoder"]["name"] == "all-MiniLM-L6-v2"
    assert manifest["corpus"]["documents"] == 719


def test_a_second_search_writes_the_same_bytes(command, tmp_path):
    for name in ("a", "b"):
        assert command("search", "--topics", "pocket", "--output", tmp_path / f"{name}.trec.gz").code == 0
    assert (tmp_path / "a.trec.gz").read_bytes() == (tmp_path / "b.trec.gz").read_bytes()
    with gzip.open(tmp_path / "a.trec.gz", "rt") as file:
        assert file.readline().startswith("animals-1 Q0 ")


@pytest.mark.parametrize("fusion", [f.name for f in FUSIONS.values() if f.way("dense") and f.of != "feedback"])
def test_every_dense_fusion_searches(command, fusion):
    result = found(command("search", "--topics", "pocket", "--fusion", fusion, "--no-baseline", "--format", "json"))
    assert result["fusion"] == fusion
    assert 0.45 < result["figures"]["nDCG@10"] < 0.95


@pytest.mark.jvm
@pytest.mark.parametrize("fusion", [f.name for f in FUSIONS.values() if f.way("bm25")])
def test_every_bm25_fusion_searches(command, fusion):
    result = found(
        command(
            "search",
            "--topics",
            "pocket",
            "--retriever",
            "bm25",
            "--fusion",
            fusion,
            "--no-baseline",
            "--format",
            "json",
        )
    )
    assert result["fusion"] == fusion
    assert 0.3 < result["figures"]["nDCG@10"] < 0.95


@pytest.mark.jvm
@pytest.mark.parametrize("fusion", ["rocchio", "average"])
def test_vector_feedback_goes_through_pyserini(command, fusion):
    result = found(command("search", "--topics", "pocket", "--fusion", fusion, "--format", "json"))
    assert result["fusion"] == fusion
    assert result["figures"]["nDCG@10"] != result["query_only"]["nDCG@10"]
    assert result["figures"]["nDCG@10"] == pytest.approx(result["query_only"]["nDCG@10"], abs=0.1)


def test_a_topic_without_an_expansion_is_searched_by_its_query_and_counted(command, tmp_path):
    topics = read_topics(POCKET / "queries.jsonl")
    write_topics(tmp_path / "some.jsonl", topics[:-3])
    alone, mixed = tmp_path / "alone.trec", tmp_path / "mixed.trec"
    command("search", "--topics", "pocket", "--fusion", "none", "--output", alone)
    result = command("search", "--topics", "pocket", "--expansions", tmp_path / "some.jsonl", "--output", mixed)
    assert "3 of 72 topics have no expansion" in result.err
    a, b = read_run(alone), read_run(mixed)
    for topic in topics[-3:]:
        assert a[topic.qid] == b[topic.qid]
    assert a[topics[0].qid] != b[topics[0].qid]


def test_a_topics_file_may_go_with_any_index(command, tmp_path):
    write_topics(
        tmp_path / "mine.jsonl",
        [Topic("q1", "why is the sky blue"), Topic("007", "kiwi", (Expansion("a flightless bird of New Zealand"),))],
    )
    result = command(
        "search", "--topics", tmp_path / "mine.jsonl", "--index", "pocket", "--hits", 5, "--output", tmp_path / "x.trec"
    )
    assert result.code == 0
    assert "no relevance judgments are known" in result.err
    assert list(read_run(tmp_path / "x.trec")) == ["q1", "007"]


def test_a_topics_file_with_judgements_from_a_file_is_measured(command, tmp_path):
    topics = read_topics(POCKET / "queries.jsonl")
    write_topics(tmp_path / "mine.jsonl", topics)
    result = found(
        command(
            "search",
            "--topics",
            tmp_path / "mine.jsonl",
            "--index",
            "pocket",
            "--qrels",
            POCKET / "qrels" / "test.tsv",
            "--format",
            "json",
            "--metrics",
            "ndcg_cut_10,MAP",
        )
    )
    assert set(result["figures"]) == {"nDCG@10", "MAP"}
    assert result["figures"]["nDCG@10"] == pytest.approx(0.7922, abs=0.0005)


def test_a_beir_folder_needs_nothing_else(command, tmp_path):
    shutil.copytree(POCKET, tmp_path / "mine")
    result = found(command("search", "--topics", tmp_path / "mine", "--fusion", "none", "--format", "json"))
    assert result["topics"] == "mine/test"
    assert result["figures"]["nDCG@10"] == pytest.approx(0.5836, abs=0.0005)


def test_a_pyserini_or_ir_datasets_name_finds_the_offline_folder(command, tmp_path, monkeypatch):
    documents = [("d1", "glacier ice flows downhill"), ("d2", "cats sleep most of the day")]
    beir_folder(
        tmp_path / "scifact",
        documents,
        [("q1", "moving ice"), ("q2", "sleepy pets")],
        [("q1", "d1", 1), ("q2", "d2", 1)],
    )
    monkeypatch.setenv("EXPANDR_DATA", str(tmp_path))
    for name in ("scifact", "scifact/test", "irds:beir/scifact/test", "beir-v1.0.0-scifact-test"):
        result = found(command("search", "--topics", name, "--format", "json"))
        assert result["topics"] == "scifact/test"
        assert result["figures"]["nDCG@10"] == 1.0


def test_a_topics_own_id_is_removed_before_the_cut(command, tmp_path, monkeypatch):
    documents = [("7", "an argument about tax"), ("8", "a counter argument about tax"), ("9", "fish")]
    beir_folder(
        tmp_path / "arguana",
        documents,
        [("7", "an argument about tax"), ("007", "an argument about tax")],
        [("7", "8", 1), ("007", "8", 1)],
    )
    monkeypatch.setenv("EXPANDR_DATA", str(tmp_path))
    assert command("search", "--topics", "arguana", "--hits", 1, "--output", tmp_path / "cut.trec").code == 0
    assert {q: list(r) for q, r in read_run(tmp_path / "cut.trec").items()} == {"7": ["8"], "007": ["7"]}
    assert (
        command(
            "search", "--topics", "arguana", "--hits", 1, "--no-remove-query", "--output", tmp_path / "kept.trec"
        ).code
        == 0
    )
    assert list(read_run(tmp_path / "kept.trec")["7"]) == ["7"]


def test_cqadupstack_is_searched_forum_by_forum_and_reported_as_macro_mean(command, tmp_path, monkeypatch):
    for number, forum in enumerate(datasets()["cqadupstack"].members):
        right = "d1" if number % 2 == 0 else "d3"  # d3 is never the best of three
        documents = [
            ("d1", f"how to update {forum} today"),
            ("d2", "how to update yesterday"),
            ("d3", "a recipe for soup"),
        ]
        beir_folder(tmp_path / forum, documents, [("q", f"how to update {forum} today")], [("q", right, 1)])
    monkeypatch.setenv("EXPANDR_DATA", str(tmp_path))
    result = command("search", "--topics", "cqadupstack", "--metrics", "MRR", "--output", tmp_path / "runs")
    assert result.code == 0, result.err
    assert result.out.splitlines()[-1].split() == ["macro", "mean", f"{(6 * 1 + 6 * (1 / 3)) / 12:.4f}"]
    assert len(list((tmp_path / "runs").glob("cqadupstack-*.trec"))) == 12


@pytest.mark.parametrize("options", [["--batch-size", 5], ["--threads", 1], ["--batch-tokens", 300]])
def test_results_do_not_depend_on_how_the_work_is_cut(command, tmp_path, options):
    command("search", "--topics", "pocket", "--hits", 20, "--output", tmp_path / "a.trec")
    command("search", "--topics", "pocket", "--hits", 20, "--output", tmp_path / "b.trec", *options)
    a, b = read_run(tmp_path / "a.trec"), read_run(tmp_path / "b.trec")
    assert {q: list(r) for q, r in a.items()} == {q: list(r) for q, r in b.items()}
    assert all(a[q][d] == pytest.approx(b[q][d], abs=1e-5) for q in a for d in a[q])


def test_equal_documents_are_ranked_by_docid_and_the_tie_at_the_cut_is_whole(command, tmp_path, monkeypatch):
    documents = [(f"d{n:03d}", "the same words") for n in reversed(range(120))] + [
        ("best", "a question of the same words exactly")
    ]
    folder = beir_folder(
        tmp_path / "ties", documents, [("q", "a question of the same words exactly")], [("q", "best", 1)]
    )
    assert command("search", "--topics", folder, "--hits", 4, "--output", tmp_path / "x.trec").code == 0
    assert list(read_run(tmp_path / "x.trec")["q"]) == ["best", "d000", "d001", "d002"]


def test_a_repeated_search_loads_no_model_and_writes_the_bytes_of_a_search_without_the_cache(command, tmp_path):
    plain, first, again = (tmp_path / f"{name}.trec" for name in ("plain", "first", "again"))
    assert command("search", "--topics", "pocket", "--no-vector-cache", "--output", plain).code == 0
    assert command("search", "--topics", "pocket", "--output", first).code == 0
    code = (
        "import sys; from expandr_repro.search.__main__ import main; code = main(sys.argv[1:]); "
        "assert not {'torch', 'transformers'} & set(sys.modules); sys.exit(code)"
    )
    arguments = ["--topics", "pocket", "--output", str(again)]
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "0.7922" in done.stdout
    assert first.read_bytes() == again.read_bytes()
    assert read_run(plain).keys() == read_run(again).keys()
    assert (tmp_path / "first.trec.manifest.json").read_bytes() == (tmp_path / "again.trec.manifest.json").read_bytes()


def test_a_search_that_finds_some_vectors_agrees_with_one_that_finds_none(command, tmp_path, monkeypatch):
    indexes = Path(os.environ["EXPANDR_CACHE"]) / "indexes"
    assert command("search", "--topics", "pocket", "--no-vector-cache", "--output", tmp_path / "plain.trec").code == 0
    monkeypatch.setenv("EXPANDR_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "indexes").symlink_to(indexes)
    write_topics(tmp_path / "half.jsonl", read_topics(POCKET / "queries.jsonl")[::2])
    assert command("search", "--topics", tmp_path / "half.jsonl", "--index", "pocket").code == 0
    for name in ("partly", "wholly"):
        assert command("search", "--topics", "pocket", "--output", tmp_path / f"{name}.trec").code == 0
    plain, partly = read_run(tmp_path / "plain.trec"), read_run(tmp_path / "partly.trec")
    assert all(plain[q][d] == pytest.approx(partly[q].get(d, plain[q][d]), abs=1e-5) for q in plain for d in plain[q])
    assert all(list(plain[q])[:10] == list(partly[q])[:10] for q in plain)
    assert (tmp_path / "partly.trec").read_bytes() == (tmp_path / "wholly.trec").read_bytes()


@pytest.mark.jvm
@pytest.mark.parametrize("retriever", ["dense", "bm25"])
def test_a_fusion_of_runs_searches_the_queries_alone_once_for_itself_and_its_baseline(
    command, tmp_path, monkeypatch, retriever
):
    searches = []
    for cls in (DenseSearch, Bm25Search):
        plain = cls._search
        monkeypatch.setattr(cls, "_search", lambda *a, _plain=plain: (searches.append(a[1]), _plain(*a))[1])
    common = ("search", "--topics", "pocket", "--retriever", retriever, "--format", "json")
    both = found(command(*common, "--fusion", "rrf", "--output", tmp_path / "both.trec"))
    assert len(searches) == 1 + max(len(t.texts) for t in read_topics(POCKET / "queries.jsonl"))
    found(command(*common, "--fusion", "rrf", "--no-baseline", "--output", tmp_path / "single.trec"))
    alone = found(command(*common, "--fusion", "none"))
    assert both["query_only"] == alone["figures"]
    assert (tmp_path / "both.trec").read_bytes() == (tmp_path / "single.trec").read_bytes()


def test_an_approximate_index_is_searched_as_thoroughly_as_asked_and_the_manifest_says_so(command, tmp_path):
    common = (
        "search",
        "--topics",
        "pocket",
        "--factory",
        "IVF8,Flat",
        "--fusion",
        "none",
        "--hits",
        100,
        "--format",
        "json",
    )
    hasty = found(command(*common))
    thorough = found(command(*common, "--search-params", "nprobe=8", "--output", tmp_path / "x.trec"))
    assert hasty["figures"]["R@100"] < thorough["figures"]["R@100"]
    assert thorough["figures"]["nDCG@10"] == pytest.approx(0.5836, abs=0.0005)
    assert json.loads((tmp_path / "x.trec.manifest.json").read_text())["search_params"] == "nprobe=8"
    assert "search_params" not in hasty
    wrong = command("search", "--topics", "pocket", "--search-params", "nprobe=8")
    assert wrong.code == 2
    assert "has no nprobe" in wrong.error
    for other in (["--retriever", "bm25"], ["--searcher", "pyserini"]):
        wrong = command("search", "--topics", "pocket", "--search-params", "nprobe=8", *other)
        assert wrong.code == 2
        assert "--search-params: is for Faiss indexes" in wrong.error


@pytest.mark.parametrize(
    "arguments",
    [("--fusion", "none"), (), ("--fusion", "rrf"), ("--fusion", "rocchio"), pytest.param(("--retriever", "bm25", "--fusion", "rrf"), marks=pytest.mark.jvm)],
)  # fmt: skip
def test_topics_in_blocks_give_the_run_and_the_figures_of_all_at_once(command, tmp_path, monkeypatch, arguments):
    def searched(name):
        result = command("search", "--topics", "pocket", "--hits", 50, "--output", tmp_path / name, *arguments)
        assert result.code == 0, result.err
        return result.out, (tmp_path / name).read_bytes(), (tmp_path / f"{name}.manifest.json").read_bytes()

    whole = searched("whole.trec")
    monkeypatch.setattr("expandr_repro.search.run.BLOCK", 7)
    assert searched("blocks.trec") == whole


def test_a_search_that_fails_leaves_the_run_that_was_there_and_its_manifest(command, tmp_path, monkeypatch):
    path = tmp_path / "run.trec"
    assert command("search", "--topics", "pocket", "--hits", 5, "--output", path).code == 0
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    assert (
        command(
            "search", "--topics", "pocket", "--hits", 5, "--output", path, "--fusion", "concat", "--metrics", "nDCG@0"
        ).code
        == 2
    )
    monkeypatch.setattr("expandr_repro.search.run.BLOCK", 10)

    def fails(self):
        raise ExpandrError("out of luck")

    monkeypatch.setattr("expandr_repro.search.dense.DenseSearch.forget", fails)
    assert command("search", "--topics", "pocket", "--hits", 5, "--output", path, "--fusion", "none").code == 2
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before
