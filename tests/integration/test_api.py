"""The Python API with real parts: what it gives is what the commands give."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pandas as pd
import pytest
from openai_server import openai_server

import expandr_repro as ex


@pytest.fixture(scope="module")
def topics(cache) -> ex.Topics:
    return ex.load_topics("pocket")


@pytest.fixture(scope="module")
def index(topics) -> ex.Index:
    return ex.open_index(topics.corpus, "all-MiniLM-L6-v2")


def test_the_ten_lines_of_the_documentation_give_079_for_pocket(topics, cache):
    encoder = ex.load_encoder("all-MiniLM-L6-v2")
    index = ex.open_index(topics.corpus, encoder)
    alone = ex.retrieve(topics, index, fusion="none")
    fused = ex.retrieve(topics, index, fusion="mean", alpha=0.5)
    scores = ex.score(fused, topics.qrels, ["nDCG@10", "R@100"])
    found = ex.significance({"none": alone, "mean": fused}, topics.qrels)
    with openai_server() as server:
        fresh = ex.generate(topics[:3], prompt="q2d", model="mock", base_url=server.url)
    assert f"{scores['nDCG@10']:.2f}" == "0.79"
    assert found.loc[0, "metric"] == "nDCG@10"
    assert found.loc[0, "p (Holm)"] < 0.001
    assert found.loc[0, "wins"] > found.loc[0, "losses"]
    assert [len(t.texts) for t in fresh] == [1, 1, 1]


@pytest.mark.data
def test_the_ten_lines_of_the_documentation_give_075_for_scifact(data):
    topics = ex.load_topics("scifact", expansions="claude.q2d")
    index = ex.open_index(topics.corpus, ex.load_encoder("all-MiniLM-L6-v2"))
    fused = ex.retrieve(topics, index, fusion="mean", alpha=0.5)
    scores = ex.score(fused, topics.qrels, ["nDCG@10", "R@100"])
    assert {name: f"{value:.2f}" for name, value in scores.items()} == {"nDCG@10": "0.75", "R@100": "0.97"}


@pytest.mark.parametrize(
    ("options", "keywords"),
    [
        ([], {}),
        (["--fusion", "mean", "--alpha", "0.3", "--hits", "50"], {"fusion": "mean", "alpha": 0.3, "hits": 50}),
        (["--fusion", "rrf", "--rrf-k", "30"], {"fusion": "rrf", "rrf_k": 30}),
        (["--fusion", "none", "--remove-query"], {"fusion": "none", "remove_query": True}),
    ],
)
def test_a_run_is_saved_with_the_bytes_and_the_manifest_of_the_command(
    command, topics, index, tmp_path, options, keywords
):
    ours, theirs = tmp_path / "api.trec", tmp_path / "command.trec"
    assert command("search", "--topics", "pocket", *options, "--output", theirs).code == 0
    ex.retrieve(topics, index, **keywords).save(ours)
    assert ours.read_bytes() == theirs.read_bytes()
    assert Path(f"{ours}.manifest.json").read_bytes() == Path(f"{theirs}.manifest.json").read_bytes()
    assert ex.load_run(ours).manifest == json.loads(Path(f"{ours}.manifest.json").read_text())


@pytest.mark.jvm
def test_a_run_of_bm25_is_saved_with_the_bytes_and_the_manifest_of_the_command(command, topics, tmp_path):
    ours, theirs = tmp_path / "api.trec", tmp_path / "command.trec"
    options = ["--retriever", "bm25", "--fusion", "repeat", "--repeat", "3"]
    assert command("search", "--topics", "pocket", *options, "--output", theirs).code == 0
    ex.retrieve(topics, ex.open_index(topics.corpus, "bm25"), fusion="repeat", repeat=3).save(ours)
    assert ours.read_bytes() == theirs.read_bytes()
    assert Path(f"{ours}.manifest.json").read_bytes() == Path(f"{theirs}.manifest.json").read_bytes()


def test_expansions_by_name_are_in_the_manifest_as_the_command_has_them(command, data, tmp_path):
    theirs = tmp_path / "command.trec"
    words = ["--topics", "nfcorpus", "--expansions", "claude.q2d", "--limit", "5"]
    documents = [("MED-10", "Statins and cancer."), ("MED-14", "Statins."), ("other", "Cats purr.")]
    index = ex.open_index(documents)
    assert command("search", *words, "--index", index.folder, "--output", theirs).code == 0
    run = ex.retrieve(ex.load_topics("nfcorpus", expansions="claude.q2d", limit=5), index)
    facts = json.loads(Path(f"{theirs}.manifest.json").read_text())
    assert run.manifest["expansions"] == facts["expansions"]
    assert run.manifest == {k: v for k, v in facts.items() if k not in ("kind", "made_by", "tag", "run_sha256")}


@pytest.mark.parametrize(
    "documents",
    [
        {"d1": "Cats purr with the larynx.", 2: {"title": "Dogs", "text": "Dogs bark."}},
        [{"docid": "d1", "text": "Cats purr with the larynx."}, {"_id": 2, "title": "Dogs", "contents": "Dogs bark."}],
        [("d1", "Cats purr with the larynx."), (2, "Dogs", "Dogs bark.")],
        pd.DataFrame(
            {"docno": ["d1", "2"], "title": [None, "Dogs"], "text": ["Cats purr with the larynx.", "Dogs bark."]}
        ),
    ],
    ids=["dict", "dicts", "tuples", "frame"],
)
def test_documents_in_memory_are_indexed_once_whatever_they_are_in(documents, cache):
    index = ex.open_index(documents)
    before = {p: p.stat().st_mtime_ns for p in index.folder.iterdir()}
    again = ex.open_index([("d1", "Cats purr with the larynx."), ("2", "Dogs", "Dogs bark.")])
    assert again.folder == index.folder
    assert {p: p.stat().st_mtime_ns for p in again.folder.iterdir()} == before
    run = ex.retrieve({7: "why do cats purr"}, again)
    assert list(run["7"]) == ["d1", "2"]
    assert ex.score(run, {7: {"d1": 1}}, "MRR@10") == {"MRR@10": 1.0}


@pytest.mark.parametrize(
    ("documents", "problem"),
    [
        ([], "there are no documents"),
        ([("d", "a"), ("d", "b")], r"documents\[1\]: the docid 'd' was there before, in documents\[0\]"),
        ([("d", None)], r"documents\[0\]: document 'd' has no string under `text`"),
        ([{"text": "a"}], r"documents\[0\]"),
        ([{"docid": "a b", "text": "a"}], r"documents\[0\]: the docid 'a b' is empty or contains white space"),
    ],
)
def test_documents_that_are_none_are_refused_by_their_place(documents, problem):
    with pytest.raises(ex.ExpandrError, match=problem):
        ex.open_index(documents)


def test_topics_in_memory_with_expansions_qrels_and_corpus_go_the_whole_way(topics, index, tmp_path):
    listed = [{"qid": t.qid, "title": t.title, "expansions": list(t.texts)} for t in topics]
    mine = ex.Topics(listed, qrels=dict(topics.qrels), corpus="pocket")
    run = ex.retrieve(mine, index)
    assert run == ex.retrieve(topics, index)
    assert ex.score(run, mine.qrels)["nDCG@10"] == pytest.approx(0.7922, abs=0.0005)
    page = ex.report_page({"alone": ex.retrieve(mine, index, fusion="none"), "mean": run}, mine, metrics="nDCG@10")
    page.save(tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == page.html
    assert page._repr_html_().startswith("<iframe srcdoc=")
    assert str(tmp_path.parent) not in page.html


@pytest.mark.parametrize(
    ("keywords", "problem"),
    [
        ({"fusion": "rrf", "alpha": 0.5}, "^alpha: applies only with fusion mean"),
        ({"fusion": "mean", "rrf_k": 5}, "^rrf_k: applies only"),
        ({"k1": 0.9}, "^k1: applies only with retriever bm25"),
        ({"alpha": 2}, "alpha 2"),
        ({"alpha": "x"}, "alpha 'x': wanted a number"),
        ({"hits": 0}, "hits 0: wanted a whole number from 1"),
        ({"fusion": "mena"}, "did you mean 'mean'"),
        ({"fusion": "repeat"}, "use retriever bm25"),
    ],
)
def test_a_keyword_that_does_not_apply_is_refused(topics, index, keywords, problem):
    with pytest.raises(ex.ExpandrError, match=problem):
        ex.retrieve(topics, index, **keywords)


def test_generation_works_inside_a_running_event_loop_prints_nothing_and_asks_once(cache, tmp_path, capfd):
    async def cell(url: str) -> ex.Topics:
        return ex.generate(
            {"1": "cats", "2": "dogs"}, model="mock", base_url=url, samples=2, store=tmp_path / "s.sqlite"
        )

    with openai_server() as server:
        first, second = asyncio.run(cell(server.url)), asyncio.run(cell(server.url))
        assert len(server.log) == 4
    assert [len(t.texts) for t in first] == [2, 2]
    assert list(first) == list(second)
    assert capfd.readouterr().out == ""


def test_generated_topics_are_those_that_the_command_writes(command, topics, tmp_path):
    with openai_server() as server:
        words = [
            "--topics",
            "pocket",
            "--limit",
            "4",
            "--model",
            "mock",
            "--base-url",
            server.url,
            "--store",
            tmp_path / "a.sqlite",
        ]
        assert command("expand", *words, "--output", tmp_path / "command.jsonl").code == 0
        ex.generate(topics[:4], model="mock", base_url=server.url, store=tmp_path / "b.sqlite").save(
            tmp_path / "api.jsonl"
        )
    assert (tmp_path / "api.jsonl").read_bytes() == (tmp_path / "command.jsonl").read_bytes()


def test_where_nothing_is_generated_it_is_an_error_that_says_why(tmp_path):
    with (
        openai_server(reply=lambda _: "I'm sorry, but I can't help with that.") as server,
        pytest.raises(ex.ExpandrError, match="the model refused"),
    ):
        ex.generate({"1": "cats"}, model="mock", base_url=server.url, store=tmp_path / "s.sqlite")


def test_a_run_that_was_changed_is_saved_without_the_manifest_of_what_it_was(topics, index, tmp_path, caplog):
    run = ex.retrieve(topics[:2], index, hits=5)
    run["animals-1"].pop(next(iter(run["animals-1"])))
    run.save(tmp_path / "changed.trec")
    assert [p.name for p in tmp_path.iterdir()] == ["changed.trec"]
    assert "was changed since it was retrieved" in caplog.text


def test_what_a_trained_llm_saw_is_carried_on_from_topics_in_memory(topics, index, tmp_path, caplog):
    from expandr_repro.data.overlap.trained_on import TRAINED_ON_HASH, TrainedOn, record_hash

    record = [TrainedOn("pocket", None, {topics[0].qid: topics[0].title}, frozenset(), ())]
    known = {"provenance": {TRAINED_ON_HASH: record_hash(record)}}
    mine = ex.Topics([{"qid": t.qid, "title": t.title, "expansions": list(t.texts)} | known for t in topics])
    ex.retrieve(mine, index, fusion="none")
    assert "written by a trained LLM" not in caplog.text
    ex.retrieve(mine, index)
    assert "in memory: was written by a trained LLM, and the record of its training" in caplog.text
    caplog.clear()
    mine._trained_on = record
    run = ex.retrieve(mine, index)
    assert "was written by a trained LLM" not in caplog.text
    run.save(tmp_path / "run.trec")
    mine.save(tmp_path / "topics.jsonl")
    assert ex.load_topics(tmp_path / "topics.jsonl")._trained_on == record
    assert any("seen" in key or "overlap" in key for key in ex.load_run(tmp_path / "run.trec").manifest)


def test_a_bar_in_a_notebook_is_that_of_tqdm_auto(monkeypatch):
    import sys
    import types

    from expandr_repro.console import progress

    shell = type("ZMQInteractiveShell", (), {})()
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))
    used = []
    bar = type("Bar", (), {"__init__": lambda self, **k: used.append(k["desc"]), "__enter__": lambda self: self, "__exit__": lambda *a: None})  # fmt: skip
    monkeypatch.setattr("tqdm.auto.tqdm", bar)
    with progress.progress(3, "encode", "texts"):
        pass
    assert used == ["encode"]
