"""Pareto fronts of score against cost, against a slow definition."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from expandr_repro.llm.costs import front, tokens_of

POINTS = st.dictionaries(st.text("abcdef", min_size=1, max_size=3), st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=8)  # fmt: skip


@given(points=POINTS)
def test_the_front_has_each_score_that_nothing_as_cheap_reaches(points):
    names = front(points)
    wanted = {
        points[name]
        for name in points
        if not any(other != points[name] and other[0] <= points[name][0] and other[1] >= points[name][1] for other in points.values())
    }  # fmt: skip
    assert {points[name] for name in names} == wanted
    assert len(names) == len(wanted)
    assert [points[n][0] for n in names] == sorted(points[n][0] for n in names)


def test_a_search_without_expansions_costs_nothing_and_one_that_does_not_tell_is_unknown():
    cost = {"topics": 10, "tokens_in": 100, "tokens_out": 400}
    assert tokens_of({"fusion": "none"}) == 0
    assert tokens_of({"fusion": "mean", "expansions": "x", "expansion_cost": [cost]}) == 50
    assert tokens_of({"fusion": "mean", "expansions": "x"}) is None
    assert tokens_of({}) is None
