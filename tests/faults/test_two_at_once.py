"""Two processes do the same at the same time: one works, the other waits, finds it done or says who is at it; never a mixture."""

from __future__ import annotations

import os

import pytest

from tests.faults.stages import NAMES

AREA = "Two at once"

POINTS = int(os.environ.get("EXPANDR_FAULT_POINTS", "8"))


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.jvm if "Lucene" in n else ()) for n in NAMES])
def test_two_processes_that_make_the_same_leave_what_one_alone_leaves(trials, second_server, name, record_property):
    trial = trials(name)
    points = trial.points(POINTS)
    assert all(trial.beside(second_server, at) for at in points)
    record_property("tried", len(points))
