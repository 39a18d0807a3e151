"""How long each command takes to say --help, beside an empty Python."""

from __future__ import annotations

from benchmarks.harness import NotHereError, Side, measure, nothing
from benchmarks.options import Options
from benchmarks.processes import Ended, stock_environment
from benchmarks.processes import run as python
from benchmarks.results import Sheet
from expandr_repro.__main__ import COMMANDS
from expandr_repro.core.errors import SetupError

EMPTY = "python -c pass"
PEERS = ("pyserini.encode", "pyserini.search.faiss", "pyserini.search.lucene")


def run(options: Options) -> list[Sheet]:
    """Measure every command, and Pyserini's."""
    sides = [Side(EMPTY, lambda: python(["-c", "pass"]))]
    commands = list(COMMANDS)[:2] if options.smallest else list(COMMANDS)
    sides += [Side(f"this project, {c}", lambda n=c: python(["-m", f"expandr_repro.{n}", "--help"])) for c in commands]  # type: ignore[misc]
    if not options.smallest:
        sides += [Side(p, lambda n=p: _stock(n)) for p in PEERS]  # type: ignore[misc]
    rows = measure(sides, options.repeat, nothing)
    title = "Saying --help: the whole command"
    return [Sheet("start", title, "commands", rows, rate=False, limit="an empty Python's start, the first row")]


def _stock(module: str) -> Ended:
    try:
        return python(["-m", module, "--help"], stock_environment())
    except SetupError as error:
        raise NotHereError(str(error)) from error
