"""A generator's training from end to end: what `train_generator` does, and the loop with it."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

from expandr_repro.data.overlap.trained_on import TRAINED_ON_HASH, TrainedOn, carried_on, record_hash, write_trained_on
from expandr_repro.encoders.protocol import TextEncoder
from expandr_repro.errors import ExpandrError, MismatchError, shown
from expandr_repro.io.files import atomic_folder
from expandr_repro.io.manifest import NAME, write_manifest
from expandr_repro.io.outputs import TRAINED_GENERATOR, files_of
from expandr_repro.io.paths import cache_dir
from expandr_repro.llm.base import GeneratorOptions
from expandr_repro.llm.local.weights import Weights, find_weights
from expandr_repro.llm.rendering import API, KWARGS, OTHERS
from expandr_repro.train_generator.examples import TrainingData
from expandr_repro.train_generator.online.data import OnlineData
from expandr_repro.train_generator.online.session import check_length, train_online
from expandr_repro.train_generator.online.validation import ALONE, NDCG, WORDS, WRITTEN
from expandr_repro.train_generator.options import TrainRequest
from expandr_repro.train_generator.sampled import Sampler, before_and_after
from expandr_repro.train_generator.settings import DpoSettings, GrpoSettings, SftSettings
from expandr_repro.train_generator.trl.arguments import Place
from expandr_repro.train_generator.trl.best import GOALS, Goal
from expandr_repro.train_generator.trl.checks import (
    is_first_process,
    pick_one_device,
    pick_precision,
    processes,
    require_libraries,
)
from expandr_repro.train_generator.trl.finishing import write_adapter, write_merged, write_model, write_tokenizer
from expandr_repro.train_generator.trl.reference import ReferenceStore
from expandr_repro.train_generator.trl.session import METRICS, Trained, train
from expandr_repro.train_generator.trl.watching import MEASURED
from expandr_repro.training.curves import plot_if_possible
from expandr_repro.training.folder import finished, reserved, working_folder

log = logging.getLogger(__name__)

Settings = DpoSettings | SftSettings | GrpoSettings

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
    "grpo": (
        ("reward of the texts learned from", ("reward",)),
        ("similarity to the gold passage", ("similarity",)),
        ("nDCG@10 for validation topics", (NDCG, ALONE)),
        ("words per text", ("words", WORDS)),
        ("KL divergence from the model before training", ("kl",)),
    ),
}


@dataclass(frozen=True)
class Training:
    """A training about to begin.

    Attributes:
        request: what to train, and where it goes.
        data: texts to train on, or topics.
        settings: `DpoSettings` for pairs, `SftSettings` for topics with expansions, `GrpoSettings` for topics whose texts are still to be written.
    """

    request: TrainRequest
    data: TrainingData | OnlineData
    settings: Settings

    @property
    def kind(self) -> str:
        """`dpo`, `sft` or `grpo`."""
        if isinstance(self.settings, GrpoSettings):
            return "grpo"
        return "dpo" if isinstance(self.settings, DpoSettings) else "sft"

    @property
    def validates(self) -> bool:
        """Whether there is anything to validate on."""
        return bool(self.data.dev) if isinstance(self.data, OnlineData) else "dev" in self.data.texts

    @property
    def has_adapter(self) -> bool:
        """Whether an adapter is trained, and not all weights."""
        return bool(self.settings.lora_r or self.request.adapter)


def train_generator(training: Training) -> dict[str, Any]:
    """Train a generator, or go on with a training that was interrupted, and write it.

    Returns:
        The manifest of what is written.

    Raises:
        ExpandrError: the request makes no sense, the output is taken, or the training fails; its kinds say how.
    """
    _check(training)
    training = replace(training, settings=_as_generated(training.settings, training.data.rendering))
    request = training.request
    require_libraries()
    device = pick_one_device(request.device)
    options = GeneratorOptions(request.model, request.revision, adapter=request.adapter, trust_remote_code=request.trust_remote_code)  # fmt: skip
    weights = find_weights("transformers", options, device)
    precision = pick_precision(training.settings.precision, device)
    record = _record(training, weights)
    encoder = _encoder(training, device)
    facts = _facts(training, weights, device, precision) | {TRAINED_ON_HASH: record_hash(record)}
    facts |= {"encoder": encoder.identity} if encoder else {}
    reads = [weights.folder, request.adapter]
    if there := finished(request.output, facts, request.overwrite, TRAINED_GENERATOR, reads):
        log.info("%s is just this training already; nothing to do", request.output)
        return there
    work = working_folder(request.output, facts)
    with reserved(work) if is_first_process() else nullcontext():
        setup = Place(work, device, precision)
        trained = _train(training, weights, setup, encoder)
        manifest = facts | {"counts": trained.counts, "result": _result(trained, GOALS[training.kind])}
        if is_first_process():
            _add_texts(manifest["result"], training, replace(weights, precision=precision), trained, device)
            _write(training, weights, trained, work / METRICS, manifest, record)
            shutil.rmtree(work, ignore_errors=True)
    return manifest


def _train(training: Training, weights: Weights, setup: Place, encoder: TextEncoder | None) -> Trained:
    data, settings, trust = training.data, training.settings, training.request.trust_remote_code
    goal = GOALS[training.kind][settings.best_by]
    if isinstance(data, OnlineData):
        assert isinstance(settings, GrpoSettings)
        assert encoder is not None
        return train_online(settings, goal, weights, data, encoder, setup, trust)
    assert not isinstance(settings, GrpoSettings)
    store = _store(settings, weights, setup.device, setup.precision)
    return train(settings, goal, weights, data.texts, setup, store, trust)


def _encoder(training: Training, device: str) -> TextEncoder | None:
    """Return the encoder that rewards and searches, where texts are rewarded as training goes."""
    if not isinstance(training.data, OnlineData):
        return None
    from expandr_repro.encoders.loading import load_encoder
    from expandr_repro.encoders.options import EncoderOptions

    return load_encoder(training.request.encoder, EncoderOptions(name=training.request.encoder, device=device))


def _check(training: Training) -> None:
    if training.request.merge and not training.has_adapter:
        raise ExpandrError("--merge: with lora_r 0 all weights are trained and there is no adapter; leave --merge out")
    if training.settings.patience and not training.validates:
        raise ExpandrError(
            "patience: there is nothing to validate on; give --dev-pairs (with --sft: --dev; with --grpo: --dev or --dev-topics)"
        )
    if isinstance(training.data, OnlineData) and isinstance(training.settings, GrpoSettings):
        check_length(training.settings, training.data)


def _as_generated(settings: Settings, recorded: Mapping[str, Any]) -> Settings:
    """Take over how the passages' prompts were rendered: training must read what generation read.

    Raises:
        MismatchError: the settings say something else.
    """
    plain, values = recorded.get(API) == "completions", recorded.get(KWARGS)
    if settings.chat_template is not None and settings.chat_template == plain:
        how = "without the chat template (--api completions)" if plain else "with the chat template"
        if plain or values:
            raise MismatchError(
                f"chat_template: the passages were generated {how}; leave the setting out, or give others"
            )
    if values and settings.chat_template_kwargs not in (None, values):
        raise MismatchError(
            f"chat_template_kwargs: the passages were generated with {shown(values)}, the settings say {shown(settings.chat_template_kwargs)}; "
            "leave the setting out, or give passages that were generated so"
        )
    if values and settings.chat_template_kwargs is None:
        log.info("chat_template_kwargs: %s, as the passages were generated", json.dumps(values))
    for key in OTHERS:
        if key in recorded:
            log.warning("the passages were generated with %r in --extra, which training does not know: it reads other prompts", key)  # fmt: skip
    changed = replace(
        settings,
        chat_template=False if plain else settings.chat_template,
        chat_template_kwargs=values if values else settings.chat_template_kwargs,
    )
    if changed.chat_template is False and changed.chat_template_kwargs:
        raise MismatchError("chat_template_kwargs: without the chat template they have no effect; leave them out")
    return changed


def _facts(training: Training, weights: Weights, device: str, precision: str) -> dict[str, Any]:
    identity = weights.identity
    return {
        "training": training.kind,
        "base": {"model": identity.model, "revision": identity.revision},
        "adapter": {"name": identity.adapter, "sha256": identity.adapter_sha256} if identity.adapter else None,
        "settings": asdict(training.settings) | {"precision": precision},
        **training.data.facts,
        "names": training.data.names,
        "merge": training.request.merge,
        "device": device,
        "processes": processes(),
        "versions": _versions(),
    }


def _versions() -> dict[str, str]:
    return {dist.name: dist.version for name in LIBRARIES for dist in metadata.distributions(name=name)}


def _store(settings: DpoSettings | SftSettings, weights: Weights, device: str, precision: str) -> ReferenceStore:
    import torch

    alpha = settings.ld_alpha if isinstance(settings, DpoSettings) else None
    facts = {
        "base": weights.identity.revision,
        "adapter": weights.identity.adapter_sha256,
        "precision": precision,
        "device": torch.cuda.get_device_name() if device == "cuda" else device,
        "versions": _versions(),
        **({} if alpha is None else {"ld_alpha": alpha}),  # it is in the sums that are kept
    }
    return ReferenceStore(cache_dir() / "reference", facts)


def _result(trained: Trained, goals: Mapping[str, Goal]) -> dict[str, Any]:
    """Say what it was before the first step and at the chosen one, on the same examples, without dropout."""
    step, measures = trained.chosen_step, {}
    labels = {"train loss": Goal(MEASURED, False)}
    labels |= {f"validation {'nDCG@10' if name == 'ndcg' else name}": goal for name, goal in goals.items()}
    labels |= {name: Goal(key, False) for name, key in WRITTEN.items()}
    for label, goal in labels.items():
        by_step = {r["step"]: goal.value(r) for r in trained.records if goal.key in r}
        if {0, step} <= set(by_step):
            measures[label] = [by_step[0], by_step[step]]
    return {"steps": trained.steps, "chosen_step": step, "before_after": measures}


def _add_texts(result: dict[str, Any], training: Training, weights: Weights, trained: Trained, device: str) -> None:
    """Add what the model writes before and after: longer or shorter texts, refusals and cut ones are half of what a training does."""
    data, settings, request = training.data, training.settings, training.request
    if isinstance(data, OnlineData) or isinstance(settings, GrpoSettings):
        return  # its validations have counted them
    dev = data.texts.get("dev")
    prompts = list(dict.fromkeys(dev.prompts))[: settings.sample_texts] if dev else []
    if not prompts:
        return
    sampler = Sampler(prompts, settings, device, request.trust_remote_code)
    counted = before_and_after(sampler, weights, trained.checkpoint, training.has_adapter, bool(trained.chosen_step))
    if counted:
        result["texts"] = counted["texts"]
        result["before_after"] |= counted["measures"]


def _record(training: Training, weights: Weights) -> list[TrainedOn]:
    """Return what the result will have been trained on: the data, and what model and adapter were trained on before."""
    folders = [folder for folder in (weights.folder, weights.adapter) if folder]
    return [*training.data.trained_on, *(part for folder in folders for part in carried_on(folder))]


def _write(
    training: Training,
    weights: Weights,
    trained: Trained,
    metrics: Path,
    manifest: dict[str, Any],
    record: list[TrainedOn],
) -> None:
    request = training.request
    with atomic_folder(request.output, TRAINED_GENERATOR) as folder:
        base = weights.identity.model
        if not training.has_adapter:
            write_model(trained.checkpoint, weights.folder, folder)
        elif request.merge:
            write_adapter(trained.checkpoint, folder / "adapter", base)
            write_trained_on(folder / "adapter", record)
            write_merged(folder / "adapter", weights.folder, folder, request.trust_remote_code)
        else:
            write_adapter(trained.checkpoint, folder, base)
        write_tokenizer(weights.folder, folder, request.trust_remote_code)
        shutil.copyfile(metrics, folder / METRICS)
        plot_if_possible(trained.records, PANELS[training.kind], folder / "curves.png")
        write_trained_on(folder, record)
        write_manifest(folder / NAME, "generator", manifest | {"files": files_of(folder)})
