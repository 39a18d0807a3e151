"""`report`: runs, or the reference runs of regressions, to one HTML page that needs nothing but a browser."""

from __future__ import annotations

import hashlib
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from expandr_repro import cli
from expandr_repro.console.arguments import Parser
from expandr_repro.errors import ExpandrError
from expandr_repro.evaluate.metrics import Measure, parse_measures
from expandr_repro.io.files import atomic_bytes, is_surrogate_free, sha256_file
from expandr_repro.io.manifest import run_manifest_path, write_manifest
from expandr_repro.io.outputs import PAGE, check_output, manifest_kind
from expandr_repro.report.options import ReportRequest

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
    return cli.parser(
        "report",
        "Write one HTML page that compares runs: scores, significance, per-topic differences, and every topic's query, expansion and "
        "rankings. The page needs only a browser and no network.",
        EXAMPLES,
        ReportRequest,
    )


def run(request: ReportRequest) -> int:
    """Run the command."""
    from expandr_repro.report.gathering import gather
    from expandr_repro.report.writing import page

    if request.title is not None and not (request.title.strip() and is_surrogate_free(request.title)):
        raise ExpandrError("--title: is empty or contains what is not a character; write a line of text")
    path = request.output
    manifest = run_manifest_path(path)
    reads = [*request.runs, request.qrels, request.topics, *request.expansions, request.corpus]
    check_output("--output", path, PAGE, reads)
    check_output("--output", manifest, manifest_kind("report"), reads)
    studies = _studies(request)
    measures = _measures(request.metrics, studies)
    sheet = gather(studies, measures, request.depth, request.words)
    if "--words" in request.given and not any(c["texts"] for c in sheet.data["collections"]):
        raise ExpandrError("--words: applies only where the documents' texts are known; give --corpus, or leave it out")
    title = request.title or _title(sheet)
    content = page(sheet, title).encode()
    facts = _facts(request, studies, title, hashlib.sha256(content).hexdigest())
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
            "choose one, e.g. R(rel=2)@100, or report them separately"
        )
    return parse_measures(metrics, min(levels))


def _studies(request: ReportRequest) -> list[Study]:
    if request.stored == bool(request.runs):
        raise ExpandrError(
            "which runs? give run files and --qrels, or --tier ci|full, or --regressions NAME, and not two of these"
        )
    if request.stored:
        return _stored(request)
    if not request.qrels:
        raise ExpandrError(
            "run files need relevance judgments; give --qrels: a file, a collection, irds:... or a Pyserini name"
        )
    from expandr_repro.report.studies import study_of

    return [study_of(request.runs, request.qrels, request.topics, request.corpus, request.expansions, request.baseline)]


def _stored(request: ReportRequest) -> list[Study]:
    from expandr_repro.regress.conditions.reading import conditions, named
    from expandr_repro.report.conditions import studies_of

    folder = Path(request.regressions_folder)
    named_ones = (
        [c for name in request.regressions for c in named(folder, name)] if request.regressions else conditions(folder)
    )
    # one that cannot be read is of every tier, so that it is never passed over
    chosen = {
        c.path: c for c in named_ones if not request.tier or c.regression is None or c.regression.tier == request.tier
    }
    if not chosen:
        raise ExpandrError(f"--tier {request.tier}: none of {' '.join(request.regressions)} is of it")
    return studies_of(list(chosen.values()), Path(request.reference), request.baseline)


def _title(sheet: Sheet) -> str:
    labels = dict.fromkeys(c["label"] for c in sheet.data["collections"])
    expanded = any(c["sets"] for c in sheet.data["collections"])
    return f"{'What query expansion changes' if expanded else 'Runs compared'}: {', '.join(labels)}"


def _facts(request: ReportRequest, studies: Sequence[Study], title: str, digest: str) -> dict[str, Any]:
    from expandr_repro.evaluate.run_facts import without_paths

    return {
        "title": title,
        "metrics": request.metrics,
        "depth": request.depth,
        "words": request.words,
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


main = cli.command(build_parser, run)

if __name__ == "__main__":
    sys.exit(main())
