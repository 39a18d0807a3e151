"""What a written text is worth in training: the weighted sum of our rewards, less what its length costs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from expandr_repro.errors import ExpandrError
from expandr_repro.prefer.scoring import Scorer
from expandr_repro.train_generator.online.rollouts import Text

FREE = 0.2
"""So much longer or shorter than wanted, as a part of it, costs nothing."""

LENGTH = "length"


def length_penalty(words: int, wanted: float) -> float:
    """Return what a text's length costs, from 0 to 1: how far it is from `wanted` as a part of it, beyond `FREE`."""
    return min(1.0, max(0.0, abs(words / wanted - 1.0) - FREE))


@dataclass
class GroupRewards:
    """Rewards groups of texts.

    Attributes:
        scorer: of the texts.
        group_size: texts of a topic.
        length_weight: of the penalty.
        length_words: words wanted; None where they are not known yet.
        means: of the last call: name -> mean over its texts.
    """

    scorer: Scorer
    group_size: int
    length_weight: float = 0.0
    length_words: float | None = None
    means: dict[str, float] = field(default_factory=dict)

    def __call__(self, qids: Sequence[str], texts: Sequence[Text]) -> list[float]:
        """Return the reward of each text.

        A text that is empty, or refuses, says nothing that could be searched with: it has 0 of every reward.

        Args:
            qids: of each text its topic; those of a group stand together.
            texts: as they were written.

        Raises:
            ExpandrError: a group is divided.
        """
        size = self.group_size
        groups = [(qids[i], texts[i : i + size]) for i in range(0, len(texts), size)]
        if any(
            set(qids[i : i + size]) != {qids[i]} or len(qids[i : i + size]) != size for i in range(0, len(qids), size)
        ):
            raise ExpandrError("the texts of a topic do not stand together; this is a fault of the toolkit")
        asked = [(qid, [self._searched(t) for t in group if self._says_something(t)]) for qid, group in groups]
        scored = iter(self.scorer.score([(qid, said) for qid, said in asked if said]))
        values: list[float] = []
        parts: dict[str, list[float]] = {name: [] for name in self.scorer.weights}
        for (_, group), (_, said) in zip(groups, asked, strict=True):
            found = next(scored) if said else None
            number = 0
            for text in group:
                speaks = found is not None and self._says_something(text)
                for name in parts:
                    parts[name].append(float(found.parts[name][number]) if found is not None and speaks else 0.0)
                values.append(float(found.totals[number]) if found is not None and speaks else 0.0)
                number += speaks
        words = [len(self._searched(t).split()) for t in texts]
        self.means = {f"rewards/{name}": fmean(column) for name, column in parts.items()}
        self.means |= {
            "words": fmean(words),
            "refusals": fmean(t.cleaned.refused for t in texts),
            "cut": fmean(t.finish == "length" for t in texts),
        }
        if self.length_weight:
            if self.length_words is None:
                raise ExpandrError(
                    "length_weight: how long texts should be is not known; set length_words, or give topics to validate on"
                )
            costs = [length_penalty(n, self.length_words) for n in words]
            self.means[f"rewards/{LENGTH}"] = -fmean(costs)
            values = [value - self.length_weight * cost for value, cost in zip(values, costs, strict=True)]
        return values

    @staticmethod
    def _searched(text: Text) -> str:
        return text.cleaned.text.strip()

    def _says_something(self, text: Text) -> bool:
        return bool(self._searched(text)) and not text.cleaned.refused


Reward = Callable[[Sequence[str], Sequence[Text]], list[float]]
