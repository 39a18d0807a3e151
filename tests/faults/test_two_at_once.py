"""Two processes do the same at the same time: one works, the other waits, finds it done or says who is at it; never a mixture."""

from __future__ import annotations

import dataclasses
import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.faults.harness import NAP, Trial, litter
from tests.faults.stages import NAMES

AREA = "Two at once"

POINTS = int(os.environ.get("EXPANDR_FAULT_POINTS", "4"))


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.jvm if "Lucene" in n else ()) for n in NAMES])
def test_two_processes_that_make_the_same_leave_what_one_alone_leaves(trials, second_server, name, record_property):
    trial = trials(name)
    points = trial.points(POINTS)
    assert all(trial.beside(second_server, at) for at in points)
    record_property("tried", len(points))


PAIRS = {
    "search": ("--fusion", "none"),
    "prefer": ("--min-margin", "0.4"),
    "encode over an old index": ("--factory", "SQ8"),
    "expand": ("--seed", 7),
}
"""Options with which a stage leaves something else at the same place."""


@pytest.mark.parametrize("name", PAIRS)
def test_two_processes_that_write_different_things_to_one_place_leave_one_of_them_whole(
    trials, fork_server, second_server, all_stages, tmp_path, name, record_property
):
    one = trials(name)
    (tmp_path / "other").mkdir()
    other = Trial(
        fork_server, dataclasses.replace(one.stage, arguments=(*one.stage.arguments, *PAIRS[name])), tmp_path / "other"
    )
    points = one.points(POINTS)
    for at in points:
        root = one.fresh()
        with ThreadPoolExecutor(2) as pool:
            ended = [pool.submit(one.run, root, at, NAP), pool.submit(other.run, root, server=second_server)]
        assert {e.result().code for e in ended} == {0}, [e.result().err for e in ended]
        assert one.finals(root) in (one.after, other.after), at
        assert litter(root) == [], at
    record_property("tried", len(points))
