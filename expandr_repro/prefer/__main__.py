"""`prefer`: topics with several candidate expansions to preference pairs for training the generator."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from expandr_repro import cli
from expandr_repro.console.arguments import Parser
from expandr_repro.console.tables import Table
from expandr_repro.console.terminal import print_json
from expandr_repro.data.overlap.sharing import count_shared, draw_apart
from expandr_repro.data.overlap.trained_on import TRAINED_ON_HASH, record_beside, record_hash, write_record
from expandr_repro.engines.running import printed, running
from expandr_repro.errors import ExpandrError
from expandr_repro.io.manifest import run_manifest_path, write_manifest
from expandr_repro.io.outputs import PAIRS, RECORD, check_output, manifest_kind
from expandr_repro.prefer.distribution import quantile_table
from expandr_repro.prefer.options import PreferRequest
from expandr_repro.prefer.pairs import draw, write_pairs

if TYPE_CHECKING:
    from expandr_repro.encoders.protocol import TextEncoder
    from expandr_repro.prefer.run import Preferences

log = logging.getLogger("expandr_repro.prefer")  # not __name__, which is __main__ under `python -m`

EXAMPLES = """
python -m expandr_repro.prefer --candidates candidates.jsonl --gold scifact/train --answers answers.jsonl --output pairs.jsonl
python -m expandr_repro.prefer --candidates candidates.jsonl --gold-file gold.jsonl --reward retriever --min-similarity 0.3 --output pairs.jsonl
python -m expandr_repro.prefer --candidates candidates.jsonl --gold scifact/train --reward retriever=1,corpus-rank=1,delta-ndcg=0.5 --output pairs.jsonl
python -m expandr_repro.prefer --candidates candidates.jsonl --gold-file gold.jsonl --answers answers.jsonl --encoder contriever --candidates-per-topic 32 --sample 30000 --dev 3000 --output pairs.jsonl
python -m expandr_repro.prefer --serve --gold scifact/train --reward retriever=1,delta-ndcg=1 --port 8080
"""


def build_parser() -> Parser:
    """Return the command's parser."""
    return cli.parser(
        "prefer",
        "Reward each topic's candidate expansions with an encoder; write the best against the worst as a preference pair.",
        EXAMPLES,
        PreferRequest,
    )


def _serve(request: PreferRequest) -> int:
    """Answer requests for rewards until interrupted."""
    from expandr_repro.encoders.loading import load_encoder
    from expandr_repro.prefer.serving import RewardServer, serving_scorer

    scorer = serving_scorer(request, lambda: load_encoder(request.encoder.name, request.encoder))
    server = RewardServer(scorer, request.port)
    print(f"rewards of {len(scorer.cases)} topics at {server.url}", flush=True)
    server.run()
    return 0


def run(request: PreferRequest) -> int:
    """Run the command."""
    if printed("prefer", request, request.engine):
        return 0
    if request.serve:
        return _serve(request)
    if not request.candidates or "--output" not in request.given:
        raise ExpandrError("give --candidates F and --output F to write pairs, or --serve to reward texts over HTTP")
    output = request.output
    _check_place(output, request)
    from expandr_repro.encoders.loading import load_encoder
    from expandr_repro.prefer.candidates import plan, why_few
    from expandr_repro.prefer.run import in_common, prefer, trained_on

    planned = plan(request)
    most = min(len(planned.cases), request.sample or len(planned.cases))
    if request.dev and request.dev >= most:  # before hours of encoding
        why = why_few(planned, planned.dropped)
        raise ExpandrError(f"--dev {request.dev}: there can be at most {most} pairs{why}; leave some for training")
    shared = in_common(planned)
    if request.dev and not request.allow_overlap:
        draw_apart([case.topic.qid for case in planned.cases], shared, request.dev, "--dev")
    encoder = load_encoder(request.encoder.name, request.encoder)
    with running(request.engine):
        preferences = prefer(planned, encoder)
    pairs, why = len(preferences.pairs), why_few(planned, preferences.dropped)
    if request.dev and request.dev >= pairs:
        raise ExpandrError(f"--dev {request.dev}: there are only {pairs} pairs{why}; leave some for training")
    train, dev = draw(
        preferences.pairs, request.sample, request.dev or 0, request.seed, None if request.allow_overlap else shared
    )
    if request.sample and request.sample > pairs:
        log.warning("--sample %d: there are only %d pairs%s; all are kept", request.sample, pairs, why)
    if not dev and dev_path(output).exists():
        log.warning("%s is of an earlier run; these pairs have no development part", dev_path(output))
    drawn: dict[str, Any] = {
        "sample": request.sample,
        "seed": request.seed,
        "written": {"train": len(train), "dev": len(dev)},
    }
    overlap = count_shared([p.qid for p in dev], [p.qid for p in train], shared)
    if dev:
        drawn["development_overlap"] = overlap
    parts, carried = trained_on(planned, train)
    drawn |= {TRAINED_ON_HASH: record_hash(parts), "trained_candidates": carried}
    manifest, record = run_manifest_path(output), record_beside(output)
    beside: dict[Path, Callable[[], object] | None] = {
        record: lambda: write_record(record, parts),
        manifest: lambda: write_manifest(manifest, "preference-pairs", preferences.facts | drawn),
    }
    if dev:
        beside[dev_path(output)] = lambda: write_pairs(dev_path(output), dev)
    write_pairs(output, train, about=beside)
    log.info("wrote %s: %d pairs%s", output, len(train), f", and {dev_path(output)}: {len(dev)}" if dev else "")
    counts = {
        "topics": planned.topics,
        "pairs": len(preferences.pairs),
        "pairs with equal rewards, distinguished by similarity": sum(pair.margin == 0 for pair in preferences.pairs),
        "written for training": len(train),
        "written for development": len(dev),
    }
    if request.allow_overlap and dev:
        counts["of these, sharing a relevant document or a title with training"] = overlap
    _report(preferences, counts, request.format, encoder)
    return 0


def dev_path(output: Path) -> Path:
    """Return where the development pairs go: `pairs.jsonl` -> `pairs.dev.jsonl`, `.gz` kept."""
    packed = ".gz" if output.suffix == ".gz" else ""
    plain = output.with_name(output.name.removesuffix(".gz"))
    return plain.with_name(f"{plain.stem}.dev{plain.suffix}{packed}")


def _check_place(output: Path, request: PreferRequest) -> None:
    """Find out before hours of encoding that the output cannot be written, or would replace what is read."""
    reads = (request.candidates, request.answers, request.gold, request.gold_file, request.index)
    check_output("--output", output, PAIRS, reads)
    check_output("--output", dev_path(output), PAIRS, reads)
    check_output("--output", run_manifest_path(output), manifest_kind("preference-pairs"), reads)
    check_output("--output", record_beside(output), RECORD, reads)


def _report(preferences: Preferences, counts: dict[str, int], form: str, encoder: TextEncoder) -> None:
    from expandr_repro.encoders.loading import say_truncated

    dropped = {reason: n for reason, n in preferences.dropped.items() if n}
    spread = quantile_table(preferences.values)
    if form == "json":
        report = {"counts": counts, "dropped": preferences.dropped, "distribution": json.loads(spread.render("json"))}
        print_json(report)
    else:
        rows = [*counts.items(), *((f"dropped: {reason}", n) for reason, n in dropped.items())]
        print(Table(["", "topics"], rows).render(form) + "\n\n" + spread.render(form))
    say_truncated(encoder)


main = cli.command(build_parser, run)

if __name__ == "__main__":
    sys.exit(main())
