"""Make the page of results from the regression files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from expandr_repro.console.tables import Table, markdown
from expandr_repro.data.specs import collection_named, datasets
from expandr_repro.errors import FormatError
from expandr_repro.io.files import atomic_text, read_text
from expandr_repro.io.outputs import FileKind, marked
from expandr_repro.regress.conditions.shapes import Condition, Regression

BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"
"""A file that contains both lines gets the table of results between them; any other is the whole page."""

RETRIEVERS = {"bm25": "BM25", "minilm": "MiniLM"}
"""The second part of a condition's name -> its column's; others are shown as they are."""

RESULTS = FileKind(
    f"a page of results, and has no line {BEGIN} for the table",
    marked(BEGIN, "Made by `python -m expandr_repro.regress"),
)

Pair = tuple[str, Regression]

HEAD = """# Results

Made by `python -m expandr_repro.regress --document docs/results.md` from the files in `regressions/`; do not edit by hand. Every score is
checked by `expandr regress NAME`, and one that moves, up or down, fails. How: [regressions](regressions.md).
"""

CAUTION = """**A caution.** An LLM may have read a collection's documents in training. Of SciFact's test topics, 20 % of the Claude passages share a run of six
words with their gold document (train: 17 %), against 4 % of gpt-4.1's; part of the gain may be memory rather than expansion.
"""


def page(conditions: Sequence[Condition]) -> str:
    """Return the whole page.

    Raises:
        FormatError: a file cannot be read.
    """
    known = readable(conditions)
    measured = [p for p in known if p[1].recorded]
    parts = [HEAD, results_table(conditions), CAUTION]
    parts.append("## Measured here\n\n" + _conditions([p for p in measured if p[1].tier == "full"]))
    parts.append("## The embedded collection (tier `ci`)\n\n" + _conditions([p for p in measured if p[1].tier == "ci"]))
    trained = [p for p in known if "models" in p[1].needs]
    if trained:
        text = "Encoders made by `train_encoder`, looked for in `$EXPANDR_MODELS`; weights are not kept here, so the tolerance is that of another training ([how they came about](results/loop-leaking.md))."
        parts.append(f"## Trained encoders (tier `full`, where they are)\n\n{text}\n\n" + _conditions(trained))
    pinned = [p for p in known if p[1].tier == "manual" and p[1].metrics and not p[1].recorded]
    if pinned:
        sources = dict.fromkeys(claim.source for _, r in pinned for claim in r.published)
        text = "Pinned to what others publish, and not run by us (a network and large downloads are needed)"
        parts.append(
            f"## Published elsewhere (tier `manual`)\n\n{text}: {markdown('; '.join(sources))}.\n\n" + _claims(pinned)
        )
    open_ = [name for name, r in known if not r.metrics]
    if open_:
        parts.append("## Not pinned\n\nConditions without a known score: " + ", ".join(f"`{n}`" for n in open_) + ".")
    parts.append("## Measured on\n\n" + _machines(measured))
    return "\n".join(part.rstrip("\n") + "\n" for part in parts)


def readable(conditions: Sequence[Condition]) -> list[Pair]:
    """Return the conditions in the order of the pages: by collection as in `datasets.yaml`, the query alone first.

    Raises:
        FormatError: a file cannot be read.
    """
    return sorted(((c.name, c.readable) for c in conditions), key=_order)


def _order(pair: Pair) -> tuple[int, str, bool, str]:
    """Sort by collection as in `datasets.yaml`, split, then no expansion before some."""
    name, regression = pair
    known = collection_named(regression.topics.name)
    position = list(datasets()).index(known.dataset) if known else len(datasets())
    return position, known.split if known else "", regression.expansions is not None, name


def results_table(conditions: Sequence[Condition]) -> str:
    """Return the table of the `full` tier: a row for collection and expansions, columns for retriever and metric, in Markdown.

    What needs an encoder that was trained is not in it: nobody has one at first. Nor is what pins one of the two metrics alone: such
    conditions belong to a page of their own.
    """
    full = [
        p for p in readable(conditions) if p[1].tier == "full" and "models" not in p[1].needs and len(p[1].metrics) > 1
    ]
    retrievers = sorted(dict.fromkeys(name.split(".")[1] for name, _ in full), key=lambda r: (r == "bm25", r))
    metrics = ("nDCG@10", "R@100")
    cells: dict[tuple[str, str], dict[str, Regression]] = {}
    for name, regression in full:
        row = (collection_of(regression), regression.expansions.title if regression.expansions else "none")
        cells.setdefault(row, {})[name.split(".")[1]] = regression
    header = ["collection", "expansions", *(f"{RETRIEVERS.get(r, r)} {m}" for r in retrievers for m in metrics)]
    rows = [
        [*row, *(_value(by_retriever.get(r), m) for r in retrievers for m in metrics)]
        for row, by_retriever in cells.items()
    ]
    return Table(header, rows).render("markdown").replace("---: |", "--- |", 1)  # the expansions are text as well


def collection_of(regression: Regression) -> str:
    """Return what to call a condition's collection."""
    return title_of(regression.topics.name)


