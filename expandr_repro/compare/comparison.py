"""Compare runs on the same topics: means, differences, significance, wins and losses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

from expandr_repro.errors import ExpandrError
from expandr_repro.evaluate.metrics import Measure
from expandr_repro.evaluate.scoring import Figures
from expandr_repro.evaluate.significance import MARGIN, bootstrap_interval, holm, paired_p, wins_ties_losses

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Comparison:
    """One run against another on one measure.

    Attributes:
        a: the run compared with.
        b: the run in question.
        measure: what is compared.
        difference: mean of b less mean of a.
        p: of the paired test; NaN with fewer than two topics.
        p_holm: the same, corrected for the number of comparisons on this measure.
        wins: topics on which b is better.
        ties: topics on which both are equal.
        losses: topics on which b is worse.
        per_topic: (topics,) differences.
        interval: the 95% bootstrap confidence interval of the difference; None where it was not asked for.
    """

    a: str
    b: str
    measure: Measure
    difference: float
    p: float
    p_holm: float
    wins: int
    ties: int
    losses: int
    per_topic: NDArray[np.float64]
    interval: tuple[float, float] | None = None

    @property
    def oracle(self) -> float:
        """The difference of whoever chose per topic the better of the two: the bound of any gate between them."""
        return float(self.per_topic.clip(min=0).mean()) if len(self.per_topic) else float("nan")

    def extremes(self, qids: Sequence[str], count: int) -> list[int]:
        """Return the rows of the topics of largest difference: up to `count` losses, largest first, then up to `count` gains, the largest last.

        Args:
            qids: of the topics, in order.
            count: how many of each.
        """
        order = sorted(range(len(qids)), key=lambda row: (self.per_topic[row], qids[row]))
        losses, gains = ([row for row in order if sign * self.per_topic[row] > MARGIN] for sign in (-1, 1))
        return losses[:count] + gains[-count:]


def compare(
    runs: Mapping[str, Figures],
    measures: Sequence[Measure],
    test: str = "student",
    all_pairs: bool = False,
    bootstrap: bool = False,
) -> list[Comparison]:
    """Compare runs with the first, or all with all.

    Args:
        runs: run name -> its scores on the same qrels, the first being the baseline.
        measures: what to compare.
        test: `student` or `fisher`.
        all_pairs: whether every pair is compared, not only those with the first.
        bootstrap: whether confidence intervals are computed.

    Raises:
        ExpandrError: fewer than two runs.
        UnknownNameError: no such test.
    """
    names = list(runs)
    if len(names) < 2:
        raise ExpandrError("one run has nothing to be compared with; give two or more")
    pairs = list(combinations(names, 2)) if all_pairs else [(names[0], other) for other in names[1:]]
    comparisons = []
    for measure in measures:
        scores = {name: runs[name].per_topic[measure] for name in names}
        p_values = [paired_p(scores[a], scores[b], test) for a, b in pairs]
        for (a, b), p, corrected in zip(pairs, p_values, holm(p_values), strict=True):
            difference = scores[b] - scores[a]
            comparisons.append(
                Comparison(
                    a,
                    b,
                    measure,
                    float(difference.mean()) if len(difference) else float("nan"),
                    p,
                    corrected,
                    *wins_ties_losses(scores[a], scores[b]),
                    difference,
                    bootstrap_interval(difference) if bootstrap else None,
                )
            )
    return comparisons


def short_names(paths: Sequence[str]) -> list[str]:
    """Return short, distinct names of run files.

    Raises:
        ExpandrError: a file is given twice.
    """
    short = [Path(p).name.removesuffix(".gz").removesuffix(".trec").removesuffix(".txt") for p in paths]
    names = short if len(set(short)) == len(short) else list(paths)
    if len(set(names)) != len(names):
        raise ExpandrError("the same run is given twice")
    return names
