"""`prefer`: topics with several candidate expansions to preference pairs for training the generator."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from expandr_repro import cli
from expandr_repro.console.applies import Applies
from expandr_repro.console.tables import FORMATS, Table
from expandr_repro.data.overlap.sharing import count_shared, draw_apart
from expandr_repro.data.overlap.trained_on import TRAINED_ON_HASH, record_beside, record_hash, write_record
from expandr_repro.errors import ExpandrError
from expandr_repro.io.manifest import run_manifest_path, write_manifest
from expandr_repro.io.outputs import PAIRS, RECORD, check_output, manifest_kind
from expandr_repro.prefer.distribution import quantile_table
from expandr_repro.prefer.pairs import draw, write_pairs
from expandr_repro.prefer.rewards import OFFICIAL, REWARDS, parse_rewards

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


def build_parser() -> argparse.ArgumentParser:
    """Return the command's parser."""
    made = cli.parser(
        "prefer",
        "Reward each topic's candidate expansions with an encoder; write the best against the worst as a preference pair.",
        EXAMPLES,
    )
    _add_what(made.add_argument_group("what"))
    _add_choice(made.add_argument_group("which pairs"))
    served = made.add_argument_group("serving")
    served.add_argument("--serve", action="store_true", help="write no pairs: reward texts of --gold's topics over HTTP, for trainers of other toolkits")  # fmt: skip
    served.add_argument("--port", type=int, default=0, metavar="N", help="--serve: to listen on, of this machine alone (default: a free one, printed)")  # fmt: skip
    cli.add_encoder_options(made, "all-MiniLM-L6-v2")
    out = made.add_argument_group("output")
    out.add_argument("--output", metavar="F", help="pairs to write (.jsonl); those of --dev go to F.dev.jsonl beside")
    out.add_argument(
        "--sample", type=cli.positive, metavar="N", help="keep N pairs, drawn by seed; ExpandR 30000 (default: all)"
    )
    out.add_argument(
        "--dev", type=cli.positive, metavar="N", help="of these, N for development; ExpandR 3000 (default: none)"
    )
    out.add_argument("--seed", type=int, default=42, metavar="N", help="of both draws (default: %(default)s)")
    out.add_argument("--format", choices=FORMATS, default="text", help="of the report (default: %(default)s)")
    return made


def _add_what(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--candidates", metavar="F", help="augmented topics with n expansions each, as `expand` writes them"
    )  # fmt: skip
    group.add_argument(
        "--gold", metavar="C", help="a collection or BEIR folder whose judgments and documents give the gold passages, e.g. scifact/train (its train split, where none is named)"
    )  # fmt: skip
    group.add_argument(
        "--gold-file", metavar="F", help="gold passages, JSONL with qid and text, in place of the collection's documents"
    )  # fmt: skip
    group.add_argument("--answers", metavar="F", help="augmented topics of `expand --prompt q2a`")
    group.add_argument(
        "--index", metavar="I", help="corpus-rank, delta-ndcg: what is searched (default: the collection's index, built once)"
    )  # fmt: skip
    group.add_argument(
        "--prompt", default="q2d", metavar="P", help="the prompt column, filled in with the topic's title (default: %(default)s)"
    )  # fmt: skip


def _add_choice(group: argparse._ArgumentGroup) -> None:
    cli.add_hold_out(group)
    cli.add_allow_overlap(group)
    group.add_argument("--reward", default=OFFICIAL, metavar="R", help="names with weights, summed; "
                       + "; ".join(f"{r.name}: {r.summary}" for r in REWARDS.values()) + " (default: %(default)s)")  # fmt: skip
    group.add_argument(
        "--candidates-per-topic", type=cli.positive, metavar="N", help="topics without exactly N are dropped; ExpandR 32 (default: as the topic with the most has)"
    )  # fmt: skip
    group.add_argument(
        "--min-similarity", type=float, default=0.6, metavar="X", help="topics whose best candidate has a lower sum of similarities to gold passage and answer are dropped (default: %(default)s)"
    )  # fmt: skip
    group.add_argument(
        "--min-margin", type=float, default=0.0, metavar="X", help="pairs whose rewards differ by less are dropped (default: %(default)s)"
    )  # fmt: skip
    group.add_argument(
        "--hits", type=cli.positive, default=1000, metavar="K", help="corpus-rank: how deep to look for the gold document; below, the reward is 0 (default: %(default)s)"
    )  # fmt: skip
    group.add_argument("--threads", type=int, default=0, metavar="N", help="of the search (default: all processors)")


def _searches(args: Any) -> bool:
    return any(REWARDS.find(name).of_corpus for name in parse_rewards(args.reward))


def _looks_deep(args: Any) -> bool:
    """Say whether a reward looks as deep as --hits."""
    rewards = map(REWARDS.find, parse_rewards(args.reward))
    return any(r.of_corpus and r.depth is None for r in rewards)


RULES = (
    *cli.ENCODER_RULES,
    Applies(("--hits",), "with --reward corpus-rank", _looks_deep),
    Applies(("--threads",), "with --reward corpus-rank or delta-ndcg", _searches),
    Applies(
        ("--index",),
        "with --reward corpus-rank or delta-ndcg",
        _searches,
        lambda _: " is for the rewards corpus-rank and delta-ndcg; add one to --reward or leave it out",
    ),
    Applies(("--port",), "with --serve", lambda args: args.serve),
    Applies(
        (
            "--candidates",
            "--output",
            "--sample",
            "--dev",
            "--hold-out",
            "--candidates-per-topic",
            "--min-similarity",
            "--min-margin",
            "--prompt",
            "--format",
        ),
        "to pairs, not with --serve",
        lambda args: not args.serve,
    ),
    Applies(("--seed",), "with --sample or --dev, which draw", lambda args: bool(args.sample or args.dev)),
    Applies(("--allow-overlap",), "with --dev", lambda args: bool(args.dev)),
)
"""When options apply."""


