"""The embedded collection: what it promises of itself, and the scores on it."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from expandr_repro.data.corpus import corpus_at, survey
from expandr_repro.data.specs import datasets
from expandr_repro.data.topics import read_topics
from expandr_repro.data.trec import read_qrels
from expandr_repro.io.paths import resource

FOLDER = resource("pocket")


def test_pocket_is_as_large_as_it_says():
    facts = survey(corpus_at(FOLDER))
    topics = read_topics(FOLDER / "queries.jsonl")
    qrels = read_qrels(FOLDER / "qrels" / "test.tsv")
    spec = datasets()["pocket"]
    assert facts.documents == spec.documents >= 300
    assert len(topics) == len(qrels) == spec.splits["test"].topics >= 60
    assert sum(map(len, qrels.values())) == spec.splits["test"].judgements
    assert len({t.qid.rsplit("-", 1)[0] for t in topics}) == 12


def test_every_pocket_topic_has_graded_relevant_passages_hard_negatives_and_one_expansion():
    topics = read_topics(FOLDER / "queries.jsonl")
    qrels = read_qrels(FOLDER / "qrels" / "test.tsv")
    docids = {d.docid for d in corpus_at(FOLDER).read()}
    for topic in topics:
        grades = Counter(qrels[topic.qid].values())
        assert set(grades) <= {0, 1, 2}
        assert grades[1] + grades[2] >= 3
        assert grades[0] >= 3
        assert len(topic.texts) == 1
        assert set(qrels[topic.qid]) <= docids


@pytest.mark.parametrize(
    ("arguments", "ndcg"),
    [
        (["--fusion", "none"], 0.5836),
        (["--fusion", "mean"], 0.7922),
        (["--fusion", "hyde"], 0.7922),
        (["--fusion", "mean", "--alpha", "1"], 0.5836),
    ],
)
def test_dense_search_of_pocket_gives_the_pinned_figure(command, arguments, ndcg):
    result = command("search", "--topics", "pocket", "--format", "json", "--no-baseline", *arguments)
    assert json.loads(result.out)[0]["figures"]["nDCG@10"] == pytest.approx(ndcg, abs=0.0005)


def test_nothing_is_at_its_ceiling_on_pocket(command):
    found = json.loads(command("search", "--topics", "pocket", "--format", "json").out)[0]
    assert 0.45 <= found["query_only"]["nDCG@10"] <= 0.85
    assert found["figures"]["nDCG@10"] < 0.95


@pytest.mark.jvm
@pytest.mark.parametrize(("fusion", "ndcg"), [("none", "0.3993"), ("repeat", "0.7419")])
def test_bm25_search_of_pocket_gives_the_pinned_figure(command, fusion, ndcg):
    result = command(
        "search", "--topics", "pocket", "--retriever", "bm25", "--fusion", fusion, "--no-baseline", "--format", "json"
    )
    assert f"{json.loads(result.out)[0]['figures']['nDCG@10']:.4f}" == ndcg


def test_the_summary_shows_the_query_alone_beside_the_fusion_with_difference_and_p(command):
    result = command("search", "--topics", "pocket")
    assert result.code == 0
    header, ndcg = [line.split() for line in result.out.splitlines() if line.startswith(("  ", "nDCG@10"))][:2]
    assert header == ["query", "only", "mean", "Δ", "p"]
    assert ndcg[0] == "nDCG@10"
    assert float(ndcg[2]) - float(ndcg[1]) == pytest.approx(float(ndcg[3]), abs=1e-4)
    assert float(ndcg[4]) < 0.001


def test_hits_beyond_the_corpus_give_the_corpus(command, tmp_path):
    whole, beyond = tmp_path / "whole.trec", tmp_path / "beyond.trec"
    assert command("search", "--topics", "pocket", "--hits", 719, "--limit", 3, "--output", whole).code == 0
    result = command("search", "--topics", "pocket", "--hits", 5000, "--limit", 3, "--output", beyond)

    assert (result.code, beyond.read_bytes()) == (0, whole.read_bytes())
    assert "--hits 5000: the index has 719 documents, and all of them are ranked" in result.err
