"""Contrastive loss (InfoNCE) with the query vector that `search` uses, in every view of the query that is asked for.

ExpandR, section 3: `-log exp(s(q, d+) / t) / sum over d of exp(s(q, d) / t)`, q the mean of query and expansion. The official
trainer (`src/retriever/`) takes raw inner products of raw means and ignores its temperature, while its evaluation averages unit
vectors; here training fuses exactly as `search` does (`search/fusion/vectors.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from expandr_repro.search.fusion import fuse_vectors
from expandr_repro.search.fusion.registry import vector_fusion

if TYPE_CHECKING:
    import torch


def fuse(
    name: str, queries: torch.Tensor, expansions: torch.Tensor, owners: Sequence[int], alpha: float | None = None
) -> torch.Tensor:
    """Fuse each query's vector with those of its expansions; `search`'s `fuse_vectors`, with gradients.

    Args:
        name: none, or a fusion of vectors.
        queries: (queries, dim).
        expansions: (m, dim), all queries' expansions together.
        owners: (m,) the row of each expansion's query.
        alpha: the query's weight, for `mean`.

    Returns:
        (queries, dim).

    Raises:
        UnknownNameError: no such fusion of vectors.
    """
    if name == "none":
        return queries
    fused: torch.Tensor = fuse_vectors(vector_fusion(name, "fusion to train with"), queries, expansions, owners, alpha)
    return fused


def info_nce(
    queries: torch.Tensor,
    documents: torch.Tensor,
    targets: Sequence[int],
    masked: Sequence[tuple[int, int]],
    temperature: float,
) -> torch.Tensor:
    """Return each query's loss, (queries,).

    Args:
        queries: (queries, dim).
        documents: (documents, dim); all but the target and the masked ones are negatives.
        targets: (queries,) the column of the right document.
        masked: (row, column) pairs that are left out of the sum.
        temperature: by which inner products are divided.
    """
    import torch

    scores = queries.float() @ documents.float().T / temperature
    if masked:
        rows, columns = zip(*masked, strict=True)
        scores = scores.index_put(
            (torch.tensor(rows, device=scores.device), torch.tensor(columns, device=scores.device)),
            scores.new_tensor(float("-inf")),
        )
    return torch.nn.functional.cross_entropy(scores, torch.as_tensor(targets, device=scores.device), reduction="none")


def contrastive_loss(
    queries: torch.Tensor,
    expansions: torch.Tensor,
    owners: Sequence[int],
    documents: torch.Tensor,
    targets: Sequence[int],
    masked: Sequence[tuple[int, int]],
    *,
    fusion: str,
    views: Mapping[str, float],
    temperature: float,
    alpha: float | None = None,
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Return the weighted mean of the views' losses, and each view's own.

    The views share the documents' vectors, and the fused view needs the query's and the expansion's anyway: more views cost
    next to nothing. A query without an expansion is in the fused view by itself, as in `search`, and not in the expansion view.

    Args:
        queries: (queries, dim).
        expansions: (m, dim).
        owners: (m,) the row of each expansion's query.
        documents: (documents, dim).
        targets: (queries,) the column of the right document.
        masked: (row, column) pairs that are neither right nor wrong.
        fusion: of the fused view; see `fuse`.
        views: view -> weight.
        temperature: by which inner products are divided.
        alpha: the query's weight, for fusion `mean`.

    Returns:
        The loss, and view -> its mean loss.
    """
    parts: dict[str, torch.Tensor] = {}
    for view in views:
        rows: Sequence[int] = range(len(targets))
        if view == "expansion":
            rows = sorted(set(owners))
            if not rows:
                continue
        vectors = queries if view == "query" else fuse(
            "expansion" if view == "expansion" else fusion, queries, expansions, owners, alpha
        )  # fmt: skip
        losses = info_nce(vectors, documents, targets, masked, temperature)
        parts[view] = losses[list(rows)].mean()
    weight = sum(views[view] for view in parts)
    return sum((views[view] * part for view, part in parts.items()), queries.new_zeros(())) / weight, parts
