"""Read the settings of a training: one YAML file, packaged or a user's own, and `--set key=value`, into a frozen dataclass."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

from expandr_repro.errors import ExpandrError, FormatError, UnknownNameError
from expandr_repro.io.paths import resource
from expandr_repro.io.strict_yaml import build, parse_yaml, read_yaml

T = TypeVar("T")

_EXPONENT = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+")
"""2e-5 and the like, which YAML 1.1 takes for text because there is no dot."""


def config_names() -> list[str]:
    """Return the names of the packaged settings (`resources/training/`)."""
    return sorted(p.stem for p in resource("training").glob("*.yaml"))


def read_config(cls: type[T], source: str, overrides: Sequence[str] = ()) -> T:
    """Read the settings of a training.

    Args:
        cls: a frozen dataclass.
        source: a packaged name, or the path of a .yaml file.
        overrides: `key=value`, the value as YAML would read it; the last of equal keys holds.

    Raises:
        UnknownNameError: no such packaged settings.
        FormatError: an unknown or missing key, or a value of the wrong type; names the file, or `--set`.
        ExpandrError: an override that is not `key=value`.
        NotAvailableError: the file cannot be read.
    """
    named = source in config_names()
    if not named and Path(source).suffix not in (".yaml", ".yml"):
        raise UnknownNameError("training settings", source, config_names(), "A path to a .yaml file works as well.")
    values = read_yaml(resource("training", f"{source}.yaml") if named else source)
    settings = build(cls, _with_floats(cls, values), f"{source}.yaml" if named else source, "settings")
    if not overrides:
        return settings
    changed = dict(_override(text) for text in overrides)
    return build(cls, _with_floats(cls, values | changed), "--set", "settings")


def _override(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise ExpandrError(f"--set {text!r}: wanted key=value, e.g. learning_rate=2e-5")
    try:
        return key.strip(), parse_yaml(value, "--set")
    except FormatError as error:
        raise ExpandrError(f"--set {text!r}: the value is not YAML; put it in quotes") from error


def _with_floats(cls: type[T], values: object) -> Any:
    """Turn texts such as 2e-5 into numbers where a number is wanted."""
    if not isinstance(values, Mapping):
        return values
    assert dataclasses.is_dataclass(cls)
    hints = get_type_hints(cls)
    return {
        key: float(value)
        if isinstance(value, str)
        and float in (hints.get(key), *get_args(hints.get(key)))
        and _EXPONENT.fullmatch(value)
        else value
        for key, value in values.items()
    }
