"""From token states to one vector a text. Right padding is assumed throughout."""

from __future__ import annotations

from typing import TYPE_CHECKING

from expandr_repro.core.errors import UnknownNameError

if TYPE_CHECKING:
    import torch

POOLINGS = ("cls", "mean", "last", "first-decoder")


def pool(states: torch.Tensor, mask: torch.Tensor, pooling: str) -> torch.Tensor:
    """Pool token states.

    Args:
        states: (texts, tokens, dim); for `first-decoder` the decoder's states.
        mask: (texts, tokens), 1 for a token and 0 for padding.
        pooling: one of `POOLINGS`.

    Returns:
        (texts, dim).

    Raises:
        UnknownNameError: no such pooling.
    """
    if pooling in ("cls", "first-decoder"):
        return states[:, 0]
    if pooling == "mean":
        weights = mask.unsqueeze(-1).to(states.dtype)
        return (states * weights).sum(1) / weights.sum(1).clamp(min=1e-9)
    if pooling == "last":
        last = mask.sum(1).long().clamp(min=1) - 1
        rows = last.new_tensor(range(len(last)))
        return states[rows, last]
    raise UnknownNameError("pooling", pooling, POOLINGS)
