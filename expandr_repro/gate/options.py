"""The options of `gate fit` and `gate show`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from expandr_repro.console.options import Options, When, included, natural, option, to_path
from expandr_repro.console.tables import FORMATS
from expandr_repro.encoders.options import EncoderOptions
from expandr_repro.search.gate.learned import MODELS
from expandr_repro.training.options import hold_out

DENSE = When("with --retriever dense", lambda options: options.retriever == "dense")

what, how, learning, out = (partial(option, group=title) for title in ("what", "how", "model", "output"))


@dataclass(frozen=True)
class GateRequest(Options):
    """What `gate` is to do."""

    word: str = option("", argument=True, metavar="fit|show", help="fit: fit a gate on training topics; show: print a learned gate; each has its own --help")  # fmt: skip


@dataclass(frozen=True)
class FitRequest(Options):
    """What a gate is fitted on, and how."""

    train: tuple[str, ...] = what(metavar="TOPICS[=EXPANSIONS]", help="training topics, each with a file of augmented topics or a packaged set, e.g. scifact/train=claude.q2d nfcorpus=mine.jsonl (default: the topics' own expansions)")  # fmt: skip
    index: tuple[str, ...] = what((), metavar="I", help="index, as for `search`: one name for all of --train (default: the topics' collections)")  # fmt: skip
    hold_out: tuple[str, ...] = hold_out("what")
    planted: bool = what(True, "--no-planted", help="do not add topics with planted texts that do not belong to them (another topic's, in another language, empty talk), which the gate should refuse")  # fmt: skip
    retriever: str = how(
        "dense", choices=("dense", "bm25"), help="dense retrieval with an encoder, or BM25 (default: {default})"
    )
    fusion: str | None = how(None, metavar="F", help="fusion, as for `search` (default: mean or repeat)")
    metric: str = how("nDCG@10", metavar="M", help="metric by which expansions help or harm")
    encoder: EncoderOptions = included(EncoderOptions, "encoder", applies=DENSE)
    model: str = learning("logistic", choices=MODELS, help="logistic regression, or boosted trees (default: {default})")  # fmt: skip
    features: tuple[str, ...] = learning((), metavar="G", help="gates whose values are features, optionally with parameters (default: all that apply to the retriever and the fusion)")  # fmt: skip
    keep: float = learning(0.95, metavar="S", help="share of the mean gain that the threshold keeps on held-out training topics")  # fmt: skip
    seed: int = learning(0, metavar="N", parse=natural, help="seed of the folds and the trees")
    output: Path | None = out(None, metavar="FILE", parse=to_path, required=True, help="learned gate to write (.json), with its manifest and the record of its training topics next to it")  # fmt: skip
    format: str = out("text", choices=FORMATS, help="format of the summary")


@dataclass(frozen=True)
class ShowRequest(Options):
    """Which learned gate is shown."""

    file: Path = option(argument=True, metavar="FILE", help="learned gate, written by `gate fit`")
    format: str = option("text", choices=FORMATS)
