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
    """

    key: str
    higher: bool


GOALS = {
    "dpo": {
        "loss": Goal("eval_loss", False),
        "accuracy": Goal("eval_rewards/accuracies", True),
        "margin": Goal("eval_rewards/margins", True),
    },
    "sft": {"loss": Goal("eval_loss", False), "accuracy": Goal("eval_mean_token_accuracy", True)},
}
"""Kind of training -> what `best_by` may say -> where it is found."""


@dataclass(frozen=True)
class Best:
    """The best validation.

    Attributes:
        step: after which step.
        since: how many validations came after it, none better.
    """

    step: int
    since: int


def best_of(records: Sequence[Mapping[str, Any]], goal: Goal) -> Best | None:
    """Return the best validation; of equals the first. That before the first step does not count, one that is no number never wins."""
    best, value, since = None, 0.0, 0
    for record in records:
        if record["step"] == 0 or goal.key not in record:
            continue
        found = record[goal.key]
        if found is not None and (best is None or (found > value if goal.higher else found < value)):
            best, value, since = record["step"], found, 0
        else:
            since += 1
    return None if best is None else Best(best, since)
