"""Collect a command's warnings for output that is read without standard error: JSON, and tables for papers."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator


class _Kept(logging.Handler):
    def __init__(self, kept: list[str]) -> None:
        super().__init__(logging.WARNING)
        self.kept = kept

    def emit(self, record: logging.LogRecord) -> None:
        self.kept.append(record.getMessage())


@contextlib.contextmanager
def warned() -> Iterator[list[str]]:
    """Collect the warnings logged inside the block, in their order; they are printed as well."""
    kept: list[str] = []
    handler = _Kept(kept)
    logger = logging.getLogger("expandr_repro")
    logger.addHandler(handler)
    try:
        yield kept
    finally:
        logger.removeHandler(handler)
