"""Test paired differences over topics for significance, with Holm's correction for several comparisons."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from expandr_repro.errors import UnknownNameError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TESTS = ("student", "fisher")
PERMUTATIONS, SEED = 10_000, 42

MARGIN = 1e-9
"""Scores of a topic that differ by no more are equal."""


def paired_p(a: NDArray[np.float64], b: NDArray[np.float64], test: str = "student") -> float:
    """Return the two-sided p-value that two systems' scores on the same topics differ in the mean.

    Args:
        a: (topics,) scores of one system.
        b: (topics,) scores of the other, same topics in the same order.
        test: `student` (paired t) or `fisher` (randomisation of signs, 10,000 draws; Smucker et al., CIKM 2007).

    Returns:
        p; 1.0 where no topic differs, NaN where there are fewer than two topics.

    Raises:
        UnknownNameError: no such test.
    """
    import numpy as np

    if test not in TESTS:
        raise UnknownNameError("test", test, TESTS)
    difference = np.asarray(b, dtype=np.float64) - np.asarray(a, dtype=np.float64)
    if len(difference) < 2:
        return float("nan")
    if not np.any(difference):
        return 1.0
    if np.ptp(difference) == 0:  # the same difference everywhere: t is infinite
        return 0.0 if test == "student" else 2.0 ** (1 - len(difference))
    if test == "student":
        from scipy.special import stdtr  # what `scipy.stats.ttest_rel` calls; the import of scipy.stats takes a second

        n = len(difference)
        t = difference.mean() / np.sqrt(difference.var(ddof=1) / n)
        return float(2 * stdtr(n - 1, -abs(t)))
    from scipy.stats import permutation_test

    def mean(x: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
        means: NDArray[np.float64] = np.mean(x, axis=axis)
        return means

    drawn = permutation_test(
        (difference,),
        mean,
        permutation_type="samples",
        n_resamples=PERMUTATIONS,
        vectorized=True,
        batch=256,
        rng=np.random.default_rng(SEED),
    )
    return float(drawn.pvalue)


def bootstrap_interval(difference: NDArray[np.float64]) -> tuple[float, float]:
    """Return the 95% bootstrap confidence interval of a mean difference over topics.

    Bias-corrected and accelerated (BCa; Efron, JASA 1987) from 9,999 resamples; percentiles above 10,000 topics, where both agree and BCa's jackknife is slow.

    Args:
        difference: (topics,) paired differences.

    Returns:
        The lower and the upper limit; NaN where there are fewer than two topics.
    """
    import numpy as np

    if len(difference) < 2:
        return float("nan"), float("nan")
    if np.ptp(difference) == 0:  # every resample has this mean
        return float(difference[0]), float(difference[0])
    from scipy.stats import bootstrap

    result = bootstrap(
        (difference,),
        np.mean,
        batch=256,
        method="BCa" if len(difference) <= 10_000 else "percentile",
        rng=np.random.default_rng(SEED),
    ).confidence_interval
    return float(result.low), float(result.high)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for their number (Holm, Scandinavian Journal of Statistics 1979), in the order given; NaN stays NaN."""
    valid = sorted((p, i) for i, p in enumerate(p_values) if p == p)
    corrected = [float("nan")] * len(p_values)
    largest = 0.0
    for rank, (p, i) in enumerate(valid):
        largest = max(largest, min(1.0, (len(valid) - rank) * p))
        corrected[i] = largest
    return corrected


def wins_ties_losses(a: NDArray[np.float64], b: NDArray[np.float64]) -> tuple[int, int, int]:
    """Count the topics on which b is better than, equal to and worse than a."""
    import numpy as np

    difference = np.asarray(b) - np.asarray(a)
    wins, losses = int((difference > MARGIN).sum()), int((difference < -MARGIN).sum())
    return wins, int((np.abs(difference) <= MARGIN).sum()), losses
