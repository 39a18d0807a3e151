from __future__ import annotations

import json
import logging

from expandr_repro.prefer.candidates import plan
from expandr_repro.prefer.options import PreferRequest


def test_candidates_that_name_the_hash_of_their_prompt_alone_get_the_warning(write, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("expandr_repro"), "propagate", True)
    record = {"qid": "1", "title": "a", "expansions": ["b", "c"], "provenance": {"prompt_sha256": "0" * 64}}
    candidates = write("c.jsonl", json.dumps(record))
    gold = write("g.jsonl", '{"qid": "1", "text": "d"}')

    plan(PreferRequest(str(candidates), gold_file=str(gold), rewards="retriever=1"))

    assert "made with prompt that they do not name; the pairs get q2d" in caplog.text
