"""Silence the training libraries, unless --verbose is given."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

log = logging.getLogger(__name__)


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Silence the training libraries except for errors."""
    from transformers.utils import logging as noise

    if log.isEnabledFor(logging.DEBUG):
        yield
        return
    before, trl = noise.get_verbosity(), logging.getLogger("trl")
    level = trl.level
    noise.set_verbosity_error()
    trl.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        noise.set_verbosity(before)
        trl.setLevel(level)
