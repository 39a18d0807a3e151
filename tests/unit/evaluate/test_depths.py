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
