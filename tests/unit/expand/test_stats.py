"""Statistics of expansions, by hand."""

from __future__ import annotations

import pytest

from expandr_repro.data.topics import Expansion, Topic
from expandr_repro.expand.stats import counts_table, duplicates, lengths_table, novelty, overlap

TOPICS = [
    Topic("1", "red cats", (Expansion("Red cats are cats."), Expansion("red CATS are cats"), Expansion(" "))),
    Topic("2", "rain", (Expansion("Red cats are cats.", {}, "length"), Expansion("I cannot.", {"refused": True}))),
    Topic("3", "snow"),
]


def test_overlap_is_the_share_of_the_query_s_words_that_come_up():
    assert overlap("red red cats", "The RED dog") == 0.5
    assert overlap("?", "x") == 0.0


def test_novelty_is_the_share_of_the_text_s_words_that_are_new():
    assert novelty("red cats", "red cats are cats") == pytest.approx(1 / 3)
    assert novelty("red", "!") == 0.0


def test_duplicates_are_counted_but_for_case_white_space_and_punctuation():
    assert duplicates(["a b", "A  b!", "c", "a b"]) == 2


def test_what_there_is_to_count_is_counted():
    counts = {row[0]: row[1] for row in counts_table(TOPICS).rows}

    assert counts == {
        "topics": 3,
        "topics without expansion": 1,
        "expansions": 4,
        "fewest per topic": 0,
        "most per topic": 2,
        "empty": 1,
        "cut at the token limit": 1,
        "refused, kept": 1,
        "duplicates within one topic": 1,
        "duplicates in all": 2,
    }


def test_lengths_have_mean_least_median_and_most():
    rows = {row[0]: row[1:] for row in lengths_table(TOPICS).rows}

    assert rows["words of an expansion"] == [3.5, 2.0, 4.0, 4.0]
    assert rows["query words in it"] == [0.5, 0.0, 0.5, 1.0]


def test_topics_without_any_expansion_have_no_lengths():
    assert lengths_table([Topic("1", "x")]).rows[1] == ["words of an expansion", None, None, None, None]
