"""Check what a training needs before anything is loaded: the libraries, one GPU per process, a precision that the device has."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from contextlib import contextmanager

from expandr_repro.engines.launcher import launched
from expandr_repro.errors import ExpandrError, SetupError

LIBRARIES = ("trl", "peft", "datasets", "accelerate")


def require_libraries() -> None:
    """Find out that what trains is installed, without importing it.

    Raises:
        SetupError: it is not.
    """
    missing = [name for name in LIBRARIES if importlib.util.find_spec(name) is None]
    if missing:
        raise SetupError(f"training a generator needs {', '.join(missing)}; run `pip install expandr-repro[train]`")


def processes() -> int:
    """Return how many processes train together (`accelerate launch`)."""
    return launched().world


def is_first_process() -> bool:
    """Return whether this process is the one that writes."""
    return launched().rank == 0


def pick_one_device(device: str) -> str:
    """Return cpu or cuda.

    Raises:
        SetupError: no GPU where one is asked for, or several in one process.
        ExpandrError: another device.
    """
    import torch

    if device not in ("auto", "cpu", "cuda"):
        raise ExpandrError(
            f"--device {device}: wanted cpu, cuda or auto; CUDA_VISIBLE_DEVICES=N chooses one of several"
        )
    if device == "cuda" and not torch.cuda.is_available():
        raise SetupError("--device cuda: torch sees no CUDA device here; use --device cpu")
    chosen = "cuda" if device != "cpu" and torch.cuda.is_available() else "cpu"
    if chosen == "cuda" and (seen := torch.cuda.device_count()) > 1 and "WORLD_SIZE" not in os.environ:
        raise SetupError(
            f"{seen} GPUs are visible to one process; `accelerate launch --num_processes {seen} -m expandr_repro.train_generator ...` "
            "trains on all, CUDA_VISIBLE_DEVICES=0 before the command on one"
        )
    return chosen


def pick_precision(precision: str, device: str) -> str:
    """Return bf16 or fp32.

    Raises:
        SetupError: bf16 is asked for and the GPU has none.
    """
    import torch

    has = device == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    if precision == "bf16" and device == "cuda" and not has:
        raise SetupError("precision bf16: this GPU has no bf16; use --set precision=fp32")
    return ("bf16" if has else "fp32") if precision == "auto" else precision


@contextmanager
def memory_advice() -> Iterator[None]:
    """Return what to lower where a device runs out of memory.

    Raises:
        SetupError: it did.
    """
    import torch

    try:
        yield
    except torch.OutOfMemoryError as error:
        raise SetupError(
            "the GPU's memory is too small for this; lower batch_size (and raise gradient_accumulation as much), eval_batch_size or "
            "max_length, or use --set gradient_checkpointing=true, with all weights in training a lora_r above 0"
        ) from error
