"""Every command that writes is killed at many of its steps; what is there then is old or new, and the same command ends as if nothing had been."""

from __future__ import annotations

import os

import numpy as np
import pytest

from tests.faults.harness import KILL, TEAR
from tests.faults.stages import NAMES

AREA = "Killed at any moment"

POINTS = int(os.environ.get("EXPANDR_FAULT_POINTS", "20"))
"""Steps of each command; 9999 for all."""


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.jvm if "Lucene" in n else ()) for n in NAMES])
def test_a_killed_command_leaves_the_old_or_the_new_and_ends_the_same_when_it_runs_again(trials, name, record_property):
    trial = trials(name)
    points = trial.points(POINTS)
    for number, at in enumerate(points):
        trial.kill(at, TEAR if number % 2 else KILL)
    record_property("tried", len(points))


def test_an_encoding_that_was_killed_keeps_every_complete_chunk(trials, record_property):
    """The chunks that are there are marked; their marks are in the finished index, so none of them was encoded again."""
    trial = trials("encode")
    points = range(10, trial.steps, 12)
    seen = set()
    for at in points:
        root = trial.fresh()
        trial.run(root, at, KILL)
        whole = sorted(root.glob(".index.*.partial/chunk-*.npy"))
        for chunk in whole:
            np.save(chunk, np.zeros_like(np.load(chunk)))
        assert trial.run(root).code == 0
        vectors = np.fromfile(root / "index" / "index", dtype="<f4", offset=45).reshape(-1, 32)
        marked = (vectors == 0).all(axis=1)
        assert marked.tolist() == [row < 16 * len(whole) for row in range(len(vectors))], at
        seen.add(len(whole))
    assert len(seen) > 3
    record_property("tried", len(points))
