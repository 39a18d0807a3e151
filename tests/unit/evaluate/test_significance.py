from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from expandr_repro.errors import UnknownNameError
from expandr_repro.evaluate.significance import bootstrap_interval, holm, paired_p, wins_ties_losses

p_values = st.lists(st.floats(0, 1) | st.just(math.nan), max_size=8)


def test_the_t_test_is_scipys_paired_one():
    a, b = np.array([0.1, 0.4, 0.35, 0.8]), np.array([0.2, 0.5, 0.3, 0.95])

    assert paired_p(a, b) == pytest.approx(stats.ttest_rel(b, a).pvalue, abs=1e-12)


@given(st.integers(2, 400), st.floats(-2, 2), st.integers(0, 3), st.integers(0, 2**32))
def test_the_t_test_is_scipys_for_any_number_of_topics(topics, shift, decimals, seed):
    rng = np.random.default_rng(seed)
    a = rng.random(topics)
    b = a + np.round(rng.normal(shift, 1, topics), decimals)
    expected = stats.ttest_rel(b, a).pvalue
    assert (
        math.isnan(expected) or np.ptp(b - a) < 1e-9 or paired_p(a, b) == pytest.approx(expected, rel=1e-9, abs=1e-300)
    )


def test_the_randomisation_test_counts_all_signs_where_there_are_few_topics():
    a, b = np.zeros(4), np.array([0.1, 0.2, 0.3, 0.4])

    assert paired_p(a, b, "fisher") == pytest.approx(2 / 16)


def test_the_randomisation_test_is_the_same_on_every_run():
    rng = np.random.default_rng(0)
    a, b = rng.random(40), rng.random(40)

    assert paired_p(a, b, "fisher") == paired_p(a, b, "fisher")


def test_the_randomisation_test_is_near_the_t_test_on_many_topics():
    rng = np.random.default_rng(1)
    a = rng.random(100)
    b = a + rng.normal(0.02, 0.1, 100)

    assert paired_p(a, b, "fisher") == pytest.approx(paired_p(a, b), abs=0.02)


@pytest.mark.parametrize("test", ["student", "fisher"])
def test_which_system_comes_first_does_not_matter(test):
    a, b = np.array([0.1, 0.4, 0.35, 0.8]), np.array([0.2, 0.5, 0.3, 0.95])

    assert paired_p(a, b, test) == pytest.approx(paired_p(b, a, test))


@pytest.mark.parametrize("test", ["student", "fisher"])
def test_systems_that_differ_nowhere_have_p_one(test):
    assert paired_p(np.ones(5), np.ones(5), test) == 1.0


@pytest.mark.parametrize("topics", [0, 1])
def test_fewer_than_two_topics_have_no_p(topics):
    assert math.isnan(paired_p(np.zeros(topics), np.ones(topics)))


def test_the_same_difference_everywhere_is_certain_for_the_t_test():
    assert paired_p(np.zeros(5), np.ones(5)) == 0.0


def test_the_same_difference_everywhere_is_two_of_all_signs_for_the_randomisation():
    assert paired_p(np.zeros(5), np.ones(5), "fisher") == 2 / 2**5


def test_an_unknown_test_offers_the_nearest():
    with pytest.raises(UnknownNameError, match="unknown test 'studnet': did you mean 'student'"):
        paired_p(np.zeros(3), np.ones(3), "studnet")


def test_holm_corrects_a_textbook_example():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


@given(p_values)
def test_holm_keeps_the_order_of_p_values(values):
    corrected = holm(values)

    valid = sorted((p, c) for p, c in zip(values, corrected, strict=True) if not math.isnan(p))
    assert [c for _, c in valid] == sorted(c for _, c in valid)


@given(p_values)
def test_holm_never_lowers_and_never_leaves_0_to_1(values):
    for p, c in zip(values, holm(values), strict=True):
        assert math.isnan(c) if math.isnan(p) else p <= c <= 1


@given(p_values)
def test_holm_leaves_nan_uncounted(values):
    valid = [p for p in values if not math.isnan(p)]

    assert [c for c in holm(values) if not math.isnan(c)] == holm(valid)


def test_holm_leaves_one_comparison_alone():
    assert holm([0.2]) == [0.2]


def test_wins_ties_and_losses_are_counted_for_the_second_system():
    a, b = np.array([0.1, 0.5, 0.5, 0.9]), np.array([0.2, 0.5, 0.5 + 1e-12, 0.1])

    assert wins_ties_losses(a, b) == (1, 2, 1)


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), max_size=10))
def test_every_topic_is_won_tied_or_lost(pairs):
    a, b = np.array([p[0] for p in pairs]), np.array([p[1] for p in pairs])

    assert sum(wins_ties_losses(a, b)) == len(pairs)
    assert wins_ties_losses(a, b) == wins_ties_losses(b, a)[::-1]


def test_the_interval_is_scipys_bca_bootstrap_and_the_same_on_every_run():
    difference = np.random.default_rng(3).normal(0.05, 0.2, 60)
    expected = stats.bootstrap((difference,), np.mean, method="BCa", rng=np.random.default_rng(42)).confidence_interval

    assert bootstrap_interval(difference) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert bootstrap_interval(difference) == bootstrap_interval(difference)


def test_the_interval_holds_the_mean_and_is_near_the_t_interval_on_many_topics():
    difference = np.random.default_rng(4).normal(0.02, 0.1, 300)
    low, high = bootstrap_interval(difference)

    assert low < difference.mean() < high
    assert (low, high) == pytest.approx(
        stats.t.interval(0.95, 299, difference.mean(), difference.std(ddof=1) / 300**0.5), abs=0.002
    )


def test_the_interval_of_one_topic_is_not_known_and_that_of_equal_differences_is_the_difference():
    assert all(math.isnan(limit) for limit in bootstrap_interval(np.array([0.5])))
    assert bootstrap_interval(np.array([0.25, 0.25, 0.25])) == (0.25, 0.25)
    assert bootstrap_interval(np.zeros(5)) == (0.0, 0.0)


def test_one_topic_that_differs_among_many_has_a_finite_interval():
    difference = np.zeros(50)
    difference[7] = 1.0

    assert all(map(math.isfinite, bootstrap_interval(difference)))


def test_the_interval_of_many_topics_is_of_the_percentiles():
    difference = np.random.default_rng(5).normal(0.1, 1.0, 20_000)
    low, high = bootstrap_interval(difference)

    assert low < difference.mean() < high
    assert high - low == pytest.approx(2 * 1.96 / 20_000**0.5, rel=0.05)
