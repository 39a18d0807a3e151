"""Expansions of two methods joined: each text still says which prompt it answers."""

from __future__ import annotations

import pytest

from expandr_repro.data.joining import append_expansions
from expandr_repro.data.topics import Expansion, Topic, read_topics, topic_record, write_topics
from expandr_repro.errors import FormatError, MismatchError
from expandr_repro.llm.rendering import recorded_prompt

FIRST = Topic("1", "cats", (Expansion("a", prompt=0), Expansion("b", prompt=1)), {"prompts": [{"text": "A"}, {"text": "B"}], "fusion": {"dense": "mean"}})  # fmt: skip
SECOND = Topic("1", "cats", (Expansion("c", prompt=0, type="keywords"), Expansion("d")), {"prompts": [{"text": "C"}], "fusion": {"dense": "hyde"}})  # fmt: skip


def test_the_prompts_of_both_are_kept_and_a_fusion_only_where_both_name_it():
    (made,) = append_expansions([FIRST], [SECOND])

    assert [recorded_prompt(made, e, "x") for e in made.expansions] == ["A", "B", "C", None]
    assert "fusion" not in made.provenance
    assert append_expansions([FIRST], [FIRST])[0].provenance["fusion"] == {"dense": "mean"}


def test_a_topic_with_texts_of_one_file_alone_is_as_in_that_file():
    empty = Topic("1", "cats")

    assert append_expansions([FIRST], [empty]) == [FIRST]
    assert append_expansions([empty], [SECOND]) == [SECOND]


def test_the_number_of_a_prompt_is_written_and_read(tmp_path):
    write_topics(tmp_path / "t.jsonl", [FIRST])

    assert read_topics(tmp_path / "t.jsonl") == [FIRST]
    assert "prompt" not in topic_record(Topic("1", "x", (Expansion("a"),)))["expansions"][0]


@pytest.mark.parametrize("number", ["1", -1, True, 0.5])
def test_a_prompt_that_is_no_number_is_refused(tmp_path, number):
    import json

    path = tmp_path / "t.jsonl"
    path.write_text(json.dumps({"qid": "1", "title": "x", "expansions": [{"text": "a", "prompt": number}]}))
    with pytest.raises(FormatError, match="wanted the number of a prompt, from 0"):
        read_topics(path)


def test_a_prompt_that_is_not_there_or_has_several_messages_cannot_be_trained_on():
    missing = Topic("1", "cats", (Expansion("a", prompt=3),), {"prompts": [{"text": "A"}]})
    several = Topic("1", "cats", (Expansion("a", prompt=0),), {"prompts": [{"messages": []}]})

    with pytest.raises(FormatError, match="its provenance holds no such prompt"):
        recorded_prompt(missing, missing.expansions[0], "x")
    with pytest.raises(MismatchError, match="several messages"):
        recorded_prompt(several, several.expansions[0], "x")
