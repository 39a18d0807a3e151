"""Plot comparisons into files; matplotlib is imported when a plot is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from expandr_repro.compare.comparison import Comparison
from expandr_repro.console.plots import COLOURS, kind_of, new_figure, save_figure

GAIN, LOSS = COLOURS[:2]


def plot_differences(comparisons: Sequence[Comparison], path: str | Path) -> None:
    """Draw each comparison's per-topic differences, sorted, one panel each on one scale, as a PNG (or what the file's ending says).

    Raises:
        SetupError: matplotlib is not installed, or the file cannot be written.
        ExpandrError: an ending that matplotlib cannot write.
    """
    path = Path(path)
    drawing, panels = new_figure(len(comparisons), "--plot")
    kind_of(drawing, path, "--plot")
    changes = [0.0, *(value for c in comparisons for value in c.per_topic.tolist())]
    room = 0.05 * (max(changes) - min(changes)) or 1.0
    for panel, comparison in zip(panels, comparisons, strict=True):
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
    save_figure(drawing, path, "--plot")