def title_of(collection: str) -> str:
    """Return what to call a collection; its name where it is not a known one."""
    known = collection_named(collection)
    return known.title if known else collection


def _value(regression: Regression | None, metric: str) -> float | None:
    pin = regression.metrics.get(metric) if regression else None
    return pin.value if pin else None


def _conditions(pairs: Sequence[Pair]) -> str:
    rows = []
    for name, r in pairs:
        pins = ", ".join(f"{m} {p.value:.4f}{f' ±{p.tolerance:g}' if p.tolerance else ''}" for m, p in r.metrics.items() if p.value is not None)  # fmt: skip
        rows.append([f"`{name}`", r.title, pins, _published(r)])
    return Table(["condition", "what", "pinned", "published elsewhere"], rows).render("markdown").replace("---:", "---")


def _published(regression: Regression) -> str | None:
    """Return what others publish, each source named once."""
    by_source: dict[str, list[str]] = {}
    for claim in regression.published:
        source = f"{claim.source}; {claim.note}" if claim.note else claim.source
        by_source.setdefault(source, []).append(f"{claim.metric} {claim.value:.4f}")
    return "; ".join(f"{', '.join(scores)} ({source})" for source, scores in by_source.items()) or None


def _claims(pairs: Sequence[Pair]) -> str:
    retrievers = list(dict.fromkeys(name.split(".")[1] for name, _ in pairs))
    rows: dict[str, dict[str, Regression]] = {}
    for name, regression in pairs:
        rows.setdefault(collection_of(regression), {})[name.split(".")[1]] = regression
    header = ["collection", *(f"{r} {m}" for r in retrievers for m in ("nDCG@10", "R@100"))]
    return Table(
        header, [[c, *(_value(f.get(r), m) for r in retrievers for m in ("nDCG@10", "R@100"))] for c, f in rows.items()]
    ).render("markdown")


def _machines(pairs: Sequence[Pair]) -> str:
    descriptions = dict.fromkeys(
        "- "
        + markdown(
            f"{r.recorded.date}: Python {r.recorded.python}, {r.recorded.platform}, "
            + ", ".join(f"{k} {v}" for k, v in r.recorded.versions.items())
        )
        for _, r in pairs
        if r.recorded
    )
    return "\n".join(descriptions)


def write_page(path: Path, conditions: Sequence[Condition]) -> None:
    """Write the page, or the table alone into a file that has the marks for it."""
    RESULTS.check(path)
    with atomic_text(path, kind=RESULTS) as file:
        file.write(current(path, conditions))


def current(path: Path, conditions: Sequence[Condition]) -> str:
    """Return what a documented file must hold now."""
    text = read_text(path) + "\n" if path.is_file() else ""
    if BEGIN not in text:
        return page(conditions)
    before, _, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise FormatError(path, None, f"has {BEGIN} and no {END} after it")
    return f"{before}{BEGIN}\n{results_table(conditions)}\n{END}{after.rstrip(chr(10))}\n"
