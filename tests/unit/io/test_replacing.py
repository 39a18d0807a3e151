from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys

import pytest

from expandr_repro.io import replacing
from expandr_repro.io.files import atomic_bytes, atomic_folder, atomic_text
from expandr_repro.io.replacing import OWNER, clear_leftovers, guarded, replace_folder


@pytest.fixture
def dead():
    """The id of a process that is no more."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def names(folder):
    return sorted(p.name for p in folder.iterdir())


def test_what_a_dead_process_left_of_a_target_goes_and_nothing_else(tmp_path, dead):
    (tmp_path / f".run.{OWNER}-{dead}-0123abcd.tmp").touch()
    (tmp_path / f".run.{OWNER}-{dead}-0123abce.tmp").mkdir()
    (tmp_path / f".run.{OWNER}-{dead}-0123abce.tmp" / "index").touch()
    kept = [
        f".run.{OWNER}-{os.getpid()}-0123abcd.tmp",  # at work
        f".run.01234567-{dead}-0123abcd.tmp",  # of another machine on a shared disk
        f".run.trec.{OWNER}-{dead}-0123abcd.tmp",  # of another target
        ".run.tmp",
        "run",
    ]
    for name in kept:
        (tmp_path / name).touch()
    clear_leftovers(tmp_path / "run")
    assert names(tmp_path) == sorted(kept)


def test_each_kind_of_write_clears_what_was_left(tmp_path, dead):
    for write in (atomic_text, atomic_bytes, atomic_folder):
        left = tmp_path / f".{write.__name__}.{OWNER}-{dead}-0123abcd.tmp"
        left.touch()
        with write(tmp_path / write.__name__):
            pass
        assert not left.exists()


def test_a_target_in_no_folder_has_no_leftovers(tmp_path):
    clear_leftovers(tmp_path / "nowhere" / "run")


@pytest.mark.parametrize("can_exchange", [True, False])
def test_a_finished_folder_takes_the_place_of_an_older_one(tmp_path, monkeypatch, can_exchange):
    if not can_exchange:
        monkeypatch.setattr(replacing, "_exchange", lambda one, other: False)
    for name in ("new", "old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    replace_folder(tmp_path / "new", tmp_path / "old")
    assert names(tmp_path) == ["old"]
    assert names(tmp_path / "old") == ["new"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux exchanges names in one step")
def test_at_no_moment_is_neither_folder_there(tmp_path):
    (tmp_path / "old").mkdir()
    watching = multiprocessing.get_context("fork").Event()

    def watch(gone):
        watching.set()
        while watching.is_set():
            if not (tmp_path / "old").is_dir():
                gone.value = 1

    gone = multiprocessing.get_context("fork").Value("i", 0)
    process = multiprocessing.get_context("fork").Process(target=watch, args=(gone,))
    process.start()
    watching.wait(60)
    for n in range(300):
        new = tmp_path / f"new{n}"
        new.mkdir()
        replace_folder(new, tmp_path / "old")
    watching.clear()
    process.join(60)
    assert gone.value == 0


def test_what_cannot_be_exchanged_is_an_error_with_its_name(tmp_path):
    (tmp_path / "old").mkdir()
    with pytest.raises(OSError, match="No such file"):
        replace_folder(tmp_path / "nowhere", tmp_path / "old")


def test_what_speaks_of_a_file_goes_with_its_old_content_and_comes_with_the_new(tmp_path):
    target, other = tmp_path / "run", tmp_path / "manifest"
    target.write_text("old")
    other.write_text("of the old")
    seen = []

    def write():
        seen.append((target.read_text(), other.exists()))
        other.write_text("of the new")

    with atomic_text(target, about={other: write}) as file:
        file.write("new")
        assert other.read_text() == "of the old"
    assert seen == [("new", False)]
    assert other.read_text() == "of the new"


def test_a_write_that_fails_leaves_what_speaks_of_the_old_content(tmp_path):
    target, other = tmp_path / "run", tmp_path / "manifest"
    target.write_text("old")
    other.write_text("of the old")
    with pytest.raises(ZeroDivisionError), atomic_text(target, about={other: None}):
        1 / 0  # noqa: B018
    assert (target.read_text(), other.read_text()) == ("old", "of the old")


def test_a_guard_keeps_a_second_process_out_and_leaves_nothing(tmp_path):
    code = "import sys, pathlib as p; from expandr_repro.io.replacing import guarded\nwith guarded(p.Path(sys.argv[1])): print('in')"
    with guarded(tmp_path):
        process = subprocess.Popen([sys.executable, "-c", code, tmp_path], stdout=subprocess.PIPE)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1)
    assert process.communicate(timeout=60)[0] == b"in\n"
    assert names(tmp_path) == []


def test_a_folder_that_cannot_be_locked_is_no_reason_to_fail(tmp_path):
    with guarded(tmp_path / "nowhere"):
        pass
