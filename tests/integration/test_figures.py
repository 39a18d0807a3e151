"""What the scores on the real collections rest on. The scores themselves are regressions of tier full, which CI runs where the data is."""

from __future__ import annotations

import csv

import pytest

from expandr_repro.io.paths import resource
from expandr_repro.regress.conditions.reading import conditions

pytestmark = pytest.mark.data


def test_the_packaged_expansions_are_those_of_the_data_folder(data):
    from expandr_repro.data.joining import read_expansions
    from expandr_repro.data.topics import read_topics

    for packaged in sorted(resource("expansions", "claude.q2d").glob("*.gz")):
        source = read_topics(data / "expansions" / packaged.name.replace(".jsonl.gz", ".q2d.claude.jsonl"))
        ours = read_expansions(packaged)
        assert [t.qid for t in source] == list(ours)
        assert [t.expansions for t in source] == [t.expansions for t, _ in ours.values()]
        assert not any(t.title for t, _ in ours.values())


def test_every_figure_that_the_data_folder_publishes_is_pinned_to_the_digit(data, root):
    """QueryGym's, over the query five times and the passage; the regressions run them."""
    pinned = {c.name: c.regression for c in conditions(root / "regressions")}
    names = {"gpt-4.1": "query2doc-gpt-41", "gpt-4.1-nano": "query2doc-gpt-41-nano", "Qwen2.5-7B-Instruct": "query2doc-qwen25-7b"}  # fmt: skip
    with (data / "expansions" / "published.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 6
    for row in rows:
        model = row["topics"].removeprefix("scifact.test.query2doc-zs.").removesuffix(".jsonl")
        pin = pinned[f"scifact.bm25.{names[model]}"].metrics[row["metric"]]
        assert (pin.value, pin.tolerance) == (round(float(row["value"]), 4), 0)


@pytest.mark.parametrize(
    ("name", "ndcg", "recall"),
    [
        ("scifact.minilm.none", 0.6451, 0.9250), ("scifact.minilm.query2doc-gpt-41", 0.6922, 0.9533),
        ("scifact.minilm.query2doc-gpt-41-nano", 0.6968, 0.9567), ("scifact.minilm.query2doc-qwen25-7b", 0.6938, 0.9433),
        ("scifact.minilm.q2d-claude", 0.7506, 0.9667), ("nfcorpus.minilm.none", 0.3167, 0.3115), ("nfcorpus.minilm.q2d-claude", 0.4080, 0.3813),
        ("cacm.minilm.none", 0.4275, None), ("cacm.minilm.q2d-claude", 0.5224, None), ("scifact.bm25.none", 0.6789, 0.9253),
        ("nfcorpus.bm25.none", 0.3218, 0.2457), ("scifact.bm25.q2d-claude", 0.7894, None), ("cacm.bm25.none", 0.4928, 0.6850),
    ],
)  # fmt: skip
def test_what_is_pinned_is_what_the_data_folder_says_these_files_must_give(root, name, ndcg, recall):
    (pinned,) = (c.regression for c in conditions(root / "regressions") if c.name == name)
    assert pinned.metrics["nDCG@10"].value == ndcg
    assert pinned.metrics["nDCG@10"].tolerance <= (0.003 if name.startswith("cacm") else 0.0005)
    if recall:
        assert pinned.metrics["R@100"].value == recall


def test_a_real_collection_searched_by_name_gives_the_query_alone_beside_the_fusion(command, data):
    """One search of the main job, through the command as a user types it; the cache keeps its index for the regressions."""
    import json

    result = command("search", "--topics", "scifact", "--expansions", "claude.q2d", "--format", "json")
    assert result.code == 0, result.err
    found = json.loads(result.out)[0]
    assert found["fusion"] == "mean"
    assert found["figures"]["nDCG@10"] == pytest.approx(0.7506, abs=0.0005)
    assert found["query_only"]["nDCG@10"] == pytest.approx(0.6451, abs=0.0005)


@pytest.mark.jvm
@pytest.mark.parametrize(
    ("method", "ndcg", "recall"),
    [
        ("mugi.Qwen2.5-7B-Instruct", 0.7063, 0.9627),
        ("lamer.gpt-4.1-nano", 0.7220, 0.9393),
        ("genqr-ensemble.Qwen2.5-7B-Instruct", 0.7035, 0.9476),
    ],
)
def test_whole_reformulated_queries_give_the_scores_that_querygym_publishes_for_them(
    command, data, method, ndcg, recall
):
    import json

    topics = data / "expansions" / f"scifact.test.{method}.queries.jsonl"
    result = command("search", "--topics", topics, "--qrels", "scifact", "--index", "scifact", "--retriever", "bm25", "--fusion", "none", "--format", "json")  # fmt: skip
    assert result.code == 0, result.err
    (found,) = json.loads(result.out)
    assert round(found["figures"]["nDCG@10"], 4) == ndcg
    assert round(found["figures"]["R@100"], 4) == recall
