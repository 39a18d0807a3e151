"""Whole commands, each in a process of its own: wall time and peak memory."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from expandr_repro.errors import SetupError

ROOT = Path(__file__).resolve().parents[1]
LAUNCHER = Path(__file__).with_name("child.py")


@dataclass(frozen=True)
class Ended:
    """A command that has ended well.

    Attributes:
        seconds: wall time, from before its start to after its end.
        peak: its largest resident set in MiB, its own children's included where larger.
        out: its standard output.
        err: its standard error.
    """

    seconds: float
    peak: float
    out: str
    err: str


def python(words: Sequence[object], environment: Mapping[str, str] | None = None) -> Ended:
    """Run `python WORDS` (e.g. `-m expandr_repro.search --topics pocket`) and wait for it.

    Raises:
        SetupError: it ended with another exit code than 0.
    """
    variables = {**os.environ, **(environment or {})}
    variables["PYTHONPATH"] = os.pathsep.join(filter(None, (str(ROOT), variables.get("PYTHONPATH"))))
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report")
        command = [sys.executable, "-S", "-E", str(LAUNCHER), str(report), sys.executable, *map(str, words)]
        done = subprocess.run(command, capture_output=True, text=True, env=variables, check=False)
        if done.returncode:
            last = (done.stderr.strip() or done.stdout.strip() or "no word on why").splitlines()[-1]
            raise SetupError(f"python {' '.join(map(str, words[:2]))} ended with exit code {done.returncode}: {last}")
        seconds, peak = map(float, report.read_text(encoding="utf-8").split())
    return Ended(seconds, peak / 2**20, done.stdout, done.stderr)


def stock_environment() -> dict[str, str]:
    """Return the variables under which stock Pyserini finds a Java that works, as `doctor --env` prints them.

    Raises:
        SetupError: there is no Java new enough.
    """
    from expandr_repro.pyserini.java import find_java
    from expandr_repro.pyserini.jvm import environment, jar

    jar()
    return environment(find_java())
