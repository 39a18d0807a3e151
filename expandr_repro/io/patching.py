"""Set attributes of other libraries for a while, and restore them."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

_ABSENT = object()
_LOCK = threading.Lock()
_HELD: dict[tuple[int, str], tuple[int, object]] = {}
"""(object, attribute) -> how many are inside, and what was there before the first."""


@contextmanager
def patched(places: Sequence[tuple[Any, str, object]]) -> Iterator[None]:
    """Set attributes of modules or classes; the last of several threads that leaves puts back what the first one found.

    Args:
        places: object, attribute, value. Threads that are inside together set the same values.
    """
    with _LOCK:
        for owner, name, value in places:
            inside, before = _HELD.get((id(owner), name), (0, vars(owner).get(name, _ABSENT)))
            _HELD[id(owner), name] = inside + 1, before
            setattr(owner, name, value)
    try:
        yield
    finally:
        with _LOCK:
            for owner, name, _ in reversed(places):
                inside, before = _HELD.pop((id(owner), name))
                if inside > 1:
                    _HELD[id(owner), name] = inside - 1, before
                elif before is _ABSENT:
                    delattr(owner, name)
                else:
                    setattr(owner, name, before)
