"""The settings of `train_encoder`, as `resources/training/encoder.yaml` and a user's YAML give them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from expandr_repro.errors import ExpandrError, UnknownNameError
from expandr_repro.io.strict_yaml import Count, FromZero, Positive
from expandr_repro.registry import Within

VIEWS = ("fused", "query", "expansion")
"""What a query may be in the loss: fused with its expansions, alone, or its expansions alone."""


@dataclass(frozen=True)
class EncoderTraining:
    """How an encoder is trained.

    Attributes:
        epochs: passes over the training topics.
        max_steps: steps in all, in place of epochs; 0 or None for epochs.
        batch_size: queries contrasted with one another, over all processes together.
        accumulation: batches whose gradients are averaged in a step.
        learning_rate: the highest; reached after the warm-up, then going down to zero linearly.
        warmup: share of all steps.
        weight_decay: of AdamW; not for biases and norms.
        max_grad_norm: gradients are scaled down to this length.
        temperature: by which inner products are divided.
        views: view of the query (fused, query, expansion) -> weight of its loss.
        hard_negatives: documents a query and step, drawn from the negatives' run.
        negative_depth: ranks of that run they are drawn from.
        mask_relevant: whether other relevant documents of a query count neither for nor against it.
        chunk_tokens: tokens, padding included, embedded together with gradients; what bounds the memory.
        blend: share of the trained weights in those that are searched with and kept; the rest are the untrained ones (WiSE-FT).
        gradient_cache: embed chunks twice in place of keeping all their activations.
        dev: training topics held out for early stopping; 0 for none.
        dev_seed: of that draw; apart from `seed`, so that trainings of several seeds share the topics held out.
        dev_hits: documents a topic that the search on them finds.
        select_on: names of the development searches whose mean nDCG@10 decides; empty for those with the fusion trained.
        evaluate_every: epochs, or parts of one, between two of these searches.
        patience: searches without a gain after which training stops; 0 to go on to the end.
        save_every: steps between checkpoints, besides those after each search and epoch; 0 for none.
        log_every: steps between lines of metrics.jsonl.
        seed: of every draw but `dev_seed`'s, and of dropout.
    """

    epochs: Count
    batch_size: Count
    learning_rate: Positive
    temperature: Positive
    accumulation: Count = 1
    warmup: Annotated[float, Within(0, below=1)] = 0.1
    weight_decay: Annotated[float, Within(0)] = 0.01
    max_grad_norm: Positive = 1.0
    views: dict[str, Positive] = field(default_factory=lambda: {"fused": 1.0})
    hard_negatives: FromZero = 1
    negative_depth: Count = 100
    mask_relevant: bool = True
    chunk_tokens: Count = 16384
    blend: Annotated[float, Within(above=0, high=1)] = 1.0
    gradient_cache: bool = True
    dev: FromZero = 0
    dev_seed: int = 42
    dev_hits: Annotated[int, Within(10)] = 100
    select_on: list[str] = field(default_factory=list)
    evaluate_every: Positive = 1.0
    patience: FromZero = 0
    save_every: FromZero = 0
    log_every: Count = 1
    seed: int = 42
    max_steps: FromZero | None = None

    def __post_init__(self) -> None:
        """Refuse values that make no sense.

        Raises:
            ExpandrError: one of them.
            UnknownNameError: no such view.
        """
        for view in self.views:
            if view not in VIEWS:
                raise UnknownNameError("view", view, VIEWS)
        if not self.views:
            raise ExpandrError(f"views: wanted at least one of {', '.join(VIEWS)}")
