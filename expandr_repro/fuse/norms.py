"""The normalisations of scores before rankings are fused: those of ranx, over a matrix of runs and documents."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from expandr_repro.errors import UnknownNameError
from expandr_repro.fuse.methods import Sheet

LEAST = 1e-9
"""The least that a normalisation divides by, as in ranx."""


def normalized(sheet: Sheet, name: str) -> Sheet:
    """Return a sheet with normalised scores.

    Raises:
        UnknownNameError: no such normalisation.
    """
    if name not in NORMS:
        raise UnknownNameError("normalisation", name, NORMS)
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a run that lacks the topic has no least score
        return NORMS[name][1](sheet)


def _scaled(sheet: Sheet, name: str) -> Sheet:
    import numpy as np

    s = sheet.scores
    low, high = np.nanmin(s, axis=1, keepdims=True), np.nanmax(s, axis=1, keepdims=True)
    least, spread = {
        "min-max": (low, high - low),
        "min-max-inverted": (high, high - low),
        "max": (0.0, high),
        "sum": (low, np.nansum(s, axis=1, keepdims=True) - low * sheet.lengths),
        "zmuv": (np.nanmean(s, axis=1, keepdims=True), np.nanstd(s, axis=1, keepdims=True)),
    }[name]
    scores = (s - least) / np.maximum(spread, LEAST)
    return Sheet(sheet.docids, -scores if name == "min-max-inverted" else scores, sheet.ranks)


def _rank(sheet: Sheet) -> Sheet:
    return Sheet(sheet.docids, 1 - sheet.ranks / sheet.lengths, sheet.ranks)


def _borda(sheet: Sheet) -> Sheet:
    import numpy as np

    most = len(sheet.docids)
    unranked = 0.5 - (sheet.lengths - 1) / (2 * most)
    return Sheet(sheet.docids, np.where(np.isnan(sheet.ranks), unranked, 1 - sheet.ranks / most), sheet.ranks)


NORMS: dict[str, tuple[str, Callable[[Sheet], Sheet]]] = {
    "none": ("scores as they are", lambda sheet: sheet),
    "min-max": ("from 0 for a topic's lowest score to 1 for its highest", partial(_scaled, name="min-max")),
    "min-max-inverted": ("the same upside down, for distances", partial(_scaled, name="min-max-inverted")),
    "max": ("divided by the highest", partial(_scaled, name="max")),
    "sum": ("less the lowest, divided by their sum", partial(_scaled, name="sum")),
    "zmuv": ("z-scores: mean 0, variance 1", partial(_scaled, name="zmuv")),
    "rank": ("1 for the first, falling evenly to 1/n for the last", _rank),
    "borda": ("as rank, over the documents of all runs; documents that a run lacks share what is left", _borda),
}
"""Normalisation -> what it does to the scores of a run for a topic, and how."""
