"""How long each command takes to give --help, next to an empty Python."""

from __future__ import annotations

from functools import partial

from benchmarks.harness import Side, measure, nothing, peer
from benchmarks.options import Options
from benchmarks.processes import python
from benchmarks.results import Sheet
from expandr_repro.__main__ import COMMANDS

EMPTY = "python -c pass"
PEERS = ("pyserini.encode", "pyserini.search.faiss", "pyserini.search.lucene")


def run(options: Options) -> list[Sheet]:
    """Measure every command, and Pyserini's."""
    sides = [Side(EMPTY, lambda: python(["-c", "pass"]))]
    commands = list(COMMANDS)[:2] if options.smallest else list(COMMANDS)
    sides += [Side(f"this project, {c}", partial(python, ["-m", f"expandr_repro.{c}", "--help"])) for c in commands]
    if not options.smallest:
        sides += [Side(p, partial(peer, ["-m", p, "--help"], java=True)) for p in PEERS]
    rows = measure(sides, options.repeat, nothing)
    title = "Saying --help: the whole command"
    return [Sheet("start", title, "commands", rows, rate=False, limit="an empty Python's start, the first row")]
