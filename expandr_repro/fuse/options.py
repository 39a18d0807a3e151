"""The options of `fuse`, and when they apply."""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass
from functools import partial

from expandr_repro.console.options import Options, When, included, option, positive
from expandr_repro.console.tables import FORMATS
from expandr_repro.encoders.options import EncoderOptions
from expandr_repro.fuse.methods import HITS, METHODS
from expandr_repro.fuse.norms import NORMS
from expandr_repro.search.options import K1, B


def _searches(retriever: str, options: FuseRequest) -> bool:
    return re.search(rf"(^|,)\s*{retriever}\s*(:|,|$)", options.retrievers) is not None


SEARCHED = When("with --topics, where the searches are done here", lambda options: bool(options.topics))
FILES = When("to run files, not with --topics", lambda options: not options.topics)
BM25, DENSE = (When(f"where one of --retrievers is {name}", partial(_searches, name)) for name in ("bm25", "dense"))
OPTIMIZED = When("with --optimize", lambda options: options.optimize is not None)


def numbers(text: str) -> tuple[float, ...]:
    """Parse numbers with commas between them (an argparse type)."""
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of numbers; write e.g. 0.3,0.7") from error


what, how, training, out = (partial(option, group=title) for title in ("what", "how", "training topics", "output"))


@dataclass(frozen=True)
class MethodsRequest(Options):
    """How `fuse methods` prints its lists."""

    format: str = option("text", choices=FORMATS)


@dataclass(frozen=True)
class FuseRequest(Options):
    """What is to be fused, and how."""

    runs: tuple[str, ...] = option((), argument=True, metavar="RUN", help="TREC run files of the same topics, plain or gzipped")  # fmt: skip
    topics: str = what("", metavar="T", help="in place of run files: topics to search, as for `search`, once for each of --retrievers")  # fmt: skip
    expansions: tuple[str, ...] = what((), metavar="X", applies=SEARCHED, help="augmented topics files, or packaged sets (claude.q2d), joined to the topics by qid")  # fmt: skip
    retrievers: str = what("bm25,dense", metavar="R", applies=SEARCHED, help="retrievers, separated by commas: bm25 and dense, optionally with a fusion of query and expansions, as in bm25:none,dense:mean")  # fmt: skip
    types: str | None = what(None, metavar="T", applies=SEARCHED, help="types of expansions to use, separated by commas (default: by retriever, as in `search`)")  # fmt: skip
    index: tuple[str, ...] = what((), metavar="I", applies=SEARCHED, help="index, as for `search`: one name for all, or one for each of --retrievers (default: the topics' collection)")  # fmt: skip
    limit: int | None = what(None, metavar="N", parse=positive, applies=SEARCHED, help="search only the first N topics")
    qids: str | None = what(None, metavar="IDS", applies=SEARCHED, help="search only these topics: a file with one id per line, or ids separated by commas")  # fmt: skip
    qrels: str | None = what(None, metavar="Q", help="relevance judgments: a file, a collection, irds:... or a Pyserini name (default: the collection's)")  # fmt: skip
    method: str = how("rrf", metavar="M", help=f"NAME or NAME:PARAMETER=VALUE: {', '.join(METHODS)}; `fuse methods` describes them")  # fmt: skip
    norm: str | None = how(None, metavar="N", help=f"normalisation of scores, for methods that use scores: {', '.join(NORMS)} (default: min-max)")  # fmt: skip
    weights: tuple[float, ...] = how((), metavar="W,W", parse=numbers, help=f"weights, one per run, for {', '.join(m.name for m in METHODS.values() if m.weighted)}",
                                     applies=When("without --optimize, which chooses them", lambda options: options.optimize is None))  # fmt: skip
    hits: int = how(HITS, metavar="K", parse=positive, help="documents per topic")
    k1: float = how(0.9, parse=K1, help="of BM25", applies=(SEARCHED, BM25))
    b: float = how(0.4, parse=B, help="of BM25", applies=(SEARCHED, BM25))
    optimize: str | None = training(None, metavar="METRIC", help="choose weights, or the method's parameter, that score best on training topics, as ranx's optimiser does")  # fmt: skip
    training_runs: tuple[str, ...] = training((), metavar="RUN", applies=(OPTIMIZED, FILES), help="runs of the training topics, in the order of the runs")  # fmt: skip
    training_topics: str | None = training(None, metavar="T", applies=(OPTIMIZED, SEARCHED), help="training topics to search, e.g. scifact/train")  # fmt: skip
    training_expansions: tuple[str, ...] = training((), metavar="X", applies=(OPTIMIZED, SEARCHED), help="their expansions (default: --expansions)")  # fmt: skip
    training_qrels: str | None = training(None, metavar="Q", applies=OPTIMIZED, help="their qrels (default: those of the training topics' collection)")  # fmt: skip
    encoder: EncoderOptions = included(EncoderOptions, "encoder", applies=(SEARCHED, DENSE))
    output: str | None = out(
        None, metavar="RUN", help="TREC run to write (.gz compresses), with its manifest next to it"
    )
    tag: str = out("expandr_repro", parse=str, help="run tag, the last column of the run", applies=When("with --output", lambda options: bool(options.output)))  # fmt: skip
    metrics: str | None = out(
        None, metavar="M", help="metrics, e.g. nDCG@10,R@100,MAP,MRR@10,P@5 (default: the collection's)"
    )
    format: str = out("text", choices=FORMATS, help="format of the summary")
