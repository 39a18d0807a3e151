"""How good a candidate expansion is, and which two of a topic's candidates make a preference pair.

The official rule (NEUIR/ExpandR, `src/construct_dpo_data.py`; arXiv 2502.17057): a candidate's reward is the sum of two
reciprocal ranks among the topic's candidates, by similarity to the gold passage and by similarity to an answer; the
candidate with the largest reward is chosen, that with the smallest rejected.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from expandr_repro.errors import ExpandrError, UnknownNameError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Reward:
    """A named reward: what it is, and where it comes from.

    Attributes:
        name: as typed after `--reward`.
        summary: what it measures.
        source: where it comes from.
        of_answers: whether it needs an answer for each topic.
        of_corpus: whether it needs judgements and an index to search.
    """

    name: str
    summary: str
    source: str
    of_answers: bool = False
    of_corpus: bool = False


REWARDS = {
    r.name: r
    for r in (
        Reward("retriever", "reciprocal rank by similarity to the gold passage", "ExpandR, official code"),
        Reward("answer", "reciprocal rank by similarity to the answer", "ExpandR, official code", of_answers=True),
        Reward(
            "corpus-rank",
            "reciprocal rank of the gold document when the corpus is searched with query and candidate",
            "after AQE (arXiv 2507.11042)",
            of_corpus=True,
        ),
        Reward(
            "delta-ndcg",
            "nDCG@10 with query and candidate less nDCG@10 with the query alone",
            "after arXiv 2603.13776",
            of_corpus=True,
        ),
    )
}

OFFICIAL = "retriever=1,answer=1"
"""The official reward, as `parse_rewards` reads it."""


def parse_rewards(text: str) -> dict[str, float]:
    """Parse rewards and their weights: `retriever=1,answer=0.5`; a name alone has the weight 1.

    Raises:
        UnknownNameError: no such reward.
        ExpandrError: none at all, one twice, or a weight that is no number above 0.
    """
    weights: dict[str, float] = {}
    for part in filter(None, (p.strip() for p in text.split(","))):
        name, equals, written = (p.strip() for p in part.partition("="))
        if name not in REWARDS:
            raise UnknownNameError("reward", name, REWARDS)
        if name in weights:
            raise ExpandrError(f"--reward {text!r}: {name} is there twice; give each reward once")
        try:
            weight = float(written) if equals else 1.0
        except ValueError:
            weight = math.nan
        if not (math.isfinite(weight) and weight > 0):
            raise ExpandrError(f"--reward {text!r}: the weight of {name} is {written!r}; wanted a number above 0")
        weights[name] = weight
    if not weights:
        raise ExpandrError(f"no reward given; write e.g. --reward {OFFICIAL}")
    return weights


def ranks(scores: ArrayLike) -> NDArray[np.int64]:
    """Return each score's rank from 1, highest first; equal scores share the better rank (1, 2, 2, 4).

    The official code gives equal scores different ranks in an order that it leaves open. Sharing one makes equal texts
    worth the same, whatever their numbers, and changes nothing where no scores are equal.

    Args:
        scores: (candidates,).

    Returns:
        (candidates,).
    """
    import numpy as np

    falling = -np.asarray(scores, dtype=np.float64)
    better: NDArray[np.int64] = np.searchsorted(np.sort(falling), falling, side="left")
    return better + 1


def reciprocal_ranks(scores: ArrayLike) -> NDArray[np.float64]:
    """Return 1 / rank of each score among them, (candidates,): the rewards `retriever` and `answer`."""
    inverse: NDArray[np.float64] = 1.0 / ranks(scores)
    return inverse


def total_rewards(parts: Mapping[str, NDArray[np.float64]], weights: Mapping[str, float]) -> NDArray[np.float64]:
    """Return the weighted sums, (candidates,).

    Sums are rounded to twelve decimals, so that what is equal is a tie: 0.1 + 0.2 and 0.3 + 0 differ in floating point.

    Args:
        parts: reward -> (candidates,).
        weights: reward -> weight.
    """
    import numpy as np

    columns = [(parts[name] * weight).tolist() for name, weight in weights.items()]
    return np.array([round(math.fsum(row), 12) for row in zip(*columns, strict=True)], dtype=np.float64)


@dataclass(frozen=True)
class Choice:
    """The numbers of the chosen and the rejected candidate, and by how much their rewards differ."""

    chosen: int
    rejected: int
    margin: float


def choose(totals: ArrayLike, similarities: ArrayLike, texts: Sequence[str]) -> Choice | None:
    """Choose a topic's pair: the highest reward against the lowest.

    Ties are broken by the sum of similarities (the more similar is chosen, the less similar rejected), then by the
    lower number on both sides, as `argmax` and `argmin` of the official code do.

    Args:
        totals: (candidates,) rewards.
        similarities: (candidates,) sums of similarities.
        texts: of the candidates.

    Returns:
        The pair, or None where nothing can be preferred: no two candidates differ in text, or none in reward or similarity.
    """
    import numpy as np

    rewards = np.asarray(totals, dtype=np.float64).tolist()
    sums = np.asarray(similarities, dtype=np.float64).tolist()
    numbers = range(len(texts))
    if not numbers:
        return None
    chosen = max(numbers, key=lambda i: (rewards[i], sums[i], -i))
    rejected = min(numbers, key=lambda i: (rewards[i], sums[i], i))
    if chosen == rejected or is_same_text(texts[chosen], texts[rejected]):
        return None
    return Choice(chosen, rejected, rewards[chosen] - rewards[rejected])


def is_same_text(a: str, b: str) -> bool:
    """Say whether two texts are the same but for white space."""
    return a.split() == b.split()
