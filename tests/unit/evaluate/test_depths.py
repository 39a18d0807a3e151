"""Runs that are shallower than a metric looks."""

from __future__ import annotations

import logging

import pytest

from expandr_repro.evaluate.depths import depth_faults, warn_of_depth
from expandr_repro.evaluate.metrics import parse_measures
from expandr_repro.evaluate.scoring import evaluate

MEASURES = parse_measures("nDCG@10,R@100,MAP")


def figures(depth):
    return evaluate({"1": {f"d{n}": float(-n) for n in range(depth)}, "2": {"d1": 1.0}}, {"1": {"d1": 1}, "2": {"d1": 1}}, MEASURES)  # fmt: skip


def test_the_depth_of_a_run_is_that_of_its_deepest_topic():
    assert figures(30).depth == 30


@pytest.mark.parametrize(("depth", "documents", "told"), [(10, None, "R@100"), (5, 1000, "nDCG@10 and R@100"), (100, None, ""), (30, 30, ""), (29, 30, ""), (28, 30, "R@100")])  # fmt: skip
def test_a_run_shallower_than_a_metric_is_reported_unless_it_ranks_the_whole_collection(depth, documents, told, caplog):
    with caplog.at_level(logging.WARNING):
        warn_of_depth("a.trec", MEASURES, depth, documents)
    assert [told in message for message in caplog.messages] == ([True] if told else [])


def test_runs_of_different_depths_are_not_comparable_by_what_looks_below_the_shallower_one():
    (fault,) = depth_faults({"a": figures(10), "b": figures(200)}, MEASURES)
    assert fault.startswith("R@100 is not comparable: a ranks at most 10 documents per topic, b 200")
    assert depth_faults({"a": figures(100), "b": figures(200)}, MEASURES) == []
    assert depth_faults({"a": figures(20), "b": figures(20)}, MEASURES) == []


def cut(depth, natural=False):
    run = {q: {f"d{n}": float(-n) for n in range(depth if not natural or q == "1" else 2)} for q in ("1", "2", "3")}
    return evaluate(run, {q: {"d1": 1} for q in run}, MEASURES)


def test_a_metric_without_a_depth_is_not_comparable_where_a_run_was_cut_and_is_where_no_more_was_found():
    measures = parse_measures("MAP,MRR")
    faults = depth_faults({"a": cut(200), "b": cut(5)}, measures)
    assert [fault.split(" is not comparable: ")[0] for fault in faults] == ["MAP", "MRR"]
    assert "b ranks at most 5 documents per topic, a 200" in faults[0]
    assert depth_faults({"a": cut(200), "b": cut(150, natural=True)}, measures) == []
    assert depth_faults({"a": cut(9), "b": cut(9)}, measures) == []


def test_three_metrics_that_look_deeper_than_a_run_are_listed(caplog):
    with caplog.at_level(logging.WARNING):
        warn_of_depth("a.trec", parse_measures("nDCG@10,R@100,P@20"), 5)
    assert "nDCG@10, R@100 and P@20 are counted on these alone" in caplog.text
