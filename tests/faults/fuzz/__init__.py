"""Fuzzing of the readers: targets.py says what, `python -m tests.faults.fuzz` does it, corpus/ and findings/ are what came of it."""

from __future__ import annotations

from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"
FINDINGS = Path(__file__).parent / "findings"


def folder(top: Path, name: str) -> Path:
    """Return a target's folder."""
    return top / name.replace(" ", "-")
