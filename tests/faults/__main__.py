"""Run the tests of this folder and write the tables of docs/reliability.md from what they tried.

    python -m tests.faults             # all, then the page
    python -m tests.faults -k killed   # some: pytest's options; the rest of the table stays as it was

Each module has an `AREA`: its heading on the page. A test says how many inputs or faults it tried with pytest's
`record_property("tried", n)`; one that says nothing has tried one. The name of a test is its line in the table.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import pytest

from tests.faults import page


class Recorder:
    """What was tried, by test; the cases of a parametrized test are one line."""

    def __init__(self) -> None:
        self.areas: dict[str, str] = {}
        self.lines: dict[str, page.Line] = {}

    def pytest_collection_modifyitems(self, items: Sequence[pytest.Item]) -> None:
        for item in items:
            self.areas[item.nodeid] = getattr(getattr(item, "module", None), "AREA", "")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if not self.areas.get(report.nodeid) or not (report.when == "call" or report.skipped or report.failed):
            return
        name = report.nodeid.partition("::")[2].partition("[")[0]
        line = self.lines.setdefault(name, page.Line(self.areas[report.nodeid], page.sentence(name)))
        if report.skipped:
            line.skipped += 1
        else:
            line.tried += int(dict(report.user_properties).get("tried", 1))
            line.failed += int(report.failed)


def main(argv: Sequence[str]) -> int:
    recorder = Recorder()
    code = pytest.main(["tests/faults", *argv], plugins=[recorder])
    page.keep(recorder.lines)
    page.write()
    return int(code)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
