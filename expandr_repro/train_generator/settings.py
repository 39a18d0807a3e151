"""The settings of a generator's training (`resources/training/dpo.yaml`, `sft.yaml`; there is said where each value is from)."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Literal

from expandr_repro.errors import ExpandrError, shown

_FROM_ONE = ("max_prompt_length", "epochs", "batch_size", "gradient_accumulation", "logging_steps", "eval_batch_size")
_FROM_ONE_OR_NONE = ("eval_steps", "save_steps", "patience")
_FROM_ZERO_OR_NONE = ("max_steps",)
_FROM_ZERO = ("lora_r", "lora_dropout", "warmup", "weight_decay", "seed", "sample_texts")
_ABOVE_ZERO = ("learning_rate", "lora_alpha", "max_grad_norm")


@dataclass(frozen=True)
class TrainingSettings:
    """What all ways of training a generator have in common.

    Attributes:
        max_length: tokens of prompt and passage together; a longer passage is cut.
        max_prompt_length: tokens of a prompt, chat template included; a longer one drops its example.
        lora_r: rank of the adapter; 0 trains all weights.
        lora_alpha: the adapter's output is scaled by alpha / r.
        lora_dropout: on the adapter's input.
        lora_targets: `all-linear`, or the names of layers, separated by commas.
        epochs: passes over the data.
        batch_size: examples on a device at a time.
        gradient_accumulation: batches a step.
        learning_rate: of AdamW, at its highest.
        lr_scheduler: how it changes over the steps.
        warmup: steps, or below 1 a part of all steps.
        weight_decay: of AdamW.
        max_grad_norm: gradients are scaled down to this norm.
        precision: bf16, fp32 or auto.
        gradient_checkpointing: compute activations again instead of keeping them.
        seed: of everything drawn.
        logging_steps: steps from one record to the next.
        eval_batch_size: examples on a device in validation.
        eval_steps: steps from one validation to the next; None for an epoch.
        save_steps: steps from one checkpoint to the next; None for one with each validation, and each epoch.
        keep_best: whether the best validation decides what is written, or the last step.
        best_by: what is best.
        patience: validations without a better one after which training stops.
        max_steps: steps in all, in place of epochs; None or 0 for epochs.
        chat_template: whether the prompt is put into the model's chat template; None for as the data was generated.
        chat_template_kwargs: values for the chat template, as in `expand --extra`; None for those that the data was generated with.
        sample_texts: validation prompts that the model answers before and after training, one text each, whose lengths are reported; 0 for none.
    """

    max_length: int
    max_prompt_length: int
    lora_r: int
    lora_alpha: float
    lora_dropout: float
    lora_targets: str
    epochs: int
    batch_size: int
    gradient_accumulation: int
    learning_rate: float
    lr_scheduler: Literal["linear", "cosine", "constant"]
    warmup: float
    weight_decay: float
    max_grad_norm: float
    precision: Literal["auto", "bf16", "fp32"]
    gradient_checkpointing: bool
    seed: int
    logging_steps: int
    eval_batch_size: int
    eval_steps: int | None
    save_steps: int | None
    keep_best: bool
    best_by: Literal["loss", "accuracy", "margin"]
    patience: int | None
    max_steps: int | None = field(default=None, kw_only=True)
    chat_template: bool | None = field(default=None, kw_only=True)
    chat_template_kwargs: dict[str, Any] | None = field(default=None, kw_only=True)
    sample_texts: int = field(default=32, kw_only=True)

    def __post_init__(self) -> None:
        """Refuse values that no training can have."""
        for name in _FROM_ONE:
            self._at_least(name, 1)
        for names, least in ((_FROM_ONE_OR_NONE, 1), (_FROM_ZERO_OR_NONE, 0)):
            for name in names:
                if getattr(self, name) is not None:
                    self._at_least(name, least)
        for name in _FROM_ZERO:
            self._at_least(name, 0)
        for name in _ABOVE_ZERO:
            if not 0 < getattr(self, name) < float("inf"):
                raise ExpandrError(f"{name}: found {getattr(self, name)}, wanted more than 0")
        if self.lora_dropout >= 1:
            raise ExpandrError(f"lora_dropout: found {self.lora_dropout}, wanted less than 1")
        if not _is_json(self.chat_template_kwargs):
            raise ExpandrError(
                f"chat_template_kwargs: found {shown(self.chat_template_kwargs)}, wanted what JSON can hold, e.g. {{enable_thinking: false}}"
            )
        if self.max_length <= self.max_prompt_length:
            raise ExpandrError(
                f"max_length: found {self.max_length}, wanted more than max_prompt_length ({self.max_prompt_length}): it counts the passage, too"
            )

    def _at_least(self, name: str, least: int) -> None:
        if not least <= getattr(self, name) < float("inf"):
            raise ExpandrError(f"{name}: found {getattr(self, name)}, wanted {least} or more")


def _is_json(value: object) -> bool:
    try:
        return bool(json.loads(json.dumps(value)) == value)
    except (TypeError, ValueError):  # YAML also has dates, sets and bytes
        return False


@dataclass(frozen=True)
class DpoSettings(TrainingSettings):
    """Direct preference optimization (Rafailov et al. 2023, arXiv 2305.18290).

    Attributes:
        beta: weight of the distance from the model before training.
        precompute_reference: whether that model's log-probabilities are computed once and kept, or at every step.
        loss: `sigmoid` sums over a passage's tokens; `sigmoid_norm` and `ipo` take their mean, so that length alone wins nothing.
        ld_alpha: weight of the tokens of the longer passage beyond the length of the shorter one (LD-DPO, Liu et al. 2024, arXiv 2409.06411); None
            or 1 counts them in full, 0 not at all.
        sft_weight: weight of the chosen passage's negative log-likelihood per token, added to the loss.
    """

    beta: float
    precompute_reference: bool
    loss: Literal["sigmoid", "sigmoid_norm", "ipo"] = field(default="sigmoid", kw_only=True)
    ld_alpha: float | None = field(default=None, kw_only=True)
    sft_weight: float = field(default=0.0, kw_only=True)

    def __post_init__(self) -> None:
        """Refuse values that no training can have."""
        super().__post_init__()
        if not 0 < self.beta < float("inf"):
            raise ExpandrError(f"beta: found {self.beta}, wanted more than 0")
        self._at_least("sft_weight", 0)
        if self.ld_alpha is not None and not 0 <= self.ld_alpha <= 1:
            raise ExpandrError(f"ld_alpha: found {self.ld_alpha}, wanted a number from 0 to 1, or null")


@dataclass(frozen=True)
class SftSettings(TrainingSettings):
    """Supervised fine-tuning on the passage, given the prompt."""

    def __post_init__(self) -> None:
        """Refuse values that no training can have."""
        super().__post_init__()
        if self.best_by == "margin":
            raise ExpandrError("best_by: found 'margin', which only preference pairs have; wanted loss or accuracy")
