"""Options declared once, as fields of a frozen dataclass, from which the command line, the Python API and the help read them."""

from __future__ import annotations

import argparse
import dataclasses
import functools
import math
import re
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import Any, Union

from expandr_repro.errors import ExpandrError
from expandr_repro.registry import Within

EMPTY = "is empty; give a value, or leave it out"

KEY = "option"
"""Where a field's metadata has its `Option`, or the `Included` of a dataclass of options."""


@dataclass(frozen=True)
class When:
    """When an option applies; given by hand where it would change nothing, it is refused.

    Attributes:
        condition: completes "applies only ...", for the error.
        holds: tells from the options whether it is so; true where that is not known yet.
        otherwise: what the error says after the option, in place of `condition`.
    """

    condition: str
    holds: Callable[[Any], bool]
    otherwise: Callable[[Any], str] | None = None


@dataclass(frozen=True)
class Option:
    """What a field is on the command line; see `option`."""

    help: str
    flags: tuple[str, ...]
    metavar: str | None
    choices: tuple[Any, ...] | None
    group: str | None
    one_of: str | None
    parse: Callable[[str], Any] | None
    again: bool
    argument: bool
    required: bool
    applies: tuple[When, ...]


@dataclass(frozen=True)
class Included:
    """That a field holds other options; see `included`."""

    shape: type
    group: str | None
    applies: Callable[[str], Sequence[When]]


def option(
    default: Any = MISSING,
    *flags: str,
    help: str = "",  # noqa: A002 - argparse's word
    metavar: str | None = None,
    choices: Iterable[Any] | None = None,
    group: str | None = None,
    one_of: str | None = None,
    parse: Callable[[str], Any] | None = None,
    again: bool = False,
    argument: bool = False,
    required: bool = False,
    applies: When | Sequence[When] = (),
) -> Any:
    """Declare a field that is an option.

    Args:
        default: its value where it is not given; without one it must be.
        flags: as typed; the field's name with hyphens where there are none.
        help: a phrase; the default is added to it, or is in it as {default}, unless it says "(default" itself.
        metavar: what stands for the value in the help.
        choices: the valid values.
        group: title of the options that it is shown with.
        one_of: name of a set of options of which at most one may be given; one of them must be where the name ends in "!".
        parse: from text to the value; raises ValueError or ArgumentTypeError. Without one an empty text is refused; `str` leaves that to the command.
        again: of a tuple: the flag is repeated before each value, in place of several values after it.
        argument: it has no flag.
        required: on the command line, though Python has a default.
        applies: when it does; all of these must hold.
    """
    spec = Option(help, flags, metavar, tuple(choices) if choices is not None else None, group, one_of, parse, again, argument, required or default is MISSING, _tuple(applies))  # fmt: skip
    return dataclasses.field(default=default, metadata={KEY: spec})


def included(
    shape: type, group: str | None = None, applies: When | Sequence[When] | Callable[[str], Sequence[When]] = ()
) -> Any:
    """Declare a field that contains a dataclass of options, which are options of this one too.

    Args:
        shape: the dataclass.
        group: for those of its options that name none.
        applies: when all of them do, or from the name of one to when it does; asked before what they say themselves.
    """
    asked = applies if callable(applies) else lambda _: _tuple(applies)
    return dataclasses.field(default_factory=shape, metadata={KEY: Included(shape, group, asked)})


def _tuple(applies: When | Sequence[When]) -> tuple[When, ...]:
    return (applies,) if isinstance(applies, When) else tuple(applies)


@dataclass(frozen=True)
class Declared:
    """An option of a dataclass, or of one that is included in it.

    Attributes:
        path: names of the fields that lead to it.
        kind: its type without None.
        optional: whether it may be None.
        default: `MISSING` where there is none.
        option: what it is on the command line.
        applies: when it does: the path of the options that decide it, and the condition.
    """

    path: tuple[str, ...]
    kind: Any
    optional: bool
    default: Any
    option: Option
    applies: tuple[tuple[tuple[str, ...], When], ...]

    @property
    def flags(self) -> tuple[str, ...]:
        """How it is typed."""
        if self.option.argument:
            return (self.path[-1],)
        return self.option.flags or ("--" + self.path[-1].replace("_", "-"),)

    @property
    def dest(self) -> str:
        """Its name in what argparse returns."""
        return next((f for f in self.flags if f[:2] == "--"), self.flags[0]).lstrip("-").replace("-", "_")

    @property
    def help(self) -> str:
        """What it is, with its default."""
        text = self.option.help.replace("{default}", str(self.default))
        nothing = self.default in (None, (), "", Path()) or isinstance(self.default, bool)
        return (
            text
            if self.option.required or nothing or "(default" in text
            else f"{text} (default: {self.default})".strip()
        )

    @property
    def annotation(self) -> str:
        """The type that Python may give, as it is written."""
        kind = self.kind.__name__ if isinstance(self.kind, type) else str(self.kind).replace("typing.", "")
        if self.option.choices is not None:
            kind = f"Literal[{', '.join(map(repr, self.option.choices))}]"
        elif typing.get_origin(self.kind) is tuple:
            inner = typing.get_args(self.kind)[0].__name__
            kind = f"{inner} | Sequence[{inner}]"
        elif self.kind is Path:
            kind = "str | Path"
        return f"{kind} | None" if self.optional else kind


