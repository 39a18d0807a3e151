"""`regress`: run conditions, compare every score with its pin, both ways, and fail when one moved."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from expandr_repro import cli
from expandr_repro.console.arguments import Parser
from expandr_repro.console.options import Options, When, option, positive
from expandr_repro.console.terminal import printable
from expandr_repro.errors import ExpandrError, SetupError
from expandr_repro.io.outputs import JSON_REPORT, JUNIT_REPORT, check_output
from expandr_repro.regress.conditions.reading import conditions, named
from expandr_repro.regress.conditions.shapes import TIERS, Condition

log = logging.getLogger("expandr_repro.regress")

EXAMPLES = """
python -m expandr_repro.regress --tier ci
python -m expandr_repro.regress scifact.minilm.none 'cacm.*' --jobs 2
python -m expandr_repro.regress --list
python -m expandr_repro.regress scifact.minilm.q2d-claude --show
python -m expandr_repro.regress --tier manual --dry-run
python -m expandr_repro.regress my.minilm.none --record
python -m expandr_repro.regress --board board
python -m expandr_repro.regress 'scifact.bm25.*' --export querygym --output submission
"""


CHECK = When(
    "to a check or --record",
    lambda request: (
        not (request.listing or request.show or request.dry_run or request.document or request.board or request.export)
    ),
)
REFERENCE = When(
    "to a check, --record, --board or --export",
    lambda request: not (request.listing or request.show or request.dry_run or request.document),
)
OUTPUT = When(
    "to a check, --record, --show, --dry-run or --export without --board",
    lambda request: not (request.listing or request.document or request.board),
)
EXPORT = When(
    "alone or with --board",
    lambda request: not (request.listing or request.show or request.dry_run or request.document or request.record),
)
TIER = When("without --document, which lists all conditions", lambda request: not request.document)

instead, out = partial(option, group="instead of a check", one_of="task"), partial(option, group="output")


@dataclass(frozen=True)
class RegressRequest(Options):
    """Which conditions, and what to do with them."""

    names: tuple[str, ...] = option((), argument=True, metavar="NAME", help="a condition, a pattern (scifact.*), or a YAML file")  # fmt: skip
    tier: str | None = option(None, choices=TIERS, help="conditions of this tier only", applies=TIER)  # fmt: skip
    regressions: str = option("regressions", metavar="FOLDER", help="folder of the YAML files")
    reference: str = option("runs/reference", metavar="FOLDER", help="folder of the reference runs", applies=REFERENCE)
    listing: bool = instead(False, "--list", help="list the conditions and their pinned scores")
    show: bool = instead(False, help="print a condition and its commands, ready for a shell")
    dry_run: bool = instead(False, help="print which conditions would run here, and which would be skipped")
    record: bool = instead(False, help="write the scores, missing hashes, the environment and the reference runs; existing counts and hashes are checked")  # fmt: skip
    document: str | None = instead(None, metavar="FILE", help="write the page of results from the YAML files")
    board: str | None = instead(None, metavar="DIR", help="write the board into DIR: published scores next to reproduced ones, a page per condition, without searching")  # fmt: skip
    export: str | None = option(None, choices=("querygym",), group="instead of a check", applies=EXPORT, help="write the reference runs in QueryGym's result schema, version 1, into querygym/ in --output, or in the board")  # fmt: skip
    output: str = out("runs", metavar="FOLDER", help="folder for runs, indexes and logs", applies=OUTPUT)
    jobs: int = out(1, metavar="N", parse=positive, help="conditions that run at the same time", applies=CHECK)
    json: str | None = out(None, metavar="FILE", help="write the results as JSON", applies=CHECK)
    junit: str | None = out(None, metavar="FILE", help="write the results as JUnit XML", applies=CHECK)


def build_parser() -> Parser:
    """Return the command's parser."""
    return cli.parser(
        "regress",
        "Run the commands of regression files and compare every score with the pinned one. A score that moved, up or down, is a FAIL "
        "and gives exit code 1; a condition that this machine cannot run is a SKIP; all others still run.",
        EXAMPLES,
        RegressRequest,
    )


def run(request: RegressRequest) -> int:
    """Run the command."""
    if request.document:
        if request.names:
            raise ExpandrError(f"--document lists all conditions; leave {request.names[0]} out")
        from expandr_repro.regress.page import write_page

        write_page(Path(request.document), conditions(Path(request.regressions)))
        log.info("wrote %s", request.document)
        return 0
    chosen = _chosen(request)
    if request.board or request.export:
        return _publish(request, chosen)
    if request.listing or request.show or request.dry_run:
        from expandr_repro.regress import plans

        if request.listing:
            print(plans.listing(chosen))
        else:
            tell = plans.show if request.show else plans.plan
            print(printable("\n\n".join(tell(condition, Path(request.output)) for condition in chosen)))
        return 1 if any(c.regression is None for c in chosen) else 0
    return _check(request, chosen)


def _chosen(request: RegressRequest) -> list[Condition]:
    """Return the conditions that are meant; a file that cannot be read is of every tier, so that it is never skipped."""
    folder = Path(request.regressions)
    if not (request.names or request.tier or request.listing or request.board or request.export):
        raise ExpandrError("which conditions? give names or --tier ci|full|manual; --list names all")
    chosen = [c for name in request.names for c in named(folder, name)] if request.names else conditions(folder)
    tier = [c for c in chosen if not request.tier or c.regression is None or c.regression.tier == request.tier]
    if not tier:
        raise ExpandrError(
            f"--tier {request.tier}: {' '.join(request.names) or request.regressions} has no condition of it"
        )
    return list({c.path: c for c in tier}.values())


def _publish(request: RegressRequest, chosen: Sequence[Condition]) -> int:
    """Write the board, the export, or both."""
    from expandr_repro.board.querygym import EXPORTS, export
    from expandr_repro.board.site import BOARD, write_board

    reference = Path(request.reference)
    if request.board:
        check_output("--board", Path(request.board), BOARD, [request.regressions, reference, *request.names])
        write_board(Path(request.board), chosen, reference, exports=bool(request.export))
        log.info("wrote %s", Path(request.board) / "index.html")
        return 0
    folder = Path(request.output) / "querygym"
    check_output("--output", folder, EXPORTS, [request.regressions, reference, *request.names])
    count = export(folder, chosen, reference)
    log.info("wrote %d runs into %s", count, folder)
    return 0


def _check(request: RegressRequest, chosen: Sequence[Condition]) -> int:
    from expandr_repro.regress import reports
    from expandr_repro.regress.running import Runner

    for flag, path, kind in (("--json", request.json, JSON_REPORT), ("--junit", request.junit, JUNIT_REPORT)):
        if path:
            check_output(
                flag, Path(path), kind, request.names, {"--junit": request.junit} if flag == "--json" else None
            )
    if Path(request.output).exists() and not Path(request.output).is_dir():
        raise SetupError(f"--output {request.output}: is a file; wanted a folder's name")
    started = time.monotonic()
    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    width = max(len(c.name) for c in chosen)
    runner = Runner(Path(request.output), Path(request.reference), request.record)
    results = []
    for result in runner.check_all(chosen, request.jobs):
        print(reports.line(result, width, colour), flush=True)
        results.append(result)
    print("\n" + reports.summary(results, time.monotonic() - started))
    if request.json:
        reports.write_report(Path(request.json), results)
    if request.junit:
        reports.write_junit(Path(request.junit), results)
    return 1 if any(r.verdict == "FAIL" for r in results) else 0


main = cli.command(build_parser, run)

if __name__ == "__main__":
    sys.exit(main())
