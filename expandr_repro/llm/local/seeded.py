"""Sample tokens with a seed and a temperature for each row of a batch.

transformers samples a batch from one global random state, so that a text depends on its neighbours. Here each row draws
one uniform number per step from a stream of its own seed and takes the token at that point of its cumulative
distribution, within the nucleus (top-p, Holtzman et al. 2020: the smallest set of tokens with at least that probability).
Tokens of equal probability are ordered by their number, so that a row's token does not depend on how many were sorted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from expandr_repro.llm.sampling import Sampling

if TYPE_CHECKING:
    import torch

LADDER = (64, 1024)
"""So many of the likeliest tokens are looked at first, then so many; the whole vocabulary only for rows whose nucleus reaches beyond."""

VERSION = 2
"""Of the order of tokens within a nucleus; part of what decides a text."""


def uniforms(seeds: Sequence[int], steps: int) -> torch.Tensor:
    """Return each row's stream of uniform numbers: (rows, steps) float64, on the host."""
    import numpy as np
    import torch

    streams = [np.random.Generator(np.random.Philox(seed)).random(steps) for seed in seeds]
    return torch.from_numpy(np.array(streams, dtype=np.float64).reshape(len(seeds), steps))


def sample(logits: torch.Tensor, temperature: torch.Tensor, top_p: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
    """Sample one token per row.

    Args:
        logits: (rows, vocabulary), in the model's precision.
        temperature: (rows,) float32; 0 takes the likeliest token.
        top_p: (rows,) float64.
        uniform: (rows,) float64 in [0, 1): the point of the cumulative distribution.

    Returns:
        (rows,) int64.
    """
    import torch

    greedy = temperature == 0
    scale = torch.where(greedy, 1.0, temperature)[:, None]
    total = torch.logsumexp(logits.float() / scale, dim=-1, keepdim=True)
    vocabulary = logits.shape[-1]
    chosen, settled = _among(min(LADDER[0], vocabulary), logits, scale, total, top_p, uniform, greedy)
    for count in (*LADDER[1:], vocabulary):
        rows = torch.nonzero(~settled)[:, 0]
        if not len(rows):
            break
        picked = (logits[rows], scale[rows], total[rows], top_p[rows], uniform[rows], greedy[rows])
        chosen[rows], settled[rows] = _among(min(count, vocabulary), *picked)
    return chosen


def _among(
    count: int,
    logits: torch.Tensor,
    scale: torch.Tensor,
    total: torch.Tensor,
    top_p: torch.Tensor,
    uniform: torch.Tensor,
    greedy: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Sample among each row's `count` likeliest tokens; say for which rows more tokens could not change the choice."""
    import torch

    if count == logits.shape[-1]:
        raw, tokens = torch.sort(logits, dim=-1, descending=True, stable=True)
    else:
        raw, tokens = torch.topk(logits, count, dim=-1)
        tokens, order = tokens.sort(-1)
        raw, order = raw.gather(-1, order).sort(dim=-1, descending=True, stable=True)
        tokens = tokens.gather(-1, order)
    mass = ((raw.float() / scale) - total).double().exp().cumsum(-1)
    whole = top_p[:, None] >= 1.0
    before = torch.nn.functional.pad(mass[:, :-1], (1, 0))
    size = torch.where(
        whole, count, (before < top_p[:, None]).sum(-1, keepdim=True)
    )  # the token that reaches top-p is in
    held = torch.where(whole, 1.0, mass.gather(1, size - 1))
    rank = torch.minimum((mass <= uniform[:, None] * held).sum(-1, keepdim=True), size - 1)
    rank = torch.where(greedy[:, None], 0, rank)
    if count == logits.shape[-1]:
        return tokens.gather(1, rank)[:, 0], torch.ones_like(greedy)
    # what is decided by: the nucleus's last token, or for the whole distribution and for the likeliest token the one chosen;
    # tokens as likely as the last one looked at may lie beyond it
    last = torch.where(whole | greedy[:, None], rank, size - 1)
    reached = torch.where(whole, mass[:, -1:] > uniform[:, None], mass[:, -1:] >= top_p[:, None]) | greedy[:, None]
    settled = reached & (raw.gather(1, last) > raw[:, -1:])
    return tokens.gather(1, rank)[:, 0], settled[:, 0]


class SeededSampling:
    """A logits processor for `generate(do_sample=False)`: leaves the sampled token alone with a finite score.

    Args:
        settings: of each row: temperature and top-p.
        seeds: of each row.
        steps: at most so many tokens will be sampled.
        device: of the logits.
    """

    def __init__(self, settings: Sequence[Sampling], seeds: Sequence[int], steps: int, device: str) -> None:
        import torch

        self._uniform = uniforms(seeds, steps).to(device)
        self._temperature = torch.tensor([s.temperature for s in settings], dtype=torch.float32, device=device)
        self._top_p = torch.tensor([s.top_p for s in settings], dtype=torch.float64, device=device)
        self._step = 0

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Sample one token per row from logits (rows, vocabulary)."""
        import torch

        tokens = sample(scores, self._temperature, self._top_p, self._uniform[:, self._step])
        self._step += 1
        return torch.full_like(scores, float("-inf")).scatter_(1, tokens[:, None], 0.0)