def declared(shape: Any) -> tuple[Declared, ...]:
    """Return the options of a dataclass, in the order of declaration."""
    kinds, options = typing.get_type_hints(shape), []
    for field in dataclasses.fields(shape):
        spec = field.metadata.get(KEY)
        if isinstance(spec, Included):
            for one in declared(spec.shape):
                outer = [((), when) for when in spec.applies(one.path[-1])]
                inner = [((field.name, *path), when) for path, when in one.applies]
                grouped = dataclasses.replace(one.option, group=one.option.group or spec.group)
                options.append(dataclasses.replace(one, path=(field.name, *one.path), option=grouped, applies=(*outer, *inner)))  # fmt: skip
        elif spec:
            kind = kinds[field.name]
            rest = typing.get_args(kind) if typing.get_origin(kind) in (Union, types.UnionType) else (kind,)
            plain = next(k for k in rest if k is not type(None))
            options.append(Declared((field.name,), plain, len(rest) > 1, field.default, spec, tuple(((), when) for when in spec.applies)))  # fmt: skip
    return tuple(options)


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a command or a function is asked to do; its fields are options.

    Attributes:
        given: the options that were given by hand: the first spelling of each, and how it was typed.
    """

    given: Mapping[str, str] = dataclasses.field(default_factory=dict, repr=False, compare=False)

    def refuse_idle(self) -> None:
        """Refuse an option that was given by hand and does not apply, or has an empty text, as of a shell's variable that is not set.

        Raises:
            ExpandrError: an option does not apply; names it as it was typed, and when it applies.
        """
        for one in declared(type(self)):
            if (one.option.argument or one.flags[0] in self.given) and one.option.parse is None:
                value = functools.reduce(getattr, one.path, self)
                if "" in (value if isinstance(value, tuple) else (value,)):
                    name = self.given.get(one.flags[0], one.option.metavar)
                    raise ExpandrError(f"{name}: {EMPTY}")
            for path, when in one.applies if one.flags[0] in self.given else ():
                context = functools.reduce(getattr, path, self)
                if not when.holds(context):
                    why = (
                        when.otherwise(context) if when.otherwise else f": applies only {when.condition}; leave it out"
                    )
                    raise ExpandrError(self.given[one.flags[0]] + why)


def dry_run(group: str | None = None) -> Any:
    """Declare the option that shows what a command would do."""
    text = "print what would be read, fetched (from where, how large, with which checksum), built and run; do nothing"
    return option(False, group=group, help=text)


@dataclass(frozen=True)
class Bounded:
    """Parse a number within bounds (an argparse type); Python is held to the same bounds.

    Attributes:
        kind: int or float.
        bounds: that it keeps to.

    Example:
        >>> Bounded(float, Within(0, 1))("0.4")
        0.4
    """

    kind: type[int] | type[float]
    bounds: Within

    @property
    def __name__(self) -> str:
        """What argparse calls the type in its errors."""
        return "whole number" if self.kind is int else "number"

    def __call__(self, text: str) -> Any:
        """Return the number.

        Raises:
            ArgumentTypeError: it is outside the bounds.
        """
        value = self.kind(text)
        if value not in self.bounds:
            word = "not" if self.bounds.high == math.inf else "outside"
            raise argparse.ArgumentTypeError(f"{value} is {word} {self.bounds}")
        return value


positive = Bounded(int, Within(1))
natural = Bounded(int, Within(0))

UNITS = {"": 1, **{f"{p}B": 1000**n for n, p in enumerate(("", "k", "M", "G", "T"))}, **{f"{p}iB": 1024**n for n, p in enumerate("KMGT", 1)}}  # fmt: skip


def size(text: str) -> int:
    """Parse a number of bytes (an argparse type).

    Example:
        >>> size("2GiB"), size("500MB"), size("0.5 kB"), size("64")
        (2147483648, 500000000, 500, 64)
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?([kmgt]?i?b)?", text.strip(), re.ASCII | re.IGNORECASE)
    units = {unit.lower(): factor for unit, factor in UNITS.items()}
    value = float(match[1]) * units.get((match[2] or "").lower(), 0) if match else 0
    if not 1 <= value < 2**63:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size; wanted e.g. 2GiB, 500MB or a number of bytes")
    return int(value)


def to_path(text: str) -> Path:
    """Parse a path (an argparse type), which the empty text is none of: it would be the working folder."""
    if not text:
        raise argparse.ArgumentTypeError(EMPTY)
    return Path(text)
