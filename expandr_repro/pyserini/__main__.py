"""Run one of Pyserini's own commands on the Java that this toolkit found: `python -m expandr_repro.pyserini search.faiss ...`.

Stock Pyserini wants Java 21 as the default `java` and an OpenAI key in the environment; this starts the JVM that `doctor` shows and
then hands over, arguments untouched. Encoded queries, which Pyserini reads as a pickle, may contain a table and nothing else.
"""

from __future__ import annotations

import importlib.util
import runpy
import sys
from pathlib import Path
from typing import NoReturn

from expandr_repro.console.terminal import one_line
from expandr_repro.errors import ExpandrError
from expandr_repro.io.archives import guarded_archives
from expandr_repro.io.unpickling import guarded_tables
from expandr_repro.pyserini import jvm

USAGE = (
    "usage: python -m expandr_repro.pyserini MODULE ...   (MODULE as in `python -m pyserini.MODULE`, e.g. search.faiss)"
)


def _fail(message: str) -> NoReturn:
    print(one_line(message), file=sys.stderr)
    sys.exit(2)


def _is_there(module: str) -> bool:
    """Return whether Pyserini has a module, without importing any of it, which would start its JVM."""
    package = importlib.util.find_spec("pyserini")
    folders = package.submodule_search_locations if package else None
    parts = module.split(".")[1:]
    return any(
        Path(folder, *parts).is_dir() or Path(folder, *parts).with_suffix(".py").is_file() for folder in folders or ()
    )


def main() -> None:
    """Run `pyserini.<first argument>` as a program."""
    if sys.argv[1:2] in (["-h"], ["--help"]):
        print(USAGE)
        sys.exit(0)
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        _fail(USAGE)
    module = "pyserini." + sys.argv[1].removeprefix("pyserini.")
    if not all(map(str.isidentifier, module.split("."))) or not _is_there(module):
        _fail(
            f"error: {sys.argv[1]}: Pyserini has no such module; write it as after `python -m pyserini.`, e.g. search.faiss"
        )
    try:
        jvm.start()
    except ExpandrError as error:
        _fail(f"error: {error}")
    sys.argv = [module, *sys.argv[2:]]
    with guarded_tables(), guarded_archives():
        runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
