"""Scores of the topics that a run's models saw in training, and of the others, in what a regression reports."""

from __future__ import annotations

import json

from expandr_repro.regress.reports import line, write_junit, write_report
from expandr_repro.regress.stages import figures_of, parts_of
from expandr_repro.regress.verdicts import Finding, Result

PRINTED = json.dumps(
    [{"run": "a.trec", "topics": 300, "missing": 0, "MAP": 0.8, "seen": {"topics": 196, "MAP": 0.9}, "unseen": {"topics": 104, "MAP": None}}]
)  # fmt: skip


def test_the_parts_that_evaluate_prints_are_no_figures_of_the_run():
    assert figures_of(PRINTED) == {"MAP": 0.8}
    assert parts_of(PRINTED) == {"seen": {"topics": 196, "MAP": 0.9}, "unseen": {"topics": 104}}
    assert parts_of('[{"MAP": 0.8}]') == {}


def test_a_regression_reports_seen_and_unseen_topics_in_every_form(tmp_path):
    result = Result("a.b.c", "a.yaml", "OK", [Finding("MAP", 0.8, 0.8, 0.0, "OK")], parts=parts_of(PRINTED))
    assert line(result, 5, colour=False).splitlines()[1:] == [
        "    seen: 196 topics, MAP 0.9000",
        "    unseen: 104 topics",
    ]
    write_report(tmp_path / "r.json", [result])
    assert json.loads((tmp_path / "r.json").read_text())["conditions"][0]["parts"]["seen"] == {
        "topics": 196,
        "MAP": 0.9,
    }
    write_junit(tmp_path / "r.xml", [result])
    assert "seen: 196 topics, MAP 0.9000" in (tmp_path / "r.xml").read_text()
