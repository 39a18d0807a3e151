"""When a training validates and saves; what it records."""

from __future__ import annotations

import pytest

from expandr_repro.errors import ExpandrError
from expandr_repro.train_generator.trl.best import GOALS
from expandr_repro.train_generator.trl.watching import Schedule, Watched
from expandr_repro.training.metrics_log import MetricsLog, read_metrics


class NoBar:
    def update(self, n=1):
        return None


def due(eval_steps=None, save_steps=None, validates=True, last=10):
    schedule = Schedule(eval_steps, save_steps, validates, None, GOALS["dpo"]["loss"])
    answers = {step: schedule.is_due(step, 4, last) for step in range(1, last + 1)}
    return [s for s, (validate, _) in answers.items() if validate], [s for s, (_, save) in answers.items() if save]


def test_each_epoch_and_the_last_step_are_validated_and_saved():
    assert due() == ([4, 8, 10], [4, 8, 10])


def test_validation_in_steps_is_saved_and_so_is_each_epoch():
    assert due(eval_steps=3) == ([3, 6, 9, 10], [3, 4, 6, 8, 9, 10])


def test_checkpoints_in_steps_come_besides_the_epochs():
    assert due(save_steps=5) == ([4, 8, 10], [4, 5, 8, 10])


def test_without_anything_to_validate_on_epochs_are_saved_all_the_same():
    assert due(eval_steps=3, validates=False) == ([], [4, 8, 10])


def watched(tmp_path, patience=None):
    schedule = Schedule(None, None, True, patience, GOALS["dpo"]["loss"])
    return Watched(schedule, MetricsLog(tmp_path / "m.jsonl"), NoBar())


def test_durations_and_the_summary_of_a_call_are_not_recorded(tmp_path):
    book = watched(tmp_path)
    book.record(1, {"loss": 0.5, "eval_runtime": 3.1, "eval_samples_per_second": 2.0, "num_tokens": 7, "epoch": 1.0})
    book.record(1, {"train_runtime": 9.0, "train_loss": 0.1})

    assert read_metrics(tmp_path / "m.jsonl") == [{"step": 1, "loss": 0.5, "epoch": 1.0}] == book.records


def test_patience_ends_after_so_many_validations_without_a_better_one(tmp_path):
    book = watched(tmp_path, patience=2)
    stopped = []
    for step, loss in enumerate((0.7, 0.5, 0.6, 0.6)):
        book.record(step, {"eval_loss": loss})
        stopped.append(book.has_stopped())

    assert stopped == [False, False, False, True]


def test_a_loss_that_is_no_number_ends_the_training(tmp_path):
    book = watched(tmp_path)
    with pytest.raises(ExpandrError, match="the loss is not a number after step 3; lower learning_rate"):
        book.record(3, {"loss": float("nan")})

    assert read_metrics(tmp_path / "m.jsonl") == [{"step": 3, "loss": None}]
