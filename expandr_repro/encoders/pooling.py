"""From token states to one vector a text. Right padding is assumed throughout."""

from __future__ import annotations

from typing import TYPE_CHECKING

from expandr_repro.data.specs import POOLINGS
from expandr_repro.errors import UnknownNameError

if TYPE_CHECKING:
    import torch


def pool(states: torch.Tensor, mask: torch.Tensor, pooling: str, skipped: torch.Tensor | None = None) -> torch.Tensor:
    """Pool token states.

    Args:
        states: (texts, tokens, dim); for `first-decoder` the decoder's states.
        mask: (texts, tokens), 1 for a token and 0 for padding.
        pooling: one of `POOLINGS`, or several with `+` between.
        skipped: (texts,) how many first tokens of each text are left out, which are its prompt's; None for none.

    Returns:
        (texts, dim), or (texts, dim times the number of poolings).

    Raises:
        UnknownNameError: no such pooling.
    """
    import torch

    if pooling == "first-decoder":
        return states[:, 0]
    if skipped is not None:
        mask = mask * (torch.arange(mask.shape[1], device=mask.device) >= skipped.unsqueeze(1))
    vectors = [_pooled(states, mask, name) for name in pooling.split("+")]
    return vectors[0] if len(vectors) == 1 else torch.cat(vectors, dim=-1)


def _pooled(states: torch.Tensor, mask: torch.Tensor, pooling: str) -> torch.Tensor:
    import torch

    rows = torch.arange(len(mask), device=mask.device)
    if pooling == "cls":
        return states[rows, mask.argmax(1)]
    if pooling == "last":
        # of equal ones argmax takes the first: of the mask backwards, that is the last token
        return states[rows, mask.shape[1] - 1 - mask.flip(1).argmax(1)]
    if pooling == "max":
        largest = states.masked_fill(mask.unsqueeze(-1) == 0, float("-inf")).amax(1)
        return largest.masked_fill(~mask.bool().any(1, keepdim=True), 0)
    weights = mask.unsqueeze(-1).to(states.dtype)
    if pooling == "weighted-mean":
        weights = weights * torch.arange(1, mask.shape[1] + 1, device=mask.device, dtype=states.dtype).view(1, -1, 1)
    elif pooling not in ("mean", "mean-sqrt-len"):
        raise UnknownNameError("pooling", pooling, POOLINGS)
    total = weights.sum(1).clamp(min=1e-9)
    return (states * weights).sum(1) / (total.sqrt() if pooling == "mean-sqrt-len" else total)
