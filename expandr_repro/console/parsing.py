"""Make a parser of declared options, and the dataclass of a command line or of keyword arguments; and a command line of the dataclass.

Example:
    >>> from expandr_repro.console.options import When, option
    >>> @dataclasses.dataclass(frozen=True)
    ... class Search(Options):
    ...     fusion: str = option("mean", metavar="F", help="how texts become one search")
    ...     alpha: float | None = option(None, help="the query's weight", applies=When("with --fusion mean", lambda o: o.fusion == "mean"))
    >>> parser = argparse.ArgumentParser(allow_abbrev=False)
    >>> add_options(parser, Search)
    >>> words = ["--alpha", "0.5", "--fusion", "rrf"]
    >>> options = read_options(Search, parser.parse_args(words), given_options(parser, words))
    >>> options
    Search(fusion='rrf', alpha=0.5)
    >>> options.refuse_idle()
    Traceback (most recent call last):
    expandr_repro.errors.ExpandrError: --alpha: applies only with --fusion mean; leave it out
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import math
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING
from numbers import Integral, Real
from pathlib import Path
from typing import Any, TypeVar

from expandr_repro.console.options import KEY, Bounded, Declared, Included, Options, declared, to_path
from expandr_repro.errors import ExpandrError, UnknownNameError, shown

T = TypeVar("T", bound=Options)


def add_options(parser: argparse.ArgumentParser, shape: type) -> None:
    """Add the options of a dataclass to a parser, each to its group."""
    groups: dict[str, Any] = {group.title: group for group in parser._action_groups if group.title}
    titles = list(dict.fromkeys(one.option.group for one in declared(shape)))
    for one in sorted(declared(shape), key=lambda one: titles.index(one.option.group)):
        target: Any = parser
        if title := one.option.group:
            target = groups[title] = groups.get(title) or parser.add_argument_group(title)
        if name := one.option.one_of:
            target = groups[name] = groups.get(name) or target.add_mutually_exclusive_group(required=name[-1] == "!")
        settings = _settings(one)
        if not one.option.argument:
            settings |= {"dest": one.dest} | ({"required": True} if one.option.required else {})
        target.add_argument(*one.flags, help=one.help.replace("%", "%%"), **settings)


def _settings(one: Declared) -> dict[str, Any]:
    """Return what argparse needs of an option."""
    spec, kind = one.option, one.kind
    if kind is bool:
        action: Any = argparse.BooleanOptionalAction if one.optional else f"store_{str(not one.default).lower()}"
        return {"action": action, "default": one.default}
    settings: dict[str, Any] = {} if one.option.required else {"default": one.default}
    if typing.get_origin(kind) is tuple and not spec.parse:
        kind = typing.get_args(kind)[0]
        if not one.option.argument:
            settings |= {"action": "append"} if spec.again else {"nargs": "+", "action": "extend"}
        else:
            settings["nargs"] = "+" if one.option.required else "*"
        if not one.option.required:
            settings["default"] = None  # which argparse would add to
    if spec.choices is not None:
        settings["choices"] = spec.choices
    if spec.metavar:
        settings["metavar"] = spec.metavar
    if spec.parse or kind is not str:
        settings["type"] = spec.parse or (to_path if kind is Path else kind)
    return settings


def given_options(parser: argparse.ArgumentParser, words: Sequence[str]) -> dict[str, str]:
    """Return the options that a command line gives by hand: the first spelling of each, and the one that was typed.

    Args:
        parser: without abbreviations, so that a word is an option only where it is spelt in full.
        words: the command line, which the parser accepts.

    Example:
        >>> parser = argparse.ArgumentParser(allow_abbrev=False)
        >>> _ = parser.add_argument("--normalize", action=argparse.BooleanOptionalAction)
        >>> given_options(parser, ["--no-normalize"])
        {'--normalize': '--no-normalize'}
    """
    spelt = {option: action.option_strings[0] for action in parser._actions for option in action.option_strings}
    given: dict[str, str] = {}
    for word in words:
        if word == "--":
            break
        typed = word.partition("=")[0]
        if typed in spelt:
            given[spelt[typed]] = typed
    return given


def read_options(shape: type[T], args: argparse.Namespace, given: Mapping[str, str]) -> T:
    """Make the dataclass from a command line that a parser with its options has read; `given` is of `given_options`."""
    read = {o.path: getattr(args, o.dest) for o in declared(shape)}
    values = {path: tuple(v) if isinstance(v, list) else v for path, v in read.items() if v is not None}
    return dataclasses.replace(_build(shape, values), given=given)


def words_of(options: Options) -> list[str]:
    """Return the command line that gives the options which were given by hand.

    Example:
        >>> from expandr_repro.console.options import option
        >>> @dataclasses.dataclass(frozen=True)
        ... class Search(Options):
        ...     hits: int | None = option(None, help="documents per topic")
        >>> words_of(Search(hits=5, given={"--hits": "--hits"}))
        ['--hits', '5']
    """
    words: list[str] = []
    for one in declared(type(options)):
        flag = one.flags[0]
        value: Any = functools.reduce(getattr, one.path, options)
        if flag not in options.given:
            continue
        if one.kind is bool:
            words.append(options.given[flag] if options.given[flag][:2] == "--" else flag)
        elif typing.get_origin(one.kind) is tuple and not one.option.parse:
            words += [w for v in value for w in (flag, str(v))] if one.option.again else [flag, *map(str, value)]
        else:
            shown_value = ",".join(map(str, value)) if isinstance(value, tuple) else value
            words += [flag, json.dumps(value) if isinstance(value, Mapping) else str(shown_value)]
    return words


def with_options(shape: type[T], keywords: Mapping[str, Any], **known: Any) -> T:
    """Make the dataclass from keyword arguments of the Python API; those that are None are not given.

    Args:
        shape: the dataclass.
        keywords: name of an option, without the names of the fields that include it -> value.
        known: other fields of the dataclass, which are taken as they are.

    Raises:
        UnknownNameError: no option of that name, or none of its values; offers the nearest.
        ExpandrError: a value of another type, or none where there must be one.
    """
    options = {o.path[-1]: o for o in declared(shape)}
    if unknown := next((name for name in keywords if name not in options), None):
        raise UnknownNameError("keyword", unknown, options)
    given = {name: _checked(name, options[name], value) for name, value in keywords.items() if value is not None}
    for name, one in options.items():
        if one.default is MISSING and name not in given and one.path[0] not in known:
            raise ExpandrError(f"{name} is required: {one.help}")
    values: dict[tuple[str, ...], Any] = {options[name].path: value for name, value in given.items()}
    values |= {(name,): value for name, value in known.items()}
    return dataclasses.replace(_build(shape, values), given={options[name].flags[0]: name for name in given})


def _build(shape: type[T], values: Mapping[tuple[str, ...], Any], path: tuple[str, ...] = ()) -> T:
    arguments = {}
    for field in dataclasses.fields(shape):
        here = (*path, field.name)
        if here in values:
            arguments[field.name] = values[here]
        elif isinstance(inside := field.metadata.get(KEY), Included):
            arguments[field.name] = _build(inside.shape, values, here)
    return shape(**arguments)


def _checked(name: str, one: Declared, value: Any) -> Any:
    """Return a value from Python as the command line would have given it."""
    if typing.get_origin(one.kind) is tuple:
        values = value if isinstance(value, Sequence) and not isinstance(value, str) else (value,)
        kind = typing.get_args(one.kind)[0]
        return tuple(kind(_plain(name, kind, None, v)) for v in values)
    if one.option.choices is not None and value not in one.option.choices:
        raise UnknownNameError(name, str(value), map(str, one.option.choices))
    return _plain(name, one.kind, one.option.parse, value)


_ACCEPTED: dict[Any, tuple[Any, str]] = {
    bool: (bool, "True or False"), int: (Integral, "a whole number"), float: (Real, "a number"), str: (str | Path, "a string"),
    Path: (str | Path, "a path"), dict: (Mapping, "a dict of settings"),
}  # fmt: skip
"""Type of a field -> what may be given from Python, and what to call it."""


def _plain(name: str, kind: Any, parse: Callable[[str], Any] | None, value: Any) -> Any:
    kind = typing.get_origin(kind) or kind
    accepted, wanted = _ACCEPTED[kind]
    bounds = parse.bounds if isinstance(parse, Bounded) else None
    if bounds:
        wanted += f" from {bounds.low:g}" + (f" to {bounds.high:g}" if bounds.high < math.inf else "")
    if not isinstance(value, accepted) or isinstance(value, bool) != (kind is bool) or (bounds and value not in bounds):
        raise ExpandrError(f"{name} {shown(value)}: wanted {wanted}")
    return value if isinstance(value, int | float) else kind(value)
