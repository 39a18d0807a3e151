"""The tables of docs/performance.md and docs/scale.md, from what the benchmarks left in runs/performance/.

python -m benchmarks.page            # print them
python -m benchmarks.page --write    # put them into the pages
"""

from __future__ import annotations

import argparse
import json
import math
import re
import statistics
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.results import Row, Sheet, from_json, number
from expandr_repro.console.tables import Table

ROOT = Path(__file__).resolve().parents[1]
RUNS = ROOT / "runs" / "performance"
PAGES = [ROOT / "docs" / "performance.md", ROOT / "docs" / "scale.md"]
MARK = re.compile(r"(<!-- (?P<name>[\w.]+): begin -->\n).*?(<!-- (?P=name): end -->)", re.DOTALL)
CORPORA = {"8.8 million": 8_841_823, "138 million": 138_364_198, "1,000 million": 1_000_000_000}
"""What MS MARCO and MS MARCO v2 have in passages, and a billion."""
DIMENSION = 768
"""Of BERT-base, whose encoding was measured."""
HOST = 512
"""Memory of a host in GB, of which 10 % stays free."""
WRITING, TEXT = 46_386, 110
"""Tokens a second of a 1.5B model on one H200, and tokens of one of its passages: docs/performance.md, Generation on a GPU."""
NOT_MEASURED = "Not measured yet."


