"""The tables of docs/performance.md and docs/scale.md, from what the benchmarks left in runs/performance/.

python -m benchmarks.page            # print them
python -m benchmarks.page --write    # put them into the pages
"""

from __future__ import annotations

import argparse
import json
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
CORPORA = {"MS MARCO passages": 8_841_823, "MS MARCO v2 passages": 138_364_198}
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
                rows.append([what, number(rate), *(number(h) for h in hours), number(hours[-1] / 8)])
    return _or_not(["one device", "passages/s", *(f"{c}, hours" for c in CORPORA), "v2 on 8 devices, hours"], rows)


def index_cost() -> str:
    """Return size, memory and time of each kind of index at the measured bytes and seconds a vector."""
    sheet, _ = kept().get("scale_index", (None, {}))
    rows: list[list[object]] = []
    for row in sheet.rows if sheet else ():
        if not row.seconds:
            continue
        vectors = _vectors(sheet)
        each = float(row.figures["index MB"]) * 1e6 / vectors
        hours = float(row.figures["building, seconds"]) / vectors / 3600
        flat = row.name.startswith(("Flat", "SQ8"))
        rate = [number(_rate(row) * vectors / n) if flat else None for n in CORPORA.values()]
        gigabytes = [number(each * n / 1e9) for n in CORPORA.values()]
        rows.append([row.name, number(each), *gigabytes, *(number(hours * n) for n in CORPORA.values()), *rate, number(row.figures["recall@100"])])  # fmt: skip
    head = ["", "bytes a vector", *(f"{c}, GB" for c in CORPORA), *(f"{c}, hours to build" for c in CORPORA), *(f"{c}, queries/s" for c in CORPORA)]  # fmt: skip
    return _or_not([*head, "recall@100, as measured"], rows)


def _model(sheet: Sheet | None) -> str:
    return sheet.title.rpartition("), ")[2].partition(":")[0] if sheet else ""


def _vectors(sheet: Sheet | None) -> int:
    found = re.search(r"of ([\d,]+) vectors", sheet.title if sheet else "")
    return int(found[1].replace(",", "")) if found else 1


def _rate(row: Row) -> float:
    return row.items / statistics.median(row.seconds)


def _or_not(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    return Table(header, rows).render("markdown") if rows else NOT_MEASURED


DERIVED: dict[str, Callable[[], str]] = {"encoding_time": encoding_time, "index_cost": index_cost}


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
