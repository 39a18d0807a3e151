"""What a text is worth in an online training."""

from __future__ import annotations

import pytest

from expandr_repro.errors import ExpandrError
from expandr_repro.llm.answers.cleaning import Cleaned
from expandr_repro.prefer.scoring import Scores
from expandr_repro.train_generator.online.rewarding import GroupRewards, length_penalty
from expandr_repro.train_generator.online.rollouts import Text


class ByLength:
    """A scorer for which a text is worth its number of letters."""

    def __init__(self):
        self.asked, self.weights = [], {"letters": 1.0}

    def score(self, asked):
        self.asked += asked
        return [
            Scores([float(len(t)) for t in texts], {"letters": [float(len(t)) for t in texts]}, [0.5 for _ in texts])
            for _, texts in asked
        ]


def text(words, *, refused=False, finish="stop"):
    return Text([1], [2], finish, Cleaned(words, refused))


def test_groups_are_rewarded_by_topic_in_order():
    scorer = ByLength()
    rewards = GroupRewards(scorer, 2)
    assert rewards(["a", "a", "b", "b"], [text("x"), text("xx"), text("xxx"), text("xxxx")]) == [1, 2, 3, 4]
    assert scorer.asked == [("a", ["x", "xx"]), ("b", ["xxx", "xxxx"])]
    assert rewards.means["rewards/letters"] == 2.5


def test_the_same_topic_may_have_two_groups_in_a_step():
    assert GroupRewards(ByLength(), 2)(["a"] * 4, [text("x")] * 4) == [1, 1, 1, 1]


def test_a_refusal_is_worth_what_an_empty_text_is():
    rewards = GroupRewards(ByLength(), 2)
    assert rewards(["a", "a"], [text("I cannot help", refused=True), text("rain", finish="length")]) == [0, 4]
    assert (rewards.means["refusals"], rewards.means["cut"]) == (0.5, 0.5)


@pytest.mark.parametrize("qids", [["a", "b"], ["a", "a", "a"]])
def test_a_divided_group_is_refused(qids):
    with pytest.raises(ExpandrError, match="do not stand together"):
        GroupRewards(ByLength(), 2)(qids, [text("x")] * len(qids))


@pytest.mark.parametrize(("words", "cost"), [(100, 0), (80, 0), (120, 0), (50, 0.3), (150, 0.3), (0, 0.8), (500, 1)])
def test_length_costs_nothing_within_a_fifth_of_what_is_wanted_and_one_at_most(words, cost):
    assert length_penalty(words, 100) == pytest.approx(cost)


def test_the_penalty_is_taken_off_with_its_weight():
    rewards = GroupRewards(ByLength(), 2, 2.0, 2)
    assert rewards(["a", "a"], [text("aa bb"), text("a b c")]) == [5, pytest.approx(5 - 2 * 0.3)]
    assert rewards.means["rewards/length"] == pytest.approx(-0.15)
    with pytest.raises(ExpandrError, match="set length_words"):
        GroupRewards(ByLength(), 1, 1.0)(["a"], [text("x")])
