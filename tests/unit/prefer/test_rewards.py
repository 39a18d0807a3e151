from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expandr_repro.errors import ExpandrError, UnknownNameError
from expandr_repro.prefer.rewards import (
    OFFICIAL,
    REWARDS,
    Choice,
    choose,
    is_same_text,
    parse_rewards,
    ranks,
    reciprocal_ranks,
    total_rewards,
)

few = st.sampled_from([-0.5, 0.0, 0.25, 0.5, 0.75])
"""Similarities with many ties, and sums that floating point holds exactly."""


@st.composite
def candidates(draw):
    n = draw(st.integers(1, 8))
    column = st.lists(few, min_size=n, max_size=n)
    texts = draw(st.lists(st.sampled_from(["a", "b", "c", " a"]), min_size=n, max_size=n))
    return draw(column), draw(column), texts


def slow_reward(scores, i):
    """One over the place that a candidate takes when those strictly better stand before it."""
    place = 1
    for other in scores:
        if other > scores[i]:
            place += 1
    return Fraction(1, place)


def slow_pair(totals, sums, texts):
    """Find the pair by looking at all candidates in turn, in exact arithmetic."""
    best = worst = 0
    for i in range(1, len(texts)):
        if totals[i] > totals[best] or (totals[i] == totals[best] and sums[i] > sums[best]):
            best = i
        if totals[i] < totals[worst] or (totals[i] == totals[worst] and sums[i] < sums[worst]):
            worst = i
    return None if texts[best].strip() == texts[worst].strip() else (best, worst)


@given(candidates(), st.sampled_from([Fraction(1), Fraction(1, 2), Fraction(2)]))
def test_rewards_and_pairs_are_those_of_a_slow_exact_implementation(given_candidates, weight):
    to_gold, to_answer, texts = given_candidates
    numbers = range(len(texts))
    slow = [slow_reward(to_gold, i) + weight * slow_reward(to_answer, i) for i in numbers]
    sums = [a + b for a, b in zip(to_gold, to_answer, strict=True)]

    parts = {"retriever": reciprocal_ranks(to_gold), "answer": reciprocal_ranks(to_answer)}
    totals = total_rewards(parts, {"retriever": 1.0, "answer": float(weight)})
    choice = choose(totals, sums, texts)

    assert totals == pytest.approx([float(t) for t in slow], abs=1e-11)
    assert (choice and (choice.chosen, choice.rejected)) == slow_pair(slow, sums, texts)
    if choice:
        assert choice.margin == pytest.approx(float(slow[choice.chosen] - slow[choice.rejected]), abs=1e-11)


def test_rewards_by_hand():
    to_gold, to_answer = [0.9, 0.2, 0.5, 0.4], [0.3, 0.8, 0.7, 0.1]
    totals = total_rewards(
        {"retriever": reciprocal_ranks(to_gold), "answer": reciprocal_ranks(to_answer)}, parse_rewards(OFFICIAL)
    )

    assert totals.tolist() == [
        round(1 + 1 / 3, 12),
        round(1 / 4 + 1, 12),
        round(1 / 2 + 1 / 2, 12),
        round(1 / 3 + 1 / 4, 12),
    ]
    assert choose(totals, np.add(to_gold, to_answer), list("abcd")) == Choice(0, 3, totals[0] - totals[3])


def test_equal_similarities_share_the_better_rank():
    assert ranks([0.5, 0.9, 0.5, 0.1]).tolist() == [2, 1, 2, 4]
    assert ranks([0.3, 0.3, 0.3]).tolist() == [1, 1, 1]


def test_without_ties_the_ranks_are_those_of_a_sort():
    scores = [0.3, 0.1, 0.9, 0.5]
    assert ranks(scores).tolist() == [1 + sorted(scores, reverse=True).index(s) for s in scores]


def test_a_single_candidate_has_every_first_rank_and_gives_no_pair():
    totals = total_rewards(
        {"retriever": reciprocal_ranks([0.7]), "answer": reciprocal_ranks([0.1])}, parse_rewards(OFFICIAL)
    )
    assert totals.tolist() == [2.0]
    assert choose(totals, [0.8], ["alone"]) is None


def test_no_candidates_give_no_pair():
    assert ranks([]).tolist() == []
    assert choose([], [], []) is None


def test_candidates_that_are_all_equal_give_no_pair():
    assert choose([2.0, 2.0, 2.0], [1.1, 1.1, 1.1], ["a", "b", "c"]) is None


def test_equal_rewards_are_settled_by_the_sum_of_similarities():
    assert choose([1.5, 1.5], [0.8, 0.9], ["a", "b"]) == Choice(1, 0, 0.0)
    assert choose([1.5, 1.5, 0.5, 0.5], [0.8, 0.9, 0.3, 0.2], list("abcd")) == Choice(1, 3, 1.0)


def test_equal_sums_are_settled_by_the_lower_number_on_both_sides():
    assert choose([1.5, 1.5, 0.5, 0.5], [0.8, 0.8, 0.2, 0.2], list("abcd")) == Choice(0, 2, 1.0)


@pytest.mark.parametrize("texts", [["same", "same"], ["two words", "two  words\n"]])
def test_identical_texts_never_form_a_pair(texts):
    assert is_same_text(*texts)
    assert choose([2.0, 1.0], [1.0, 0.5], texts) is None


def test_sums_that_are_equal_on_paper_tie():
    parts = {"retriever": np.array([0.1, 0.3]), "answer": np.array([0.2, 0.0])}
    assert 0.1 + 0.2 != 0.3 + 0.0
    assert total_rewards(parts, {"retriever": 1.0, "answer": 1.0}).tolist() == [0.3, 0.3]


def test_weights_are_applied_to_the_rewards_named():
    parts = {"retriever": np.array([1.0, 0.5]), "delta-ndcg": np.array([-0.2, 0.4]), "answer": np.array([9.0, 9.0])}
    assert total_rewards(parts, {"retriever": 1.0, "delta-ndcg": 0.5}).tolist() == [0.9, 0.7]


@pytest.mark.parametrize(
    ("text", "weights"),
    [
        ("retriever=1,answer=1", {"retriever": 1.0, "answer": 1.0}),
        ("retriever", {"retriever": 1.0}),
        (" corpus-rank = 2 , delta-ndcg=.5,", {"corpus-rank": 2.0, "delta-ndcg": 0.5}),
    ],
)
def test_rewards_are_parsed_with_their_weights(text, weights):
    assert parse_rewards(text) == weights


@pytest.mark.parametrize(
    "text", ["retriever=0", "retriever=-1", "retriever=nan", "retriever=inf", "retriever=", "retriever=x"]
)
def test_a_weight_that_is_no_number_above_zero_is_refused(text):
    with pytest.raises(ExpandrError, match="wanted a number above 0"):
        parse_rewards(text)


@pytest.mark.parametrize(
    ("text", "says"), [("", "no reward given"), (",", "no reward given"), ("answer,answer=2", "twice")]
)
def test_no_reward_or_one_twice_is_refused(text, says):
    with pytest.raises(ExpandrError, match=says):
        parse_rewards(text)


def test_an_unknown_reward_is_refused_with_the_nearest():
    with pytest.raises(UnknownNameError, match="did you mean 'retriever'"):
        parse_rewards("retreiver=1")


def test_every_reward_says_what_it_is_and_where_it_is_from():
    assert list(REWARDS) == ["retriever", "answer", "corpus-rank", "delta-ndcg"]
    assert all(r.summary and r.source for r in REWARDS.values())
