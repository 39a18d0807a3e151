"""`train_encoder`: topics with expansions, relevant documents and hard negatives to an encoder trained on fused queries."""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from expandr_repro import cli
from expandr_repro.console.applies import Applies, refuse_idle
from expandr_repro.console.arguments import Parser
from expandr_repro.console.tables import FORMATS, Table
from expandr_repro.console.terminal import printable
from expandr_repro.errors import ExpandrError
from expandr_repro.search.fusion import check_alpha, set_by_alias
from expandr_repro.search.fusion.registry import vector_fusion
from expandr_repro.train_encoder.settings import EncoderTraining

if TYPE_CHECKING:
    from expandr_repro.encoders.encoder import Encoder
    from expandr_repro.train_encoder.examples import TrainingData
    from expandr_repro.train_encoder.run import Trained

log = logging.getLogger("expandr_repro.train_encoder")

EXAMPLES = """
python -m expandr_repro.train_encoder --train scifact/train --expansions claude.q2d --negatives train.trec --set dev=80 --output models/minilm-fused
python -m expandr_repro.train_encoder --train scifact/train --fusion none --negatives train.trec --set dev=80 --output models/minilm-queries
python -m expandr_repro.train_encoder --train my-beir/train --expansions a.jsonl b.jsonl --set views='{fused: 1, query: 1}' --encoder contriever --output models/mine
torchrun --nproc-per-node 2 -m expandr_repro.train_encoder --config expandr-encoder --train my-beir/train --expansions a.jsonl --encoder anchordr --precision bf16 --output models/expandr
"""


def build_parser() -> Parser:
    """Return the command's parser."""
    made = cli.parser(
        "train_encoder",
        "Train a dense retriever contrastively, its query vector fused with LLM expansions as `search` fuses; write a folder that "
        "this toolkit, Pyserini and sentence-transformers load.",
        EXAMPLES,
    )
    what = made.add_argument_group("what")
    what.add_argument("--train", required=True, metavar="T", help="training topics with judgments and documents: a collection or BEIR folder (its train split, where none is named), a topics file with --qrels and --corpus")  # fmt: skip
    what.add_argument("--expansions", nargs="+", default=[], metavar="X", help="augmented topics, or packaged sets; of several, a step uses one, drawn (default: the topics' own)")  # fmt: skip
    what.add_argument("--negatives", metavar="RUN", help="a TREC run of the training topics; hard negatives are drawn from it (default: the other queries' documents alone)")  # fmt: skip
    what.add_argument("--qrels", metavar="Q", help="judgements (default: the topics' collection's)")
    what.add_argument("--corpus", metavar="C", help="documents (default: the topics' collection's)")
    cli.add_hold_out(what)
    what.add_argument("--dev-topics", metavar="T", help="topics searched during training, on the same documents: a collection's split (dev, where none is named); refused where training sees them or their relevant documents (default: those that --set dev=N holds out)")  # fmt: skip
    what.add_argument("--dev-expansions", nargs="+", default=[], metavar="X", help="of --dev-topics")
    cli.add_allow_overlap(what)
    how = made.add_argument_group("how")
    how.add_argument("--fusion", default="mean", metavar="F", help="mean, hyde, expansion or another fusion of vectors, perhaps with parameters: of the query's vector with its expansions', as in `search`; none: ordinary fine-tuning on the queries (default: %(default)s)")  # fmt: skip
    how.add_argument("--alpha", type=float, metavar="A", help="the same as --fusion mean:alpha=A (default: all texts weigh the same)")  # fmt: skip
    how.add_argument("--config", default="encoder", metavar="F", help="encoder, expandr-encoder (the paper's values) or a .yaml file (default: %(default)s)")  # fmt: skip
    how.add_argument("--set", action="append", default=[], metavar="K=V", help="a setting in place of the file's, e.g. --set epochs=2; may be repeated")  # fmt: skip
    cli.add_encoder_options(made)
    out = made.add_argument_group("output")
    out.add_argument("--output", required=True, metavar="FOLDER", help="where the trained encoder goes")
    out.add_argument("--overwrite", action="store_true", help="replace what is there, if it is something else")
    out.add_argument("--format", choices=FORMATS, default="text", help="of the report (default: %(default)s)")
    return made


RULES = (
    *cli.ENCODER_RULES,
    Applies(("--alpha",), "with --fusion mean", lambda args: args.fusion.partition(":")[0] == "mean"),
    Applies(("--dev-expansions",), "with --dev-topics; topics held out have those of --expansions", lambda args: bool(args.dev_topics)),
)  # fmt: skip
"""When options apply."""

CONFIG_RULES = (Applies(("--negatives",), "with hard_negatives above 0", lambda config: config.hard_negatives > 0),)
"""When options apply to the settings."""

