"""A training, from a model on disk to the checkpoint that is its result; the same command goes on where a killed one was."""

from __future__ import annotations

import logging
import math
import pickle
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from expandr_repro.console.progress import progress
from expandr_repro.encoders.protocol import PRECISIONS
from expandr_repro.errors import ExpandrError, FormatError, MismatchError
from expandr_repro.llm.local.loading import end_ids, load_causal_lm, load_tokenizer, with_adapter
from expandr_repro.llm.local.weights import Weights
from expandr_repro.train_generator.settings import PassageSettings, TrainingSettings
from expandr_repro.train_generator.trl.arguments import Place
from expandr_repro.train_generator.trl.best import Goal, best_of
from expandr_repro.train_generator.trl.checkpoints import checkpoints, clear_after, last_whole, refuse_foreign, step_of
from expandr_repro.train_generator.trl.checks import is_first_process, memory_advice, processes
from expandr_repro.train_generator.trl.examples import Examples, Texts, fit
from expandr_repro.train_generator.trl.measuring import train_loss
from expandr_repro.train_generator.trl.quiet import quiet_libraries
from expandr_repro.train_generator.trl.reference import ReferenceStore
from expandr_repro.train_generator.trl.trainers import make_trainer
from expandr_repro.train_generator.trl.watching import Schedule, Watched, watcher
from expandr_repro.training.metrics_log import MetricsLog, read_metrics

METRICS = "metrics.jsonl"

