"""A generator's training from end to end: what `train_generator` does, and the loop with it."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from expandr_repro.core.errors import ExpandrError
from expandr_repro.core.files import atomic_folder
from expandr_repro.core.generator_settings import DpoSettings, SftSettings
from expandr_repro.core.manifest import NAME, write_manifest
from expandr_repro.core.outputs import TRAINED_GENERATOR, files_of
from expandr_repro.core.paths import cache_dir
from expandr_repro.models.generators.base import GeneratorOptions
from expandr_repro.models.generators.training.arguments import Place
from expandr_repro.models.generators.training.best import GOALS, Goal
from expandr_repro.models.generators.training.checkpoints import step_of
from expandr_repro.models.generators.training.checks import (
    is_first_process,
    pick_one_device,
    pick_precision,
    processes,
    require_libraries,
)
from expandr_repro.models.generators.training.finishing import (
    write_adapter,
    write_merged,
    write_model,
    write_tokenizer,
)
from expandr_repro.models.generators.training.reference import ReferenceStore
from expandr_repro.models.generators.training.session import METRICS, Trained, train
from expandr_repro.models.generators.weights import Weights, find_weights
from expandr_repro.pipeline.curves import plot_if_possible
from expandr_repro.pipeline.generator_examples import TrainingData
from expandr_repro.pipeline.training_folder import finished, reserved, working_folder

log = logging.getLogger(__name__)

LIBRARIES = ("torch", "transformers", "trl", "peft", "accelerate")

PANELS = {
    "dpo": (
        ("loss", ("loss", "eval_loss")),
        ("margin of the rewards", ("rewards/margins", "eval_rewards/margins")),
        ("accuracy: the chosen passage has the higher reward", ("rewards/accuracies", "eval_rewards/accuracies")),
    ),
    "sft": (
        ("loss", ("loss", "eval_loss")),
        ("accuracy: the next token is the likeliest", ("mean_token_accuracy", "eval_mean_token_accuracy")),
    ),
}


@dataclass(frozen=True)
class TrainRequest:
    """What to train, and how.

    Attributes:
        data: texts to train on.
        settings: `DpoSettings` for pairs, `SftSettings` for topics.
        model: a folder or a hub name.
        output: the folder to write.
        adapter: a LoRA adapter to train further; its own rank and layers hold.
        merge: write the model with the adapter merged, and the adapter in `adapter/` within.
        overwrite: whether another training's output may be replaced.
        device: cpu, cuda or auto.
        revision: the model's hub revision.
        trust_remote_code: let the model's own code run.
    """

    data: TrainingData
    settings: DpoSettings | SftSettings
    model: str
    output: Path
    adapter: str | None = None
    merge: bool = False
    overwrite: bool = False
    device: str = "auto"
    revision: str | None = None
    trust_remote_code: bool = False

    @property
    def kind(self) -> str:
        """`dpo` or `sft`."""
        return "dpo" if isinstance(self.settings, DpoSettings) else "sft"

    @property
    def has_adapter(self) -> bool:
        """Whether an adapter is trained, and not all weights."""
        return bool(self.settings.lora_r or self.adapter)


def train_generator(request: TrainRequest) -> dict[str, Any]:
    """Train a generator, or go on with a training that was interrupted, and write it.

    Returns:
        The manifest of what is written.

    Raises:
        ExpandrError: the request makes no sense, the output is taken, or the training fails; its kinds say how.
    """
    _check(request)
    require_libraries()
    device = pick_one_device(request.device)
    options = GeneratorOptions(request.model, request.revision, request.adapter, trust_remote_code=request.trust_remote_code)  # fmt: skip
    weights = find_weights("transformers", options, device)
    precision = pick_precision(request.settings.precision, device)
    facts = _facts(request, weights, device, precision)
    if there := finished(
        request.output, facts, request.overwrite, TRAINED_GENERATOR, [weights.folder, request.adapter]
    ):
        log.info("%s is just this training already; nothing to do", request.output)
        return there
    work = working_folder(request.output, facts)
    with reserved(work) if is_first_process() else nullcontext():
        place = Place(work, device, precision)
        trained = train(
            request.settings, GOALS[request.kind][request.settings.best_by], weights, request.data.texts, place,
            _store(weights, device, precision), request.trust_remote_code,
        )  # fmt: skip
        manifest = facts | {"counts": trained.counts, "result": _result(trained, GOALS[request.kind])}
        if is_first_process():
            _write(request, weights, trained, manifest)
            shutil.rmtree(work, ignore_errors=True)
    return manifest


def _check(request: TrainRequest) -> None:
    if request.merge and not request.has_adapter:
        raise ExpandrError("--merge: with lora_r 0 all weights are trained and there is no adapter; leave --merge out")
    if request.settings.patience and "dev" not in request.data.texts:
        raise ExpandrError("patience: there is nothing to validate on; give --dev-pairs (with --sft: --dev)")


def _facts(request: TrainRequest, weights: Weights, device: str, precision: str) -> dict[str, Any]:
    identity = weights.identity
    return {
        "training": request.kind,
        "base": {"model": identity.model, "revision": identity.revision},
        "adapter": {"name": identity.adapter, "sha256": identity.adapter_sha256} if identity.adapter else None,
        "settings": asdict(request.settings) | {"precision": precision},
        **request.data.facts,
        "names": request.data.names,
        "merge": request.merge,
        "device": device,
        "processes": processes(),
        "versions": _versions(),
    }


def _versions() -> dict[str, str]:
    return {dist.name: dist.version for name in LIBRARIES for dist in metadata.distributions(name=name)}


def _store(weights: Weights, device: str, precision: str) -> ReferenceStore:
    import torch

    facts = {
        "base": weights.identity.revision,
        "adapter": weights.identity.adapter_sha256,
        "precision": precision,
        "device": torch.cuda.get_device_name() if device == "cuda" else device,
        "versions": _versions(),
    }
    return ReferenceStore(cache_dir() / "reference", facts)


def _result(trained: Trained, goals: Mapping[str, Goal]) -> dict[str, Any]:
    """Say what it was before and after: the training loss at both ends, validation before the first step and at the chosen one."""
    step = step_of(trained.checkpoint)
    losses = [r["loss"] for r in trained.records if "loss" in r and r["step"] <= step]
    measures = {"train loss": [losses[0], losses[-1]]} if losses else {}
    for name, goal in goals.items():
        found = {r["step"]: r[goal.key] for r in trained.records if goal.key in r}
        if step in found:
            measures[f"validation {name}"] = [found.get(0), found[step]]
    return {"steps": trained.steps, "chosen_step": step, "before_after": measures}


def _write(request: TrainRequest, weights: Weights, trained: Trained, manifest: dict[str, Any]) -> None:
    with atomic_folder(request.output, TRAINED_GENERATOR) as folder:
        base = weights.identity.model
        if not request.has_adapter:
            write_model(trained.checkpoint, weights.folder, folder)
        elif request.merge:
            write_adapter(trained.checkpoint, folder / "adapter", base)
            write_merged(folder / "adapter", weights.folder, folder, request.trust_remote_code)
        else:
            write_adapter(trained.checkpoint, folder, base)
        write_tokenizer(weights.folder, folder, request.trust_remote_code)
        shutil.copyfile(trained.checkpoint.parent / METRICS, folder / METRICS)
        plot_if_possible(trained.records, PANELS[request.kind], folder / "curves.png")
        write_manifest(folder / NAME, "generator", manifest | {"files": files_of(folder)})
