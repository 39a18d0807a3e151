"""Every command that writes is killed at many of its steps; what is there then is old or new, and the same command ends as if nothing had been."""

from __future__ import annotations

import os

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
