"""Our settings in trl's words."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from expandr_repro.errors import ExpandrError, nearest
from expandr_repro.train_generator.settings import TrainingSettings

NEVER = 1 << 31


@dataclass(frozen=True)
class Place:
    """Where and how a training runs.

    Attributes:
        folder: for its checkpoints.
        device: cpu or cuda.
        precision: bf16 or fp32.
    """

    folder: Path
    device: str
    precision: str


def common_arguments(settings: TrainingSettings, place: Place) -> dict[str, Any]:
    """Return what DPOConfig, SFTConfig and GRPOConfig have in common, every changed default of trl's set."""
    return {
        "output_dir": str(place.folder),
        "num_train_epochs": settings.epochs,
        "max_steps": settings.max_steps or -1,
        "per_device_train_batch_size": settings.batch_size,
        "per_device_eval_batch_size": settings.eval_batch_size,
        "gradient_accumulation_steps": settings.gradient_accumulation,
        "learning_rate": settings.learning_rate,
        "lr_scheduler_type": settings.lr_scheduler,
        "warmup_steps": settings.warmup if settings.warmup < 1 else int(settings.warmup),
        "weight_decay": settings.weight_decay,
        "max_grad_norm": settings.max_grad_norm,
        "bf16": place.precision == "bf16",
        "use_cpu": place.device == "cpu",
        "dataloader_pin_memory": place.device == "cuda",
        "gradient_checkpointing": settings.gradient_checkpointing,
        "seed": settings.seed,
        "data_seed": settings.seed,
        "logging_steps": settings.logging_steps,
        "logging_nan_inf_filter": False,
        "eval_strategy": "no",  # the watcher decides when to validate and when to save
        "save_strategy": "steps",
        "save_steps": NEVER,
        "save_total_limit": 2,
        "disable_tqdm": True,
        "report_to": "none",
    }


ALL_LINEAR = "all-linear"


def lora_config(settings: TrainingSettings, model: Any) -> Any:
    """Return peft's settings of a new adapter, or None where all weights are trained.

    Raises:
        ExpandrError: the model has no layer of a name, which peft would pass over where it has one of another.
    """
    named = [name.strip() for name in settings.lora_targets.split(",")]
    if named != [ALL_LINEAR]:
        _check_targets(named, model)
    if not settings.lora_r:
        return None
    from peft import LoraConfig

    return LoraConfig(
        r=settings.lora_r,
        lora_alpha=settings.lora_alpha,
        lora_dropout=settings.lora_dropout,
        target_modules=ALL_LINEAR if named == [ALL_LINEAR] else named,
        task_type="CAUSAL_LM",
    )


def _check_targets(named: list[str], model: Any) -> None:
    paths = [path for path, _ in model.named_modules()]
    layers = {path.rpartition(".")[2] for path, module in model.named_modules() if getattr(module, "weight", None) is not None and module.weight.dim() > 1}  # fmt: skip
    for name in named:
        if not any(name and f".{path}".endswith(f".{name}") for path in paths):
            if name == ALL_LINEAR:
                raise ExpandrError(f"lora_targets: {ALL_LINEAR} stands alone; leave the other names out")
            close = nearest(name.rpartition(".")[2], {*layers, ALL_LINEAR})
            offer = (
                f"did you mean {close!r}?" if close else f"known: {', '.join(sorted(layers))}; or {ALL_LINEAR} alone"
            )
            raise ExpandrError(f"lora_targets: the model has no fitting layers called {name or 'nothing'}; {offer}")
