"""Refuse vectors that contain NaN or infinity, since no ranking can use them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from expandr_repro.errors import NotFiniteError
from expandr_repro.io.faiss_library import load_faiss

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BLOCK = 65_536
"""Rows looked at together."""


def bad_row(vectors: NDArray[np.float32]) -> int | None:
    """Return the first row of an (n, dimension) matrix that contains NaN or infinity, or None."""
    import numpy as np

    for begin in range(0, len(vectors), BLOCK):
        block = vectors[begin : begin + BLOCK]
        # a product reads the matrix once and makes no other of its size; the factor keeps sums of large numbers finite
        with np.errstate(all="ignore"):
            sums = block @ np.full(block.shape[1], 1e-20, dtype=np.float32)
        rows = np.flatnonzero(~np.isfinite(sums))
        if len(rows):
            return begin + int(rows[0])
    return None


def check_finite(vectors: NDArray[np.float32], name: Callable[[int], str], precision: str = "fp32") -> None:
    """Refuse vectors that contain NaN or infinity.

    Args:
        vectors: (n, dimension).
        name: of a row: `document 'd1'`.
        precision: that made them, for the way out.

    Raises:
        NotFiniteError: one does; names the first.
    """
    row = bad_row(vectors)
    if row is not None:
        advice = (
            "fp16 cannot hold the numbers of this model: use --precision bf16 or fp32"
            if precision == "fp16"
            else "the model's weights are damaged, or its arithmetic overflows: use --precision fp32, or another checkpoint"
        )
        raise NotFiniteError(name(row), row, advice)


def check_index(index: Any, name: Callable[[int], str]) -> None:
    """Refuse an index of plain vectors that contain NaN or infinity.

    What an index keeps in another form (inverted lists, codes) is not looked through: a score that comes from it is.

    Args:
        index: of Faiss.
        name: of a row.

    Raises:
        NotFiniteError: one does; names the first.
    """
    import numpy as np

    faiss = load_faiss()
    inner = faiss.downcast_index(index)
    while hasattr(inner, "storage"):  # HNSW and the like keep the vectors in an index of their own
        inner = faiss.downcast_index(inner.storage)
    if not isinstance(inner, faiss.IndexFlatCodes) or not inner.ntotal:
        return
    for begin in range(0, inner.ntotal, BLOCK):
        block = inner.reconstruct_n(begin, min(BLOCK, inner.ntotal - begin))
        row = bad_row(np.asarray(block))
        if row is not None:
            raise NotFiniteError(name(begin + row), begin + row, "encode the corpus again, in --precision bf16 or fp32")