SETTINGS_RULES = (
    (("negative_depth", "hard_negatives"), "--negatives", lambda args, _: args.negatives),
    (("dev_seed",), "dev", lambda _, config: config.dev),
    (("dev_hits", "evaluate_every"), "development topics", lambda args, config: config.dev or args.dev_topics),
)
"""Settings that change nothing without something else."""


def _fusion(args: argparse.Namespace) -> tuple[str, float | None]:
    """Return the name of the fusion to train with, with parameters other than alpha, and alpha."""
    if args.fusion == "none":
        return "none", None
    chosen = set_by_alias(vector_fusion(args.fusion, "fusion to train with"), args.fusion, {"alpha": args.alpha})
    return (chosen.name, chosen.values["alpha"]) if set(chosen.values) == {"alpha"} else (str(chosen), None)  # type: ignore[return-value]


def run(args: argparse.Namespace) -> int:
    """Do what the command line says."""
    check_alpha(args.alpha)
    fusion, alpha = _fusion(args)
    if args.precision == "fp16":
        raise ExpandrError("--precision fp16: training uses bf16 (autocast over fp32 weights) or fp32")
    from expandr_repro.train_encoder.dev_topics import TrainRequest
    from expandr_repro.train_encoder.examples import gather
    from expandr_repro.train_encoder.run import train
    from expandr_repro.training.processes import join_processes, leave_processes
    from expandr_repro.training.settings import read_config

    config = read_config(EncoderTraining, args.config, args.set)
    refuse_idle(args.given, CONFIG_RULES, config)
    overlap = Applies(
        ("--allow-overlap",), "with --dev-topics or --set dev=N", lambda c: bool(c.dev or args.dev_topics)
    )
    refuse_idle(args.given, (overlap,), config)
    given = [change.partition("=")[0].strip() for change in args.set]
    for settings, needed, there in SETTINGS_RULES:
        for name in settings:
            if name in given and not there(args, config) and getattr(config, name):
                log.warning("--set %s: has no effect without %s", name, needed)
    if args.fusion == "none":
        if "views" in given and set(config.views) != {"query"}:
            raise ExpandrError(
                f"--fusion none trains on the queries alone, and views asks for {', '.join(config.views)}; leave one of the two out"
            )
        config = dataclasses.replace(config, views={"query": 1.0})
    request = TrainRequest(
        args.train, tuple(args.expansions), args.negatives, fusion, alpha, args.qrels, args.corpus, args.dev_topics, tuple(args.dev_expansions),
        tuple(args.hold_out), args.allow_overlap,
    )  # fmt: skip
    data = gather(request, config)
    processes, device = join_processes(args.device)
    try:
        if not processes.first:
            logging.getLogger("expandr_repro").setLevel(logging.ERROR)
        encoder = _encoder(args, device)
        started = time.perf_counter()
        trained = train(data, encoder, request, config, Path(args.output), args.precision, processes, args.overwrite)
        if processes.first:
            _report(trained, data, encoder, args.format, time.perf_counter() - started)
    finally:
        leave_processes()
    return 0


def _encoder(args: argparse.Namespace, device: str) -> Encoder:
    from expandr_repro.encoders.encoder import Encoder
    from expandr_repro.encoders.loading import load_encoder
    from expandr_repro.encoders.options import EncoderOptions

    options = dataclasses.replace(EncoderOptions.of(args), precision="fp32", device=device)
    encoder = None if args.encoder.startswith("pyserini:") else load_encoder(args.encoder, options, training=True)
    if not isinstance(encoder, Encoder):
        raise ExpandrError(
            f"--encoder {args.encoder}: one of Pyserini's own classes, which cannot be trained here; name its checkpoint, with --pooling and --normalize"
        )
    return encoder


def _report(trained: Trained, data: TrainingData, encoder: Encoder, form: str, seconds: float) -> None:
    from expandr_repro.encoders.loading import say_truncated

    done = f"{trained.steps} steps in {seconds:.0f} s" if trained.anew else "this training already; nothing to do"
    log.info("%s %s: %s", "wrote" if trained.anew else "there is", trained.folder, done)
    state = trained.progress
    if form == "json":
        report = {"folder": str(trained.folder), "steps": trained.steps, "counts": data.counts, "development": dataclasses.asdict(state)}  # fmt: skip
        print(printable(json.dumps(report, indent=2, ensure_ascii=False)))
    else:
        print(Table(["", "number"], [[what, n] for what, n in data.counts.items() if n]).render(form))
        if state.best:
            head = ["development nDCG@10", "before", f"best (step {state.best_step})", f"last (step {trained.steps})"]
            rows = [[name, state.first[name], state.best[name], state.last[name]] for name in state.best]
            print("\n" + Table(head, rows).render(form))
    say_truncated(encoder)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    return cli.execute(build_parser(), run, argv, RULES)


if __name__ == "__main__":
    sys.exit(main())
