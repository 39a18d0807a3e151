"""Put generated tables into pages, and compute confidence intervals: what the scripts that make tables share."""

from __future__ import annotations

import re
import statistics
from collections.abc import Mapping, Sequence


def filled(page: str, tables: Mapping[str, str]) -> str:
    """Return a page with each table between its markers, `<!-- NAME: begin -->` and `<!-- NAME: end -->`."""
    for name, table in tables.items():
        mark = re.compile(rf"(<!-- {re.escape(name)}: begin -->\n).*?(<!-- {re.escape(name)}: end -->)", re.DOTALL)
        assert mark.search(page), f"no markers for {name}"
        page = mark.sub(lambda m, table=table: f"{m[1]}{table}\n{m[2]}", page)
    return page


def half_width(values: Sequence[float]) -> float:
    """Return half the width of the mean's 95 % interval, by Student's t."""
    from scipy.stats import t

    return float(t.ppf(0.975, len(values) - 1) * statistics.stdev(values) / len(values) ** 0.5)
