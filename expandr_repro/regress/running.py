"""Check conditions: needs, reference run, inputs, then the stages, then the scores; what fails is reported, and the rest goes on."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from expandr_repro.data.specs import members_of
from expandr_repro.errors import CheckFailedError, ExpandrError
from expandr_repro.io.outputs import RUN
from expandr_repro.regress import references, reuse
from expandr_repro.regress.conditions.shapes import Condition, Regression
from expandr_repro.regress.inputs import QRELS_HASH, Counted, count, differences
from expandr_repro.regress.needs import missing
from expandr_repro.regress.recording import record
from expandr_repro.regress.stages import Places, argv_of, figures_of, parts_of, run_stage
from expandr_repro.regress.verdicts import Result, judge_all, whole

log = logging.getLogger(__name__)


@dataclass
class Runner:
    """Checks conditions; safe to be used from several threads.

    Attributes:
        output: where runs, indexes and logs go.
        reference: where the reference runs lie.
        recording: write what is measured, in place of comparing it.
    """

    output: Path
    reference: Path
    recording: bool = False
    _built: set[Path] = field(default_factory=set)
    _locks: dict[Path, threading.Lock] = field(default_factory=dict)
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def check_all(self, conditions: Sequence[Condition], jobs: int = 1) -> Iterator[Result]:
        """Check conditions, `jobs` at a time; yield the results in the conditions' order."""
        if jobs == 1:
            yield from map(self.check, conditions)
            return
        with ThreadPoolExecutor(jobs) as pool:
            try:
                yield from pool.map(self.check, conditions)
            finally:
                pool.shutdown(wait=True, cancel_futures=True)

    def check(self, condition: Condition) -> Result:
        """Check one condition; nothing that is wrong with it is raised."""
        started = time.monotonic()
        result = Result(condition.name, str(condition.path), "FAIL")
        if condition.regression is None:
            result.reasons.append(condition.fault)
        else:
            try:
                self._check(condition, condition.regression, result)
            except (ExpandrError, OSError) as error:
                result.verdict = "FAIL"
                message = (
                    f"{error.filename}: {error.strerror}"
                    if isinstance(error, OSError) and error.filename
                    else str(error)
                )
                result.reasons.append(f"{condition.path}: {message}")
        result.seconds = time.monotonic() - started
        return result

    def _check(self, condition: Condition, regression: Regression, result: Result) -> None:
        lacking = missing(regression)
        if lacking:
            result.verdict = "SKIP"
            result.reasons += lacking
            return
        faults: list[str] = []
        if not self.recording:
            faults = references.faults(self.reference, regression, condition.name)
            result.reasons += [f"{condition.path}: {fault}" for fault in faults]
        counted = count(regression)
        if wrong := differences(regression, counted):
            if any(difference.startswith(QRELS_HASH) for difference in wrong):
                result.reasons.clear()  # other qrels, not the reference run, are why that scores otherwise
            mend = (
                "; nothing is recorded: correct it, or take a hash out of the file to have it recorded"
                if self.recording
                else ""
            )
            result.reasons += [f"{condition.path}: {difference}{mend}" for difference in wrong]
            return
        measured, runs = self._measure(condition, regression, counted, result)
        if self.recording:
            pins = record(condition, regression, counted, measured, runs, self.reference)
            result.findings, _ = judge_all(pins, measured)
            result.verdict = "RECORDED"
            return
        result.findings, lost = judge_all(regression.metrics, measured)
        problems = [f"{metric}: pinned, but stage evaluate prints no such score" for metric in lost]
        failing = {"FAIL"} if regression.tier == "manual" else {"FAIL", "NOT PINNED"}
        problems += [str(f) for f in result.findings if f.verdict in failing]
        result.reasons += [f"{condition.path}: {fault}" for fault in problems]
        result.verdict = whole(result.findings, faults + problems)

    def _measure(
        self, condition: Condition, regression: Regression, counted: Counted, result: Result
    ) -> tuple[dict[str, float], list[Path]]:
        """Run the stages, for a group those of each member; return the (mean) scores and the runs."""
        measured, runs, reused = [], [], []
        for member in members_of(regression.collection.name) or [""]:
            places = Places.of(condition, regression, self.output, member)
            places.run.parent.mkdir(parents=True, exist_ok=True)
            places.log.unlink(missing_ok=True)  # the last check's
            reused.append(self._search(condition, regression, counted, places))
            runs.append(places.run)
            printed = self._stage(condition, regression, places, "evaluate")
            measured.append(figures_of(printed))
            for part, scores in parts_of(printed).items():
                result.parts[f"{member} {part}".lstrip()] = scores
        result.reused = all(reused)
        shared = set.intersection(*map(set, measured))
        return {m: sum(f[m] for f in measured) / len(measured) for m in measured[0] if m in shared}, runs

    def _search(self, condition: Condition, regression: Regression, counted: Counted, places: Places) -> bool:
        """Make the run, unless the right one is there whole; say whether it was."""
        stages = dict(regression.stages.listed())
        if "expand" in stages:
            self._stage(condition, regression, places, "expand")
        if "index" in stages:
            self._index(condition, regression, places)
        key = reuse.key([*stages.values(), places.member], counted, places)
        if reuse.serves(places.run, key):
            log.info("%s: %s is there already, and right", condition.name, places.run)
            return True
        RUN.check(places.run)
        places.run.unlink(missing_ok=True)
        self._stage(condition, regression, places, "search")
        if not places.run.is_file():
            raise CheckFailedError(f"stage search: wrote no {places.run}")
        reuse.remember(places.run, key)
        return False

    def _index(self, condition: Condition, regression: Regression, places: Places) -> None:
        """Build an index, once for all conditions that share it; `encode` keeps one whose manifest says it is the right one."""
        with self._guard:
            lock = self._locks.setdefault(places.index, threading.Lock())
        with lock:
            if places.index not in self._built:
                self._stage(condition, regression, places, "index")
                self._built.add(places.index)

    def _stage(self, condition: Condition, regression: Regression, places: Places, stage: str) -> str:
        log.info("%s%s: %s", condition.name, f" {places.member}" if places.member else "", stage)
        argv = argv_of(dict(regression.stages.listed())[stage], places.variables)
        return run_stage(stage, argv, places.log)
