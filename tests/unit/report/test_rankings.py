"""Rankings side by side: which documents are shown, and at which ranks each run has them."""

from __future__ import annotations

import numpy as np
import pytest

from expandr_repro.evaluate.metrics import parse_measures
from expandr_repro.evaluate.scoring import Figures
from expandr_repro.report import rankings
from expandr_repro.report.rankings import Ranked, rank, shown
from expandr_repro.report.studies import Entry


def ranked(*docids: str) -> Ranked:
    return Ranked(Figures(["1"], {}, [], []), {"1": docids})


def test_the_first_of_each_run_are_shown_with_their_ranks_in_all_runs():
    found = shown("1", [ranked("a", "b", "c"), ranked("c", "d")], {"b": 1, "d": 0}, 2, 1)
    assert found.docids == ["a", "b", "c", "d"]
    assert found.grades == [None, 1, None, 0]
    assert found.ranks == [[1, 2, 3, 0], [0, 0, 1, 2]]


def test_relevant_documents_further_down_follow_best_grade_first_and_no_more_than_the_depth():
    judged = {"p": 1, "q": 2, "r": 1, "s": 0}
    found = shown("1", [ranked("a", "x", "r", "p"), ranked("a")], judged, 2, 1)
    assert found.docids == ["a", "x", "q", "r"]
    assert found.ranks[0] == [1, 2, 0, 3]


def test_a_topic_that_no_run_answered_shows_its_relevant_documents():
    assert shown("2", [ranked("a"), ranked("b")], {"z": 1}, 2, 1).ranks == [[0], [0]]


def test_the_order_is_trec_evals_and_ends_where_nobody_looks(write, monkeypatch):
    monkeypatch.setattr(rankings, "LOOKED", 2)
    path = write("a.trec", "1 Q0 a 1 5 x\n1 Q0 b 2 5 x\n1 Q0 c 3 9 x\n")
    found = rank(Entry("a", path), {"1": {"c": 1}}, parse_measures("nDCG@10"), {})
    assert found.order == {"1": ["c", "b"]}
    assert found.figures.per_topic[parse_measures("nDCG@10")[0]] == pytest.approx(np.ones(1))
