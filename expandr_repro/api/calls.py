"""Check keyword arguments of the API, and word errors in keywords in place of options."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from expandr_repro.console.options import declared
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


def takes(shape: type, *names: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Make a function's `**options` some of a command's: its signature and its docstring have their types, defaults and help.

    Args:
        shape: the dataclass of the options, which the function makes with `with_options`.
        names: of those that it takes.
    """
    options = {o.path[-1]: o for o in declared(shape)}
    chosen = {name: options[name] for name in names}

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        whole = inspect.signature(function)
        own = [p for p in whole.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
        keywords = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=o.annotation, default=inspect.Parameter.empty if o.option.required else o.default)
            for name, o in chosen.items()
        ]  # fmt: skip
        listed = [f"{name}: {in_keywords(o.help)}" for name, o in chosen.items()]
        changed: Any = function
        changed.__signature__ = whole.replace(parameters=[*own, *keywords])
        # with the indentation of the line that they replace: Python 3.13 takes off what all lines of a docstring have in common
        changed.__doc__ = re.sub(r"^( +)\*\*options: .*$", lambda m: "\n".join(m[1] + one for one in listed), function.__doc__ or "", flags=re.MULTILINE)  # fmt: skip
        return function

    return decorate


def in_keywords(message: str) -> str:
    """Return a message with keywords in place of the options that it names.

    Example:
        >>> in_keywords("--max-length 9: too long; leave --expansions out")
        'max_length 9: too long; leave expansions out'
    """
    return _OPTION.sub(lambda match: match[1].replace("-", "_"), message)
