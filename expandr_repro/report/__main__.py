"""`report`: runs, or the reference runs of regressions, to one HTML page that needs nothing but a browser."""

from __future__ import annotations

import argparse
import hashlib
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from expandr_repro import cli
from expandr_repro.console.applies import Applies
from expandr_repro.console.arguments import Parser
from expandr_repro.errors import ExpandrError
from expandr_repro.evaluate.metrics import DEFAULT, Measure, parse_measures
from expandr_repro.io.files import atomic_bytes, is_surrogate_free, sha256_file
from expandr_repro.io.manifest import run_manifest_path, write_manifest
from expandr_repro.io.outputs import PAGE, check_output, manifest_kind

if TYPE_CHECKING:
    from expandr_repro.report.gathering import Sheet
    from expandr_repro.report.studies import Study

log = logging.getLogger("expandr_repro.report")

LARGE = 100
"""Megabytes from which a page is warned of."""

EXAMPLES = """
python -m expandr_repro.report none.trec mean.trec --qrels scifact --expansions claude.q2d --output report.html
python -m expandr_repro.report none.trec a.trec b.trec --qrels scifact --expansions a.jsonl b.jsonl --output report.html
python -m expandr_repro.report mine.trec yours.trec --qrels qrels.txt --topics topics.tsv --corpus corpus.jsonl --output report.html
python -m expandr_repro.report --tier ci --output report.html
python -m expandr_repro.report --regressions 'scifact.minilm.*' --output report.html
"""


def build_parser() -> Parser:
    """Return the command's parser."""
    made = cli.parser(
        "report",
        "Write one HTML page that compares runs: figures, significance, per-topic differences, and every topic's query, expansion and "
        "rankings. It needs no network, and nothing but a browser.",
        EXAMPLES,
    )
    what = made.add_argument_group("what: run files ...")
    what.add_argument("runs", nargs="*", metavar="RUN", help="two or more TREC run files, plain or gzipped")
    what.add_argument("--qrels", metavar="Q", help="judgements: a file, a collection, irds:... or a Pyserini name")
    what.add_argument("--topics", metavar="T", help="by name or path (default: those of the judgements' collection)")
    what.add_argument(
        "--expansions",
        nargs="+",
        default=[],
        metavar="X",
        help="a packaged set or an augmented topics file: one for all runs but the baseline, or one for each of these in their order, "
        "`none` for a run without (default: those that the manifests beside the runs name, else the topics' own)",
    )
    what.add_argument("--corpus", metavar="C", help="by name or path (default: that of the topics' collection)")
    stored = made.add_argument_group("... or the reference runs of regressions")
    stored.add_argument("--tier", choices=("ci", "full"), help="all conditions of a tier")
    stored.add_argument(
        "--regressions", nargs="+", default=[], metavar="NAME", help="conditions, patterns (scifact.*), or YAML files"
    )
    stored.add_argument(
        "--regressions-folder", default="regressions", metavar="FOLDER", help="of the YAML files (default: %(default)s)"
    )
    stored.add_argument(
        "--reference", default="runs/reference", metavar="FOLDER", help="of the reference runs (default: %(default)s)"
    )
    how = made.add_argument_group("how")
    how.add_argument(
        "--baseline",
        metavar="RUN",
        help="what the others are compared with (default: the first run; of regressions, for each retriever, the one without expansions)",
    )
    how.add_argument(
        "--metrics", default=",".join(DEFAULT), metavar="M", help="the first is plotted (default: %(default)s)"
    )
    how.add_argument("--title", metavar="S", help="of the page (default: made of the collections' names)")
    how.add_argument(
        "--depth", type=cli.positive, default=10, metavar="K", help="documents shown of each ranking (default: 10)"
    )
    how.add_argument(
        "--words", type=cli.positive, default=200, metavar="N", help="words kept of a document (default: 200)"
    )
    made.add_argument("--output", required=True, metavar="FILE", help="the page to write")
    return made


RULES = (
    Applies(
        ("--regressions-folder", "--reference"),
        "with --tier or --regressions",
        lambda args: bool(args.tier or args.regressions),
    ),
)
"""When options apply; those of run files alone are checked in `_studies`."""


