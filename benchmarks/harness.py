"""Measure several ways of doing one work: interleaved, in alternating order, and only where their results agree."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.processes import Ended, python, stock_environment
from benchmarks.results import Row
from expandr_repro.errors import CheckFailedError, SetupError

Check = Callable[[Mapping[str, Any]], Mapping[str, str]]
"""Takes what each side gave; returns what to say of each; raises `CheckFailedError` where one is wrong."""


class NotHereError(Exception):
    """A peer that this machine lacks, or that cannot do this work here; its row says so."""


@dataclass
class Side:
    """One way of doing the work.

    Attributes:
        name: whose, and with which settings.
        work: does it, and returns what is compared; an `Ended` brings its own time and peak memory.
        items: how much of the work it does.
        distinct: how many different texts that is, where it is texts.
        limit: the seconds the machine needs at its best for so much.
        before: what has to be done before each round, outside the time (an empty cache, say).
        figures: further columns of its row.
    """

    name: str
    work: Callable[[], Any]
    items: int = 1
    limit: float | None = None
    before: Callable[[], object] | None = None
    figures: dict[str, Any] = field(default_factory=dict)
    distinct: int | None = None


def nothing(results: Mapping[str, Any]) -> Mapping[str, str]:
    """Compare nothing: for parts of a work that give no result of their own."""
    return {}


def measure(sides: Sequence[Side], repeat: int, check: Check) -> list[Row]:
    """Do the work `repeat` times on every side; in every other round in the opposite order.

    The results of a round are compared before its times count.

    Raises:
        CheckFailedError: a side's result is not what it should be.
        ValueError: two sides have one name.
    """
    if len({side.name for side in sides}) < len(sides):
        raise ValueError("two sides of one name")
    rows = {
        side.name: Row(side.name, side.items, limit=side.limit, figures=dict(side.figures), distinct=side.distinct)
        for side in sides
    }
    for number in range(repeat):
        results: dict[str, Any] = {}
        times: dict[str, tuple[float, float | None]] = {}
        for side in sides if number % 2 == 0 else reversed(sides):
            if rows[side.name].note:
                continue
            try:
                results[side.name], seconds, peak = _once(side)
            except NotHereError as reason:
                rows[side.name].note = f"not here: {reason}"
                continue
            times[side.name] = (seconds, peak)
        said = check(results)
        for name, (seconds, peak) in times.items():
            rows[name].seconds.append(seconds)
            if peak is not None:
                rows[name].peak.append(peak)
        last = {name: note for name, note in said.items() if number == repeat - 1}
        for name, note in last.items():
            rows[name].note = note
    return list(rows.values())


def attempt(work: Callable[[], Any]) -> Any:
    """Do some work, and return what it gives.

    Raises:
        NotHereError: the device has too little memory; a result here, like another.
    """
    try:
        return work()
    except RuntimeError as error:
        if type(error).__name__ == "OutOfMemoryError":  # torch's, which need not be here
            raise NotHereError("out of the device's memory") from error
        raise


def _once(side: Side) -> tuple[Any, float, float | None]:
    if side.before:
        side.before()
    begin = time.perf_counter()
    result = attempt(side.work)
    seconds = time.perf_counter() - begin
    if isinstance(result, Ended):
        return result, result.seconds, result.peak
    return result, seconds, None


def peer(words: Sequence[object], java: bool = False) -> Ended:
    """Run a peer's command.

    Args:
        words: what follows `python`.
        java: whether it is one of Pyserini's, which look for a Java.

    Raises:
        NotHereError: it cannot be run here.
    """
    try:
        return python(words, stock_environment() if java else None)
    except SetupError as error:
        raise NotHereError(str(error)) from error


def wrong(name: str, what: str) -> CheckFailedError:
    """Return the error for a side whose result is not the others'."""
    return CheckFailedError(f"{name}: {what}; its time does not count")
