"""`python -m benchmarks`: this project and its peers, in the same run on the same work, with ratios and their spread."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import importlib
import os
import shlex
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.options import Options
from benchmarks.registry import BENCHMARKS
from benchmarks.results import as_json
from expandr_repro import cli
from expandr_repro.console.arguments import Parser
from expandr_repro.console.options import positive
from expandr_repro.console.tables import FORMATS
from expandr_repro.errors import CheckFailedError, ExpandrError, UnknownNameError
from expandr_repro.io.files import write_json

EXAMPLES = """
python -m benchmarks --list
python -m benchmarks encode queries --repeat 3 --json runs/performance
python -m benchmarks encode scale_encode --gpu --gpus 2
python -m benchmarks --smallest
python -m benchmarks prefer -- --shape tiny --topics 20 --candidates 4
"""


def build_parser() -> Parser:
    """Return the command's parser."""
    made = Parser(
        prog="python -m benchmarks",
        description="Measure this project and its peers in one run on the same work. Results are compared before a time counts; exit code 1 where one is wrong, a row is faster than the machine can be, or its work holds a text twice.",
        epilog="examples:\n" + "\n".join(f"  {line}" for line in EXAMPLES.strip().splitlines()) + "\n\nWhat stands after -- goes to a benchmark that has options of its own.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )  # fmt: skip
    made.add_argument("names", nargs="*", metavar="NAME", help="which (default: all that suit the machine)")
    made.add_argument("--list", action="store_true", help="the benchmarks, one a line")
    size = made.add_mutually_exclusive_group()
    size.add_argument("--gpu", action="store_true", help="sizes that fill a GPU; only the benchmarks that have such")
    size.add_argument("--smallest", action="store_true", help="a few seconds each, on made-up text and random weights")
    made.add_argument("--repeat", type=positive, metavar="N", help="rounds (default: 3; 1 with --smallest)")
    made.add_argument("--device", help="cpu, cuda or cuda:N (default: cuda with --gpu, else cpu)")
    made.add_argument("--threads", type=positive, metavar="N", help="of searches (default: all processors)")
    made.add_argument("--passages", type=positive, default=0, metavar="N", help="of scale_encode (default: 1,000,000) and of encode on a CPU (1,000); the largest size of encode_memory")  # fmt: skip
    made.add_argument("--vectors", type=positive, default=0, metavar="N", help="of scale_index and flat_search (default: 1,000,000)")  # fmt: skip
    made.add_argument("--gpus", type=positive, default=1, metavar="N", help="scale_encode: also on so many at once")
    made.add_argument("--json", metavar="FOLDER", help="keep what was measured, a file for each benchmark")
    made.add_argument("--work", metavar="FOLDER", help="where what is made goes, and stays (default: a temporary folder)")  # fmt: skip
    made.add_argument("--format", choices=FORMATS, default="text", help="(default: %(default)s)")
    made.set_defaults(quiet=True, verbose=False)
    return made


def _chosen(args: argparse.Namespace) -> list[str]:
    for name in args.names:
        if name not in BENCHMARKS:
            raise UnknownNameError("benchmark", name, BENCHMARKS)
        if args.gpu and not BENCHMARKS[name].gpu:
            raise ExpandrError(f"{name}: has no side for a GPU; run it without --gpu")
    if args.names:
        return list(args.names)
    return [n for n, b in BENCHMARKS.items() if args.smallest or (b.gpu if args.gpu else b.cpu)]


def _run(args: argparse.Namespace, own: list[str], said: str) -> int:
    if args.list:
        print("\n".join(f"{name:<16} {entry.summary}" for name, entry in BENCHMARKS.items()))
        return 0
    from expandr_repro.indexes.faiss_index import cores

    names = _chosen(args)
    if own and not all(BENCHMARKS[n].program for n in names):
        raise ExpandrError("options after -- are for one of: " + ", ".join(n for n, b in BENCHMARKS.items() if b.program))  # fmt: skip
    options = Options(
        Path(), args.gpu, args.smallest, args.repeat or (1 if args.smallest else 3), args.device or ("cuda" if args.gpu else "cpu"),
        args.threads or (1 if args.smallest else cores()), args.passages, args.vectors, args.gpus,
    )  # fmt: skip
    for name in names:
        with (
            _one_thread() if args.smallest else contextlib.nullcontext(),
            tempfile.TemporaryDirectory(prefix="benchmark-", ignore_cleanup_errors=True) as scratch,
        ):
            work = Path(args.work, name) if args.work else Path(scratch)
            work.mkdir(parents=True, exist_ok=True)
            _one(name, dataclasses.replace(options, work=work), args, own, said)
    return 0


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Compute on one thread, in child processes too: tiny work on two is slower, and stalls where another process wants one."""
    import torch

    before, said = torch.get_num_threads(), os.environ.get("OMP_NUM_THREADS")
    torch.set_num_threads(1)
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        yield
    finally:
        torch.set_num_threads(before)
        os.environ.pop("OMP_NUM_THREADS")
        if said is not None:
            os.environ["OMP_NUM_THREADS"] = said


def _one(name: str, options: Options, args: argparse.Namespace, own: list[str], said: str) -> None:
    print(f"== {name}: {BENCHMARKS[name].summary}\n", flush=True)
    module = importlib.import_module(f"benchmarks.{name}")
    if BENCHMARKS[name].program:
        code = module.main(own or (BENCHMARKS[name].smallest if options.smallest else []))
        if code:
            raise (CheckFailedError if code == 1 else ExpandrError)(f"{name} ended with exit code {code}")
        print()
        return
    from benchmarks import machine

    sheets = module.run(options)
    facts = machine.facts(options.device)
    for sheet in sheets:
        print(sheet.render(args.format) + "\n", flush=True)
    if args.format != "json":
        print(machine.said(facts) + "\n", flush=True)
    if faults := [fault for sheet in sheets for fault in sheet.faults()]:
        raise CheckFailedError("; ".join(faults))
    if args.json:
        kept = f"{name}.gpu.json" if options.gpu else f"{name}.json"
        write_json(Path(args.json, kept), as_json(name, said, options.size, facts, sheets))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    words = list(sys.argv[1:] if argv is None else argv)
    own = words[words.index("--") + 1 :] if "--" in words else []
    words = words[: words.index("--")] if "--" in words else words
    said = _command(words)
    return cli.execute(build_parser(), lambda args: _run(args, own, said), words)


def _command(words: Sequence[str]) -> str:
    """Return the command line as it is kept: without the folders, which are this machine's."""
    shown, skip = ["python", "-m", "benchmarks"], False
    for word in words:
        if skip or word.startswith(("--json=", "--work=")):
            skip = False
        elif word in ("--json", "--work"):
            skip = True
        else:
            shown.append(word)
    return shlex.join(shown)


if __name__ == "__main__":
    sys.exit(main())
