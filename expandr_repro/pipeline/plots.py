"""Plots as files; matplotlib is imported when one is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from expandr_repro.core.errors import ExpandrError, SetupError
from expandr_repro.core.files import atomic_bytes
from expandr_repro.pipeline.comparing import Comparison

GAIN, LOSS = "#0072b2", "#d55e00"  # told apart by colour-blind readers too (Okabe and Ito)


def plot_differences(comparisons: Sequence[Comparison], path: str | Path) -> None:
    """Draw each comparison's per-topic differences, sorted, one panel each, as a PNG (or what the file's ending says).

    Raises:
        SetupError: matplotlib is not installed, or the file cannot be written.
        ExpandrError: an ending that matplotlib cannot write.
    """
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError as error:
        raise SetupError("--plot needs matplotlib; `pip install matplotlib` cures it") from error
    path = Path(path)
    kind = path.suffix.removeprefix(".").lower() or "png"
    figure = Figure(figsize=(7, 2.6 * len(comparisons)), layout="constrained")
    if kind not in figure.canvas.get_supported_filetypes():
        raise ExpandrError(f"--plot {path}: matplotlib writes no .{kind}; use .png, .pdf or .svg")
    panels = figure.subplots(len(comparisons), 1, squeeze=False)[:, 0]
    for panel, comparison in zip(panels, comparisons, strict=True):
        values = sorted(comparison.per_topic.tolist(), reverse=True)
        panel.bar(range(len(values)), values, width=1.0, color=[GAIN if v > 0 else LOSS for v in values])
        panel.axhline(0, color="black", linewidth=0.6)
        panel.set_title(
            f"{comparison.b} against {comparison.a}: {comparison.wins} better, {comparison.ties} equal, {comparison.losses} worse",
            fontsize=9,
        )
        panel.set_ylabel(f"Δ {comparison.measure}")
        panel.set_xlabel("topics, by difference")
        panel.margins(x=0.01)
    with mpl.rc_context({"svg.hashsalt": "expandr_repro"}), atomic_bytes(path) as file:
        figure.savefig(file, format=kind, dpi=150, metadata={"Software": None} if kind == "png" else None)
