"""Judged@k: the share of the first documents that have a judgment, as ir_measures counts it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expandr_repro.data.trec import trec_order
from expandr_repro.evaluate.metrics import Measure
from expandr_repro.evaluate.scoring import evaluate
from unit.strategies import grades, scores

docids = st.sampled_from(["a", "b", "c", "d", "e", "f"])


def judged(run, qrels, depth):
    return evaluate(run, qrels, [Measure("Judged", depth)]).per_topic[Measure("Judged", depth)].tolist()


def test_every_grade_counts_as_judged():
    run = {"q": {"a": 4.0, "b": 3.0, "c": 2.0, "d": 1.0}}
    assert judged(run, {"q": {"a": 0, "b": -1, "c": 2, "z": 1}}, 4) == [0.75]


def test_a_run_with_fewer_documents_is_counted_on_those_it_has():
    assert judged({"q": {"a": 2.0, "b": 1.0}}, {"q": {"a": 1, "z": 1}}, 10) == [0.5]


def test_documents_below_the_depth_do_not_count():
    assert judged({"q": {"a": 3.0, "b": 2.0, "c": 1.0}}, {"q": {"c": 1}}, 2) == [0.0]


def test_a_judged_topic_without_documents_scores_0():
    assert judged({"p": {"a": 1.0}}, {"p": {"a": 1}, "q": {"a": 1}}, 5) == [1.0, 0.0]


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(st.sampled_from(["q1", "q2", "q3"]), st.dictionaries(docids, scores, min_size=1), min_size=1),
    st.dictionaries(docids, grades, min_size=1),
    st.integers(1, 8),
)
def test_judged_is_what_counting_by_hand_gives(run, judgments, depth):
    qrels = dict.fromkeys(run, judgments)
    by_hand = []
    for ranked in trec_order(run).values():
        first = list(ranked)[:depth]
        by_hand.append(sum(docid in judgments for docid in first) / len(first) if first else 0.0)
    assert judged(run, qrels, depth) == pytest.approx(by_hand)
    assert np.isfinite(by_hand).all()
