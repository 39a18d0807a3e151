"""A progress bar for whatever takes longer than two seconds; quiet when nobody is looking."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from expandr_repro.core.terminal import one_line

_quiet = False


class Bar(Protocol):
    """What the stages need of a progress bar."""

    def update(self, n: float | None = 1) -> object:
        """Go on by n."""


def set_quiet(quiet: bool) -> None:
    """Switch the bars off (the commands' --quiet)."""
    global _quiet
    _quiet = quiet


@contextmanager
def progress(total: int | None, what: str, unit: str) -> Iterator[Bar]:
    """Show a bar on standard error after two seconds, if that is a terminal."""
    from tqdm import tqdm

    off = _quiet or not sys.stderr.isatty()
    with tqdm(total=total, desc=one_line(what), unit=f" {unit}", delay=2, disable=off, dynamic_ncols=True) as bar:
        yield bar


class TextBar:
    """A bar over generated texts: how many, how many topics are done, tokens, tokens a second, time left.

    Args:
        bar: of tqdm.
        samples: texts a topic.
    """

    def __init__(self, bar: Any, samples: int) -> None:
        self._bar, self._samples = bar, samples
        self._open: dict[str, int] = {}
        self._topics = self._tokens = 0
        self._start = time.monotonic()

    def text_done(self, qid: str, tokens: int = 0) -> None:
        """Go on by one text of a topic, with as many generated tokens."""
        left = self._open.pop(qid, self._samples) - 1
        if left:
            self._open[qid] = left
        else:
            self._topics += 1
        self._tokens += tokens
        if not self._bar.disable:
            rate = self._tokens / max(0.001, time.monotonic() - self._start)
            self._bar.set_postfix_str(f"{self._topics} topics, {self._tokens:,} tokens, {rate:,.0f}/s", refresh=False)
            self._bar.update()


@contextmanager
def text_progress(topics: int, samples: int) -> Iterator[TextBar]:
    """Show a bar over the texts of topics."""
    with progress(topics * samples, "expand", "texts") as bar:
        yield TextBar(bar, samples)
