"""Of many inputs the few small ones that reach all the code that all of them reach.

libFuzzer's own `-merge=1` starts itself anew and so cannot be had under Python; this does the same by tracing lines.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from types import FrameType
from typing import Any

from tests.faults.fuzz.targets import TARGETS

MOST = 6_000
"""Bytes kept of a target's inputs."""


def smallest(name: str, inputs: Iterable[bytes]) -> list[bytes]:
    """Return inputs, the small ones first, of which each reaches a step from line to line that none before it does."""
    seen: set[Any] = set()
    kept: list[bytes] = []
    size = 0
    for data in sorted(set(inputs), key=lambda d: (len(d), d)):
        steps = reached(name, data)
        if steps - seen and size + len(data) <= MOST:
            seen |= steps
            kept.append(data)
            size += len(data)
    return kept


def reached(name: str, data: bytes) -> set[Any]:
    """Return the steps from line to line that an input takes in this package."""
    steps: set[Any] = set()

    def lines(place: str) -> Any:
        before = 0

        def line(frame: FrameType, event: str, _: object) -> Any:
            nonlocal before
            if event == "line":
                steps.add((place, before, frame.f_lineno))
                before = frame.f_lineno
            return line

        return line

    def calls(frame: FrameType, _event: str, _arg: object) -> Any:
        place = frame.f_code.co_filename
        return lines(place) if "expandr_repro" in place and "/core/" in place else None

    sys.settrace(calls)
    try:
        TARGETS[name].read(data)
    except Exception as error:  # a finding; it is kept elsewhere
        steps.add((type(error).__name__,))
    finally:
        sys.settrace(None)
    return steps