def _serve(args: argparse.Namespace) -> int:
    """Answer requests for rewards until interrupted."""
    from expandr_repro.encoders.loading import EncoderOptions, load_encoder
    from expandr_repro.prefer.serving import RewardServer, serving_scorer

    if not args.gold:
        raise ExpandrError("--serve: for which topics? Give --gold C, e.g. --gold scifact/train")
    scorer = serving_scorer(
        args.gold, args.gold_file, args.answers, args.reward, lambda: load_encoder(args.encoder, EncoderOptions.of(args)),
        index=args.index, hits=args.hits, threads=args.threads,
    )  # fmt: skip
    server = RewardServer(scorer, args.port)
    print(f"rewards of {len(scorer.cases)} topics at {server.url}", flush=True)
    server.run()
    return 0


def run(args: argparse.Namespace) -> int:
    """Do what the command line says."""
    if args.serve:
        return _serve(args)
    if not (args.candidates and args.output):
        raise ExpandrError("give --candidates F and --output F to write pairs, or --serve to reward texts over HTTP")
    output = Path(args.output)
    _check_place(output, args)
    from expandr_repro.encoders.loading import EncoderOptions, load_encoder
    from expandr_repro.prefer.candidates import PreferRequest, plan, why_few
    from expandr_repro.prefer.run import in_common, prefer, trained_on

    request = PreferRequest(
        candidates=args.candidates, gold=args.gold, gold_file=args.gold_file, answers=args.answers, index=args.index, rewards=args.reward,
        candidates_per_topic=args.candidates_per_topic, min_similarity=args.min_similarity, min_margin=args.min_margin, prompt=args.prompt,
        hits=args.hits, threads=args.threads, hold_out=tuple(args.hold_out),
    )  # fmt: skip
    planned = plan(request)
    most = min(len(planned.cases), args.sample or len(planned.cases))
    if args.dev and args.dev >= most:  # before hours of encoding
        why = why_few(planned, planned.dropped)
        raise ExpandrError(f"--dev {args.dev}: there can be at most {most} pairs{why}; leave some for training")
    shared = in_common(planned)
    if args.dev and not args.allow_overlap:
        draw_apart([case.topic.qid for case in planned.cases], shared, args.dev, "--dev")
    encoder = load_encoder(args.encoder, EncoderOptions.of(args))
    made = prefer(planned, encoder)
    pairs, why = len(made.pairs), why_few(planned, made.dropped)
    if args.dev and args.dev >= pairs:
        raise ExpandrError(f"--dev {args.dev}: there are only {pairs} pairs{why}; leave some for training")
    train, dev = draw(made.pairs, args.sample, args.dev or 0, args.seed, None if args.allow_overlap else shared)
    if args.sample and args.sample > pairs:
        log.warning("--sample %d: there are only %d pairs%s; all are kept", args.sample, pairs, why)
    if not dev and dev_path(output).exists():
        log.warning("%s is of an earlier run; these pairs have no development part", dev_path(output))
    drawn: dict[str, Any] = {
        "sample": args.sample,
        "seed": args.seed,
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
        manifest: lambda: write_manifest(manifest, "preference-pairs", made.facts | drawn),
    }
    if dev:
        beside[dev_path(output)] = lambda: write_pairs(dev_path(output), dev)
    write_pairs(output, train, about=beside)
    log.info("wrote %s: %d pairs%s", output, len(train), f", and {dev_path(output)}: {len(dev)}" if dev else "")
    counts = {
        "topics": planned.topics,
        "pairs": len(made.pairs),
        "pairs with equal rewards, told apart by similarity": sum(pair.margin == 0 for pair in made.pairs),
        "written for training": len(train),
        "written for development": len(dev),
    }
    if args.allow_overlap and dev:
        counts["of these, sharing a relevant document or a title with training"] = overlap
    _report(made, counts, args.format, encoder)
    return 0


def dev_path(output: Path) -> Path:
    """Return where the development pairs go: `pairs.jsonl` -> `pairs.dev.jsonl`, `.gz` kept."""
    packed = ".gz" if output.suffix == ".gz" else ""
    plain = output.with_name(output.name.removesuffix(".gz"))
    return plain.with_name(f"{plain.stem}.dev{plain.suffix}{packed}")


def _check_place(output: Path, args: argparse.Namespace) -> None:
    """Find out before hours of encoding that the output cannot be written, or would replace what is read."""
    reads = (args.candidates, args.answers, args.gold, args.gold_file, args.index)
    check_output("--output", output, PAIRS, reads)
    check_output("--output", dev_path(output), PAIRS, reads)
    check_output("--output", run_manifest_path(output), manifest_kind("preference-pairs"), reads)
    check_output("--output", record_beside(output), RECORD, reads)


def _report(made: Preferences, counts: dict[str, int], form: str, encoder: TextEncoder) -> None:
    from expandr_repro.encoders.loading import say_truncated

    dropped = {reason: n for reason, n in made.dropped.items() if n}
    spread = quantile_table(made.values)
    if form == "json":
        report = {"counts": counts, "dropped": made.dropped, "distribution": json.loads(spread.render("json"))}
        print(json.dumps(report, indent=2, ensure_ascii=False))
    else:
        rows = [*counts.items(), *((f"dropped: {reason}", n) for reason, n in dropped.items())]
        print(Table(["", "topics"], rows).render(form) + "\n\n" + spread.render(form))
    say_truncated(encoder)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    return cli.execute(build_parser(), run, argv, RULES)


if __name__ == "__main__":
    sys.exit(main())