UNTRAINED = "untrained"
"""Folder of the adapter before the first step, which is the result where no validation after one is better."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Trained:
    """What came of a training.

    Attributes:
        checkpoint: the folder of the result's weights.
        chosen_step: after which step they were; 0 for the untrained model's.
        steps: how many were taken.
        records: all that was measured.
        counts: what became of the texts, those to train on ("train") and to validate on ("dev").
    """

    checkpoint: Path
    chosen_step: int
    steps: int
    records: list[dict[str, Any]]
    counts: dict[str, dict[str, int]]


@dataclass(frozen=True)
class Built:
    """A trainer that has taken no step yet.

    Attributes:
        trainer: of trl.
        counts: what became of the data, that to train on ("train") and to validate on ("dev").
        measure: measures the loss on the same training examples; None where there is no such thing.
    """

    trainer: Any
    counts: dict[str, dict[str, int]]
    measure: Callable[[], float] | None = None


def train(
    settings: PassageSettings,
    goal: Goal,
    weights: Weights,
    texts: Mapping[str, Texts],
    place: Place,
    store: ReferenceStore,
    trust: bool = False,
) -> Trained:
    """Train on texts, or go on with a training.

    Args:
        settings: how.
        goal: what decides between validations.
        weights: the model, and the adapter to train further.
        texts: "train", and perhaps "dev".
        place: where and how it runs; its folder keeps the checkpoints and the records.
        store: of the reference's log-probabilities.
        trust: let the model's own code run.

    Raises:
        ExpandrError: nothing is left to train on; whatever `run_training` raises.
    """

    def build(model: Any, tokenizer: Any) -> Built:
        examples = _examples(settings, tokenizer, model, texts)
        trainer = make_trainer(settings, place, model, tokenizer, examples["train"], examples.get("dev"), store)
        counts = {name: made.counts for name, made in examples.items()}
        return Built(trainer, counts, lambda: train_loss(trainer, settings.eval_batch_size))

    return run_training(settings, goal, weights, place, build, trust)


def run_training(
    settings: TrainingSettings,
    goal: Goal,
    weights: Weights,
    place: Place,
    build: Callable[[Any, Any], Built],
    trust: bool = False,
) -> Trained:
    """Load a model, train it, or go on with a training.

    Args:
        settings: how.
        goal: what decides between validations.
        weights: the model, and the adapter to train further.
        place: where and how it runs; its folder keeps the checkpoints and the records.
        build: makes the trainer of model and tokenizer.
        trust: let the model's own code run.

    Raises:
        ExpandrError: the lengths are more than the model takes.
        DivergedError: the loss is no number.
        SetupError: the GPU's memory is too small.
        MismatchError: the adapter is of another model, or the tokenizer has no end of sequence.
    """
    with quiet_libraries(), memory_advice():
        model, tokenizer = _load(settings, weights, place, trust)
        resumed = last_whole(place.folder, processes())
        if resumed:
            refuse_foreign(resumed)
        if is_first_process():
            clear_after(place.folder, resumed)
        built = build(model, tokenizer)
        trainer = built.trainer
        _run(built, settings, goal, place, resumed)
        trainer.accelerator.wait_for_everyone()
        records = read_metrics(place.folder / METRICS)
        last = checkpoints(place.folder)[-1]
        trainer.accelerator.wait_for_everyone()  # all have read before the first one clears up
        trainer.accelerator.end_training()
    best = best_of(records, goal) if settings.keep_best else None
    step = step_of(last) if best is None else best.step
    chosen = place.folder / f"checkpoint-{step}"
    if not step:
        _say_untrained(records, goal)
        chosen = weights.adapter or (place.folder / UNTRAINED if settings.lora_r else weights.folder)
    return Trained(chosen, step, step_of(last), records, built.counts)


def _say_untrained(records: Sequence[Mapping[str, Any]], goal: Goal) -> None:
    first, *later = [v for r in records if goal.key in r and (v := goal.value(r)) is not None]
    best = (max if goal.higher else min)(later, default=math.nan)
    log.warning(
        "training made it %s: the untrained model is kept (%s of the validation: %.4f before, %.4f at best after); lower learning_rate, or "
        "use --set keep_best=false for the last step",
        "no better" if best == first else "worse", goal.key.removeprefix("eval_"), first, best,
    )  # fmt: skip


def _load(settings: TrainingSettings, weights: Weights, place: Place, trust: bool) -> tuple[Any, Any]:
    import torch

    # what is trained stays in full precision; a base that only carries an adapter may be in half
    whole = not settings.lora_r and not weights.adapter
    dtype = torch.float32 if whole else getattr(torch, PRECISIONS[place.precision])
    tokenizer = load_tokenizer(weights.folder, trust)
    if settings.chat_template is False:
        tokenizer.chat_template = None
    model = load_causal_lm(weights.folder, dtype, trust)
    if tokenizer.eos_token is None:
        raise MismatchError(
            f"{weights.folder}: its tokenizer has no end of sequence, so nothing would teach the model to stop; set eos_token in tokenizer_config.json"
        )
    limit = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    if limit and settings.longest > limit:
        raise ExpandrError(settings.too_long(limit))
    if weights.adapter:
        log.info(
            "--adapter brings its own rank, layers and dropout; lora_r, lora_alpha, lora_dropout and lora_targets are not used"
        )
        model = with_adapter(model, weights.adapter, weights.folder, trainable=True)
    return model, tokenizer


def _examples(settings: PassageSettings, tokenizer: Any, model: Any, texts: Mapping[str, Texts]) -> dict[str, Examples]:  # fmt: skip
    ends = end_ids(model, tokenizer)
    lengths = (settings.max_prompt_length, settings.max_length)
    made = {n: fit(tokenizer, t, *lengths, ends, settings.chat_template_kwargs) for n, t in texts.items()}
    for name, examples in made.items():
        whose = "for training" if name == "train" else "for validation"
        counted = ", ".join(f"{what}: {n}" for what, n in examples.counts.items() if n and what not in ("read", "used"))
        if counted:
            log.warning("of %d examples %s: %s", examples.counts["read"], whose, counted)
        if not len(examples):
            raise ExpandrError(
                f"no example {whose} is left of {examples.counts['read']} ({counted}); raise max_prompt_length and max_length"
            )
    return made


def _before(trainer: Any, settings: TrainingSettings, place: Place, watched: Watched) -> None:
    """Measure what the model is before the first step, and keep its adapter, which may turn out to be the best."""
    watched.measure_now()
    if not watched.schedule.validates:
        watched.record(0, {})
        return
    trainer.evaluate()
    if settings.keep_best and settings.lora_r:
        trainer.save_model(str(place.folder / UNTRAINED))


def _advice(settings: TrainingSettings, place: Place) -> tuple[str, str]:
    lower = f"lower learning_rate ({settings.learning_rate:g}) or max_grad_norm ({settings.max_grad_norm:g})"
    if place.precision == "fp32":
        return "check the model's weights: in fp32 they give none, too", lower
    return "use --set precision=fp32", f"{lower}, or use --set precision=fp32"


def _run(built: Built, settings: TrainingSettings, goal: Goal, place: Place, resumed: Path | None) -> None:
    from transformers import set_seed

    trainer = built.trainer
    schedule = Schedule(settings.eval_steps, settings.save_steps, trainer.eval_dataset is not None, settings.patience, goal)  # fmt: skip
    step = step_of(resumed) if resumed else None
    path = place.folder / METRICS
    book = MetricsLog(path, step) if is_first_process() else None
    trainer.accelerator.wait_for_everyone()
    set_seed(settings.seed)  # whether or not the reference had to be computed, which draws random numbers, too
    epoch_steps = max(1, math.ceil(len(trainer.get_train_dataloader()) / settings.gradient_accumulation))
    with progress(settings.max_steps or epoch_steps * settings.epochs, "train", "steps") as bar:
        watched = Watched(
            schedule, book, bar, read_metrics(path) if resumed else [], epoch_steps,
            built.measure, _advice(settings, place),
        )  # fmt: skip
        trainer.add_callback(watcher(watched))
        if resumed is None:
            _before(trainer, settings, place, watched)
        if resumed is not None:
            log.info("goes on after step %d", step)
            bar.update(step)
        if watched.has_stopped():
            return
        start = time.perf_counter()
        try:
            trainer.train(resume_from_checkpoint=str(resumed) if resumed else None)
        except pickle.UnpicklingError as error:  # torch reads its own files as tensors and numbers alone
            raise FormatError(
                str(resumed),
                None,
                "a file of the checkpoint holds more than tensors and numbers, and is not read; remove it and train anew",
            ) from error
        taken = trainer.state.global_step - (step or 0)
        log.info("%d steps in %.1f s, validations and checkpoints included", taken, time.perf_counter() - start)
