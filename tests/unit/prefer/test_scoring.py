"""Rewards of texts that are asked for as they are written."""

from __future__ import annotations

import numpy as np
import pytest

from expandr_repro.data.topics import Topic
from expandr_repro.errors import ExpandrError
from expandr_repro.prefer.scoring import Remembering, Scorer
from expandr_repro.prefer.similarity import Case


class Known:
    """An encoder whose vectors are written down, and that remembers what it was asked."""

    name, dimension, separator = "known", 2, ""

    def __init__(self):
        self.asked, self.truncated, self.identity = [], {}, {"name": "known", "dimension": 2}

    def encode(self, texts, role):
        self.asked.append((role, list(texts)))
        degrees = {"gold": 0, "near": 10, "middle": 45, "far": 80, "other gold": 90}
        return np.array(
            [[np.cos(np.radians(degrees[t])), np.sin(np.radians(degrees[t]))] for t in texts], dtype=np.float32
        )


CASES = {"a": Case(Topic("a", "query"), (), "gold"), "b": Case(Topic("b", "other"), (), "other gold")}


@pytest.fixture
def scorer():
    return Scorer(CASES, Remembering(Known()), {"retriever": 2.0})


def test_texts_are_ranked_among_those_of_their_own_entry(scorer):
    first, second = scorer.score([("a", ["near", "far", "middle"]), ("b", ["near", "far"])])
    assert first.parts["retriever"] == [1, 1 / 3, 1 / 2]
    assert first.totals == [2, pytest.approx(2 / 3), 1]
    assert second.totals == [1, 2]


def test_the_same_topic_may_stand_twice_and_groups_may_differ_in_size(scorer):
    made = scorer.score([("a", ["far"]), ("a", ["near", "far"])])
    assert [m.totals for m in made] == [[2], [2, 1]]


@pytest.mark.parametrize("texts", [["", "near"], ["near", " \n"]])
def test_a_blank_text_is_worth_nothing_and_takes_no_rank(scorer, texts):
    (made,) = scorer.score([("a", texts)])
    assert made.totals == [2.0 * bool(t.strip()) for t in texts]


def test_only_blank_texts_are_worth_nothing(scorer):
    assert [m.totals for m in scorer.score([("a", ["", " "]), ("b", ["far"])])] == [[0, 0], [2]]
    assert scorer.score([("a", [])])[0].totals == []


def test_an_unknown_topic_is_refused(scorer):
    with pytest.raises(ExpandrError, match="qid 'c': no topic with a gold passage has it"):
        scorer.score([("c", ["near"])])


def test_gold_passages_are_encoded_once_and_texts_each_time():
    encoder = Known()
    scorer = Scorer(CASES, Remembering(encoder), {"retriever": 1.0})
    for _ in range(3):
        scorer.score([("a", ["near", "far"])])
    assert [role for role, _ in encoder.asked].count("document") == 1
    assert [role for role, _ in encoder.asked].count("expansion") == 3
