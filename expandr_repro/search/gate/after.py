"""Gates that look at vectors or at the two rankings."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Annotated

from expandr_repro.registry import Within
from expandr_repro.search.gate.registry import Evidence, gate


@gate(
    "overlap",
    uses="at least",
    threshold=0.1,
    needs=("runs",),
    source="selective feedback (Amati et al., ECIR 2004), by ranks",
)
def overlap(evidence: Evidence, *, k: Annotated[int, Within(1)] = 10) -> float | None:
    """Share of the query's k best documents that are among the fusion's k best, too."""
    alone = set(islice(evidence.alone, k))
    return len(alone & set(islice(evidence.fused, k))) / len(alone) if alone else None


@gate("similarity", uses="at least", threshold=0.28, needs=("vectors",), source="this toolkit")
def similarity(evidence: Evidence) -> float | None:
    """Mean cosine of the query's vector and those of its expansions."""
    if evidence.query is None or evidence.expansions is None:
        return None
    return float((evidence.expansions @ evidence.query).mean())


@gate("agreement", uses="at least", threshold=0.5, needs=("vectors",), source="self-consistency of samples")
def agreement(evidence: Evidence) -> float | None:
    """Mean cosine of the expansions with each other; one alone is always used."""
    vectors = evidence.expansions
    if vectors is None or len(vectors) < 2:
        return None
    count = len(vectors)
    return float(((vectors @ vectors.T).sum() - (vectors * vectors).sum()) / (count * (count - 1)))


@gate("contrast", uses="at least", threshold=2.5, needs=("vectors",), source="this toolkit")
def contrast(evidence: Evidence, *, least: Annotated[int, Within(1)] = 10) -> float | None:
    """How much nearer the query is to its own expansions than to those of the other topics searched with it, in standard deviations.

    With fewer than `least` expansions of other topics there is nothing to judge by.
    """
    begin, end = evidence.own
    if evidence.query is None or evidence.pool is None or len(evidence.pool) - (end - begin) < least:
        return None
    import numpy as np

    cosines = evidence.pool @ evidence.query
    others = np.delete(cosines, slice(begin, end))
    return float((cosines[begin:end].mean() - others.mean()) / max(others.std(), 1e-6))


@gate("commitment", uses="at least", threshold=-0.2, needs=("scores",), source="NQC (Shtok et al., TOIS 2012)")
def commitment(evidence: Evidence, *, k: Annotated[int, Within(2)] = 100) -> float | None:
    """How much more the fusion's k best scores differ from each other than the query's, as standard deviations by means; in place of clarity."""
    alone, fused = _deviation(evidence.alone, k), _deviation(evidence.fused, k)
    return None if alone is None or fused is None else fused - alone


def _deviation(ranked: Mapping[str, float], k: int) -> float | None:
    scores = list(islice(ranked.values(), k))
    mean = sum(scores) / len(scores) if scores else 0.0
    return (sum((s - mean) ** 2 for s in scores) / len(scores)) ** 0.5 / abs(mean) if mean else None


@gate(
    "score-gap",
    uses="at least",
    threshold=-0.13,
    needs=("scores",),
    source="score-based performance prediction (Shtok et al., TOIS 2012)",
)
def score_gap(evidence: Evidence, *, k: Annotated[int, Within(2)] = 10) -> float | None:
    """How much further the fusion's first score is above its k-th than the query's, each as a share of the first."""
    alone, fused = _gap(evidence.alone, k), _gap(evidence.fused, k)
    return None if alone is None or fused is None else fused - alone


def _gap(ranked: Mapping[str, float], k: int) -> float | None:
    scores = list(islice(ranked.values(), k))
    return (scores[0] - scores[-1]) / abs(scores[0]) if scores and scores[0] else None
