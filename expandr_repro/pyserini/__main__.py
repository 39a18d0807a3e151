"""Run one of Pyserini's own commands on the Java that this toolkit found: `python -m expandr_repro.pyserini search.faiss ...`.

Stock Pyserini wants Java 21 as the default `java` and an OpenAI key in the environment; this starts the JVM that `doctor` shows and
then hands over, arguments untouched. Encoded queries, which Pyserini reads as a pickle, may contain a table and nothing else.
"""

from __future__ import annotations

import runpy
import sys

from expandr_repro.errors import ExpandrError
from expandr_repro.io.archives import guarded_archives
from expandr_repro.io.unpickling import guarded_tables
from expandr_repro.pyserini import jvm


def main() -> None:
    """Run `pyserini.<first argument>` as a program."""
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        sys.exit(
            "usage: python -m expandr_repro.pyserini MODULE ...   (MODULE as in `python -m pyserini.MODULE`, e.g. search.faiss)"
        )
    try:
        jvm.start()
    except ExpandrError as error:
        sys.exit(f"error: {error}")
    module = "pyserini." + sys.argv[1].removeprefix("pyserini.")
    sys.argv = [module, *sys.argv[2:]]
    with guarded_tables(), guarded_archives():
        runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
