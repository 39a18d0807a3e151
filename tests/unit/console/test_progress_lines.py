"""Progress where standard error is not a terminal: a line now and then, and one at the end."""

from __future__ import annotations

import re
import sys
import time

import pytest

from expandr_repro.console import progress as module
from expandr_repro.console.progress import TextBar, counted, progress, set_quiet


@pytest.fixture(autouse=True)
def _loud():
    """Undo what a quiet command of an earlier test set."""
    set_quiet(False)


@pytest.fixture
def fast(monkeypatch):
    """Let a second pass in a hundredth of one."""
    monkeypatch.setattr(module, "DELAY", 0.02)
    monkeypatch.setattr(module, "FIRST", 0.05)
    monkeypatch.setattr(module, "EVERY", 0.1)


def lines(capsys):
    return capsys.readouterr().err.splitlines()


def test_what_is_over_at_once_prints_nothing(capsys):
    with progress(3, "encode", "docs") as bar:
        bar.update(3)

    assert lines(capsys) == []


def test_work_that_says_nothing_for_long_still_has_its_lines_and_an_end(capsys, fast):
    with progress(4, "encode", "docs") as bar:
        bar.update()
        time.sleep(0.3)
        bar.update(3)
        shown = lines(capsys)

    assert len(shown) >= 2
    assert all(re.fullmatch(r"progress: encode: 1 of 4 docs \(25%\), 0:00, about 0:0[01] left", line) for line in shown)
    assert lines(capsys) == ["progress: encode: 4 docs, 0:00 in all"]


def test_lines_without_a_total_and_of_one_thing_are_good_english(capsys, fast):
    with progress(None, "search", "topics") as bar:
        bar.update()
        time.sleep(0.03)

    assert lines(capsys) == ["progress: search: 1 topic, 0:00 in all"]


def test_work_that_breaks_off_says_how_far_it_came(capsys, fast):
    def broken():
        with progress(4, "encode", "docs") as bar:
            bar.update()
            time.sleep(0.03)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        broken()

    assert lines(capsys) == ["progress: encode: 1 of 4 docs (25%), 0:00 in all"]


def test_texts_say_how_many_topics_and_tokens(capsys, fast):
    with progress(2, "expand", "texts") as bar:
        TextBar(bar, 1).text_done("q1", 700)
        time.sleep(0.03)

    assert re.fullmatch(
        r"progress: expand: 1 of 2 texts \(50%\), 1 topic, 700 tokens, [\d,]+/s, 0:00 in all", lines(capsys)[0]
    )


def test_quiet_prints_nothing(capsys, fast):
    set_quiet(True)
    try:
        with progress(4, "encode", "docs") as bar:
            bar.update()
            time.sleep(0.1)
    finally:
        set_quiet(False)

    assert lines(capsys) == []


def test_a_terminal_has_a_bar_and_no_lines(capsys, fast, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with progress(2, "encode", "docs") as bar:
        time.sleep(0.1)
        bar.update(2)

    shown = capsys.readouterr().err
    assert "progress:" not in shown
    assert "2/2" in shown


def test_a_reader_that_has_gone_harms_nothing(fast, monkeypatch):
    class Gone:
        def isatty(self):
            return False

        def write(self, text):
            raise BrokenPipeError

        def flush(self):
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stderr", Gone())
    with progress(2, "encode", "docs"):
        time.sleep(0.1)


def test_numbers_and_nouns_agree():
    assert [counted(n, "topic") for n in (0, 1, 2, 1200)] == ["0 topics", "1 topic", "2 topics", "1,200 topics"]


def test_hours_are_written_as_such():
    assert [module._clock(s) for s in (7, 725, 10800)] == ["0:07", "12:05", "3:00:00"]
