"""The tables of docs/reliability.md, from runs/reliability/*.json.

python -m tests.faults.page    # after a merge; `python -m tests.faults` and the fuzzer write the page themselves
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from expandr_repro.io.files import atomic_text, write_json

ROOT = Path(__file__).resolve().parents[2]
FAULTS = ROOT / "runs" / "reliability" / "faults.json"
FUZZ = ROOT / "runs" / "reliability" / "fuzz.json"
PAGE = ROOT / "docs" / "reliability.md"
MARK = re.compile(r"(<!-- (?P<name>\w+): begin -->\n).*?(<!-- (?P=name): end -->)", re.DOTALL)


@dataclass
class Line:
    """One test of the folder: its area, its sentence, how much it tried and how much of that went wrong."""

    area: str
    sentence: str
    tried: int = 0
    failed: int = 0
    skipped: int = 0


def sentence(test: str) -> str:
    """Return a test's name as the sentence it is."""
    return test.removeprefix("test_").replace("_", " ").capitalize()


def digest(data: bytes) -> str:
    """Return the name that an input is kept under."""
    return hashlib.sha256(data).hexdigest()[:12]


def read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def keep(lines: Mapping[str, Line]) -> None:
    """Put what was tried now in the place of what is known of the same tests."""
    known = {**read(FAULTS), **{name: asdict(line) for name, line in lines.items() if line.tried or line.skipped}}
    write_json(FAULTS, dict(sorted(known.items())))


def faults_table() -> str:
    lines = [Line(**entry) for entry in read(FAULTS).values()]
    rows = ["| what was tried | times | broken or lost |", "| --- | ---: | ---: |"]
    for area in sorted({line.area for line in lines}):
        rows.append(f"| **{area}** | | |")
        for line in lines:
            if line.area == area:
                lost = "not run" if not line.tried else str(line.failed) if line.failed else "nothing"
                rows.append(f"| {line.sentence} | {line.tried:,} | {lost} |")
    rows.append(
        f"| **all** | **{sum(line.tried for line in lines):,}** | **{sum(line.failed for line in lines) or 'nothing'}** |"
    )
    return "\n".join(rows)


def fuzz_table() -> str:
    """Return what the fuzzer tried, a line a reader."""
    rows = ["| reader | inputs | seconds | files kept |", "| --- | ---: | ---: | ---: |"]
    known = read(FUZZ)
    for name, entry in sorted(known.items()):
        rows.append(f"| {name} | {entry['inputs']:,} | {entry['seconds']:,} | {entry['kept']:,} |")
    rows.append(
        f"| **all** | **{sum(e['inputs'] for e in known.values()):,}** | **{sum(e['seconds'] for e in known.values()):,}** | **{sum(e['kept'] for e in known.values()):,}** |"
    )
    return "\n".join(rows)


TABLES = {"faults": faults_table, "fuzz": fuzz_table}


def write() -> None:
    """Put the tables between their marks."""
    text = PAGE.read_text(encoding="utf-8")
    filled = MARK.sub(lambda m: f"{m[1]}{TABLES[m['name']]()}\n{m[3]}", text)
    with atomic_text(PAGE) as file:
        file.write(filled)


if __name__ == "__main__":
    write()
