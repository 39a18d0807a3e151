"""When a training records, validates, saves and stops: one rule in one place, so that a resumed run does all of it at the same steps."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from expandr_repro.console.progress import Bar
from expandr_repro.errors import DivergedError
from expandr_repro.train_generator.trl.best import Goal, best_of
from expandr_repro.train_generator.trl.checkpoints import mark
from expandr_repro.training.metrics_log import MetricsLog

LEFT_OUT = ("runtime", "per_second", "preparation_time", "num_tokens", "total_flos", "train_loss", "step_time")
"""Parts of the names of what is not recorded: durations, and sums that a resumed run begins anew."""


MEASURED = "train_eval_loss"
"""The key of the loss on the same training examples: before the first step, and after each that the result may be of."""


@dataclass(frozen=True)
class Schedule:
    """When what is done.

    Attributes:
        eval_steps: steps from one validation to the next; None for an epoch.
        save_steps: steps from one checkpoint to the next, besides those of validations and epochs.
        validates: whether there is anything to validate on.
        patience: validations without a better one after which training stops.
        goal: what is better.
    """

    eval_steps: int | None
    save_steps: int | None
    validates: bool
    patience: int | None
    goal: Goal

    def is_due(self, step: int, epoch_steps: int, last: int) -> tuple[bool, bool]:
        """Return whether to validate and whether to save after a step; every validation is saved, and so is the last step."""
        ends = step % epoch_steps == 0 or step == last
        validate = self.validates and (step == last or step % (self.eval_steps or epoch_steps) == 0)
        return validate, validate or ends or bool(self.save_steps and step % self.save_steps == 0)


@dataclass
class Watched:
    """What was recorded so far, and where it goes.

    Attributes:
        schedule: when what is done.
        log: where records go; None in a process that does not write.
        bar: of the steps.
        records: all of them.
        epoch_steps: steps of an epoch.
        measure: measures the loss on the same training examples; None where there is no such thing.
        advice: for a loss that is no number before the first step, and after it.
    """

    schedule: Schedule
    log: MetricsLog | None
    bar: Bar
    records: list[dict[str, Any]] = field(default_factory=list)
    epoch_steps: int = 1
    measure: Callable[[], float] | None = lambda: 0.0
    advice: tuple[str, str] = ("use --set precision=fp32", "lower learning_rate")
    _measured: dict[str, float] = field(default_factory=dict)

    def has_stopped(self) -> bool:
        """Say whether the patience is at its end."""
        best = best_of(self.records, self.schedule.goal)
        return self.schedule.patience is not None and best is not None and best.since >= self.schedule.patience

    def measure_now(self) -> None:
        """Measure the loss on the same training examples; the next record has it."""
        if self.measure:
            self._measured = {MEASURED: self.measure()}

    def record(self, step: int, values: dict[str, Any]) -> None:
        """Keep what the trainer logs.

        Raises:
            DivergedError: the loss is no number any more.
        """
        if "train_runtime" in values:  # the summary of one call, of no meaning in a resumed run
            return
        kept = {k: v for k, v in values.items() if not any(part in k for part in LEFT_OUT)} | self._measured
        self._measured = {}
        self.records.append({"step": step, **kept})
        if self.log:
            self.log.write(step, kept)
        if not all(math.isfinite(kept.get(key, 0.0)) for key in ("loss", "eval_loss", MEASURED)):
            when, advice = (f"after step {step}", self.advice[1]) if step else ("before training", self.advice[0])
            raise DivergedError(f"the loss is no number {when}; {advice}")


def watcher(watched: Watched) -> Any:
    """Return the callback of transformers that does what the schedule says."""
    from transformers import TrainerCallback

    class Watcher(TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            validate, save = watched.schedule.is_due(state.global_step, watched.epoch_steps, state.max_steps)
            if validate or state.global_step == state.max_steps:
                watched.measure_now()
            control.should_evaluate, control.should_save = validate, save
            # a checkpoint keeps no half-summed loss: what is not recorded before it would be missing after a resume
            control.should_log = control.should_log or save
            watched.bar.update(1)

        def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any], **_: Any) -> None:
            watched.record(state.global_step, dict(logs))

        def on_evaluate(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if best := best_of(watched.records, watched.schedule.goal):
                state.best_global_step = best.step  # its checkpoint is not cleared away
            if watched.has_stopped():
                control.should_training_stop = True

        def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if watched.log:
                mark(Path(args.output_dir) / f"checkpoint-{state.global_step}")

    return Watcher()
