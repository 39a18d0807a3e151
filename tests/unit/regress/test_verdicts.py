from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expandr_repro.regress.conditions.shapes import Pin
from expandr_repro.regress.verdicts import Finding, judge, judge_all, whole


@pytest.mark.parametrize(
    ("measured", "verdict"),
    [
        (0.7922, "OK"),
        (0.79224, "OK"),
        (0.79216, "OK"),
        (0.7923, "OK within tolerance"),
        (0.7927, "OK within tolerance"),
        (0.7917, "OK within tolerance"),
        (0.7928, "FAIL"),
        (0.7916, "FAIL"),
        (0.9, "FAIL"),
        (0.0, "FAIL"),
    ],
)
def test_a_figure_is_compared_both_ways(measured, verdict):
    assert judge("nDCG@10", Pin(0.7922, 0.0005), measured).verdict == verdict


@given(st.integers(0, 10_000), st.integers(0, 10_000), st.integers(0, 100))
def test_the_verdict_is_that_of_whole_numbers(pinned, measured, tolerance):
    found = judge("MAP", Pin(pinned / 1e4, tolerance / 1e4), measured / 1e4)
    off = abs(pinned - measured)
    assert found.verdict == ("OK" if off == 0 else "OK within tolerance" if off <= tolerance else "FAIL")
    assert found.difference == pytest.approx((measured - pinned) / 1e4, abs=1e-12)


def test_without_a_tolerance_a_better_figure_fails_as_a_worse_one_does():
    assert judge("MAP", Pin(0.5), 0.5001).verdict == judge("MAP", Pin(0.5), 0.4999).verdict == "FAIL"


def test_a_finding_names_the_metric_both_values_the_difference_and_the_tolerance():
    said = str(judge("nDCG@10", Pin(0.7932, 0.0005), 0.79223))
    assert said == "nDCG@10: pinned 0.7932, measured 0.7922 (-0.0010, tolerance 0.0005)"


def test_a_metric_without_a_value_is_not_pinned_and_says_how_it_gets_one():
    found = judge("MAP", Pin(None), 0.25)
    assert (found.verdict, found.difference) == ("NOT PINNED", None)
    assert "measured 0.2500; --record writes it" in str(found)


def test_a_pinned_metric_that_was_not_measured_is_named():
    found, lost = judge_all({"MAP": Pin(0.5), "P@5": Pin(0.1)}, {"MAP": 0.5, "R@100": 1.0})
    assert [f.metric for f in found] == ["MAP"]
    assert lost == ["P@5"]


def test_where_nothing_is_pinned_all_that_was_measured_is_shown():
    found, lost = judge_all({}, {"MAP": 0.5})
    assert [(f.metric, f.verdict) for f in found] == [("MAP", "NOT PINNED")]
    assert lost == []


def found(*verdicts):
    return [Finding("MAP", 0.5, 0.5, 0.0, verdict) for verdict in verdicts]


@pytest.mark.parametrize(
    ("findings", "faults", "verdict"),
    [
        (found("OK", "OK"), [], "OK"),
        (found("OK", "OK within tolerance"), [], "OK within tolerance"),
        (found("OK within tolerance", "FAIL"), [], "FAIL"),
        (found("NOT PINNED", "FAIL"), [], "FAIL"),
        (found("OK", "NOT PINNED"), [], "NOT PINNED"),
        (found("OK"), ["the reference run was changed"], "FAIL"),
        ([], [], "NOT PINNED"),
    ],
)
def test_the_worst_finding_is_the_verdict(findings, faults, verdict):
    assert whole(findings, faults) == verdict
