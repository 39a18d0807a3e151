"""What every function of the API has in common: unknown keywords are refused by name, and errors speak of keywords, not of options."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from expandr_repro.errors import ExpandrError, UnknownNameError

P = ParamSpec("P")
R = TypeVar("R")

_OPTION = re.compile(r"(?<![\w-])--([a-z][a-z0-9]*(?:-[a-z0-9]+)*)")


def api(function: Callable[P, R]) -> Callable[P, R]:
    """Make a function refuse keywords that it does not have, and name keywords where an error names options of the command line.

    Raises:
        UnknownNameError: no such keyword; offers the nearest.
    """
    known = [name for name in inspect.signature(function).parameters if name != "self"]

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        for name in kwargs:
            if name not in known:
                raise UnknownNameError(f"keyword of {function.__qualname__.removesuffix('.__init__')}", name, known)
        try:
            return function(*args, **kwargs)
        except ExpandrError as error:
            error.args = tuple(in_keywords(a) if isinstance(a, str) else a for a in error.args)
            raise

    return call


def in_keywords(message: str) -> str:
    """Return a message with keywords in place of the options that it names.

    Example:
        >>> in_keywords("--max-length 9: too long; leave --expansions out")
        'max_length 9: too long; leave expansions out'
    """
    return _OPTION.sub(lambda found: found[1].replace("-", "_"), message)
