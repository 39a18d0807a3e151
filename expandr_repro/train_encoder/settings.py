"""Settings of `train_encoder`, from `resources/training/encoder.yaml` and a user's YAML."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated

from expandr_repro.console.options import Options, When, included, option
from expandr_repro.console.tables import FORMATS
from expandr_repro.encoders.options import EncoderOptions
from expandr_repro.errors import ExpandrError, UnknownNameError
from expandr_repro.io.strict_yaml import Count, FromZero, Positive
from expandr_repro.registry import Within
from expandr_repro.training.options import allow_overlap, hold_out

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
        hard_negatives: documents per query and step, drawn from the negatives' run.
        negative_depth: ranks of that run they are drawn from.
        mask_relevant: whether other relevant documents of a query count neither for nor against it.
        chunk_tokens: tokens, padding included, embedded together with gradients; what bounds the memory.
        blend: share of the trained weights in those that are searched with and kept; the rest are the untrained ones (WiSE-FT).
        gradient_cache: embed chunks twice in place of keeping all their activations.
        dev: training topics held out for early stopping; 0 for none.
        dev_seed: of that draw; apart from `seed`, so that trainings of several seeds share the topics held out.
        dev_hits: documents per topic that the search on them finds.
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


# what depends on the settings is decided once they are read
HARD = When("with hard_negatives above 0", lambda request: not request.settings or request.settings.hard_negatives > 0)
VALIDATES = When("with --dev-topics or --set dev=N", lambda request: not request.settings or bool(request.settings.dev or request.dev_topics))  # fmt: skip
MEAN = When("with --fusion mean", lambda request: request.fusion.partition(":")[0] == "mean")
DEV_TOPICS = When("with --dev-topics; topics held out have those of --expansions", lambda request: bool(request.dev_topics))  # fmt: skip

what, how, out = (partial(option, group=title) for title in ("what", "how", "output"))


@dataclass(frozen=True)
class TrainRequest(Options):
    """What an encoder is trained on, and how."""

    train: str = what(metavar="T", help="training topics with qrels and documents: a collection or BEIR folder (its train split, where none is named), a topics file with --qrels and --corpus")  # fmt: skip
    expansions: tuple[str, ...] = what((), metavar="X", help="augmented topics, or packaged sets; of several, one is drawn per step (default: the topics' own)")  # fmt: skip
    negatives: str | None = what(None, metavar="RUN", help="a TREC run of the training topics; hard negatives are drawn from it (default: only the other queries' documents)", applies=HARD)  # fmt: skip
    qrels: str | None = what(None, metavar="Q", help="qrels (default: the topics' collection's)")
    corpus: str | None = what(None, metavar="C", help="documents (default: the topics' collection's)")
    hold_out: tuple[str, ...] = hold_out("what")
    dev_topics: str | None = what(None, metavar="T", help="topics searched during training, on the same documents: a collection's split (dev, where none is named); refused if they or their relevant documents are seen in training (default: those that --set dev=N holds out)")  # fmt: skip
    dev_expansions: tuple[str, ...] = what((), metavar="X", help="expansions of --dev-topics", applies=DEV_TOPICS)
    allow_overlap: bool = allow_overlap("what", VALIDATES)
    fusion: str = how("mean", metavar="F", help="mean, hyde, expansion or another fusion of vectors, as in `search`, optionally with parameters; none: fine-tuning on the queries alone")  # fmt: skip
    alpha: float | None = how(None, metavar="A", help="the same as --fusion mean:alpha=A (default: all texts weigh the same)", applies=MEAN)  # fmt: skip
    config: str = how(
        "encoder", metavar="F", help="settings: encoder, expandr-encoder (the paper's values) or a .yaml file"
    )
    changes: tuple[str, ...] = how((), "--set", metavar="K=V", again=True, help="change one setting, e.g. --set epochs=2; may be repeated")  # fmt: skip
    encoder: EncoderOptions = included(EncoderOptions, "encoder")  # noqa: RUF009
    output: Path = out(Path(), required=True, metavar="FOLDER", help="folder of the trained encoder")  # noqa: RUF009
    overwrite: bool = out(False, help="replace the result of another training")
    format: str = out("text", choices=FORMATS, help="format of the report")
    settings: EncoderTraining | None = None
    """Those of `config` and `changes`; None before they are read."""
