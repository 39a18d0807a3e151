"""Summarise values by quantiles, as one table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from expandr_repro.console.tables import Table

QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)


def quantile_table(values: Mapping[str, Sequence[float]]) -> Table:
    """Return a row for each list: how many values, their mean, and the quantiles from the least to the greatest.

    Quantiles between two values are interpolated linearly (numpy's default).
    """
    import numpy as np

    rows: list[list[object]] = []
    for name, listed in values.items():
        if len(listed):
            numbers = np.asarray(listed, dtype=np.float64)
            rows.append([name, len(numbers), float(numbers.mean()), *np.quantile(numbers, QUANTILES).tolist()])
    return Table(["", "values", "mean", "min", *(f"{q:.0%}" for q in QUANTILES[1:-1]), "max"], rows)
