from __future__ import annotations

import threading
import time

import pytest

from expandr_repro.indexes.in_background import in_background


def test_the_caller_goes_on_while_a_task_is_running():
    gate, order = threading.Event(), []

    def slow() -> None:
        assert gate.wait(5)
        order.append("task")

    with in_background() as later:
        later(slow)
        order.append("caller")
        gate.set()
    assert order == ["caller", "task"]


def test_no_more_tasks_than_may_wait_are_unfinished():
    gate, begun = threading.Event(), []
    handed = []

    def caller() -> None:
        with in_background(tasks=2) as later:
            for number in range(4):
                later(lambda n=number: (begun.append(n), gate.wait(5)))
                handed.append(number)

    thread = threading.Thread(target=caller)
    thread.start()
    time.sleep(0.1)
    assert handed == [0, 1]
    gate.set()
    thread.join(5)
    assert sorted(begun) == handed == [0, 1, 2, 3]


def test_what_a_task_raises_is_raised_when_a_later_one_is_given():
    def fail() -> None:
        raise OSError("disk full")

    handed = []

    def caller() -> None:
        with in_background(tasks=1) as later:
            for number in range(3):
                later(fail)
                handed.append(number)

    with pytest.raises(OSError, match="disk full"):
        caller()
    assert handed == [0]


def test_what_the_last_task_raises_is_raised_at_the_end():
    done = []

    def caller() -> None:
        with in_background() as later:
            later(lambda: [].pop())
            done.append("given")

    with pytest.raises(IndexError):
        caller()
    assert done == ["given"]


def test_a_caller_that_fails_waits_for_the_tasks_that_are_running():
    begun, gate, done = threading.Event(), threading.Event(), []

    def first() -> None:
        begun.set()
        assert gate.wait(5)
        done.append("first")

    def caller() -> None:
        with in_background() as later:
            later(first)
            assert begun.wait(5)
            threading.Timer(0.05, gate.set).start()
            raise ValueError("bad vector")

    with pytest.raises(ValueError, match="bad vector"):
        caller()
    assert done == ["first"]
