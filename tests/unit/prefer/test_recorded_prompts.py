"""Candidates and expansions of any method are trained on as answers to the prompts that were sent."""

from __future__ import annotations

import pytest

from expandr_repro.data.topics import Expansion, Topic, write_topics
from expandr_repro.errors import MismatchError
from expandr_repro.prefer.candidates import PreferRequest, _of_one_prompt
from expandr_repro.train_generator.examples import from_topics

ABOUT = {"prompt": "lamer", "prompt_version": 1, "prompt_sha256": "abc"}


def topic(qid, *numbers, prompts=("P0", "P1")):
    texts = tuple(Expansion(f"text {n} of prompt {p}", prompt=p) for n, p in enumerate(numbers))
    return Topic(
        qid, f"query {qid}", texts, {**ABOUT, "prompts": [{"name": "lamer", "text": f"{p} {qid}"} for p in prompts]}
    )


def test_a_pair_is_of_the_prompt_with_the_most_candidates_of_such_the_last_and_the_others_are_counted(caplog):
    topics = [topic("a", 0, 0, 1), topic("b", 0, 1), Topic("c", "query c", (), ABOUT)]

    kept, prompts = _of_one_prompt(PreferRequest("x.jsonl"), topics)

    assert [[e.prompt for e in t.expansions] for t in kept] == [[0, 0], [1], []]
    facts = {"name": "lamer", "version": 1, "sha256": "abc"}
    assert prompts == {"a": ("P0 a", facts), "b": ("P1 b", facts)}
    assert "2 candidates answer other prompts of their topics and are left out" in caplog.text


def test_another_prompt_that_is_asked_for_is_used_and_so_is_q2d_where_nothing_is_recorded():
    topics = [topic("a", 0, 0)]

    assert _of_one_prompt(PreferRequest("x.jsonl", prompt="q2q"), topics) == (topics, {})
    plain = [Topic("a", "query", (Expansion("x"), Expansion("y")))]
    assert _of_one_prompt(PreferRequest("x.jsonl"), plain) == (plain, {})


def test_fine_tuning_learns_each_text_as_the_answer_to_its_own_prompt(tmp_path):
    path = tmp_path / "t.jsonl"
    write_topics(path, [topic("a", 0, 1), topic("b", 1)])

    made = from_topics(str(path), None, "q2d", 0, 1)

    assert made.texts["train"].prompts == ["P0 a", "P1 a", "P1 b"]
    assert made.facts["prompt"] == {"name": "lamer", "version": 1, "sha256": "abc"}
    asked = from_topics(str(path), None, "q2q", 0, 1)
    assert asked.texts["train"].prompts[0] == "Output the rewrite of input query.\nQuery: query a\nOutput:"


def test_prompts_of_several_messages_are_refused(tmp_path):
    path = tmp_path / "t.jsonl"
    several = {**ABOUT, "prompts": [{"messages": [{"role": "system", "content": "x"}]}]}
    write_topics(path, [Topic("a", "query", (Expansion("x", prompt=0),), several)])

    with pytest.raises(MismatchError, match="several messages"):
        from_topics(str(path), None, "q2d", 0, 1)
