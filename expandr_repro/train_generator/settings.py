"""Settings of `train_generator` (`resources/training/dpo.yaml`, `sft.yaml`; the files say where each value is from)."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from expandr_repro.errors import ExpandrError, shown
from expandr_repro.io.strict_yaml import Count, FromZero, Positive
from expandr_repro.registry import Within


@dataclass(frozen=True)
class TrainingSettings(ABC):
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

    max_prompt_length: Count
    lora_r: FromZero
    lora_alpha: Positive
    lora_dropout: Annotated[float, Within(0, below=1)]
    lora_targets: str
    epochs: Count
    batch_size: Count
    gradient_accumulation: Count
    learning_rate: Positive
    lr_scheduler: Literal["linear", "cosine", "constant"]
    warmup: Annotated[float, Within(0)]
    weight_decay: Annotated[float, Within(0)]
    max_grad_norm: Positive
    precision: Literal["auto", "bf16", "fp32"]
    gradient_checkpointing: bool
    seed: FromZero
    logging_steps: Count
    eval_batch_size: Count
    eval_steps: Count | None
    save_steps: Count | None
    keep_best: bool
    best_by: Literal["loss", "accuracy", "margin", "ndcg"]
    patience: Count | None
    max_steps: FromZero | None = field(default=None, kw_only=True)
    chat_template: bool | None = field(default=None, kw_only=True)
    chat_template_kwargs: dict[str, Any] | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        """Refuse values that no training can have."""
        if not _is_json(self.chat_template_kwargs):
            raise ExpandrError(
                f"chat_template_kwargs: found {shown(self.chat_template_kwargs)}, wanted what JSON can hold, e.g. {{enable_thinking: false}}"
            )

    @property
    @abstractmethod
    def longest(self) -> int:
        """Tokens of prompt and passage together, at most."""

    @abstractmethod
    def too_long(self, limit: int) -> str:
        """Return what is wrong where the model takes fewer tokens than `longest`."""


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
    sample_texts: FromZero = field(default=32, kw_only=True)

    def __post_init__(self) -> None:
        """Refuse values that no training can have."""
        super().__post_init__()
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

    beta: Positive
    precompute_reference: bool
    loss: Literal["sigmoid", "sigmoid_norm", "ipo"] = field(default="sigmoid", kw_only=True)
    ld_alpha: Annotated[float, Within(0, 1)] | None = field(default=None, kw_only=True)
    sft_weight: Annotated[float, Within(0)] = field(default=0.0, kw_only=True)


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
    group_size: Annotated[int, Within(2)]
    beta: Annotated[float, Within(0)]
    loss: Literal["dapo", "grpo", "dr_grpo", "bnpo"]
    max_completion_length: Count
    temperature: Annotated[float, Within(above=0, high=5)]
    top_p: Annotated[float, Within(above=0, high=1)]
    length_weight: Annotated[float, Within(0)]
    length_words: Annotated[float, Within(1)] | None
    hits: Count
    dev_samples: Count

    def __post_init__(self) -> None:
        """Refuse values that no training can have."""
        super().__post_init__()
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
