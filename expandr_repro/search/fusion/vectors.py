"""Fuse vectors: one vector per topic, from those of its query and its expansions; for numpy and, with gradients, for torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from expandr_repro.errors import ExpandrError
from expandr_repro.registry import Within
from expandr_repro.search.fusion.registry import Fusion, fusion, vector_fusion

Vectors = Any
"""A float32 numpy array, or a torch tensor: (n, dim)."""


def _is_numpy(vectors: Vectors) -> bool:
    import numpy as np

    return isinstance(vectors, np.ndarray)


def unit(vectors: Vectors) -> Vectors:
    """Scale rows of an (n, dim) matrix to length 1; a zero row stays zero."""
    if not _is_numpy(vectors):
        from torch.nn.functional import normalize

        return normalize(vectors, dim=-1)
    import numpy as np

    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(lengths == 0, 1, lengths)).astype(np.float32)


@dataclass(frozen=True)
class Expansions:
    """The vectors of the expansions of n queries.

    Attributes:
        vectors: (m, dim), those of all queries together.
        owners: (m,) for each vector the row of its query.
        queries: n.
    """

    vectors: Vectors
    owners: Sequence[int]
    queries: int

    def unit(self) -> Expansions:
        """Return them with vectors of length 1."""
        return Expansions(unit(self.vectors), self.owners, self.queries)

    @property
    def count(self) -> Vectors:
        """How many expansions each query has, (n, 1)."""
        if not _is_numpy(self.vectors):
            import torch

            rows = torch.as_tensor(self.owners, device=self.vectors.device)
            return torch.bincount(rows, minlength=self.queries).to(self.vectors.dtype).unsqueeze(1)
        import numpy as np

        numbers = np.asarray(self.owners, dtype=np.int64)
        return np.bincount(numbers, minlength=self.queries).astype(np.float32)[:, None]

    def sum(self) -> Vectors:
        """Return the sum of each query's vectors, (n, dim); zeros where it has none."""
        if not _is_numpy(self.vectors):
            import torch

            rows = torch.as_tensor(self.owners, device=self.vectors.device)
            return self.vectors.new_zeros(self.queries, self.vectors.shape[1]).index_add(0, rows, self.vectors)
        import numpy as np

        total = np.zeros((self.queries, self.vectors.shape[1]), dtype=np.float32)
        np.add.at(total, np.asarray(self.owners, dtype=np.int64), self.vectors)
        return total

    def mean(self) -> Vectors:
        """Return the mean of each query's vectors, (n, dim); zeros where it has none."""
        return self.sum() / self.count.clip(1)

    def of(self, row: int) -> Vectors:
        """Return the vectors of one query, (its expansions, dim)."""
        return self.vectors[[number for number, owner in enumerate(self.owners) if owner == row]]


def fuse_vectors(
    name: str | Fusion, queries: Vectors, expansions: Vectors, owners: Sequence[int], alpha: float | None = None
) -> Vectors:
    """Fuse each topic's query vector with the vectors of its expansions; a topic without an expansion keeps its query's vector.

    Args:
        name: a fusion of vectors, perhaps with parameters: `mean:alpha=0.3`.
        queries: (topics, dim).
        expansions: (m, dim), all topics' expansions together.
        owners: for each expansion, the row of its topic in `queries`.
        alpha: the query's weight, for a fusion that has this parameter.

    Returns:
        (topics, dim); float32 where the vectors are numpy's.

    Raises:
        UnknownNameError: no fusion of vectors has this name.
        ExpandrError: a parameter's value is wrong.
    """
    chosen = vector_fusion(name)
    if alpha is not None and "alpha" in chosen.parameters:
        chosen = chosen.set({"alpha": alpha})
    if not len(owners):
        return queries.astype("float32") if _is_numpy(queries) else queries
    grouped = Expansions(expansions, owners, len(queries))
    fused = chosen(queries, grouped)
    if fused.shape != queries.shape:
        raise ExpandrError(f"fusion {chosen.name!r} gave vectors of shape {tuple(fused.shape)}; wanted {tuple(queries.shape)}")  # fmt: skip
    if not _is_numpy(queries):
        import torch

        return torch.where(grouped.count == 0, queries, fused)
    import numpy as np

    return np.where(grouped.count == 0, queries, fused).astype(np.float32)


@fusion("mean", of="vectors", source="ExpandR, section 3 (EMNLP 2025)")
def mean(query: Vectors, expansions: Expansions, *, alpha: Annotated[float | None, Within(0, 1)] = None) -> Vectors:
    """Mean of the unit vectors of query and expansions; alpha weighs the query.

    `(q + e_1 + ... + e_n) / (n + 1)`, not renormalised, as in the official evaluation (its n is 1); with alpha
    `alpha q + (1 - alpha) mean(e)`.
    """
    query, expansions = unit(query), expansions.unit()
    if alpha is None:
        return (query + expansions.sum()) / (expansions.count + 1)
    return alpha * query + (1 - alpha) * expansions.mean()


@fusion("hyde", of="vectors", source="HyDE, eq. 8 (ACL 2023)")
def hyde(query: Vectors, expansions: Expansions) -> Vectors:
    """Plain mean of the vectors of query and expansions, as the encoder gives them."""
    return (query + expansions.sum()) / (expansions.count + 1)


@fusion("expansion", of="vectors", source="ablation")
def expansion(query: Vectors, expansions: Expansions) -> Vectors:
    """The expansions alone (mean of unit vectors; texts joined for BM25)."""
    return expansions.unit().mean()
