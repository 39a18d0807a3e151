"""Have files written while the next ones are made."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

TASKS = 4
"""Tasks, at most, that are not finished: what they hold stays in memory."""


@contextmanager
def in_background(tasks: int = TASKS) -> Iterator[Callable[[Callable[[], object]], None]]:
    """Run tasks in other threads, while the caller goes on; at its end all are finished.

    A file that must be on the disk before it counts takes tens of milliseconds on the disks of some virtual machines, in which a caller that hands out work
    would hand out none.

    Args:
        tasks: how many may be unfinished; a further one waits for the first of them.

    Yields:
        What takes a task. What a task raises is raised when a later one is given, or at the end.

    >>> done = []
    >>> with in_background() as later:
    ...     later(lambda: done.append("written"))
    >>> done
    ['written']
    """
    pending: deque[Future[object]] = deque()

    def later(task: Callable[[], object]) -> None:
        while len(pending) >= tasks:
            pending.popleft().result()
        pending.append(pool.submit(task))

    with ThreadPoolExecutor(tasks) as pool:  # a thread for each, so none waits to be begun
        yield later
        for task in pending:
            task.result()
