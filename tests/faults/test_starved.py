"""No room, no memory, no network, nothing that may be written to: one line, exit code 2, and nothing damaged."""

from __future__ import annotations

import errno
import os
import signal

import pytest

from tests.faults.harness import MOVE
from tests.faults.stages import NAMES

AREA = "Starved"

POINTS = int(os.environ.get("EXPANDR_FAULT_POINTS", "4"))

ALL = [pytest.param(n, marks=pytest.mark.jvm if "Lucene" in n else ()) for n in NAMES]

CACHED = ["encode", "prefer", "search", "search that builds its index", "train_encoder"]
"""Those that keep something in the cache."""


def starve(trial, fault, record_property):
    ended = [trial.starve(at, fault) for at in trial.points(POINTS)]
    assert any(ended)
    record_property("tried", len(ended))


@pytest.mark.parametrize("name", ALL)
def test_a_disk_that_fills_up_is_one_line_and_damages_nothing(trials, name, record_property):
    starve(trials(name), errno.ENOSPC, record_property)


@pytest.mark.parametrize("name", ALL)
def test_a_disk_that_fails_is_one_line_and_damages_nothing(trials, name, record_property):
    starve(trials(name), errno.EIO, record_property)


def starve_cache(trial, fault, record_property):
    points = trial.points(POINTS, "cache")
    for at in points:
        trial.starve(at, fault, "cache")
    record_property("tried", len(points))


@pytest.mark.parametrize("name", CACHED)
def test_a_cache_that_may_only_be_read_is_done_without_or_named(trials, name, record_property):
    starve_cache(trials(name), errno.EROFS, record_property)


@pytest.mark.parametrize("name", CACHED)
def test_a_cache_that_is_deleted_under_a_command_is_made_again_or_named(trials, name, record_property):
    starve_cache(trials(name), MOVE, record_property)


@pytest.mark.parametrize("name", ["encode", "encode to HNSW", "prefer", "search", "train_encoder", "train_generator"])
def test_memory_that_does_not_suffice_damages_nothing_and_is_one_line_where_a_library_does_not_abort(
    trials, name, record_property
):
    """tokenizers and the C++ library end the process by themselves, oneDNN's generator of code crashes it; the kernel ends it, where
    memory is promised that is not there."""
    trial = trials(name)
    amounts = (4, 16, 64)
    for megabytes in amounts:
        root = trial.fresh()
        ended = trial.run(root, megabytes=megabytes)
        trial.check_whole(root, megabytes)
        assert ended.code in (0, 2), (megabytes, ended.err)
        assert ended.code or ended.signal in (0, signal.SIGABRT, signal.SIGSEGV), (megabytes, ended)
        assert ended.code != 2 or ended.error
        assert trial.run(root).code == 0
        assert trial.finals(root) == trial.after
    record_property("tried", len(amounts))
