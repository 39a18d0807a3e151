"""How large the page of a large collection gets, how long it takes to write, and, with chromium there, to open.

All of it is made up: every topic has two rankings over a corpus with no favourites, so that most documents are shown. Real
collections have favourites, and their pages are smaller.

    python -m benchmarks report                      # 10,000 topics, 200,000 documents of 100 words; some minutes
    python -m benchmarks report -- --topics 500 --documents 5000
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from expandr_repro.console.tables import Table
from expandr_repro.report import __main__ as report

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from browser import open_browser  # type: ignore[import-not-found]
from many_topics import write_many  # type: ignore[import-not-found]

READY = "return document.querySelectorAll('.row').length > 0"


def seconds_to_open(page: Path) -> float | None:
    """Return how long chromium takes from the address to the first rows of the list, or None without one."""
    driver = open_browser()
    if driver is None:
        return None
    try:
        start = time.perf_counter()
        driver.get(page.as_uri())
        while not driver.execute_script(READY):
            time.sleep(0.01)
        return time.perf_counter() - start
    finally:
        driver.quit()


def main(argv: Sequence[str] | None = None) -> int:
    """Make a collection, write its page, open it, print a table."""
    made = argparse.ArgumentParser(
        prog="python -m benchmarks report --", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--topics", type=int, default=10_000)
    made.add_argument("--documents", type=int, default=200_000)
    made.add_argument("--length", type=int, default=100, help="words of a document and of an expansion")
    made.add_argument("--hits", type=int, default=100)
    args, further = made.parse_known_args(argv)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        inputs = write_many(folder, args.topics, args.documents, args.length, args.hits)
        page = folder / "report.html"
        start = time.perf_counter()
        if code := report.main([*inputs, "--output", str(page), "--quiet", *further]):
            return code
        written = time.perf_counter() - start
        row = [args.topics, page.stat().st_size / 1e6, written, seconds_to_open(page)]
    print(Table(["topics", "megabytes", "seconds to write", "seconds to open"], [row]).render("text"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
