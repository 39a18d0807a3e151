"""Show progress of what takes longer than two seconds: a bar on a terminal or in a notebook, a line per minute in logs."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any, Protocol

from expandr_repro.console.terminal import one_line

DELAY = 2.0
"""Seconds: what is over sooner shows no progress."""

FIRST, EVERY = 10.0, 60.0
"""Seconds to the first line, and from one to the next, where standard error is not a terminal."""

_quiet = False


class Bar(Protocol):
    """What the stages need of a progress bar."""

    def update(self, n: float | None = 1) -> object:
        """Continue by n."""


def set_quiet(quiet: bool) -> None:
    """Set whether progress is hidden (the commands' --quiet)."""
    global _quiet
    _quiet = quiet


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: "1 topic", "2 topics"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def in_notebook() -> bool:
    """Return whether a notebook's kernel runs this code."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return type(shell).__name__ == "ZMQInteractiveShell"


@contextlib.contextmanager
def progress(total: int | None, what: str, unit: str) -> Iterator[Bar]:
    """Show a bar after two seconds on a terminal or in a notebook; where standard error is neither, a line a minute and one at the end."""
    notebook = in_notebook()
    if _quiet or notebook or sys.stderr.isatty():
        if notebook:
            from tqdm.auto import tqdm
        else:
            from tqdm import tqdm

        with tqdm(
            total=total, desc=one_line(what), unit=f" {unit}", delay=DELAY, disable=_quiet, dynamic_ncols=True
        ) as bar:
            yield bar
        return
    lines = _Lines(total, one_line(what), unit)
    try:
        yield lines
    finally:
        lines.close()


class _Lines:
    """Progress for logs: plain lines from a thread of its own, since the work may say nothing for minutes."""

    disable = False

    def __init__(self, total: int | None, what: str, unit: str) -> None:
        self._total, self._what, self._unit = total, what, unit
        self._done, self._more, self._shown = 0.0, "", 0.0
        self._start = time.monotonic()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def update(self, n: float | None = 1) -> None:
        """Continue by n."""
        self._done += n or 0

    def set_postfix_str(self, text: str, refresh: bool = False) -> None:
        """Set what a line says besides."""
        self._more = text

    def _run(self) -> None:
        wait = FIRST
        while not self._over.wait(wait):
            self._print("")
            wait = EVERY

    def close(self) -> None:
        """Print the line at the end, where there was time to look at the clock."""
        self._over.set()
        self._thread.join()
        if time.monotonic() - self._start >= DELAY:
            self._print(" in all")

    def _print(self, end: str) -> None:
        seconds = time.monotonic() - self._start
        done, total = int(self._done), self._total
        if not total or (end and done >= total):
            parts = [f"{done:,} {self._units(done)}"]
        else:
            parts = [f"{done:,} of {total:,} {self._units(total)} ({done / total:.0%})"]
        parts += [self._more] * bool(self._more) + [f"{_clock(seconds)}{end}"]
        if not end and total and 0 < done < total:
            parts.append(f"about {_clock(seconds / done * (total - done))} left")
        with contextlib.suppress(OSError, ValueError):  # whoever read standard error has gone
            print(f"progress: {self._what}: {', '.join(parts)}", file=sys.stderr, flush=True)

    def _units(self, number: int) -> str:
        return self._unit.removesuffix("s") if number == 1 else self._unit


def _clock(seconds: float) -> str:
    """Return a time as hours, minutes and seconds: 0:07, 12:05, 3:00:00."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class TextBar:
    """A bar over generated texts: how many, how many topics are done, tokens, tokens per second, time left.

    Args:
        bar: of tqdm.
        samples: texts per topic.
    """

    def __init__(self, bar: Any, samples: int) -> None:
        self._bar, self._samples = bar, samples
        self._open: dict[str, int] = {}
        self._topics = self._tokens = 0
        self._start = time.monotonic()

    def text_done(self, qid: str, tokens: int = 0) -> None:
        """Continue by one text of a topic, with as many generated tokens."""
        left = self._open.pop(qid, self._samples) - 1
        if left:
            self._open[qid] = left
        else:
            self._topics += 1
        self._tokens += tokens
        if not self._bar.disable:
            rate = self._tokens / max(0.001, time.monotonic() - self._start)
            message = f"{counted(self._topics, 'topic')}, {counted(self._tokens, 'token')}, {rate:,.0f}/s"
            self._bar.set_postfix_str(message, refresh=False)
            self._bar.update()


@contextlib.contextmanager
def text_progress(topics: int, samples: int) -> Iterator[TextBar]:
    """Show a bar over the texts of topics."""
    with progress(topics * samples, "expand", "texts") as bar:
        yield TextBar(bar, samples)
