"""Make matplotlib figures and save them: equal plots give equal bytes. No window, no global state."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from expandr_repro.errors import ExpandrError, SetupError
from expandr_repro.io.files import atomic_bytes
from expandr_repro.io.outputs import PLOT

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Colours that colour-blind readers can distinguish (Okabe and Ito)."""

MARK = "expandr_repro"
MARKS = {
    "png": {"Software": MARK},
    "svg": {"Creator": MARK, "Date": None},
    "pdf": {"Creator": MARK, "CreationDate": None},
}
"""What says who drew a plot (a second call replaces its own), and no timestamp."""


def new_figure(panels: int, what: str, height: float = 2.6) -> tuple[Any, list[Any]]:
    """Return a matplotlib figure and its panels.

    Args:
        panels: how many.
        what: who asks, for the error.
        height: of a panel, in inches.

    Raises:
        SetupError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise SetupError(f"{what} needs matplotlib; run `pip install matplotlib`") from error
    figure = Figure(figsize=(7, height * panels), layout="constrained")
    return figure, list(figure.subplots(panels, 1, squeeze=False)[:, 0])


def kind_of(figure: Any, path: Path, what: str) -> str:
    """Return the format that a file's ending says.

    Raises:
        ExpandrError: an ending that matplotlib cannot write.
    """
    kind = path.suffix.removeprefix(".").lower() or "png"
    if kind not in figure.canvas.get_supported_filetypes():
        raise ExpandrError(f"{what} {path}: matplotlib writes no .{kind}; use .png, .pdf or .svg")
    return kind


def save_figure(figure: Any, path: Path, what: str) -> None:
    """Write a matplotlib figure in the format that the file's ending names (PNG where it has none), whole or not at all.

    Raises:
        ExpandrError: an ending that matplotlib cannot write.
        SetupError: the place cannot be written.
    """
    import matplotlib as mpl

    kind = kind_of(figure, path, what)
    with mpl.rc_context({"svg.hashsalt": "expandr_repro"}), atomic_bytes(path, kind=PLOT) as file:
        figure.savefig(file, format=kind, dpi=150, metadata=MARKS.get(kind))
