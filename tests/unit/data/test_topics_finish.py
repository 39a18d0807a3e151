"""Why generation ended, in augmented topics."""

from __future__ import annotations

import json

import pytest

from expandr_repro.data.topics import Expansion, Topic, read_topics, write_topics
from expandr_repro.errors import FormatError


def test_it_is_kept_and_left_out_where_it_is_not_known(tmp_path):
    topics = [Topic("1", "rain", (Expansion("cut", {}, "length"), Expansion("whole", {}, "stop"), Expansion("old")))]
    write_topics(tmp_path / "t.jsonl", topics)

    assert read_topics(tmp_path / "t.jsonl") == topics
    assert "finish" not in json.loads((tmp_path / "t.jsonl").read_text())["expansions"][2]


def test_what_is_no_text_is_refused(tmp_path):
    (tmp_path / "t.jsonl").write_text('{"qid": "1", "title": "x", "expansions": [{"text": "y", "finish": 3}]}\n')
    with pytest.raises(FormatError, match=r"line 1: .*`finish`.* 3"):
        read_topics(tmp_path / "t.jsonl")
