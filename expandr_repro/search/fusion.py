"""How a query and its expansions become one search.

Three kinds: a fusion of *texts* (one string a topic is searched), of *vectors* (one vector a topic), or of *runs*
(one search a text, the rankings fused). `FUSIONS` is the list that the command line, the errors and the docs show.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from expandr_repro.data.trec import Run
from expandr_repro.errors import ExpandrError, UnknownNameError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Kind = Literal["text", "vector", "run", "feedback"]


@dataclass(frozen=True)
class Fusion:
    """A named way to search with expansions: for which retrievers, of what kind, and where it comes from."""

    name: str
    kind: Kind
    retrievers: tuple[str, ...]
    summary: str
    source: str


FUSIONS = {
    f.name: f
    for f in (
        Fusion("none", "text", ("dense", "bm25"), "the query alone", "-"),
        Fusion(
            "mean",
            "vector",
            ("dense",),
            "mean of the unit vectors of query and expansions; --alpha weighs the query",
            "ExpandR, section 3 (EMNLP 2025)",
        ),
        Fusion(
            "hyde",
            "vector",
            ("dense",),
            "plain mean of the vectors of query and expansions, as the encoder gives them",
            "HyDE, eq. 8 (ACL 2023)",
        ),
        Fusion(
            "expansion",
            "vector",
            ("dense", "bm25"),
            "the expansions alone (mean of unit vectors; texts joined for BM25)",
            "ablation",
        ),
        Fusion(
            "concat",
            "text",
            ("dense",),
            "one text: query, the encoder's separator, expansions",
            "Query2Doc, dense (EMNLP 2023)",
        ),
        Fusion(
            "repeat",
            "text",
            ("bm25",),
            "one text: the query --repeat times, then the expansions",
            "Query2Doc, sparse (EMNLP 2023)",
        ),
        Fusion(
            "rrf",
            "run",
            ("dense", "bm25"),
            "one search for the query and one an expansion, reciprocal ranks added",
            "Cormack et al. (SIGIR 2009), k = 60",
        ),
        Fusion(
            "rocchio",
            "feedback",
            ("dense", "bm25"),
            "query alone, then Pyserini's Rocchio feedback",
            "Li et al. (TOIS 2022); Pyserini",
        ),
        Fusion(
            "average",
            "feedback",
            ("dense",),
            "query alone, then Pyserini's average vector feedback",
            "Li et al. (TOIS 2022); Pyserini",
        ),
        Fusion(
            "rm3",
            "feedback",
            ("bm25",),
            "query alone, then Anserini's RM3 feedback",
            "Abdul-Jaleel et al. (TREC 2004); Anserini",
        ),
    )
}


def fusion_named(name: str, retriever: str) -> Fusion:
    """Return a fusion that a retriever can do.

    Raises:
        UnknownNameError: no such fusion.
        ExpandrError: the fusion is not for this retriever.
    """
    if name not in FUSIONS:
        raise UnknownNameError("fusion", name, FUSIONS)
    fusion = FUSIONS[name]
    if retriever not in fusion.retrievers:
        able = ", ".join(f.name for f in FUSIONS.values() if retriever in f.retrievers)
        raise ExpandrError(
            f"fusion {name!r} is not for --retriever {retriever}; use --retriever {fusion.retrievers[0]}, or one of: {able}"
        )
    return fusion


def check_alpha(alpha: float | None) -> None:
    """Refuse a query weight outside 0..1.

    Raises:
        ExpandrError: so it is.
    """
    if alpha is not None and not 0.0 <= alpha <= 1.0:
        raise ExpandrError(f"--alpha {alpha}: the query's weight lies between 0 and 1")


def unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scale rows of an (n, dim) matrix to length 1; a zero row stays zero."""
    import numpy as np

    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(lengths == 0, 1, lengths)).astype(np.float32)


def fuse_vectors(
    name: str,
    queries: NDArray[np.float32],
    expansions: NDArray[np.float32],
    owners: Sequence[int],
    alpha: float | None = None,
) -> NDArray[np.float32]:
    """Fuse each topic's query vector with the vectors of its expansions.

    `mean` is `(q + e_1 + ... + e_n) / (n + 1)` over unit vectors, not renormalised, as in the official evaluation (its n is 1); with
    `alpha` it is `alpha q + (1 - alpha) mean(e)`. A topic without an expansion keeps its query's vector.

    Args:
        name: `mean`, `hyde` or `expansion`.
        queries: (topics, dim).
        expansions: (m, dim), all topics' expansions together.
        owners: for each expansion, the row of its topic in `queries`.
        alpha: the query's weight, for `mean`.

    Returns:
        (topics, dim) float32.
    """
    import numpy as np

    if name not in ("mean", "hyde", "expansion"):
        raise UnknownNameError("vector fusion", name, ("mean", "hyde", "expansion"))
    alone = queries
    if name != "hyde":
        queries, expansions = unit(queries), unit(expansions)
    rows = np.asarray(owners, dtype=np.int64)
    count = np.bincount(rows, minlength=len(queries)).astype(np.float32)[:, None]
    total: NDArray[np.float32] = np.zeros_like(queries, dtype=np.float32)
    np.add.at(total, rows, expansions)
    centre = total / np.maximum(count, 1)
    fused: NDArray[Any]
    if name == "expansion":
        fused = centre
    elif name == "mean" and alpha is not None:
        fused = alpha * queries + (1 - alpha) * centre
    else:
        fused = (queries + total) / (count + 1)
    return np.where(count == 0, alone, fused).astype(np.float32)


def repeat_text(query: str, expansions: Sequence[str], times: int) -> str:
    """Return the query `times` times and then the expansions, joined by single spaces (Query2Doc, section 2; times = 5)."""
    return " ".join([query] * times + list(expansions)) if expansions else query


def concat_text(query: str, expansions: Sequence[str], separator: str) -> str:
    """Return `query [SEP] expansions` (Query2Doc for dense retrieval, section 2)."""
    return f"{query} {separator} {' '.join(expansions)}" if expansions else query


def reciprocal_rank_fusion(runs: Sequence[Mapping[str, Mapping[str, float]]], hits: int, k: int = 60) -> Run:
    """Fuse runs: each document scores the sum of 1 / (k + rank) over the runs that found it.

    Ranks follow (score descending, docid), so that ties cannot depend on input order. Source: Cormack, Clarke and Büttcher, SIGIR 2009.

    Args:
        runs: at least one; topics may be missing from some.
        hits: how many documents a topic keeps.
        k: the constant of the formula.
    """
    fused: Run = {}
    for run in runs:
        for qid, ranked in run.items():
            scores = fused.setdefault(qid, {})
            for rank, (docid, _) in enumerate(sorted(ranked.items(), key=lambda item: (-item[1], item[0])), start=1):
                scores[docid] = scores.get(docid, 0.0) + 1.0 / (k + rank)
    return {qid: dict(sorted(s.items(), key=lambda item: (-item[1], item[0]))[:hits]) for qid, s in fused.items()}
