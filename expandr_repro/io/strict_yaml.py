"""YAML read safely into frozen dataclasses: unknown keys, missing keys and wrong types are errors that name the place."""

from __future__ import annotations

import dataclasses
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from expandr_repro.errors import ExpandrError, FormatError, nearest, shown
from expandr_repro.io.files import is_surrogate_free, read_text
from expandr_repro.registry import Within

T = TypeVar("T")

Count = Annotated[int, Within(1)]
FromZero = Annotated[int, Within(0)]
Positive = Annotated[float, Within(above=0)]

MAX_YAML = 256 * 1024
"""Longest YAML file read, in bytes, and most that one may come to with its aliases written out."""

MAX_NUMBER = 2**63
"""No whole number in a settings file is as large; one of a million digits would be slow to show, and no float."""


def build(cls: type[T], values: object, path: str | Path, where: str) -> T:
    """Make a dataclass of parsed YAML, checking keys, types and the bounds of numbers (`Annotated[int, Within(1)]`).

    Raises:
        FormatError: an unknown or missing key, a value of the wrong type or size, or one that the dataclass refuses.
    """
    if not isinstance(values, dict):
        raise FormatError(path, None, f"{where}: wanted keys and values, found {shown(values)}")
    hints = get_type_hints(cls, include_extras=True)
    fields = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    ready: dict[str, Any] = {}
    for key, value in values.items():
        if key not in fields:
            close = nearest(key, fields) if isinstance(key, str) else None
            raise FormatError(
                path,
                None,
                f"{where}: unknown key {shown(key)}; {f'did you mean {close!r}?' if close else 'known: ' + ', '.join(fields)}",
            )
        ready[key] = _checked(hints[key], value, path, f"{where}.{key}")
    missing = [
        n
        for n, f in fields.items()
        if n not in ready and f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise FormatError(path, None, f"{where}: the key {missing[0]!r} is missing")
    try:
        return cls(**ready)
    except ExpandrError as error:
        raise FormatError(path, None, f"{where}: {error}") from error


def _checked(hint: Any, value: Any, path: str | Path, where: str) -> Any:
    origin, args = get_origin(hint), get_args(hint)
    if hint is Any:
        return value
    if origin is Annotated:
        value, bounds = _checked(args[0], value, path, where), hint.__metadata__[0]
        if value is not None and value not in bounds:
            raise FormatError(path, None, f"{where}: found {shown(value)}, wanted {bounds}")
        return value
    if origin is Literal:
        if value not in args:
            raise FormatError(path, None, f"{where}: found {shown(value)}, wanted one of {', '.join(map(str, args))}")
        return value
    if type(None) in args:
        return None if value is None else _checked(next(a for a in args if a is not type(None)), value, path, where)
    if origin is list:
        if not isinstance(value, list):
            raise FormatError(path, None, f"{where}: found {shown(value)}, wanted a list")
        return [_checked(args[0], v, path, where) for v in value]
    if origin is dict:
        if not isinstance(value, dict):
            raise FormatError(path, None, f"{where}: found {shown(value)}, wanted keys and values")
        return {_key(k, path, where): _checked(args[1], v, path, f"{where}.{k}") for k, v in value.items()}
    if dataclasses.is_dataclass(hint):
        return build(hint, value, path, where)  # type: ignore[arg-type]
    if isinstance(value, int) and abs(value) >= MAX_NUMBER:
        raise FormatError(path, None, f"{where}: found {shown(value)}, a number beyond belief")
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        raise FormatError(path, None, f"{where}: found {shown(value)}, wanted {hint.__name__}")
    return value


def _key(key: object, path: str | Path, where: str) -> str:
    """Return a key as a string; a number is one, too."""
    if not isinstance(key, str | int | float) or (isinstance(key, int) and abs(key) >= MAX_NUMBER):
        raise FormatError(path, None, f"{where}: found the key {shown(key)}, wanted a text")
    return str(key)


def read_yaml(path: str | Path, *, ours: bool = False) -> Any:
    """Read a YAML file safely (no tags that build objects).

    Args:
        path: the file.
        ours: whether it ships in the package: libyaml, where there is one, then reads it in a tenth of the time. A stranger's file could nest so deeply
            that libyaml's composer ends the process.

    Raises:
        FormatError: not YAML, or none that makes sense.
    """
    return parse_yaml(read_text(path, MAX_YAML), path, ours=ours)


def parse_yaml(text: str, path: str | Path, *, ours: bool = False, repeated: list[str] | None = None) -> Any:
    """The same for a text; the path is for the message.

    Args:
        text: what the file holds.
        path: the file.
        ours: as for `read_yaml`.
        repeated: where it is given, the last of equal keys counts, and each such key is noted here.
    """
    import yaml

    base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader) if ours else yaml.SafeLoader

    class Loader(base):  # type: ignore[misc]
        """YAML's safe loader, which would silently keep the last of two equal keys."""

        def get_single_node(self) -> yaml.Node | None:
            """Refuse what aliases blow up, before anything is made of it."""
            node: yaml.Node | None = super().get_single_node()
            if node is not None and _written_out(node, {}) > MAX_YAML:
                raise yaml.constructor.ConstructorError(
                    None, None, "aliases make it endless or very long; write out what is meant", node.start_mark
                )
            return node

        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
            """Refuse a key that is there twice."""
            seen = set()
            for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
                if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                    if key.value in seen and repeated is not None:
                        repeated.append(f"line {key.start_mark.line + 1}: the key {shown(key.value)} is there twice")
                    elif key.value in seen:
                        raise yaml.constructor.ConstructorError(
                            None, None, f"the key {shown(key.value)} is there twice", key.start_mark
                        )
                    seen.add(key.value)
            made: dict[Any, Any] = super().construct_mapping(node, deep)
            return made

    try:
        return yaml.load(text, Loader)  # noqa: S506 - a SafeLoader
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise FormatError(
            path, mark.line + 1 if mark else None, f"not YAML ({getattr(error, 'problem', None) or 'unreadable'})"
        ) from error
    except (RecursionError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError) as error:
        # explicit tags (`!!int ""`) lead PyYAML's constructors into any of these
        raise FormatError(
            path, None, "not YAML that makes sense (nested too deeply, or an impossible value)"
        ) from error


def _written_out(node: Any, known: dict[int, int]) -> int:
    """Return the length of a node with its aliases written out: a few lines of them can stand for gigabytes.

    Raises:
        ValueError: a text in it holds a NUL or half a surrogate pair, which no file, name or path can.
    """
    if isinstance(node.value, str):
        if "\0" in node.value or not is_surrogate_free(node.value):
            raise ValueError(node.value)
        return len(node.value) + 1
    if id(node) not in known:
        known[id(node)] = MAX_YAML + 1  # while it is being measured: a node within itself has no end
        children = chain.from_iterable(node.value) if node.id == "mapping" else node.value
        known[id(node)] = 1 + sum(_written_out(child, known) for child in children)
    return known[id(node)]
