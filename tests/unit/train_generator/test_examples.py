"""Preference pairs and topics as prompts and passages."""

from __future__ import annotations

import logging

import pytest

from expandr_repro.data.topics import Expansion, Topic, write_topics
from expandr_repro.errors import ExpandrError
from expandr_repro.prefer.pairs import PreferencePair, write_pairs
from expandr_repro.train_generator.examples import from_pairs, from_topics


@pytest.fixture
def topics(tmp_path):
    made = [
        Topic(f"q{i}", f"title {i}", (Expansion(f"one {i}"), Expansion("  "), Expansion(f"two {i}"))) for i in range(6)
    ]
    write_topics(tmp_path / "topics.jsonl", made)
    return str(tmp_path / "topics.jsonl")


def test_each_expansion_that_says_something_is_an_example_with_the_title_in_the_prompt(topics):
    data = from_topics(topics, None, "q2d", 0, 42)

    assert list(data.texts) == ["train"]
    assert data.texts["train"].passages[:2] == [("one 0",), ("two 0",)]
    assert (
        data.texts["train"].prompts[0] == "Please write a passage to answer the question.\nQuestion: title 0\nPassage:"
    )
    assert data.facts["data"]["train"]["examples"] == 12


def test_a_topic_is_either_learnt_or_validated_on_and_the_draw_is_by_seed(topics):
    first, again, other = (from_topics(topics, None, "q2d", 2, seed) for seed in (1, 1, 2))
    learnt, validated = (set(first.texts[name].prompts) for name in ("train", "dev"))

    assert (len(learnt), len(validated)) == (4, 2)
    assert not learnt & validated
    assert first.texts == again.texts
    assert first.facts == again.facts != other.facts


def test_topics_without_expansions_and_too_much_validation_are_refused(topics, tmp_path):
    write_topics(tmp_path / "bare.jsonl", [Topic("q", "title")])

    with pytest.raises(
        ExpandrError, match="0 topics have expansions, 0 are for validation; give some with --expansions"
    ):
        from_topics(str(tmp_path / "bare.jsonl"), None, "q2d", 0, 42)
    with pytest.raises(ExpandrError, match="6 topics have expansions, 6 are for validation; lower --dev"):
        from_topics(topics, None, "q2d", 6, 42)


def test_a_prompt_that_needs_a_passage_is_refused(topics):
    with pytest.raises(ExpandrError, match="--prompt q2a: needs more than the query"):
        from_topics(topics, None, "q2a", 0, 42)


def test_a_packaged_set_goes_with_its_collection(data):
    made = from_topics("scifact/train", "claude.q2d", "q2d", 0, 42)

    assert made.facts["data"]["train"]["topics"] == 809


def test_pairs_keep_their_prompts_and_a_topic_on_both_sides_is_warned_of(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("expandr_repro"), "propagate", True)
    pairs = [PreferencePair(f"q{i}", f"prompt {i}", "better", "worse", 2.0, 1.0) for i in range(3)]
    write_pairs(tmp_path / "pairs.jsonl", pairs[:2])
    write_pairs(tmp_path / "dev.jsonl", pairs[1:])
    made = from_pairs(str(tmp_path / "pairs.jsonl"), str(tmp_path / "dev.jsonl"))

    assert made.texts["train"].prompts == ["prompt 0", "prompt 1"]
    assert made.texts["dev"].passages == [("better", "worse")] * 2
    assert made.names == {"train": "pairs.jsonl", "dev": "dev.jsonl"}
    assert "1 topics of" in caplog.text
