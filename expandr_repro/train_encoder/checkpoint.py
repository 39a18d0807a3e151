"""Save and load a training's checkpoint: weights and optimizer as safetensors, its position as JSON. Nothing is pickled, so nothing can run on loading."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from expandr_repro.errors import FormatError, MismatchError, reason_of
from expandr_repro.io.files import atomic_folder, read_text, write_json
from expandr_repro.train_encoder.trainer import ContrastiveTrainer

WEIGHTS, OPTIMIZER, STATE = "model.safetensors", "optimizer.safetensors", "state.json"


def save_weights(model: Any, path: Path) -> None:
    """Write a model's weights; tensors that are shared are written once."""
    from safetensors.torch import save_model

    save_model(model, str(path))


def load_weights(model: Any, path: Path) -> None:
    """Read a model's weights into it.

    Raises:
        MismatchError: they are of another architecture.
    """
    from safetensors.torch import load_model

    try:
        load_model(model, str(path), strict=True, device=str(next(model.parameters()).device))
    except RuntimeError as error:
        raise MismatchError(
            f"{path}: weights of another model ({reason_of(error)}); remove the folder and train again"
        ) from error


def save_state(folder: Path, trainer: ContrastiveTrainer, more: Mapping[str, Any]) -> None:
    """Write a checkpoint in place of the one before, whole or not at all.

    Args:
        folder: of the checkpoint.
        trainer: what is trained.
        more: what else is to be known when the training goes on, JSON.
    """
    import torch
    from safetensors.torch import save_file

    names = {id(p): n for n, p in trainer.parameters.items()}
    moments: dict[str, torch.Tensor] = {}
    for parameter, values in trainer.optimizer.state.items():
        for key, value in values.items():
            moments[f"{names[id(parameter)]}/{key}"] = torch.as_tensor(value).detach().cpu().contiguous()
    with atomic_folder(folder) as fresh:
        save_weights(trainer.encoder.model, fresh / WEIGHTS)
        save_file(moments, str(fresh / OPTIMIZER))
        write_json(fresh / STATE, {"step": trainer.step_number, **more})


def load_state(folder: Path, trainer: ContrastiveTrainer) -> dict[str, Any]:
    """Set a trainer to where a checkpoint stood; return what else was kept.

    Raises:
        FormatError: the checkpoint is damaged.
        MismatchError: it is of another model.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        state: dict[str, Any] = json.loads(read_text(folder / STATE))
        load_weights(trainer.encoder.model, folder / WEIGHTS)
        moments = load_file(str(folder / OPTIMIZER), device=str(trainer.encoder.device))
        trainer.step_number = int(state["step"])
    except (ValueError, KeyError, TypeError, SafetensorError, OSError) as error:
        raise FormatError(folder, None, f"the checkpoint is damaged ({error}); remove it and train again") from error
    if not 0 <= trainer.step_number <= trainer.steps:
        raise MismatchError(
            f"{folder}: is of step {trainer.step_number}, and this training has {trainer.steps}; it is of another one: remove it and train again"
        )
    _check_moments(folder, moments, trainer)
    trainer.optimizer.state.clear()
    for name, parameter in trainer.parameters.items():
        values = {
            key: moments[f"{name}/{key}"] for key in ("step", "exp_avg", "exp_avg_sq") if f"{name}/{key}" in moments
        }
        if values:
            values["step"] = values["step"].cpu()
            trainer.optimizer.state[parameter] = values
    return state


def _check_moments(folder: Path, moments: Mapping[str, Any], trainer: ContrastiveTrainer) -> None:
    """Refuse an optimizer's state that is not of these parameters: what has no place would be skipped silently."""
    for key, value in moments.items():
        name, _, kind = key.rpartition("/")
        parameter = trainer.parameters.get(name)
        shape = None if parameter is None else () if kind == "step" else tuple(parameter.shape)
        if tuple(value.shape) != shape:
            actual = f"{key} {tuple(value.shape)}"
            wanted = "no such parameter" if shape is None else str(shape)
            raise MismatchError(
                f"{folder / OPTIMIZER}: of another model ({actual} there, {wanted} here); remove the checkpoint and train again"
            )


def checkpoint_in(folder: Path) -> Path | None:
    """Return the checkpoint in a working folder, clearing what a killed process left half-written."""
    for rest in folder.glob(".*.tmp"):
        shutil.rmtree(rest, ignore_errors=True)
    folder_of_state = folder / "checkpoint"
    return folder_of_state if (folder_of_state / STATE).is_file() else None
