"""Which validation is the best, and for how long."""

from __future__ import annotations

import pytest

from expandr_repro.train_generator.trl.best import GOALS, Best, best_of

LOSS, ACCURACY = GOALS["dpo"]["loss"], GOALS["dpo"]["accuracy"]


def losses(*values):
    return [{"step": step, "eval_loss": value} for step, value in enumerate(values)]


@pytest.mark.parametrize(
    ("values", "best"),
    [
        ((0.1,), Best(0, 0)),  # before the first step
        ((0.1, 0.9), Best(0, 1)),
        ((1.0, 0.9, 0.8, 0.85), Best(2, 1)),
        ((1.0, 0.9, 0.9, 0.9), Best(1, 2)),  # of equals the first
        ((0.9, 0.9), Best(0, 1)),
        ((None, None, 0.9), Best(2, 0)),  # no number
        ((1.0, 0.9, None), Best(1, 1)),
    ],
)
def test_the_lowest_loss_is_the_best_and_the_untrained_model_counts(values, best):
    assert best_of(losses(*values), LOSS) == best


def test_accuracy_is_the_better_the_higher_and_other_records_do_not_count():
    records = [{"step": s, ACCURACY.key: v} for s, v in ((1, 0.5), (2, 0.7), (3, 0.6))]
    between = [{"step": 2, "loss": 0.1}]

    assert best_of([*records[:2], *between, *records[2:]], ACCURACY) == Best(2, 1)


def test_before_training_no_pair_is_told_apart_so_its_accuracy_is_one_half_whatever_was_recorded():
    records = [{"step": s, ACCURACY.key: v} for s, v in ((0, 0.0), (1, 0.3), (2, 0.4))]

    assert best_of(records, ACCURACY) == Best(0, 2)
    assert best_of([*records, {"step": 3, ACCURACY.key: 0.6}], ACCURACY) == Best(3, 0)


def test_nothing_validated_has_no_best():
    assert best_of([{"step": 1, "loss": 1.0}], LOSS) is None
