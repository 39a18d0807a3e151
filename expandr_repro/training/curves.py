"""Plot the curves of a training: one panel for each kind of measurement, over the steps."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from expandr_repro.console.plots import COLOURS, new_figure, save_figure
from expandr_repro.errors import ExpandrError

log = logging.getLogger(__name__)


def plot_curves(records: Sequence[Mapping[str, Any]], panels: Sequence[tuple[str, Sequence[str]]], path: Path) -> None:
    """Draw what a training recorded.

    Args:
        records: each with `step` and some values, as `core.metrics_log.read_metrics` gives them.
        panels: a title and the keys drawn under it; keys that no record has are left out, panels without keys, too.
        path: the file (.png, .pdf or .svg).

    Raises:
        ExpandrError: no record has any of the keys, or the ending is none that matplotlib writes.
        SetupError: matplotlib is not installed, or the file cannot be written.
    """
    curves = {
        key: [(r["step"], float(r[key])) for r in records if isinstance(r.get(key), int | float)]
        for _, keys in panels
        for key in keys
    }
    drawn = [(title, [key for key in keys if curves[key]]) for title, keys in panels]
    drawn = [(title, keys) for title, keys in drawn if keys]
    if not drawn:
        raise ExpandrError(f"{path}: nothing to draw; no record has any of {', '.join(curves)}")
    drawing, places = new_figure(len(drawn), "the picture of the curves")
    for panel, (title, keys) in zip(places, drawn, strict=True):
        for number, key in enumerate(keys):
            steps, values = zip(*curves[key], strict=True)
            # a few points are lost as a bare line: an evaluation each epoch may give only two
            marker = "o" if len(steps) <= 25 else ""
            panel.plot(steps, values, label=key, color=COLOURS[number % len(COLOURS)], marker=marker, markersize=3, linewidth=1.2)  # fmt: skip
        panel.set_title(title, fontsize=9)
        panel.set_xlabel("steps")
        panel.xaxis.get_major_locator().set_params(integer=True)
        panel.grid(alpha=0.3)
        panel.legend(fontsize=8)
    save_figure(drawing, path, "the picture of the curves")


def plot_if_possible(
    records: Sequence[Mapping[str, Any]], panels: Sequence[tuple[str, Sequence[str]]], path: Path
) -> None:
    """Draw what a training recorded, or say why not: hours of training must not end in nothing for want of a picture."""
    if importlib.util.find_spec("matplotlib"):
        plot_curves(records, panels, path)
    else:
        log.warning("%s is left out: matplotlib is not installed; metrics.jsonl has the scores", path.name)
