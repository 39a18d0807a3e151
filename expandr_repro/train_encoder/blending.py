"""Blend trained weights with the untrained ones, to keep what the model knew of other collections.

WiSE-FT (Wortsman et al., Robust fine-tuning of zero-shot models, CVPR 2022): the straight line between the two sets of weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


class Blend:
    """The weights as they are now, to be mixed with what they will have become.

    Args:
        parameters: name -> parameter, before training; a copy is kept where the share is below 1.
        share: of the trained weights, above 0 to 1; the rest are the ones of now.
    """

    def __init__(self, parameters: Mapping[str, torch.nn.Parameter], share: float) -> None:
        self._parameters, self._share = dict(parameters), share
        self._before = {n: p.detach().clone() for n, p in parameters.items()} if share < 1 else {}

    def apply(self) -> None:
        """Mix the untrained weights into the parameters, for good."""
        import torch

        with torch.no_grad():
            for name, before in self._before.items():
                parameter = self._parameters[name]
                parameter.copy_(torch.lerp(before, parameter, self._share))

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Mix them in for a while; afterwards the trained weights are as they were, to the last bit."""
        import torch

        trained = {n: self._parameters[n].detach().clone() for n in self._before}
        self.apply()
        try:
            yield
        finally:
            with torch.no_grad():
                for name, weights in trained.items():
                    self._parameters[name].copy_(weights)
