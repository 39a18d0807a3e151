"""Cells of the board: a row per condition, published scores next to them, and rows of their own for the others."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest

from expandr_repro.board.cells import ALONE, OPEN, PINNED, PUBLISHED, REPRODUCED, Claims, cells_of, method_of, published
from expandr_repro.regress.conditions.reading import conditions, load
from expandr_repro.regress.page import readable

ROOT = Path(__file__).parents[3]
PAIRS = readable(conditions(ROOT / "regressions"))
KEPT = {p.name.removesuffix(".trec.gz") for p in (ROOT / "runs" / "reference").glob("*.trec.gz")}


def cells():
    return cells_of(PAIRS, KEPT, published())


def test_there_is_a_cell_for_each_condition_in_the_order_of_the_pages():
    assert [c.name for c in cells() if c.name] == [name for name, _ in PAIRS]


def test_what_has_a_kept_run_is_reproduced_and_what_has_none_is_pinned_only():
    by_status: dict[str, set[str]] = {}
    for cell in cells():
        by_status.setdefault(cell.status, set()).add(cell.name)
    assert by_status[REPRODUCED] == KEPT
    assert "scifact.contriever.none" in by_status[PINNED]
    assert "scifact.expandr.expandr-llm" in by_status[OPEN]
    assert by_status[PUBLISHED] == {""}


def test_what_was_never_measured_here_is_no_reproduced_value():
    cell = next(c for c in cells() if c.name == "scifact.contriever.none")
    assert cell.values == {}
    assert [c.metric for c in cell.published] == ["nDCG@10", "R@100", "R@1000"]


def test_a_pin_without_a_kept_run_is_shown_unless_it_is_what_others_publish():
    named = load(ROOT / "regressions" / "scifact.contriever.none.yaml")
    (cell,) = cells_of([("scifact.contriever.none", replace(named, published=[]))], [], [])
    assert (cell.status, cell.values["nDCG@10"]) == (PINNED, 0.6493)


@pytest.mark.parametrize(
    ("name", "method", "llm"),
    [
        ("scifact.bm25.none", ALONE, ""),
        ("scifact.bm25.query2doc-gpt-41", "Query2Doc (repeat)", "gpt-4.1"),
        ("scifact.minilm.q2d-claude", "q2d (mean)", "Claude"),
        ("cacm.minilm.dpo-qwen25-coder", "q2d (mean)", "Qwen2.5-Coder-1.5B after DPO"),
        ("scifact.expandr.expandr-llm", "q2d (mean)", "ExpandR's LLM"),
    ],
)
def test_method_and_llm_are_those_of_the_condition(name, method, llm):
    assert method_of(load(ROOT / "regressions" / f"{name}.yaml")) == (method, llm)


def test_a_published_score_is_next_to_the_condition_that_it_is_about_and_once():
    claims = [
        Claims("here", "bm25", {"scifact": {"nDCG@10": 0.6789, "R@1000": 0.97}}),
        Claims("there", "bm25", {"elsewhere": {"nDCG@10": 0.5}}, note="other data"),
    ]
    made = cells_of([p for p in PAIRS if p[0] == "scifact.bm25.none"], KEPT, claims)
    assert [(c.name, c.collection, c.status) for c in made] == [
        ("scifact.bm25.none", "SciFact test", REPRODUCED),
        ("", "elsewhere", PUBLISHED),
    ]
    assert [(c.metric, c.value) for c in made[0].published] == [
        ("nDCG@10", 0.6789),
        ("R@100", 0.9253),
        ("R@1000", 0.97),
    ]
    assert made[1].published[0].note == "other data"
    assert made[1].record()["published"] == [{"metric": "nDCG@10", "value": 0.5, "source": "there", "note": "other data"}]  # fmt: skip


def test_every_published_score_of_the_data_folder_is_on_the_board(data):
    shown = {(claim.metric, claim.value) for cell in cells() for claim in cell.published}
    wanted = []
    for file in (data / "published" / "pyserini-2cr-beir.csv", data / "expansions" / "published.csv"):
        with file.open() as rows:
            wanted += [(row["metric"], float(row["value"])) for row in csv.DictReader(rows)]
    wanted += [("MAP", 0.3123), ("P@30", 0.1942), ("nDCG@10", 0.6451), ("nDCG@10", 0.3159)]
    wanted += [("nDCG@10", v) for v in (0.7063, 0.7220, 0.7035)] + [("R@100", v) for v in (0.9627, 0.9393, 0.9476)]
    assert len(wanted) > 380
    assert [w for w in wanted if w not in shown] == []


def test_published_scores_of_pyserini_are_in_the_cell_of_their_collection_and_retriever(data):
    names = {"bm25-flat": "bm25", "bm25-multifield": "BM25 multifield", "contriever": "contriever", "contriever-msmarco": "contriever-msmarco", "bge-base-en-v1.5.faiss": "bge-base"}  # fmt: skip
    kept = {(claim.retriever, dataset, metric): value for claim in published() if claim.method == ALONE for dataset, scores in claim.scores.items() for metric, value in scores.items()}  # fmt: skip
    with (data / "published" / "pyserini-2cr-beir.csv").open() as rows:
        wanted = {(names[r["condition"]], r["dataset"], r["metric"]): float(r["value"]) for r in csv.DictReader(rows)}
    assert kept == wanted
