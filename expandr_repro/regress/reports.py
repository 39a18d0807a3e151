"""Report the results of checks: for people (in colour), for programs (JSON) and for CI systems (JUnit XML)."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from expandr_repro.console.terminal import one_line
from expandr_repro.io.files import atomic_bytes, write_json
from expandr_repro.io.outputs import JSON_REPORT, JUNIT_REPORT
from expandr_repro.regress.verdicts import Finding, Result, Verdict

COLOURS: dict[Verdict, str] = {
    "OK": "32",
    "OK within tolerance": "33",
    "FAIL": "31;1",
    "SKIP": "36",
    "NOT PINNED": "36",
    "RECORDED": "35",
}
"""Verdict -> ANSI colour: green, yellow, bold red, cyan, cyan, magenta."""

_NO_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def line(result: Result, width: int, colour: bool) -> str:
    """Return a result as a line, and below it the scores of seen and unseen topics and the reasons, each indented.

    Args:
        result: of one condition.
        width: of the column of names.
        colour: whether a terminal shows it.
    """
    verdict = f"{result.verdict:<{max(map(len, COLOURS))}}"
    if colour:
        verdict = f"\033[{COLOURS[result.verdict]}m{verdict}\033[0m"
    time = f"{result.seconds:.1f} s" + (", run reused" if result.reused else "")
    scores = "".join(f"  {_figure(f)}" for f in result.findings)
    reasons = (f"    {one_line(reason)}" for reason in (*result.told(), *result.reasons))
    return "\n".join([f"{verdict}  {result.name:<{width}}{scores}  ({time})", *reasons])


def _figure(finding: Finding) -> str:
    difference = f" ({finding.difference:+.4f})" if finding.difference else ""
    return f"{finding.metric} {finding.measured:.4f}{difference}"


def summary(results: Sequence[Result], seconds: float) -> str:
    """Return the last line: how many of each verdict, and the wall time."""
    counts = Counter(r.verdict for r in results)
    return f"{len(results)} conditions: {', '.join(f'{counts[v]} {v}' for v in COLOURS if counts[v])}; {seconds:.0f} s"


def write_report(path: Path, results: Sequence[Result]) -> None:
    """Write everything as JSON."""
    counts = Counter(r.verdict for r in results)
    write_json(
        path, {"counts": {v: counts[v] for v in COLOURS}, "conditions": [_as_json(r) for r in results]}, JSON_REPORT
    )


def _as_json(result: Result) -> dict[str, Any]:
    findings = [dataclasses.asdict(f) | {"difference": f.difference} for f in result.findings]
    return dataclasses.asdict(result) | {"seconds": round(result.seconds, 3), "findings": findings}


def write_junit(path: Path, results: Sequence[Result]) -> None:
    """Write JUnit XML: a failed condition is a failure; a skipped one, or one without pins, is skipped."""
    from xml.etree import ElementTree as ET  # only written here, never read

    counts = Counter(r.verdict for r in results)
    suite = ET.Element(
        "testsuite",
        name="expandr_repro.regress",
        tests=str(len(results)),
        failures=str(counts["FAIL"]),
        errors="0",
        skipped=str(counts["SKIP"] + counts["NOT PINNED"]),
        time=f"{sum(r.seconds for r in results):.3f}",
    )
    for result in results:
        case = ET.SubElement(
            suite, "testcase", classname="regressions", name=result.name, file=result.file, time=f"{result.seconds:.3f}"
        )
        reasons = _clean("\n".join(result.reasons))
        if result.verdict == "FAIL":
            ET.SubElement(case, "failure", message=reasons.split("\n")[0]).text = reasons
        elif result.verdict in ("SKIP", "NOT PINNED"):
            ET.SubElement(case, "skipped", message=reasons or result.verdict.lower())
        ET.SubElement(case, "system-out").text = _clean("\n".join([*map(str, result.findings), *result.told()]))
    with atomic_bytes(path, kind=JUNIT_REPORT) as file:
        ET.ElementTree(suite).write(file, encoding="utf-8", xml_declaration=True)


def _clean(text: str) -> str:
    """Take out what XML cannot carry."""
    return _NO_XML.sub("?", text)
