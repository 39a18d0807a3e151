"""The figures this project stands on, on the real collections. A figure that moves, in either direction, fails."""

from __future__ import annotations

import csv
import json

import pytest

pytestmark = pytest.mark.data


def figures(command, *arguments):
    result = command("search", "--format", "json", *arguments)
    assert result.code == 0, result.err
    return json.loads(result.out)[0]


@pytest.mark.parametrize(
    ("collection", "ndcg", "ndcg_tolerance", "recall"),
    [("scifact", 0.6451, 0.0005, 0.9250), ("nfcorpus", 0.3167, 0.0005, 0.3115), ("cacm", 0.4275, 0.003, None)],
)
def test_minilm_with_the_query_alone_gives_the_known_figures(command, data, collection, ndcg, ndcg_tolerance, recall):
    found = figures(command, "--topics", collection, "--fusion", "none")["figures"]
    assert found["nDCG@10"] == pytest.approx(ndcg, abs=ndcg_tolerance)
    if recall:
        assert found["R@100"] == pytest.approx(recall, abs=0.00005)


@pytest.mark.parametrize(
    ("model", "ndcg"),
    [("gpt-4.1", 0.6922), ("gpt-4.1-nano", 0.6968), ("Qwen2.5-7B-Instruct", 0.6938)],
)
def test_minilm_with_the_mean_of_query_and_query2doc_passage_gives_the_known_figures(command, data, model, ndcg):
    expansions = data / "expansions" / f"scifact.test.query2doc-zs.{model}.jsonl"
    found = figures(command, "--topics", "scifact", "--expansions", expansions)
    assert found["fusion"] == "mean"
    assert found["figures"]["nDCG@10"] == pytest.approx(ndcg, abs=0.0005)
    assert found["query_only"]["nDCG@10"] == pytest.approx(0.6451, abs=0.0005)


@pytest.mark.parametrize(
    ("collection", "ndcg", "tolerance", "recall"),
    [("scifact", 0.7506, 0.0005, 0.9667), ("nfcorpus", 0.4080, 0.0005, 0.3813), ("cacm", 0.5224, 0.003, None)],
)
def test_minilm_with_the_packaged_expansions_gives_the_known_figures(
    command, data, collection, ndcg, tolerance, recall
):
    found = figures(command, "--topics", collection, "--expansions", "claude.q2d")["figures"]
    assert found["nDCG@10"] == pytest.approx(ndcg, abs=tolerance)
    if recall:
        assert found["R@100"] == pytest.approx(recall, abs=0.0005)


def test_the_packaged_expansions_are_those_of_the_data_folder(data):
    from expandr_repro.core.joining import read_expansions
    from expandr_repro.core.specs import resource
    from expandr_repro.core.topics import read_topics

    for packaged in sorted(resource("expansions", "claude.q2d").glob("*.gz")):
        source = read_topics(data / "expansions" / packaged.name.replace(".jsonl.gz", ".q2d.claude.jsonl"))
        ours = read_expansions(packaged)
        assert [t.qid for t in source] == list(ours)
        assert [t.expansions for t in source] == [t.expansions for t, _ in ours.values()]
        assert not any(t.title for t, _ in ours.values())


@pytest.mark.jvm
@pytest.mark.parametrize(
    ("collection", "ndcg", "recall"), [("scifact", "0.6789", "0.9253"), ("nfcorpus", "0.3218", "0.2457")]
)
def test_bm25_gives_pyserinis_published_figures_to_the_digit(command, data, collection, ndcg, recall):
    found = figures(command, "--topics", collection, "--retriever", "bm25", "--no-baseline")["figures"]
    assert (f"{found['nDCG@10']:.4f}", f"{found['R@100']:.4f}") == (ndcg, recall)


@pytest.mark.jvm
@pytest.mark.parametrize("model", ["gpt-4.1", "gpt-4.1-nano", "Qwen2.5-7B-Instruct"])
def test_bm25_over_repeated_query_and_passage_gives_querygyms_published_figures_to_the_digit(command, data, model):
    name = f"scifact.test.query2doc-zs.{model}.jsonl"
    with (data / "expansions" / "published.csv").open() as file:
        published = {
            row["metric"]: f"{float(row['value']):.4f}" for row in csv.DictReader(file) if row["topics"] == name
        }
    assert len(published) == 2
    found = figures(
        command,
        "--topics",
        "scifact",
        "--retriever",
        "bm25",
        "--no-baseline",
        "--fusion",
        "repeat",
        "--expansions",
        data / "expansions" / name,
    )
    assert {m: f"{found['figures'][m]:.4f}" for m in published} == published


@pytest.mark.jvm
def test_bm25_over_repeated_query_and_packaged_expansion_gives_the_known_figure(command, data):
    found = figures(
        command, "--topics", "scifact", "--retriever", "bm25", "--no-baseline", "--expansions", "claude.q2d"
    )
    assert found["fusion"] == "repeat"
    assert f"{found['figures']['nDCG@10']:.4f}" == "0.7894"


@pytest.mark.jvm
def test_bm25_on_cacm_gives_the_measured_figures(command, data):
    found = figures(
        command, "--topics", "cacm", "--retriever", "bm25", "--no-baseline", "--metrics", "MAP,P@30,nDCG@10,R@100"
    )["figures"]
    assert [f"{found[m]:.4f}" for m in ("MAP", "P@30", "nDCG@10", "R@100")] == ["0.3530", "0.2154", "0.4928", "0.6850"]
