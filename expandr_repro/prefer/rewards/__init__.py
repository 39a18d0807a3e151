"""Reward candidate expansions, and choose the two that make a topic's preference pair.

The official rule (NEUIR/ExpandR, `src/construct_dpo_data.py`; arXiv 2502.17057): a candidate's reward is the sum of two
reciprocal ranks among the topic's candidates, by similarity to the gold passage and by similarity to an answer; the
candidate with the largest reward is chosen, that with the smallest rejected.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from expandr_repro.errors import ExpandrError, UnknownNameError
from expandr_repro.registry import Entry, Registry

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

F = TypeVar("F", bound=Callable[[Any], Any])


@dataclass(frozen=True, kw_only=True)
class Reward(Entry):
    """A named reward.

    Attributes:
        needs: of gold, answer, index.
        depth: of the rankings that it looks at, where it needs an index; None for --hits.
        beyond_query: whether the value of the query alone is taken off.
    """

    kind = "reward"
    needs: frozenset[str]
    depth: int | None = None
    beyond_query: bool = False

    @property
    def of_answers(self) -> bool:
        """Whether it needs an answer for each topic."""
        return "answer" in self.needs

    @property
    def of_corpus(self) -> bool:
        """Whether it needs relevance judgments and an index to search."""
        return "index" in self.needs


REWARDS: Registry[Reward] = Registry("reward", "expandr_repro.rewards", "expandr_repro.prefer.rewards")  # fmt: skip


def reward(
    name: str, *, needs: Iterable[str], source: str, depth: int | None = None, beyond_query: bool = False
) -> Callable[[F], F]:
    """Register a function as a reward.

    Args:
        name: as typed after `--reward`.
        needs: `gold`: the gold passage; `answer`: an answer for each topic; `index`: a search of the corpus. Without an index the
            function is given one topic's `Candidates` and returns a value for each candidate; with an index it is given `Rankings`, and
            returns a value for each of them.
        source: where it comes from.
        depth: of the rankings; None for as many documents as --hits says.
        beyond_query: whether the value of the query alone is taken off, where it needs an index.

    Raises:
        ExpandrError: the name is taken, or it needs something else.
    """
    if unknown := set(needs) - {"gold", "answer", "index"}:
        raise UnknownNameError(f"need of reward {name!r}", min(unknown), ("gold", "answer", "index"))

    def register(function: F) -> F:
        entry = Reward(name=name, function=function, source=source, needs=frozenset(needs), depth=depth, beyond_query=beyond_query)  # fmt: skip
        REWARDS.add(name, entry, function.__module__)
        return function

    return register


OFFICIAL = "retriever=1,answer=1"
"""The official reward, as `parse_rewards` reads it."""


def parse_rewards(text: str) -> dict[str, float]:
    """Parse rewards and their weights: `retriever=1,answer=0.5`; a name alone has the weight 1.

    Raises:
        UnknownNameError: no such reward.
        ExpandrError: none at all, one twice, or a weight that is not a number above 0.
    """
    weights: dict[str, float] = {}
    for part in filter(None, (p.strip() for p in text.split(","))):
        name, equals, written = (p.strip() for p in part.partition("="))
        REWARDS.find(name)
        if name in weights:
            raise ExpandrError(f"--reward {text!r}: {name} occurs twice; give each reward once")
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
    """Return whether two texts are the same but for white space."""
    return a.split() == b.split()
