"""Fuse runs: one search for the query and one for each expansion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

from expandr_repro.data.trec import Run
from expandr_repro.registry import Within
from expandr_repro.search.fusion.registry import fusion


@fusion("rrf", of="runs", source="Cormack et al. (SIGIR 2009), k = 60")
def rrf(runs: Sequence[Mapping[str, Mapping[str, float]]], hits: int, *, k: Annotated[int, Within(1)] = 60) -> Run:
    """One search for the query and one for each expansion, reciprocal ranks added."""
    return reciprocal_rank_fusion(runs, hits, k)


def reciprocal_rank_fusion(runs: Sequence[Mapping[str, Mapping[str, float]]], hits: int, k: int = 60) -> Run:
    """Fuse runs: each document scores the sum of 1 / (k + rank) over the runs that found it.

    Ranks follow (score descending, docid), so that ties cannot depend on input order. Source: Cormack, Clarke and Büttcher, SIGIR 2009.

    Args:
        runs: at least one; topics may be missing from some.
        hits: how many documents to keep for each topic.
        k: the constant of the formula.
    """
    fused: Run = {}
    for run in runs:
        for qid, ranked in run.items():
            scores = fused.setdefault(qid, {})
            for rank, (docid, _) in enumerate(sorted(ranked.items(), key=lambda item: (-item[1], item[0])), start=1):
                scores[docid] = scores.get(docid, 0.0) + 1.0 / (k + rank)
    return {qid: dict(sorted(s.items(), key=lambda item: (-item[1], item[0]))[:hits]) for qid, s in fused.items()}
