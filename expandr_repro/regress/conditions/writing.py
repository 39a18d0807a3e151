"""Write a regression file in a fixed layout, so that a recording changes only the lines that differ."""

from __future__ import annotations

from dataclasses import fields
from decimal import Decimal
from typing import Any

from expandr_repro.regress.conditions.shapes import Regression


def render(regression: Regression) -> str:
    """Return the file's text; what has its default value is left out."""
    lines = [f"title: {_scalar(regression.title)}", f"tier: {regression.tier}"]
    if regression.needs:
        lines.append(f"needs: [{', '.join(regression.needs)}]")
    pins = {key: getattr(regression, key) for key in ("collection", "topics", "qrels", "expansions")}
    lines += [f"{key}: {_flow(pin)}" for key, pin in pins.items() if pin is not None]
    lines.append("stages:")
    lines += [f"  {stage}: {_scalar(command)}" for stage, command in regression.stages.listed()]
    lines.append("metrics:" if regression.metrics else "metrics: {}")
    for metric, pin in regression.metrics.items():
        value = "null" if pin.value is None else _decimal(pin.value)
        tolerance = _decimal(pin.tolerance).rstrip("0").rstrip(".")
        lines.append(f"  {_scalar(metric)}: {{value: {value}, tolerance: {tolerance}}}")
    if regression.published:
        lines.append("published:")
        lines += [f"  - {_flow(claim)}" for claim in regression.published]
    if regression.note:
        lines.append(f"note: {_scalar(regression.note)}")
    if regression.recorded:
        lines.append("recorded:")
        lines += [
            f"  {f.name}: {_value(getattr(regression.recorded, f.name))}"
            for f in fields(regression.recorded)
            if getattr(regression.recorded, f.name) not in (None, {})
        ]
    return "\n".join(lines) + "\n"


def _flow(record: Any) -> str:
    """Return a dataclass as `{key: value, ...}`, without what has its default value."""
    kept = {f.name: getattr(record, f.name) for f in fields(record) if getattr(record, f.name) != f.default}
    return "{" + ", ".join(f"{k}: {_value(v)}" for k, v in kept.items()) + "}"


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_value(k)}: {_value(v)}" for k, v in value.items()) + "}"
    if isinstance(value, float):
        return _decimal(value)
    return _scalar(value, flow=True) if isinstance(value, str) else str(value)


def _decimal(value: float) -> str:
    """Return a number with four decimals, or as many as it has; 5e-05 would be a text in YAML."""
    written = f"{value:.4f}"
    return written if float(written) == value else format(Decimal(repr(value)), "f")


def _scalar(text: str, flow: bool = False) -> str:
    """Return a string plainly where YAML reads it back as the same string, else in double quotes."""
    import yaml

    try:
        plain = yaml.safe_load(f"[{text}]" if flow else f"k: {text}")
    except yaml.YAMLError:
        plain = None
    same = plain == ([text] if flow else {"k": text})
    return text if same else yaml.safe_dump(text, default_style='"', allow_unicode=True, width=float("inf")).strip()
