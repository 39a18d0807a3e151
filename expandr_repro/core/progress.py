"""A progress bar for whatever takes longer than two seconds; quiet when nobody is looking."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

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
    with tqdm(total=total, desc=what, unit=f" {unit}", delay=2, disable=off, dynamic_ncols=True) as bar:
        yield bar
