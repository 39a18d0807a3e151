"""Make the cells of the board: one for each condition, and one for each published score that no condition is about."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

from expandr_repro.errors import FormatError
from expandr_repro.io.paths import resource
from expandr_repro.io.strict_yaml import build, read_yaml
from expandr_repro.registry import Within
from expandr_repro.regress.conditions.shapes import Published, Regression
from expandr_repro.regress.page import RETRIEVERS, Pair, collection_of, title_of
from expandr_repro.regress.stages import option_of

ALONE = "query alone"

REPRODUCED, PINNED, OPEN, PUBLISHED = "reproduced", "pinned only", "not pinned", "published only"
"""What there is of a cell: a kept run and what it scores; a pinned score without a run; neither; what others claim, and no condition."""


@dataclass(frozen=True)
class Claims:
    """What a source publishes for one retriever and one way to expand: an entry of `resources/published.yaml`."""

    source: str
    retriever: str
    scores: dict[str, dict[str, Annotated[float, Within()]]]
    method: str = ALONE
    llm: str = ""
    note: str = ""


@dataclass
class Cell:
    """A row of the board.

    Attributes:
        name: of the condition; empty where there is none.
        collection: what to call it.
        retriever: what to call it.
        method: what wrote the expansions, and how they are searched.
        llm: the model that wrote them; empty for the query alone.
        status: what there is.
        values: metric -> what is pinned, unless it is only what others publish.
        published: what others claim.
        facts: of the kept run, as the report's page has them.
    """

    name: str
    collection: str
    retriever: str
    method: str
    llm: str
    status: str
    values: dict[str, float] = field(default_factory=dict)
    published: list[Published] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    def record(self) -> dict[str, Any]:
        """Return the cell as the page has it."""
        claims = [{"metric": c.metric, "value": c.value, "source": c.source, "note": c.note} for c in self.published]
        names = ("name", "collection", "retriever", "method", "llm", "status", "values")
        return {**{name: getattr(self, name) for name in names}, "published": claims, **self.facts}


def published() -> list[Claims]:
    """Read what others publish.

    Raises:
        FormatError: the file is damaged.
    """
    path = resource("published.yaml")
    entries = read_yaml(path, ours=True)
    if not isinstance(entries, list):
        raise FormatError(path, None, "wanted a list of sources")
    return [build(Claims, entry, path, f"[{number}]") for number, entry in enumerate(entries)]


def cells_of(pairs: Sequence[Pair], kept: Iterable[str], claims: Iterable[Claims]) -> list[Cell]:
    """Return the cells of conditions in their order, then those of claims that are about none of them.

    Args:
        pairs: the conditions.
        kept: names of those with a kept run.
        claims: what others publish, besides what the conditions' files say.
    """
    kept = set(kept)
    cells = [_cell(name, regression, name in kept) for name, regression in pairs]
    known = {(c.collection, c.retriever, c.method, c.llm): c for c in reversed(cells)}
    for claim in claims:
        for collection, scores in claim.scores.items():
            where = title_of(collection)
            retriever = RETRIEVERS.get(claim.retriever, claim.retriever)
            key = (where, retriever, claim.method, claim.llm)
            if key not in known:
                known[key] = Cell("", *key, PUBLISHED)
                cells.append(known[key])
            there = {(c.metric, c.value) for c in known[key].published}
            known[key].published += [
                Published(metric, value, claim.source, claim.note)
                for metric, value in scores.items()
                if (metric, value) not in there
            ]
    return cells


def _cell(name: str, regression: Regression, kept: bool) -> Cell:
    pinned = {metric: pin.value for metric, pin in regression.metrics.items() if pin.value is not None}
    measured = regression.recorded is not None
    status = REPRODUCED if kept and measured else PINNED if pinned else OPEN
    retriever = name.split(".")[1]
    method, llm = method_of(regression)
    # a pin that was never measured here is as a rule what others publish, and is then shown as theirs
    theirs = set() if measured else {(claim.metric, claim.value) for claim in regression.published}
    values = {metric: value for metric, value in pinned.items() if (metric, value) not in theirs}
    return Cell(name, collection_of(regression), RETRIEVERS.get(retriever, retriever), method, llm, status, values, list(regression.published))  # fmt: skip


def method_of(regression: Regression) -> tuple[str, str]:
    """Return what wrote a condition's expansions and how they are searched, and the LLM; `query alone` and nothing without expansions."""
    if regression.expansions is None:
        return ALONE, ""
    title = re.sub(r" \((packaged|its own)\)$", "", regression.expansions.title)
    method, _, llm = title.partition(", ")
    fusion = fusion_of(regression)
    return (f"{method} ({fusion})" if fusion else method), llm


def fusion_of(regression: Regression) -> str:
    """Return the fusion that the search command names; empty where it names none."""
    return option_of(regression.stages.search, "--fusion")
