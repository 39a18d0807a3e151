"""YAML read safely into frozen dataclasses: unknown keys, missing keys and wrong types are errors that name the place."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from expandr_repro.core.errors import FormatError, nearest
from expandr_repro.core.files import read_text

T = TypeVar("T")


def build(cls: type[T], values: object, path: str | Path, where: str) -> T:
    """Make a dataclass of parsed YAML, checking keys and types.

    Raises:
        FormatError: an unknown or missing key, or a value of the wrong type.
    """
    if not isinstance(values, dict):
        raise FormatError(path, None, f"{where}: wanted keys and values, found {values!r}")
    hints = get_type_hints(cls)
    fields = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    ready: dict[str, Any] = {}
    for key, value in values.items():
        if key not in fields:
            close = nearest(str(key), fields)
            raise FormatError(
                path,
                None,
                f"{where}: unknown key {key!r}; {f'did you mean {close!r}?' if close else 'known: ' + ', '.join(fields)}",
            )
        ready[key] = _checked(hints[key], value, path, f"{where}.{key}")
    missing = [
        n
        for n, f in fields.items()
        if n not in ready and f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise FormatError(path, None, f"{where}: the key {missing[0]!r} is missing")
    return cls(**ready)


def _checked(hint: Any, value: Any, path: str | Path, where: str) -> Any:
    origin, args = get_origin(hint), get_args(hint)
    if origin is Literal:
        if value not in args:
            raise FormatError(path, None, f"{where}: found {value!r}, wanted one of {', '.join(map(str, args))}")
        return value
    if type(None) in args:
        return None if value is None else _checked(next(a for a in args if a is not type(None)), value, path, where)
    if origin is list:
        if not isinstance(value, list):
            raise FormatError(path, None, f"{where}: found {value!r}, wanted a list")
        return [_checked(args[0], v, path, where) for v in value]
    if origin is dict:
        if not isinstance(value, dict):
            raise FormatError(path, None, f"{where}: found {value!r}, wanted keys and values")
        return {str(k): _checked(args[1], v, path, f"{where}.{k}") for k, v in value.items()}
    if dataclasses.is_dataclass(hint):
        return build(hint, value, path, where)  # type: ignore[arg-type]
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        raise FormatError(path, None, f"{where}: found {value!r}, wanted {hint.__name__}")
    return value


def read_yaml(path: str | Path, *, ours: bool = False) -> Any:
    """Read a YAML file safely (no tags that build objects).

    Args:
        path: the file.
        ours: whether it ships in the package: libyaml, where there is one, then reads it in a tenth of the time. A stranger's file could nest so deeply
            that libyaml's composer ends the process.

    Raises:
        FormatError: not YAML.
    """
    import yaml

    base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader) if ours else yaml.SafeLoader

    class Loader(base):  # type: ignore[misc]
        """YAML's safe loader, which would silently keep the last of two equal keys."""

        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
            """Refuse a key that is there twice."""
            keys = [(k.value, k.start_mark) for k, _ in node.value if k.tag != "tag:yaml.org,2002:merge"]
            for position, (key, mark) in enumerate(keys):
                if isinstance(key, str) and key in [k for k, _ in keys[:position]]:
                    raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} is there twice", mark)
            made: dict[Any, Any] = super().construct_mapping(node, deep)
            return made

    try:
        return yaml.load(read_text(path), Loader)  # noqa: S506 - a SafeLoader
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise FormatError(
            path, mark.line + 1 if mark else None, f"not YAML ({getattr(error, 'problem', None) or 'unreadable'})"
        ) from error
    except (RecursionError, ValueError) as error:
        raise FormatError(
            path, None, "not YAML that makes sense (nested too deeply, or an impossible value)"
        ) from error