def kept() -> dict[str, tuple[Sheet, dict[str, Any]]]:
    """Return the sheets by name, each with what its file says besides."""
    found = {}
    for path in sorted(RUNS.glob("*.json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        for sheet in from_json(content):
            found[sheet.name] = (sheet, content)
    return found


def measured(name: str) -> str:
    """Return a sheet as Markdown: title, table, limit, and how and where it was made."""
    sheets = kept()
    if name not in sheets:
        return NOT_MEASURED
    sheet, content = sheets[name]
    rounds = max((len(r.seconds) for r in sheet.rows), default=0)
    said = f"`{content['command']}`, {rounds} round{'s' if rounds > 1 else ''}; {machine.said(content['machine'])}."
    return f"{sheet.render('markdown')}\n\n{said}"


def encoding_time() -> str:
    """Return the hours that encoding takes at the measured rates, by device and number of them."""
    rows: list[list[object]] = []
    for name, device in (("encode", "CPU"), ("encode.gpu", "GPU"), ("scale_encode.gpu", "GPU, whole command")):
        sheet, _ = kept().get(name, (None, {}))
        for row in sheet.rows if sheet else ():
            if row.name.startswith("this project") and row.seconds and row.figures.get("GPUs", 1) == 1:
                rate = row.items / statistics.median(row.seconds)
                hours = [count / rate / 3600 for count in CORPORA.values()]
                what = f"{device}: {row.name.removeprefix('this project, ')}, {_model(sheet)}"
                rows.append([what, number(rate), *(number(h) for h in hours)])
    return _or_not(["one device", "passages/s", *(f"{c}, hours" for c in CORPORA)], rows)


def index_cost() -> str:
    """Return the size of each kind of index at the measured bytes a vector, and what was measured of it: building, speed, recall."""
    sheet, _ = kept().get("scale_index", (None, {}))
    millions = _vectors(sheet) / 1e6
    rows: list[list[object]] = []
    for row in sheet.rows if sheet else ():
        if row.seconds:
            each = float(row.figures["index MB"]) / millions
            minutes = float(row.figures["building, seconds"]) / millions / 60
            rows.append([row.name, number(each), *(number(each * n / 1e9) for n in CORPORA.values()), number(minutes), number(_rate(row)), number(row.figures["recall@100"])])  # fmt: skip
    head = [
        "",
        "bytes a vector",
        *(f"{c}, GB" for c in CORPORA),
        "minutes to build a million",
        "queries/s, as measured",
    ]
    return _or_not([*head, "recall@100, as measured"], rows)


def scale_plan() -> str:
    """Return what each size of collection takes, in hours, memory and hosts, at the measured rates."""
    sheets = kept()
    encoding, indexes = (sheets.get(name, (None, {}))[0] for name in ("scale_encode.gpu", "scale_index"))
    if not encoding or not indexes:
        return NOT_MEASURED
    rate = encoding.rows[0].items / statistics.median(encoding.rows[0].seconds)
    million = _vectors(indexes) / 1e6
    measured = {row.name.partition(",")[0]: row for row in reversed(indexes.rows) if row.seconds}
    flat, packed = measured["Flat"], next(row for row in indexes.rows if "PQ" in row.name and row.seconds)
    wider = DIMENSION / 384  # the dimensions that the indexes were measured with
    search = statistics.median(flat.seconds) * 1000 / flat.items / million * wider
    building = float(flat.figures["building, seconds"]) / million * wider
    writing = 1000 * TEXT / WRITING
    rows: list[list[object]] = []

    def row(what: str, formula: str, value: Callable[[float], float]) -> None:
        rows.append([what, formula, *(number(value(n)) for n in CORPORA.values())])

    def hosts(n: float) -> int:
        return math.ceil(4 * DIMENSION * n / 1e9 / (0.9 * HOST))

    row("encode, GPU hours", f"N / {number(rate)} passages/s", lambda n: n / rate / 3600)
    row("the same on 8 GPUs, hours", "/ 8", lambda n: n / rate / 3600 / 8)
    row(
        "expand 1,000 topics, GPU minutes",
        f"1,000 x {TEXT} tokens / {number(WRITING)} tokens/s",
        lambda n: writing / 60,
    )
    row("`Flat`, GB", f"N x {DIMENSION} x 4 bytes", lambda n: 4 * DIMENSION * n / 1e9)
    row(f"hosts of {HOST} GB that hold it", f"/ {0.9 * HOST:.0f} GB", hosts)
    row(
        "merge it from parts, hours",
        f"N x {number(building)} s per million",
        lambda n: n / 1e6 * building / 3600,
    )
    row(
        "search 1,000 topics, minutes of a host", f"N x {number(search)} s per million", lambda n: n / 1e6 * search / 60
    )
    row("the same on those hosts, minutes", "/ hosts", lambda n: n / 1e6 * search / 60 / hosts(n))
    row("`SQ8`, GB", f"N x {DIMENSION} bytes", lambda n: DIMENSION * n / 1e9)
    row("IVF-PQ48, GB", f"N x {number(float(packed.figures['index MB']) / million)} bytes", lambda n: float(packed.figures["index MB"]) / million * n / 1e9)  # fmt: skip
    return Table(["", "formula", *CORPORA], rows).render("markdown")


def _model(sheet: Sheet | None) -> str:
    return sheet.title.rpartition("), ")[2].partition(":")[0] if sheet else ""


def _vectors(sheet: Sheet | None) -> int:
    found = re.search(r"of ([\d,]+) vectors", sheet.title if sheet else "")
    return int(found[1].replace(",", "")) if found else 1


def _rate(row: Row) -> float:
    return row.items / statistics.median(row.seconds)


def _or_not(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    return Table(header, rows).render("markdown") if rows else NOT_MEASURED


DERIVED: dict[str, Callable[[], str]] = {
    "encoding_time": encoding_time,
    "index_cost": index_cost,
    "scale_plan": scale_plan,
}


def filled(page: str) -> str:
    """Return a page with each table between its markers."""

    def table(found: re.Match[str]) -> str:
        name = found["name"]
        made = DERIVED[name]() if name in DERIVED else measured(name)
        return f"{found[1]}{made}\n{found[3]}"

    return MARK.sub(table, page)


def main(argv: Sequence[str] | None = None) -> int:
    """Print or write."""
    made = argparse.ArgumentParser(prog="python -m benchmarks.page", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    made.add_argument("--write", action="store_true", help="into the pages")
    if made.parse_args(argv).write:
        for page in PAGES:
            page.write_text(filled(page.read_text(encoding="utf-8")), encoding="utf-8")
        return 0
    for name in (*kept(), *DERIVED):
        print(f"== {name}\n\n{DERIVED[name]() if name in DERIVED else measured(name)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
