"""`regress`: run conditions, compare every figure with its pin, both ways, and fail when one moved."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from expandr_repro import cli
from expandr_repro.console.applies import Applies
from expandr_repro.console.arguments import Parser
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
"""


def build_parser() -> Parser:
    """Return the command's parser."""
    made = cli.parser(
        "regress",
        "Run the commands of regression files and compare every figure with what is pinned. One that moved, up or down, is a FAIL "
        "and exit code 1; a condition whose needs this machine lacks is a SKIP; the rest still runs.",
        EXAMPLES,
    )
    made.add_argument("names", nargs="*", metavar="NAME", help="a condition, a pattern (scifact.*), or a YAML file")
    made.add_argument("--tier", choices=TIERS, help="the conditions of a tier, of NAMEs if there are any")
    made.add_argument(
        "--regressions", default="regressions", metavar="FOLDER", help="of the YAML files (default: %(default)s)"
    )
    made.add_argument(
        "--reference", default="runs/reference", metavar="FOLDER", help="of the reference runs (default: %(default)s)"
    )
    what = made.add_argument_group("instead of a check").add_mutually_exclusive_group()
    what.add_argument("--list", action="store_true", help="name the conditions and what is pinned")
    what.add_argument(
        "--show", action="store_true", help="print what a condition is, and its commands, ready for a shell"
    )
    what.add_argument("--dry-run", action="store_true", help="print what would run here, and what would be skipped")
    what.add_argument(
        "--record",
        action="store_true",
        help="write the measured values, missing hashes, the environment and the reference runs; counts and hashes that are there are checked",
    )
    what.add_argument("--document", metavar="FILE", help="write the page of results from the YAML files")
    out = made.add_argument_group("output")
    out.add_argument(
        "--output", default="runs", metavar="FOLDER", help="for runs, indexes and logs (default: %(default)s)"
    )
    out.add_argument("--jobs", type=cli.positive, default=1, metavar="N", help="conditions at a time (default: 1)")
    out.add_argument("--json", metavar="FILE", help="write the results as JSON")
    out.add_argument("--junit", metavar="FILE", help="write the results as JUnit XML")
    return made


RULES = (
    Applies(
        ("--reference", "--jobs", "--json", "--junit"),
        "to a check or --record",
        lambda args: not (args.list or args.show or args.dry_run or args.document),
    ),
    Applies(("--output",), "to a check, --record, --show or --dry-run", lambda args: not (args.list or args.document)),
    Applies(("--tier",), "without --document, which lists all conditions", lambda args: not args.document),
)
"""When options apply."""


def run(args: argparse.Namespace) -> int:
    """Do what the command line says."""
    if args.document:
        if args.names:
            raise ExpandrError(f"--document lists all conditions; leave {args.names[0]} out")
        from expandr_repro.regress.page import write_page

        write_page(Path(args.document), conditions(Path(args.regressions)))
        log.info("wrote %s", args.document)
        return 0
    chosen = _chosen(args)
    if args.list or args.show or args.dry_run:
        from expandr_repro.regress import plans

        if args.list:
            print(plans.listing(chosen))
        else:
            tell = plans.show if args.show else plans.plan
            print(printable("\n\n".join(tell(condition, Path(args.output)) for condition in chosen)))
        return 1 if any(c.regression is None for c in chosen) else 0
    return _check(args, chosen)


def _chosen(args: argparse.Namespace) -> list[Condition]:
    """Return the conditions that are meant; a file that cannot be read is of every tier, so that it is never passed over."""
    folder = Path(args.regressions)
    if not (args.names or args.tier or args.list):
        raise ExpandrError("which conditions? give names or --tier ci|full|manual; --list names all")
    found = [c for name in args.names for c in named(folder, name)] if args.names else conditions(folder)
    tier = [c for c in found if not args.tier or c.regression is None or c.regression.tier == args.tier]
    if not tier:
        raise ExpandrError(f"--tier {args.tier}: {' '.join(args.names) or args.regressions} has no condition of it")
    return list({c.path: c for c in tier}.values())


def _check(args: argparse.Namespace, chosen: Sequence[Condition]) -> int:
    from expandr_repro.regress import reports
    from expandr_repro.regress.running import Runner

    for option, path, kind in (("--json", args.json, JSON_REPORT), ("--junit", args.junit, JUNIT_REPORT)):
        if path:
            check_output(option, Path(path), kind, args.names)
    if Path(args.output).exists() and not Path(args.output).is_dir():
        raise SetupError(f"--output {args.output}: is a file; wanted a folder's name")
    started = time.monotonic()
    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    width = max(len(c.name) for c in chosen)
    runner = Runner(Path(args.output), Path(args.reference), args.record)
    results = []
    for result in runner.check_all(chosen, args.jobs):
        print(reports.line(result, width, colour), flush=True)
        results.append(result)
    print("\n" + reports.summary(results, time.monotonic() - started))
    if args.json:
        reports.write_report(Path(args.json), results)
    if args.junit:
        reports.write_junit(Path(args.junit), results)
    return 1 if any(r.verdict == "FAIL" for r in results) else 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    return cli.execute(build_parser(), run, argv, RULES)


if __name__ == "__main__":
    sys.exit(main())
