"""Pool token states to one vector per text; each pooling is a function with `@pooling`. Texts are padded on the right."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from expandr_repro.data.specs import POOLINGS, Pooling

if TYPE_CHECKING:
    import torch

F = TypeVar("F", bound="Callable[..., torch.Tensor]")


def pooling(name: str, *, joins: bool = True) -> Callable[[F], F]:
    """Register a function as a pooling.

    It is given the token states (texts, tokens, dim) and the mask (texts, tokens), 1 for a token that is pooled, and returns
    (texts, dim).

    Args:
        name: as typed after `--pooling` and in an encoder's spec.
        joins: whether `+` may put its vectors next to those of others.

    Raises:
        ExpandrError: the name is taken.
    """

    def register(function: F) -> F:
        POOLINGS.add(name, Pooling(function, joins), function.__module__)
        return function

    return register


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

    poolings = [POOLINGS.find(name) for name in pooling.split("+")]
    if skipped is not None and poolings[0].joins:
        mask = mask * (torch.arange(mask.shape[1], device=mask.device) >= skipped.unsqueeze(1))
    vectors = [p.function(states, mask) for p in poolings]
    return vectors[0] if len(vectors) == 1 else torch.cat(vectors, dim=-1)


@pooling("cls")
def cls(states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Take the first token's state."""
    return states[_rows(mask), mask.argmax(1)]


@pooling("mean")
def mean(states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Take the mean of the states."""
    weights = mask.unsqueeze(-1).to(states.dtype)
    return (states * weights).sum(1) / weights.sum(1).clamp(min=1e-9)


@pooling("last")
def last(states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Take the last token's state."""
    # of equal ones argmax takes the first: of the mask backwards, that is the last token
    return states[_rows(mask), mask.shape[1] - 1 - mask.flip(1).argmax(1)]


@pooling("max")
def largest(states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Take the largest value of each dimension."""
    values = states.masked_fill(mask.unsqueeze(-1) == 0, float("-inf")).amax(1)
    return values.masked_fill(~mask.bool().any(1, keepdim=True), 0)


@pooling("weighted-mean")
def weighted_mean(states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Take the mean of the states, each weighted by its position from 1."""
    import torch

    weights = mask.unsqueeze(-1).to(states.dtype)
    weights = weights * torch.arange(1, mask.shape[1] + 1, device=mask.device, dtype=states.dtype).view(1, -1, 1)
    return (states * weights).sum(1) / weights.sum(1).clamp(min=1e-9)


@pooling("mean-sqrt-len")
def mean_sqrt_len(states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Take the sum of the states, divided by the square root of their number."""
    weights = mask.unsqueeze(-1).to(states.dtype)
    return (states * weights).sum(1) / weights.sum(1).clamp(min=1e-9).sqrt()


@pooling("first-decoder", joins=False)
def first_decoder(states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Take the decoder's first state, of an encoder-decoder."""
    return states[:, 0]


def _rows(mask: torch.Tensor) -> torch.Tensor:
    import torch

    return torch.arange(len(mask), device=mask.device)