def run(args: argparse.Namespace) -> int:
    """Do what the command line says."""
    from expandr_repro.report.gathering import gather
    from expandr_repro.report.writing import page

    if args.title is not None and not (args.title.strip() and is_surrogate_free(args.title)):
        raise ExpandrError("--title: is empty or holds what is no character; write a line of text")
    path = Path(args.output)
    manifest = run_manifest_path(path)
    reads = [*args.runs, args.qrels, args.topics, *args.expansions, args.corpus]
    check_output("--output", path, PAGE, reads)
    check_output("--output", manifest, manifest_kind("report"), reads)
    studies = _studies(args)
    measures = _measures(args.metrics, studies)
    sheet = gather(studies, measures, args.depth, args.words)
    if "--words" in args.given and not any(c["texts"] for c in sheet.data["collections"]):
        raise ExpandrError("--words: applies only where the documents' texts are known; give --corpus, or leave it out")
    title = args.title or _title(sheet)
    content = page(sheet, title).encode()
    facts = _facts(args, studies, title, hashlib.sha256(content).hexdigest())
    with atomic_bytes(path, about={manifest: lambda: write_manifest(manifest, "report", facts)}, kind=PAGE) as file:
        file.write(content)
    topics, size = sum(len(c["qids"]) for c in sheet.data["collections"]), path.stat().st_size / 1e6
    log.info("wrote %s: %d topic%s, %.1f MB", path, topics, "" if topics == 1 else "s", size)
    if size > LARGE:
        log.warning("%s: %.0f MB is much for a small machine; a lower --depth or --words makes it smaller", path, size)
    return 0


def _measures(metrics: str, studies: Sequence[Study]) -> list[Measure]:
    """Return the measures, a relevant grade being one of the collection's level unless the metric says otherwise."""
    from expandr_repro.data.collections import relevance_level

    levels = {relevance_level(study.qrels, study.topics) for study in studies}
    parsed = {tuple(map(str, parse_measures(metrics, level))) for level in levels}
    if len(parsed) > 1:
        raise ExpandrError(
            f"--metrics {metrics}: the collections have different levels of relevance ({', '.join(map(str, sorted(levels)))}); "
            "say which is meant, e.g. R(rel=2)@100, or report them apart"
        )
    return parse_measures(metrics, min(levels))


def _studies(args: argparse.Namespace) -> list[Study]:
    stored = bool(args.tier or args.regressions)
    if stored == bool(args.runs):
        raise ExpandrError(
            "which runs? give run files and --qrels, or --tier ci|full, or --regressions NAME, and not two of these"
        )
    given = {"--qrels": args.qrels, "--topics": args.topics, "--expansions": args.expansions, "--corpus": args.corpus}
    if stored:
        if surplus := [flag for flag, value in given.items() if value]:
            raise ExpandrError(f"{surplus[0]}: regressions name their own; leave it out, or give run files")
        return _stored(args)
    if not args.qrels:
        raise ExpandrError("run files need judgements; say --qrels: a file, a collection, irds:... or a Pyserini name")
    from expandr_repro.report.studies import study_of

    return [study_of(args.runs, args.qrels, args.topics, args.corpus, args.expansions, args.baseline)]


def _stored(args: argparse.Namespace) -> list[Study]:
    from expandr_repro.regress.conditions.reading import conditions, named
    from expandr_repro.report.conditions import studies_of

    folder = Path(args.regressions_folder)
    found = [c for name in args.regressions for c in named(folder, name)] if args.regressions else conditions(folder)
    # one that cannot be read is of every tier, so that it is never passed over
    chosen = {c.path: c for c in found if not args.tier or c.regression is None or c.regression.tier == args.tier}
    if not chosen:
        raise ExpandrError(f"--tier {args.tier}: none of {' '.join(args.regressions)} is of it")
    return studies_of(list(chosen.values()), Path(args.reference), args.baseline)


def _title(sheet: Sheet) -> str:
    labels = dict.fromkeys(c["label"] for c in sheet.data["collections"])
    expanded = any(c["sets"] for c in sheet.data["collections"])
    return f"{'What query expansion changes' if expanded else 'Runs compared'}: {', '.join(labels)}"


def _facts(args: argparse.Namespace, studies: Sequence[Study], title: str, digest: str) -> dict[str, Any]:
    from expandr_repro.evaluate.run_facts import without_paths

    return {
        "title": title,
        "metrics": args.metrics,
        "depth": args.depth,
        "words": args.words,
        "sha256": digest,
        "studies": [
            {
                **without_paths({"qrels": study.qrels, "topics": study.topics, "corpus": study.corpus}),
                "runs": [
                    {
                        "run": e.path.name,
                        "sha256": sha256_file(e.path),
                        "expansions": e.expansions_title or e.expansions,
                    }
                    for e in study.entries
                ],
            }
            for study in studies
        ],
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    return cli.execute(build_parser(), run, argv, RULES)


if __name__ == "__main__":
    sys.exit(main())
