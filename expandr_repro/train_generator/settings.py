"""Settings of `train_generator` (`resources/training/dpo.yaml`, `sft.yaml`; the files say where each value is from)."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Literal

from expandr_repro.errors import ExpandrError, shown

_FROM_ONE = ("max_prompt_length", "epochs", "batch_size", "gradient_accumulation", "logging_steps", "eval_batch_size")
_FROM_ONE_OR_NONE = ("eval_steps", "save_steps", "patience")
_FROM_ZERO_OR_NONE = ("max_steps",)
_FROM_ZERO = ("lora_r", "lora_dropout", "warmup", "weight_decay", "seed")
_ABOVE_ZERO = ("learning_rate", "lora_alpha", "max_grad_norm")


@dataclass(frozen=True)
class TrainingSettings:
    """What all ways of training a generator have in common.

    Attributes:
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
    """

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
    best_by: Literal["loss", "accuracy", "margin", "ndcg"]
    patience: int | None
    max_steps: int | None = field(default=None, kw_only=True)
    chat_template: bool | None = field(default=None, kw_only=True)
    chat_template_kwargs: dict[str, Any] | None = field(default=None, kw_only=True)

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

    @property
    def longest(self) -> int:
        """Tokens of prompt and passage together, at most."""
        raise NotImplementedError

    def too_long(self, limit: int) -> str:
        """Return what is wrong where the model takes fewer tokens than `longest`."""
        raise NotImplementedError

    def _at_least(self, name: str, least: int) -> None:
        if not least <= getattr(self, name) < float("inf"):
            raise ExpandrError(f"{name}: found {getattr(self, name)}, wanted {least} or more")


def _is_json(value: object) -> bool:
    try:
        return bool(json.loads(json.dumps(value)) == value)
    except (TypeError, ValueError):  # YAML also has dates, sets and bytes
        return False


@dataclass(frozen=True)
class PassageSettings(TrainingSettings):
    """What ways of training on given passages have in common.

    Attributes:
        max_length: tokens of prompt and passage together; a longer passage is cut.
        sample_texts: validation prompts that the model answers before and after training, one text each, whose lengths are reported; 0 for none.
    """

    max_length: int
    sample_texts: int = field(default=32, kw_only=True)

    def __post_init__(self) -> None:
        """Refuse values that no training can have."""
        super().__post_init__()
        self._at_least("sample_texts", 0)
        if self.max_length <= self.max_prompt_length:
            raise ExpandrError(
                f"max_length: found {self.max_length}, wanted more than max_prompt_length ({self.max_prompt_length}): it counts the passage, too"
            )
        if self.best_by == "ndcg":
            raise ExpandrError("best_by: found 'ndcg', which only --grpo measures; wanted loss or accuracy")

    @property
    def longest(self) -> int:
        """Tokens of prompt and passage together, at most."""
        return self.max_length

    def too_long(self, limit: int) -> str:
        """Return what is wrong where the model takes fewer tokens than `longest`."""
        return f"max_length {self.max_length}: the model takes {limit} tokens at most; use --set max_length={limit}"


@dataclass(frozen=True)
class DpoSettings(PassageSettings):
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
class SftSettings(PassageSettings):
    """Supervised fine-tuning on the passage, given the prompt."""

    def __post_init__(self) -> None:
        """Refuse values that no training can have."""
        super().__post_init__()
        if self.best_by == "margin":
            raise ExpandrError("best_by: found 'margin', which only preference pairs have; wanted loss or accuracy")


@dataclass(frozen=True)
class GrpoSettings(TrainingSettings):
    """Group relative policy optimization (Shao et al. 2024, arXiv 2402.03300): texts are written, rewarded and learned from as training goes.

    Attributes:
        reward: names of rewards with weights, as `prefer --reward` takes them.
        group_size: texts written for a topic at a time; a text's advantage is its reward against its group's.
        beta: weight of the KL divergence from the model before training; 0 for none.
        loss: how tokens are summed; see trl's GRPOConfig.
        max_completion_length: tokens of a text.
        temperature: of the texts learned from.
        top_p: of the texts learned from.
        length_weight: weight of the penalty on texts more than a fifth longer or shorter than `length_words`; 0 for none.
        length_words: words of a text; None for what the untrained model writes for the validation topics.
        hits: how deep `corpus-rank` looks for the gold document.
        dev_samples: texts for each validation topic, searched with together.
    """

    reward: str
    group_size: int
    beta: float
    loss: Literal["dapo", "grpo", "dr_grpo", "bnpo"]
    max_completion_length: int
    temperature: float
    top_p: float
    length_weight: float
    length_words: float | None
    hits: int
    dev_samples: int

    def __post_init__(self) -> None:
        """Refuse values that no training can have."""
        super().__post_init__()
        for name, least in (("group_size", 2), ("max_completion_length", 1), ("hits", 1), ("dev_samples", 1)):
            self._at_least(name, least)
        for name in ("beta", "length_weight"):
            self._at_least(name, 0)
        if self.length_words is not None:
            self._at_least("length_words", 1)
        if not 0 < self.temperature <= 5:
            raise ExpandrError(f"temperature: found {self.temperature}, wanted a number above 0 and up to 5")
        if not 0 < self.top_p <= 1:
            raise ExpandrError(f"top_p: found {self.top_p}, wanted a number above 0 and up to 1")
        if self.best_by != "ndcg":
            raise ExpandrError(f"best_by: found {self.best_by!r}, wanted ndcg, which --grpo measures")
        if self.texts_a_step % self.group_size:
            raise ExpandrError(
                f"group_size: found {self.group_size}, wanted a divisor of batch_size x gradient_accumulation ({self.texts_a_step}), "
                "the texts of a step, so that no group is divided"
            )

    @property
    def texts_a_step(self) -> int:
        """Texts that a process writes for a step."""
        return self.batch_size * self.gradient_accumulation

    @property
    def longest(self) -> int:
        """Tokens of prompt and text together, at most."""
        return self.max_prompt_length + self.max_completion_length

    def too_long(self, limit: int) -> str:
        """Return what is wrong where the model takes fewer tokens than `longest`."""
        return (
            f"max_prompt_length {self.max_prompt_length} and max_completion_length {self.max_completion_length}: the model takes {limit} tokens "
            f"at most; lower one of them"
        )
