"""Log what a training measures, one JSON object per line; a resumed run cuts the log back to its checkpoint.

No timestamps and no durations: a rerun writes the same bytes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from expandr_repro.errors import FormatError, shown
from expandr_repro.io.files import atomic_text, parse_object, read_lines


def read_metrics(path: str | Path) -> list[dict[str, Any]]:
    """Read the records of a log, in file order.

    Raises:
        FormatError: a line is not a JSON object, or has no whole number under `step`.
        NotAvailableError: the file cannot be read.
    """
    return [_record(path, number, line) for number, line in read_lines(path) if line.strip()]


def _record(path: str | Path, number: int, line: str) -> dict[str, Any]:
    record = parse_object(path, number, line)
    if not isinstance(record.get("step"), int) or isinstance(record["step"], bool):
        raise FormatError(path, number, f"`step` is {shown(record.get('step'))}; wanted a whole number")
    return record


class MetricsLog:
    """A log that records are added to.

    Args:
        path: the file; its folder is there.
        resume_step: the step a run goes on from: later records are dropped, and a last line that a killed process left
            unfinished; None starts a new one.

    Raises:
        FormatError: the log to go on with is damaged.
        SetupError: the place cannot be written.
    """

    def __init__(self, path: str | Path, resume_step: int | None = None) -> None:
        self.path = Path(path)
        kept = self._kept(resume_step) if resume_step is not None else []
        with atomic_text(self.path) as file:
            file.writelines(line + "\n" for line in kept)

    def _kept(self, resume_step: int) -> list[str]:
        """Return the lines up to a step, as they are."""
        if not self.path.is_file():
            return []
        whole = self.path.read_bytes().endswith(b"\n")
        lines = [(number, line) for number, line in read_lines(self.path) if line.strip()]
        done = lines if whole else lines[:-1]
        return [line for number, line in done if _record(self.path, number, line)["step"] <= resume_step]

    def write(self, step: int, values: Mapping[str, float | int | str]) -> None:
        """Add a record; it is in the file when this returns. JSON has no NaN and no infinity: both become null."""
        record = {"step": step} | {key: _finite(value) for key, value in values.items()}
        with self.path.open("a", encoding="utf-8", newline="\n") as file:
            file.write(json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n")


def _finite(value: float | int | str) -> float | int | str | None:
    return None if isinstance(value, float) and not math.isfinite(value) else value
