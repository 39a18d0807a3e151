"""Write each command's `--help` into its page of documentation, between two marks; `--check` compares and changes nothing.

    python scripts/help_blocks.py            # after a change of options
    python scripts/help_blocks.py --check    # exit code 1 where a page shows another help than the program's

The text is that of Python 3.11 at 80 columns: other versions of argparse lay it out differently.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHON = (3, 11)
COLUMNS = "80"
BEGIN, END = "<!-- help: begin; made by scripts/help_blocks.py -->", "<!-- help: end -->"
HEADING = "## All options"

PAGES = {
    "search": "search.md",
    "expand": "expand.md",
    "encode": "encode.md",
    "evaluate": "evaluate.md",
    "compare": "compare.md",
    "fuse": "fuse.md",
    "gate": "gates.md",
    "prefer": "prefer.md",
    "train_encoder": "train_encoder.md",
    "train_generator": "train_generator.md",
    "regress": "regressions.md",
    "report": "report.md",
    "doctor": "doctor.md",
}
"""Command -> its page in docs/."""

READING = {"expand": ("methods", "show", "stats", "import"), "fuse": ("methods",), "gate": ("fit", "show")}
"""Command -> words after which it takes other options."""


def parser_of(command: str, word: str = "") -> argparse.ArgumentParser:
    """Return a command's parser, or the one that it uses after a word such as `show`."""
    module = importlib.import_module(f"expandr_repro.{command}.__main__")
    made: argparse.ArgumentParser = module.build_reading_parser(word) if word else module.build_parser()
    return made


def help_text(command: str, word: str = "") -> str:
    """Return what `python -m expandr_repro.COMMAND [WORD] --help` prints, at 80 columns."""
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = COLUMNS  # argparse asks for the terminal's width through it
    try:
        return parser_of(command, word).format_help()
    finally:
        if before is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = before


def block(command: str) -> str:
    """Return the marks and what stands between them."""
    shown = [
        f"```text\n$ python -m {' '.join(filter(None, (f'expandr_repro.{command}', word)))} --help\n{help_text(command, word)}```"
        for word in ("", *READING.get(command, ()))
    ]
    return f"{BEGIN}\n" + "\n\n".join(shown) + f"\n{END}\n"


def current(text: str, command: str) -> str:
    """Return what a page must hold: everything before the help as it is, then the help, and nothing after it."""
    before, mark, _ = text.partition(BEGIN)
    if not mark:
        before = f"{text.rstrip()}\n\n{HEADING}\n\n"
    return before + block(command)


def main() -> int:
    """Write or check all pages."""
    arguments = argparse.ArgumentParser(description="Write each command's --help into its page.")
    arguments.add_argument("--check", action="store_true", help="change nothing; exit code 1 where a page differs")
    check = arguments.parse_args().check
    if sys.version_info[:2] != PYTHON:
        version = ".".join(map(str, PYTHON))
        print(f"the help in docs/ is that of Python {version}; this is {sys.version.split()[0]}: nothing done")
        return 0
    stale = []
    for command, name in PAGES.items():
        page = ROOT / "docs" / name
        text = page.read_text(encoding="utf-8")
        if text != current(text, command):
            stale.append(f"docs/{name}")
            if not check:
                page.write_text(current(text, command), encoding="utf-8")
    if stale:
        print(f"{'not the help of the program' if check else 'written'}: {', '.join(stale)}")
    if stale and check:
        print("run `python scripts/help_blocks.py`")
    return 1 if stale and check else 0


if __name__ == "__main__":
    sys.exit(main())
