"""What a written text is worth in training: the weighted sum of our rewards, less what its length costs."""

from __future__ import annotations

from collections.abc import Sequence
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
        scored = self.scorer.score([(qid, [self._searched(t) for t in group]) for qid, group in groups])
        values = [value for one in scored for value in one.totals]
        parts = {name: [value for one in scored for value in one.parts[name]] for name in self.scorer.weights}
        words = [len(t.cleaned.text.split()) for t in texts]
        self.means = {f"rewards/{name}": fmean(column) for name, column in parts.items()}
        self.means |= {
            # the last digits of a vector depend on the texts that are encoded with it, which are others after a resume
            "similarity": round(fmean(value for one in scored for value in one.to_gold), 6),
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
        """Return what would be searched with: nothing where the model refuses."""
        return "" if text.cleaned.refused else text.cleaned.text
