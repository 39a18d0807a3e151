"""Compare scores with their pins: OK, OK within tolerance, FAIL, SKIP, NOT PINNED or RECORDED."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from expandr_repro.regress.conditions.shapes import Pin

Verdict = Literal["OK", "OK within tolerance", "FAIL", "SKIP", "NOT PINNED", "RECORDED"]

DIGITS = 4
"""Decimals of a pinned value; scores are compared as they are printed."""


@dataclass(frozen=True)
class Finding:
    """One metric: what is pinned, what was measured, and the verdict."""

    metric: str
    pinned: float | None
    measured: float
    tolerance: float
    verdict: Verdict

    @property
    def difference(self) -> float | None:
        """Measured less pinned, at four decimals."""
        return None if self.pinned is None else round(round(self.measured, DIGITS) - self.pinned, DIGITS)

    def __str__(self) -> str:
        """Return the line that names metric, both values, difference and tolerance."""
        if self.pinned is None:
            return f"{self.metric}: no value pinned, measured {self.measured:.4f}; --record writes it"
        return (
            f"{self.metric}: pinned {self.pinned:.4f}, measured {self.measured:.4f} "
            f"({self.difference:+.4f}, tolerance {self.tolerance:g})"
        )


@dataclass
class Result:
    """What came of one condition.

    Attributes:
        name: the condition's.
        file: its YAML file.
        verdict: the whole one: FAIL if anything failed.
        findings: of each pinned metric; empty where it did not come so far.
        reasons: why it failed or was skipped, each one line that names the file.
        seconds: wall time.
        reused: whether the run was there already, right and complete.
        parts: where the run's models saw topics in training: `seen` and `unseen` (of a group after the member's name) -> metric -> score,
            and `topics`, their number.
    """

    name: str
    file: str
    verdict: Verdict
    findings: list[Finding] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    seconds: float = 0.0
    reused: bool = False
    parts: dict[str, dict[str, float]] = field(default_factory=dict)

    def told(self) -> list[str]:
        """Return a line for each part."""
        return [
            f"{part}: {scores.get('topics', 0):.0f} topics"
            + "".join(f", {m} {v:.4f}" for m, v in scores.items() if m != "topics")
            for part, scores in self.parts.items()
        ]


def judge(metric: str, pin: Pin, measured: float) -> Finding:
    """Compare one score with its pin, both ways.

    Equal at four decimals is OK; so is a difference up to the tolerance, and is reported as such.
    """
    if pin.value is None:
        return Finding(metric, None, measured, pin.tolerance, "NOT PINNED")
    off = abs(round(measured, DIGITS) - pin.value)
    slack = 0.5 * 10**-DIGITS * 1e-3  # binary fractions: 0.7923 - 0.7922 is not 0.0001
    same = f"{measured:.{DIGITS}f}" == f"{pin.value:.{DIGITS}f}"
    verdict: Verdict = "OK" if same else "OK within tolerance" if off <= pin.tolerance + slack else "FAIL"
    return Finding(metric, pin.value, measured, pin.tolerance, verdict)


def judge_all(pins: Mapping[str, Pin], measured: Mapping[str, float]) -> tuple[list[Finding], list[str]]:
    """Compare all pinned metrics, or show all measured ones where nothing is pinned.

    Returns:
        The findings, and the pinned metrics that were not measured.
    """
    if not pins:
        pins = dict.fromkeys(measured, Pin(None))
    findings = [judge(metric, pin, measured[metric]) for metric, pin in pins.items() if metric in measured]
    return findings, [metric for metric in pins if metric not in measured]


def whole(findings: Sequence[Finding], faults: Sequence[str]) -> Verdict:
    """Return the verdict on a condition that ran.

    Args:
        findings: of its metrics.
        faults: whatever else is wrong.
    """
    verdicts = {f.verdict for f in findings}
    if faults or "FAIL" in verdicts:
        return "FAIL"
    if not findings or "NOT PINNED" in verdicts:
        return "NOT PINNED"
    return "OK within tolerance" if "OK within tolerance" in verdicts else "OK"
