"""Run the stages of a condition: each command in a process of its own, with `$index`, `$run` and the like filled in."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template

from expandr_repro.console.redact import without_secrets
from expandr_repro.errors import CheckFailedError, SetupError
from expandr_repro.io.manifest import key_of
from expandr_repro.regress.conditions.shapes import ENVIRONMENT, Condition, Regression

SAID = 300
"""Characters of a failed command's own words that are shown."""


@dataclass(frozen=True)
class Places:
    """Where a condition's files go, for one member of a group or for the only collection."""

    index: Path
    run: Path
    expansions: Path
    member: str = ""

    @classmethod
    def of(cls, condition: Condition, regression: Regression, output: Path, member: str = "") -> Places:
        """Choose the places: conditions with the same index command share the index."""
        stem = output / condition.name / member if member else output / condition.name
        retriever = condition.name.split(".")[1]
        key = key_of({"command": regression.stages.index, "member": member})[:8]
        return cls(
            output / "indexes" / f"{_plain(member or regression.collection.name)}.{retriever}-{key}",
            stem.with_name(stem.name + ".trec"),
            stem.with_name(stem.name + ".expansions.jsonl"),
            member,
        )

    @property
    def log(self) -> Path:
        """Where what the commands say is kept."""
        return self.run.with_suffix(".log")

    @property
    def variables(self) -> dict[str, str]:
        """What the commands' variables stand for."""
        named = {"index": str(self.index), "run": str(self.run), "expansions": str(self.expansions)}
        return named | ({"member": self.member} if self.member else {})


def _plain(name: str) -> str:
    """Return a collection's name, which may be a path or anything else, as part of a file's name: it leads nowhere."""
    return re.sub(r"[^\w.-]+", "-", name, flags=re.ASCII).strip(".-")[:80] or "collection"


def substituted(text: str, variables: Mapping[str, str]) -> str:
    """Fill in variables, and those of the user's environment that a command may use.

    Raises:
        SetupError: one has no value.
    """
    try:
        return Template(text).substitute({n: os.environ[n] for n in ENVIRONMENT if n in os.environ} | dict(variables))
    except KeyError as error:
        name = error.args[0]
        fix = "only a group of collections has members" if name == "member" else "set it in the environment"
        raise SetupError(f"${name} has no value: {fix}") from error


def option_of(command: str, option: str) -> str:
    """Return what a command gives for an option; empty where it gives nothing."""
    parts = shlex.split(command)
    return parts[parts.index(option) + 1] if option in parts[:-1] else ""


def argv_of(command: str, variables: Mapping[str, str]) -> list[str]:
    """Return a command as a list of arguments; no shell sees it.

    `python` is this Python. An index folder is the runner's own: one that was made otherwise is replaced.
    """
    parts = [substituted(part, variables) for part in shlex.split(command)]
    if parts[:3] == ["python", "-m", "expandr_repro.encode"]:
        parts.append("--overwrite")
    return [sys.executable if parts[0] == "python" else parts[0], *parts[1:]]


def typed(argv: list[str]) -> str:
    """Return a command line as one would type it."""
    return shlex.join(["python" if argv[0] == sys.executable else argv[0], *argv[1:]])


def run_stage(stage: str, argv: list[str], log: Path) -> str:
    """Run a command, keep what it says in a log, and return what it printed.

    Raises:
        CheckFailedError: it could not be started, or failed.
    """
    try:
        done = subprocess.run(
            argv, capture_output=True, text=True, errors="replace", check=False, stdin=subprocess.DEVNULL
        )
    except OSError as error:
        raise CheckFailedError(f"stage {stage}: {argv[0]}: cannot be run ({error.strerror or error})") from error
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a", encoding="utf-8") as file:
        file.write(f"$ {without_secrets(typed(argv))}\n{done.stderr}{done.stdout}\n")
    if done.returncode:
        last_line = (done.stderr.strip() or done.stdout.strip() or "it printed nothing").splitlines()[-1]
        raise CheckFailedError(f"stage {stage}: exit code {done.returncode}: {last_line[:SAID]} (all of it: {log})")
    return done.stdout


def figures_of(stdout: str) -> dict[str, float]:
    """Return the scores that `evaluate --format json` printed for one run.

    Raises:
        CheckFailedError: it printed nothing, or something else.
    """
    if not stdout.strip():
        raise CheckFailedError("stage evaluate: printed nothing; wanted the scores of --format json")
    try:
        (record,) = json.loads(stdout)
        return {k: float(v) for k, v in record.items() if isinstance(v, float | int) and k not in ("topics", "missing")}
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        shown = " ".join(stdout.split())[:80]
        raise CheckFailedError(
            f"stage evaluate: printed {shown!r}; wanted the scores of one run as --format json gives them"
        ) from error


def parts_of(stdout: str) -> dict[str, dict[str, float]]:
    """Return what `evaluate --format json` printed of the topics that the run's models saw in training, and of the unseen ones; empty where none was seen."""
    (record,) = json.loads(stdout)
    by_part = {part: record.get(part) for part in ("seen", "unseen")}
    return {
        part: {k: float(v) for k, v in scores.items() if isinstance(v, float | int)}
        for part, scores in by_part.items()
        if isinstance(scores, dict)
    }
