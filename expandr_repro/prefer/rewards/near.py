"""Reward a candidate by the similarity of its vector to the gold passage's and to an answer's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from expandr_repro.prefer.rewards import reciprocal_ranks, reward

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from expandr_repro.prefer.similarity import Candidates


@reward("retriever", needs={"gold"}, source="ExpandR, official code")
def retriever(candidates: Candidates) -> NDArray[np.float64]:
    """Reciprocal rank by similarity to the gold passage."""
    return reciprocal_ranks(candidates.to_gold)


@reward("answer", needs={"gold", "answer"}, source="ExpandR, official code")
def answer(candidates: Candidates) -> NDArray[np.float64]:
    """Reciprocal rank by similarity to the answer."""
    return reciprocal_ranks(candidates.to_answer)
