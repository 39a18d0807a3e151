"""Plot comparisons into files; matplotlib is imported when a plot is asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from expandr_repro.compare.comparison import Comparison
from expandr_repro.console.plots import COLOURS, kind_of, new_figure, save_figure
from expandr_repro.llm.costs import front

GAIN, LOSS = COLOURS[:2]


def plot_differences(
    comparisons: Sequence[Comparison], path: str | Path, costs: Mapping[str, tuple[float, float]] | None = None
) -> None:
    """Draw each comparison's per-topic differences, sorted, one panel each on one scale, as a PNG (or what the file's ending says).

    Args:
        comparisons: on one measure.
        path: the file.
        costs: run name -> tokens per query and score; with two or more a last panel shows them with their Pareto front.

    Raises:
        SetupError: matplotlib is not installed, or the file cannot be written.
        ExpandrError: an ending that matplotlib cannot write.
    """
    path = Path(path)
    priced = costs if costs and len(costs) > 1 else {}
    drawing, panels = new_figure(len(comparisons) + bool(priced), "--plot")
    kind_of(drawing, path, "--plot")
    changes = [0.0, *(value for c in comparisons for value in c.per_topic.tolist())]
    room = 0.05 * (max(changes) - min(changes)) or 1.0
    for panel, comparison in zip(panels, comparisons, strict=False):  # perhaps one panel more, of costs
        values = sorted(comparison.per_topic.tolist(), reverse=True)
        panel.bar(range(1, len(values) + 1), values, width=1.0, color=[GAIN if v > 0 else LOSS for v in values])
        panel.axhline(0, color="black", linewidth=0.6)
        panel.set_title(
            f"{comparison.b} against {comparison.a}: {comparison.wins} better, {comparison.ties} equal, {comparison.losses} worse",
            fontsize=9,
        )
        panel.set_ylabel(f"Δ {comparison.measure}")
        panel.set_xlabel("topics, by difference")
        panel.margins(x=0.01)
        panel.set_ylim(min(changes) - room, max(changes) + room)
        panel.xaxis.get_major_locator().set_params(integer=True)
    if priced:
        _draw_costs(panels[-1], priced, str(comparisons[0].measure))
    save_figure(drawing, path, "--plot")


def _draw_costs(panel: Any, costs: Mapping[str, tuple[float, float]], measure: str) -> None:
    """Draw score against tokens per query; runs on the Pareto front are filled and joined."""
    best = front(costs)
    panel.step(*zip(*(costs[name] for name in best), strict=True), where="post", color=GAIN, linewidth=1)
    for name, (tokens, score) in costs.items():
        panel.plot([tokens], [score], "o", color=GAIN, fillstyle="full" if name in best else "none")
        panel.annotate(name, (tokens, score), xytext=(5, 4), textcoords="offset points", fontsize=7)
    panel.set_title("score against tokens; filled: Pareto front", fontsize=9)
    panel.set_xlabel("tokens per query, read and written")
    panel.set_ylabel(measure)
    panel.margins(x=0.12, y=0.15)
