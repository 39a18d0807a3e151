"""Sampling plans and seeds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expandr_repro.errors import ExpandrError, UnknownNameError
from expandr_repro.llm.sampling import PRESETS, SamplingPlan, plan_named, seed_of


def test_the_presets_are_the_paper_s():
    one = PRESETS["expandr-eval"].settings()
    many = PRESETS["expandr-candidates"].settings()

    assert [s.record() for s in one] == [{"temperature": 1.0, "top_p": 0.9, "max_tokens": 512}]
    assert [s.temperature for s in many] == [0.8] * 8 + [0.9] * 8 + [1.0] * 8 + [1.1] * 8
    assert {(s.top_p, s.max_tokens) for s in many} == {(0.9, 512)}


def test_what_is_said_lies_over_the_preset_and_what_is_not_does_not():
    plan = plan_named("expandr-candidates", samples=2, top_p=None, max_tokens=64)

    assert (len(plan.settings()), plan.top_p, plan.max_tokens) == (8, 0.9, 64)


def test_an_unknown_preset_offers_the_nearest():
    with pytest.raises(UnknownNameError, match="did you mean 'expandr-eval'"):
        plan_named("expander-eval")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"temperatures": (-1.0,)}, "--temperature -1: wanted a number from 0"),
        ({"temperatures": (float("nan"),)}, "--temperature nan"),
        ({"temperatures": (1.0, 1.0)}, "different numbers"),
        ({"temperatures": ()}, "different numbers"),
        ({"top_p": 0.0}, "--top-p 0: wanted a number above 0"),
        ({"top_p": 1.5}, "--top-p 1.5"),
        ({"temperatures": (0.0,), "samples": 4}, "gives the same text 4 times"),
    ],
)
def test_settings_that_make_no_sense_are_refused(changes, said):
    with pytest.raises(ExpandrError, match=said):
        SamplingPlan(**changes)


@given(st.integers(), st.text(), st.integers(0, 99), st.integers(0, 2))
def test_a_seed_fits_31_bits_and_repeats(seed, qid, sample, attempt):
    made = seed_of(seed, qid, sample, attempt)

    assert 0 <= made < 2**31
    assert made == seed_of(seed, qid, sample, attempt)


def test_seeds_differ_by_run_topic_sample_and_attempt():
    seeds = {seed_of(s, q, n, a) for s in (1, 2) for q in ("1", "11", "2") for n in (0, 1, 11) for a in (0, 1, 2)}

    assert len(seeds) == 2 * 3 * 3 * 3


def test_a_seed_is_the_same_in_years_to_come():
    assert seed_of(42, "1", 0) == 1129494520
