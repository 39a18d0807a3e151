from __future__ import annotations

import json
from xml.etree import ElementTree as ET

from expandr_repro.regress.reports import line, summary, write_junit, write_report
from expandr_repro.regress.verdicts import Finding, Result

OK = Result("a.b.c", "a.yaml", "OK", [Finding("MAP", 0.5, 0.5, 0.0, "OK")], seconds=1.25, reused=True)
BAD = Result("a.b.d", "b.yaml", "FAIL", [Finding("MAP", 0.5, 0.4, 0.0, "FAIL")], ["b.yaml: MAP <moved> \x1b & more"])
SKIP = Result("a.b.e", "c.yaml", "SKIP", reasons=["needs gpu: none"])
OPEN = Result("a.b.f", "d.yaml", "NOT PINNED", [Finding("MAP", None, 0.3, 0.0, "NOT PINNED")])
ALL = [OK, BAD, SKIP, OPEN]


def test_a_line_has_verdict_name_figures_and_difference_and_below_it_the_reasons():
    assert line(OK, 6, colour=False) == "OK                   a.b.c   MAP 0.5000  (1.2 s, run reused)"
    assert line(BAD, 5, colour=False).splitlines() == [
        "FAIL                 a.b.d  MAP 0.4000 (-0.1000)  (0.0 s)",
        "    b.yaml: MAP <moved> \\u001b & more",
    ]


def test_a_verdict_is_coloured_only_for_a_terminal():
    assert "\033[31;1mFAIL" in line(BAD, 5, colour=True)
    assert "\033" not in line(OK, 5, colour=False)


def test_the_summary_counts_each_verdict():
    assert summary(ALL, 3.2) == "4 conditions: 1 OK, 1 FAIL, 1 SKIP, 1 NOT PINNED; 3 s"


def test_the_json_report_holds_all_of_it(tmp_path):
    write_report(tmp_path / "r.json", ALL)
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["counts"]["FAIL"] == 1
    assert report["counts"]["OK within tolerance"] == 0
    bad = report["conditions"][1]
    assert (bad["name"], bad["file"], bad["verdict"], bad["reasons"]) == ("a.b.d", "b.yaml", "FAIL", BAD.reasons)
    assert bad["findings"] == [
        {"metric": "MAP", "pinned": 0.5, "measured": 0.4, "tolerance": 0.0, "verdict": "FAIL", "difference": -0.1}
    ]


def test_the_junit_report_is_xml_that_any_reader_takes(tmp_path):
    write_junit(tmp_path / "r.xml", ALL)
    suite = ET.parse(tmp_path / "r.xml").getroot()
    assert {k: suite.get(k) for k in ("tests", "failures", "skipped", "errors")} == {
        "tests": "4",
        "failures": "1",
        "skipped": "2",
        "errors": "0",
    }
    cases = {case.get("name"): case for case in suite}
    assert cases["a.b.c"].find("failure") is None
    assert cases["a.b.d"].find("failure").get("message") == "b.yaml: MAP <moved> ? & more"
    assert cases["a.b.e"].find("skipped").get("message") == "needs gpu: none"
    assert cases["a.b.f"].find("skipped").get("message") == "not pinned"
