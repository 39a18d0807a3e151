"""`train_encoder`: topics with expansions, relevant documents and hard negatives to an encoder trained on fused queries."""

from __future__ import annotations

import logging
import sys
import time
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from expandr_repro import cli
from expandr_repro.console.arguments import Parser
from expandr_repro.console.tables import Table
from expandr_repro.console.terminal import print_json
from expandr_repro.errors import ExpandrError
from expandr_repro.search.fusion import check_alpha, set_by_alias
from expandr_repro.search.fusion.registry import vector_fusion
from expandr_repro.train_encoder.settings import EncoderTraining, TrainRequest

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
    return cli.parser(
        "train_encoder",
        "Train a dense retriever contrastively, its query vector fused with LLM expansions as `search` fuses; write a folder that "
        "this toolkit, Pyserini and sentence-transformers load.",
        EXAMPLES,
        TrainRequest,
    )


SETTINGS_RULES = (
    (("negative_depth", "hard_negatives"), "--negatives", lambda request, _: request.negatives),
    (("dev_seed",), "dev", lambda _, config: config.dev),
    (("dev_hits", "evaluate_every"), "development topics", lambda request, config: config.dev or request.dev_topics),
)
"""Settings that change nothing without something else."""


def _fusion(request: TrainRequest) -> tuple[str, float | None]:
    """Return the name of the fusion to train with, with parameters other than alpha, and alpha."""
    if request.fusion == "none":
        return "none", None
    chosen = set_by_alias(
        vector_fusion(request.fusion, "fusion to train with"), request.fusion, {"alpha": request.alpha}
    )
    return (chosen.name, chosen.values["alpha"]) if set(chosen.values) == {"alpha"} else (str(chosen), None)


def run(request: TrainRequest) -> int:
    """Run the command."""
    check_alpha(request.alpha)
    fusion, alpha = _fusion(request)
    if request.encoder.precision == "fp16":
        raise ExpandrError("--precision fp16: training uses bf16 (autocast over fp32 weights) or fp32")
    from expandr_repro.train_encoder.examples import gather
    from expandr_repro.train_encoder.run import train
    from expandr_repro.training.processes import join_processes, leave_processes
    from expandr_repro.training.settings import read_config

    config = read_config(EncoderTraining, request.config, request.changes)
    replace(request, settings=config).refuse_idle()
    given = [change.partition("=")[0].strip() for change in request.changes]
    for settings, needed, there in SETTINGS_RULES:
        for name in settings:
            if name in given and not there(request, config) and getattr(config, name):
                log.warning("--set %s: has no effect without %s", name, needed)
    if request.fusion == "none":
        if "views" in given and set(config.views) != {"query"}:
            raise ExpandrError(
                f"--fusion none trains on the queries alone, and views asks for {', '.join(config.views)}; leave one of the two out"
            )
        config = replace(config, views={"query": 1.0})
    request = replace(request, fusion=fusion, alpha=alpha)
    data = gather(request, config)
    processes, device = join_processes(request.encoder.device)
    try:
        if not processes.first:
            logging.getLogger("expandr_repro").setLevel(logging.ERROR)
        encoder = _encoder(request, device)
        started = time.perf_counter()
        trained = train(
            data, encoder, request, config, request.output, request.encoder.precision, processes, request.overwrite
        )
        if processes.first:
            _report(trained, data, encoder, request.format, time.perf_counter() - started)
    finally:
        leave_processes()
    return 0


def _encoder(request: TrainRequest, device: str) -> Encoder:
    from expandr_repro.encoders.encoder import Encoder
    from expandr_repro.encoders.loading import load_encoder

    options = replace(request.encoder, precision="fp32", device=device)
    encoder = (
        None
        if request.encoder.name.startswith("pyserini:")
        else load_encoder(request.encoder.name, options, training=True)
    )
    if not isinstance(encoder, Encoder):
        raise ExpandrError(
            f"--encoder {request.encoder.name}: one of Pyserini's own classes, which cannot be trained here; name its checkpoint, with --pooling and --normalize"
        )
    return encoder


def _report(trained: Trained, data: TrainingData, encoder: Encoder, form: str, seconds: float) -> None:
    from expandr_repro.encoders.loading import say_truncated

    done = f"{trained.steps} steps in {seconds:.0f} s" if trained.anew else "this training already; nothing to do"
    log.info("%s %s: %s", "wrote" if trained.anew else "there is", trained.folder, done)
    state = trained.progress
    if form == "json":
        report = {"folder": str(trained.folder), "steps": trained.steps, "counts": data.counts, "development": asdict(state)}  # fmt: skip
        print_json(report)
    else:
        print(Table(["", "number"], [[what, n] for what, n in data.counts.items() if n]).render(form))
        if state.best:
            head = ["development nDCG@10", "before", f"best (step {state.best_step})", f"last (step {trained.steps})"]
            rows = [[name, state.first[name], state.best[name], state.last[name]] for name in state.best]
            print("\n" + Table(head, rows).render(form))
    say_truncated(encoder)


main = cli.command(build_parser, run)

if __name__ == "__main__":
    sys.exit(main())
