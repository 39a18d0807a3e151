"""Run `train_encoder`: from names to an encoder's folder. A killed training continues from its last checkpoint."""

from __future__ import annotations

import logging
import math
import shutil
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from importlib import metadata
from itertools import count, islice
from pathlib import Path
from typing import Any

from expandr_repro.console.progress import progress
from expandr_repro.data.overlap.trained_on import TRAINED_ON_HASH, TrainedOn, carried_on, record_hash, write_trained_on
from expandr_repro.encoders.checkpoints.saving import require_writer, save_encoder
from expandr_repro.encoders.encoder import Encoder
from expandr_repro.errors import DivergedError, FormatError, MismatchError, NotFiniteError
from expandr_repro.io.files import atomic_folder
from expandr_repro.io.manifest import NAME, write_manifest
from expandr_repro.io.outputs import TRAINED_ENCODER, files_of
from expandr_repro.train_encoder.batches import Batch, epoch_batches
from expandr_repro.train_encoder.blending import Blend
from expandr_repro.train_encoder.checkpoint import (
    WEIGHTS,
    checkpoint_in,
    load_state,
    load_weights,
    save_state,
    save_weights,
)
from expandr_repro.train_encoder.dev_search import measure
from expandr_repro.train_encoder.dev_topics import selected
from expandr_repro.train_encoder.examples import TrainingData
from expandr_repro.train_encoder.settings import EncoderTraining, TrainRequest
from expandr_repro.train_encoder.trainer import ContrastiveTrainer, StepOptions
from expandr_repro.training.curves import plot_if_possible
from expandr_repro.training.early_stopping import Progress
from expandr_repro.training.folder import finished, reserved, training_key, working_folder
from expandr_repro.training.metrics_log import MetricsLog, read_metrics
from expandr_repro.training.processes import Processes

log = logging.getLogger(__name__)

METRICS, CURVES = "metrics.jsonl", "curves.png"


@dataclass(frozen=True)
class Trained:
    """The result of a training: its folder, how many steps were taken, and the development scores."""

    folder: Path
    steps: int
    progress: Progress
    anew: bool


def train(
    data: TrainingData,
    encoder: Encoder,
    request: TrainRequest,
    config: EncoderTraining,
    target: Path,
    precision: str,
    processes: Processes,
    overwrite: bool = False,
) -> Trained:
    """Train an encoder and write it to a folder, unless it is there already.

    Args:
        data: of `gather`.
        encoder: in fp32; trained in place.
        request: what `data` was gathered for.
        config: how.
        target: the folder; checkpoints are in a hidden one next to it until it is done.
        precision: fp32, or bf16 for autocast over fp32 weights.
        processes: who shares the work.
        overwrite: replace what is there, if it is something else.

    Raises:
        SetupError: sentence-transformers, which writes the folder, is not installed.
        ExpandrError: the target contains something else, or training cannot go on; the message says what to do.
    """
    require_writer(encoder)
    trained_on = [*data.trained_on, *carried_on(encoder.folder)]
    facts = _facts(data, encoder, config, precision) | {TRAINED_ON_HASH: record_hash(trained_on)}
    if there := finished(target, facts, overwrite, TRAINED_ENCODER, [encoder.folder]):
        result = there["result"]
        return Trained(target, result["steps"], Progress(**result["development"]), anew=False)
    work = working_folder(target, facts)
    with reserved(work) if processes.first else nullcontext():
        return _Training(data, encoder, request, config, target, precision, processes, work, trained_on).run(facts)


def _facts(data: TrainingData, encoder: Encoder, config: EncoderTraining, precision: str) -> dict[str, Any]:
    identity = encoder.identity
    return {
        "encoder": {k: v for k, v in identity.items() if k != "name"},
        **data.facts,
        "training": asdict(config),
        "precision": precision,
        "names": {"encoder": identity["name"], **data.names},
        "versions": {name: metadata.version(name) for name in ("torch", "transformers")},
        "counts": dict(data.counts),
    }


