"""A fusion: the query's vector with that of its nearest expansion."""

from __future__ import annotations

from typing import Annotated

from expandr_repro.registry import Within
from expandr_repro.search.fusion import fusion, unit


@fusion("nearest", of="vectors", source="an example")
def nearest(query, expansions, *, share: Annotated[float, Within(0, 1)] = 0.5):
    """The query's vector with that of its nearest expansion, which has a share."""
    query, expansions = unit(query), expansions.unit()
    fused = (1 - share) * query
    for row, vector in enumerate(query):
        own = expansions.of(row)
        if len(own):
            fused[row] += share * own[(own @ vector).argmax()]
    return fused
