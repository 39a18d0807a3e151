"""Which validation was the best so far, and how many have come since: read from the records, so that a resumed run decides alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Goal:
    """What is best.

    Attributes:
        key: of the records.
        higher: whether more is better.
        untrained: the value before training, where what is recorded is not it; None where it is.
    """

    key: str
    higher: bool
    untrained: float | None = None

    def value(self, record: Mapping[str, Any]) -> float | None:
        """Return a record's value; None where it has none, or none that is a number."""
        value: float | None = record.get(self.key)
        return self.untrained if self.untrained is not None and record["step"] == 0 and self.key in record else value


GOALS = {
    "dpo": {
        "loss": Goal("eval_loss", False),
        # before training the rewards of both passages are 0, and trl counts a tie as wrong
        "accuracy": Goal("eval_rewards/accuracies", True, untrained=0.5),
        "margin": Goal("eval_rewards/margins", True),
    },
    "sft": {"loss": Goal("eval_loss", False), "accuracy": Goal("eval_mean_token_accuracy", True)},
    "grpo": {"ndcg": Goal("eval_nDCG@10", True)},
}
"""Kind of training -> what `best_by` may say -> where it is found."""


@dataclass(frozen=True)
class Best:
    """The best validation.

    Attributes:
        step: after which step; 0 for the untrained model.
        since: how many validations came after it, none better.
    """

    step: int
    since: int


def best_of(records: Sequence[Mapping[str, Any]], goal: Goal) -> Best | None:
    """Return the best validation, that before the first step among them; of equals the first. One that is no number never wins."""
    best, value, since = None, 0.0, 0
    for record in records:
        if goal.key not in record:
            continue
        found = goal.value(record)
        if found is not None and (best is None or (found > value if goal.higher else found < value)):
            best, value, since = record["step"], found, 0
        else:
            since += 1
    return None if best is None else Best(best, since)