@dataclass
class _Training:
    data: TrainingData
    encoder: Encoder
    request: TrainRequest
    config: EncoderTraining
    target: Path
    precision: str
    processes: Processes
    work: Path
    trained_on: list[TrainedOn]
    blend: Blend = field(init=False)
    key: str = field(init=False)

    def run(self, facts: Mapping[str, Any]) -> Trained:
        self.key = training_key(dict(facts))
        trainer = self._trainer()
        self.blend = Blend(trainer.parameters, self.config.blend)  # before a checkpoint's weights are loaded
        state = self._resume(trainer)
        metrics = MetricsLog(self.work / METRICS, trainer.step_number or None) if self.processes.first else None
        every = max(1, round(self.config.evaluate_every * self._steps_an_epoch))
        if not trainer.step_number:
            self._search(trainer, state, metrics)
        with progress(trainer.steps, "train", "steps") as bar:
            bar.update(trainer.step_number)
            for batches in islice(self._batches(trainer.step_number), trainer.steps - trainer.step_number):
                if state.stopped:
                    break
                values = trainer.step(batches)
                step = trainer.step_number
                if metrics and (step % self.config.log_every == 0 or step == trainer.steps):
                    metrics.write(step, values)
                last = step == trainer.steps
                searched = step % every == 0 or last
                if searched:
                    self._search(trainer, state, metrics)
                if (
                    searched
                    or step % self._steps_an_epoch == 0
                    or (self.config.save_every and step % self.config.save_every == 0)
                ):
                    self._keep(trainer, state)
                bar.update()
        return self._finish(trainer, state, facts)

    @property
    def _steps_an_epoch(self) -> int:
        config = self.config
        return math.ceil(math.ceil(len(self.data.examples) / config.batch_size) / config.accumulation)

    def _trainer(self) -> ContrastiveTrainer:
        options = StepOptions(self.config, self.request.fusion, self.request.alpha, self.precision)
        steps = self.config.max_steps or self.config.epochs * self._steps_an_epoch
        return ContrastiveTrainer(self.encoder, options, steps, self.data.texts, self.processes)

    def _batches(self, done: int) -> Iterator[list[Batch]]:
        """Yield each step's batches without end, from the first step that is not done."""
        c, epoch = self.config, done // self._steps_an_epoch
        skip = (done % self._steps_an_epoch) * c.accumulation
        for number in count(epoch):
            batches = epoch_batches(self.data.examples, c.batch_size, c.hard_negatives, c.seed, number, c.mask_relevant)
            batches = islice(batches, skip, None)
            skip = 0
            while step := list(islice(batches, c.accumulation)):
                yield step

    def _resume(self, trainer: ContrastiveTrainer) -> Progress:
        checkpoint = checkpoint_in(self.work)
        if checkpoint is None:
            return Progress()
        kept = load_state(checkpoint, trainer)
        if kept.get("training", self.key) != self.key:
            raise MismatchError(
                f"{checkpoint}: is of another training ({kept['training']}, this is {self.key}); remove it and train again"
            )
        log.info("going on from step %d of %d, as %s has it", trainer.step_number, trainer.steps, checkpoint)
        try:
            return Progress(**kept["progress"])
        except (KeyError, TypeError) as error:
            raise FormatError(
                checkpoint, None, f"the checkpoint is damaged ({error}); remove it and train again"
            ) from error

    def _keep(self, trainer: ContrastiveTrainer, state: Progress) -> None:
        if self.processes.first:
            save_state(self.work / "checkpoint", trainer, {"training": self.key, "progress": asdict(state)})
        self.processes.wait()

    def _search(self, trainer: ContrastiveTrainer, state: Progress, metrics: MetricsLog | None) -> None:
        """Search the development topics, keep the weights if they are the best so far, and see whether to stop."""
        data, step = self.data, trainer.step_number
        if data.searches and self.processes.first:
            with self.blend.applied():
                try:
                    scores = measure(self.encoder, data.corpus, data.searches, data.dev_qrels, self.config.dev_hits, self.request.alpha)  # fmt: skip
                except NotFiniteError as error:
                    raise (self._diverged(step) if step else error) from error
                deciding = selected(self.config, data.searches, self.request.fusion)
                is_best = state.take(scores, step, deciding, self.config.patience)
                if is_best:
                    self._keep_best()
            if metrics:
                metrics.write(step, {f"dev_{name}": value for name, value in scores.items()})
            text = ", ".join(f"{name} {value:.4f}" for name, value in scores.items())
            log.info("step %d of %d: %s%s", step, trainer.steps, text, " (the best so far)" if is_best else "")
        state.stopped = bool(self.processes.told(float(state.stopped), self.encoder.device))

    def _refuse_broken(self, step: int) -> None:
        """Refuse weights whose vectors are not numbers, which the loss before the step did not show yet."""
        import numpy as np

        encoder, some = self.encoder, self.data.examples[:8]
        encoder.model.eval()
        counted = dict(encoder.truncated)
        ids = encoder.tokenize([e.query for e in some], "query")
        ids += encoder.tokenize([self.data.texts[e.positives[0]] for e in some], "document")
        encoder.truncated.update(counted)
        if not np.isfinite(encoder.embed(ids)).all():
            raise self._diverged(step)

    def _diverged(self, step: int) -> DivergedError:
        rate = self.config.learning_rate
        return DivergedError(f"step {step}: the vectors are not numbers any more; lower learning_rate ({rate:g})")

    def _keep_best(self) -> None:
        with atomic_folder(self.work / "best") as folder:
            save_weights(self.encoder.model, folder / WEIGHTS)

    def _finish(self, trainer: ContrastiveTrainer, state: Progress, facts: Mapping[str, Any]) -> Trained:
        if self.processes.first:
            if state.best:
                load_weights(self.encoder.model, self.work / "best" / WEIGHTS)
            else:
                self.blend.apply()
            self._refuse_broken(trainer.step_number)
            result = {"steps": trainer.step_number, "of": trainer.steps, "development": asdict(state)}
            with atomic_folder(self.target, TRAINED_ENCODER) as folder:
                save_encoder(self.encoder, folder)
                shutil.copyfile(self.work / METRICS, folder / METRICS)
                _plot(folder)
                write_trained_on(folder, self.trained_on)
                write_manifest(folder / NAME, "encoder", {**facts, "result": result, "files": files_of(folder)})
            shutil.rmtree(self.work, ignore_errors=True)
        self.processes.wait()
        return Trained(self.target, trainer.step_number, state, anew=True)


def _plot(folder: Path) -> None:
    records = read_metrics(folder / METRICS)
    keys = list(dict.fromkeys(key for record in records for key in record))
    losses, scores = ([k for k in keys if k.startswith(start)] for start in ("loss", "dev_"))
    plot_if_possible(records, [("loss", losses), ("nDCG@10 of the development topics", scores)], folder / CURVES)
