"""Decide which weights to keep and when to stop, by the mean of some development scores."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass
class Progress:
    """Where a training stands, as its checkpoint keeps it.

    Attributes:
        first: name -> score before the first step.
        best: the same of the best weights so far.
        best_step: when these were.
        last: the same of the last look.
        without_gain: looks since the best.
        stopped: whether `patience` is at its end.
    """

    first: dict[str, float] = field(default_factory=dict)
    best: dict[str, float] = field(default_factory=dict)
    best_step: int = 0
    last: dict[str, float] = field(default_factory=dict)
    without_gain: int = 0
    stopped: bool = False

    def take(self, scores: Mapping[str, float], step: int, names: Sequence[str], patience: int) -> bool:
        """Note the scores of a step.

        Args:
            scores: name -> score, the higher the better.
            step: after which they were measured.
            names: those whose mean decides.
            patience: looks without a gain after which to stop; 0 for never.

        Returns:
            Whether these are the best so far; of equal ones the first is.
        """
        self.last = dict(scores)
        if not step:
            self.first = self.last
        is_best = not self.best or _mean(self.last, names) > _mean(self.best, names)
        if is_best:
            self.best, self.best_step, self.without_gain = self.last, step, 0
        else:
            self.without_gain += 1
        self.stopped = bool(patience) and self.without_gain >= patience
        return is_best


def _mean(scores: Mapping[str, float], names: Sequence[str]) -> float:
    return math.fsum(scores[name] for name in names) / len(names)
