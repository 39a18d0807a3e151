"""Sampling in which every row of a batch has its own seed and temperature, whatever else is in the batch.

transformers samples a batch from one global random state, so that a text depends on its neighbours. Here each row draws
one uniform number a step from a stream of its own seed and takes the token at that point of its cumulative
distribution, within the nucleus (top-p, Holtzman et al. 2020: the smallest set of tokens with at least that probability).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from expandr_repro.core.sampling import Sampling

if TYPE_CHECKING:
    import torch

NUCLEUS = 1024
"""So many of the likeliest tokens are sorted first; the whole vocabulary only where a nucleus reaches beyond them."""


class SeededSampling:
    """A logits processor for `generate(do_sample=False)`: leaves the sampled token alone with a finite score.

    Args:
        settings: of each row: temperature and top-p.
        seeds: of each row.
        steps: at most so many tokens will be sampled.
        device: of the logits.
    """

    def __init__(self, settings: Sequence[Sampling], seeds: Sequence[int], steps: int, device: str) -> None:
        import numpy as np
        import torch

        streams = [np.random.Generator(np.random.Philox(seed)).random(steps) for seed in seeds]
        self._uniform = torch.tensor(np.array(streams), dtype=torch.float64, device=device)
        temperatures = torch.tensor([s.temperature for s in settings], dtype=torch.float32, device=device)[:, None]
        self._greedy = temperatures == 0
        self._temperature = torch.where(self._greedy, torch.ones_like(temperatures), temperatures)
        self._top_p = torch.tensor([s.top_p for s in settings], dtype=torch.float64, device=device)[:, None]
        self._step = 0

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Sample one token a row from logits (rows, vocabulary)."""
        import torch

        logits = scores.float() / self._temperature
        total = torch.logsumexp(logits, dim=-1, keepdim=True)
        values, tokens = torch.topk(logits, min(NUCLEUS, logits.shape[-1]), dim=-1)
        mass = (values - total).double().exp().cumsum(-1)
        if values.shape[-1] < logits.shape[-1] and bool((mass[:, -1:] < self._top_p).any()):
            values, tokens = torch.sort(logits, dim=-1, descending=True)
            mass = (values - total).double().exp().cumsum(-1)
        before = torch.nn.functional.pad(mass[:, :-1], (1, 0))
        within = before < self._top_p  # the token that reaches top-p is still in
        size = within.sum(-1, keepdim=True)
        target = self._uniform[:, self._step : self._step + 1] * mass.gather(1, size - 1)
        place = torch.minimum((mass <= target).sum(-1, keepdim=True), size - 1)
        place = torch.where(self._greedy, torch.zeros_like(place), place)
        self._step += 1
        return torch.full_like(scores, float("-inf")).scatter_(1, tokens.gather(1, place), 0.0)
