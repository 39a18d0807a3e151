"""Where passages are from: as typed, from a run file, or from a function."""

from __future__ import annotations

import gzip
import json

import pytest

from expandr_repro.data.collections import TopicSet, find_topics
from expandr_repro.data.topics import Topic
from expandr_repro.errors import ExpandrError, MismatchError, UnknownNameError
from expandr_repro.expand.methods.context import Given, Named, Passage, open_context, parse_context
from expandr_repro.expand.store import Store

TOPICS = TopicSet("t", [Topic("q1", "cats"), Topic("q2", "dogs")])


@pytest.fixture
def corpus(tmp_path):
    path = tmp_path / "corpus.jsonl"
    path.write_text(
        "".join(json.dumps({"_id": f"d{n}", "title": f"T{n}", "text": f"text {n}"}) + "\n" for n in range(9))
    )
    return path


@pytest.fixture
def run(tmp_path):
    def write(rows, name="run.trec"):
        path = tmp_path / name
        text = "".join(f"{q} Q0 {d} {rank} {score} x\n" for rank, (q, d, score) in enumerate(rows, 1))
        (gzip.open if name.endswith(".gz") else open)(path, "wt").write(text)
        return path

    return write


def opened(text, corpus, tmp_path, topics=TOPICS):
    return open_context(parse_context(str(text)), topics, str(corpus), None, {}, Store(tmp_path / "s.sqlite"))


def test_a_context_is_a_search_or_a_run_file_and_how_many_passages(run):
    path = run([("q1", "d1", 1)])

    assert parse_context("bm25:7") == Named("bm25", 7)
    assert parse_context("dense") == Named("dense", 10)
    assert parse_context("none").kind == "none"
    assert parse_context(f"{path}") == Named("run", 10, str(path))
    assert parse_context(f"{path}:3") == Named("run", 3, str(path))


@pytest.mark.parametrize(("text", "problem"), [("bm52:3", "did you mean 'bm25'"), ("dense:0", "1 or more"), ("a/b.trec", "no such run file"), ("words", "unknown context")])  # fmt: skip
def test_what_is_no_context_is_refused(text, problem):
    with pytest.raises((ExpandrError, UnknownNameError), match=problem):
        parse_context(text)


@pytest.mark.parametrize("name", ["run.trec", "run.trec.gz"])
def test_a_run_gives_its_first_documents_by_score_then_docid_and_others_where_some_were_seen(
    run, corpus, tmp_path, name
):
    path = run([("q1", "d3", 1.0), ("q1", "d2", 2.0), ("q1", "d1", 1.0), ("q1", "d4", 0.5), ("q2", "d5", 1.0)], name)
    context = opened(f"{path}:2", corpus, tmp_path)

    found = context.find(TOPICS.topics, {})
    assert found == {"q1": [Passage("d2", "T2 text 2"), Passage("d1", "T1 text 1")], "q2": [Passage("d5", "T5 text 5")]}
    later = context.find(TOPICS.topics, {"q1": ("d2", "d1"), "q2": ("d5",)})
    assert [p.docid for p in later["q1"]] == ["d3", "d4"]
    assert later["q2"] == []
    assert context.facts["source"] == f"{name}:2"


def test_a_run_of_another_collection_is_refused(run, corpus, tmp_path):
    with pytest.raises(
        MismatchError, match=r"1 of its documents are not in .*corpus.jsonl \(first: 'MED-1', topic 'q1'\)"
    ):
        opened(run([("q1", "MED-1", 1.0)]), corpus, tmp_path)
    with pytest.raises(MismatchError, match="has none of the 2 topics"):
        opened(run([("PLAIN-1", "d1", 1.0)]), corpus, tmp_path)


def test_a_run_whose_manifest_names_another_collection_is_refused_though_its_ids_are_known(run, tmp_path):
    topics = find_topics("pocket")
    docid = json.loads(next(open_lines("pocket")))["_id"]
    path = run([(topics.topics[0].qid, docid, 1.0)])
    path.with_name("run.trec.manifest.json").write_text(json.dumps({"kind": "run", "collection": "scifact/test"}))

    with pytest.raises(MismatchError, match="is a run of scifact, and the topics are of pocket"):
        open_context(parse_context(str(path)), topics, None, None, {}, Store(tmp_path / "s.sqlite"))


def open_lines(name):
    from expandr_repro.io.paths import resource

    folder = resource(name)
    file = next(p for p in folder.iterdir() if p.name.startswith("corpus"))
    yield from (gzip.open if file.suffix == ".gz" else open)(file, "rt", encoding="utf-8")


def test_topics_that_a_run_lacks_are_counted(run, corpus, tmp_path, caplog):
    opened(run([("q1", "d1", 1.0)]), corpus, tmp_path)

    assert "has no documents for 1 of 2 topics (first: 'q2')" in caplog.text


def test_documents_that_nothing_names_are_asked_for(run, tmp_path):
    with pytest.raises(ExpandrError, match="give --corpus"):
        open_context(parse_context(str(run([("q1", "d1", 1.0)]))), TOPICS, None, None, {}, Store(tmp_path / "s.sqlite"))


def test_a_function_gives_texts_or_documents():
    def mine(topics):
        return {t.qid: [f"about {t.title}", ("d1", "one"), {"docid": "d2", "text": "two"}] for t in topics}

    context = Given(mine)

    assert context.facts == {"source": "function mine"}
    assert context.find(TOPICS.topics, {"q1": ("d1",)})["q1"] == [Passage("", "about cats"), Passage("d2", "two")]
    with pytest.raises(ExpandrError, match="wanted a dict of qid"):
        Given(lambda topics: [1]).find(TOPICS.topics, {})
    with pytest.raises(ExpandrError, match="for topic 'q1'; wanted a text"):
        Given(lambda topics: {"q1": [3]}).find(TOPICS.topics, {})
