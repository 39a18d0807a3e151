"""Search topics through a gate: the query alone or the fusion per topic, and a list of which and why."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from expandr_repro.data.collections import find_corpus
from expandr_repro.data.topics import Topic
from expandr_repro.data.trec import Run
from expandr_repro.errors import NotAvailableError, UnknownNameError
from expandr_repro.io.files import atomic_text
from expandr_repro.search.bm25 import Bm25Search
from expandr_repro.search.dense import DenseSearch
from expandr_repro.search.fusion import Fusion, unit
from expandr_repro.search.gate.registry import GATES, Evidence, Gate
from expandr_repro.search.gate.words import Frequencies, terms_of

HEADER = "qid\tchosen\tvalue\twhy\n"


@dataclass(frozen=True)
class Choice:
    """How a topic was searched, and why.

    Attributes:
        qid: of the topic.
        expanded: with its expansions, or by the query alone.
        value: what the gate measured; None where there was nothing to judge by.
        why: for people.
    """

    qid: str
    expanded: bool
    value: float | None
    why: str


@dataclass
class Gating:
    """A gate at work.

    Attributes:
        gate: what decides.
        searcher: what searches.
        fusion: for topics that are searched with their expansions.
        ranking: makes a run's scores what its file has.
        frequencies: of the queries' terms, where the gate needs them.
        choices: those so far, in the topics' order.
    """

    gate: Gate
    searcher: DenseSearch | Bm25Search
    fusion: Fusion
    ranking: Callable[[Run], Run]
    frequencies: Frequencies = field(default_factory=Frequencies)
    choices: list[Choice] = field(default_factory=list)

    def run(self, topics: Sequence[Topic], alone: Run) -> Run:
        """Search topics.

        Args:
            topics: what is searched.
            alone: the run of their queries alone.
        """
        having = [t for t in topics if t.texts]
        fused = self._fused(having, alone) if self.gate.after else {}
        alone = self.ranking(alone)
        vectors = self._vectors(having)
        values = {}
        for t in having:
            query, texts = vectors.get(t.qid, (None, None))
            rankings = alone.get(t.qid, {}), fused.get(t.qid, {})
            values[t.qid] = self.gate.value(Evidence(t, *rankings, query, texts, self.frequencies))
        chosen = [self._choice(t.qid, values) for t in topics]
        self.choices += chosen
        expanded = {c.qid for c in chosen if c.expanded}
        if not self.gate.after:
            fused = self._fused([t for t in having if t.qid in expanded], alone)
        return {t.qid: fused.get(t.qid, {}) if t.qid in expanded else alone.get(t.qid, {}) for t in topics}

    def _fused(self, topics: Sequence[Topic], alone: Run) -> Run:
        own = {t.qid: alone[t.qid] for t in topics if t.qid in alone} if self.fusion.of == "runs" else None
        return self.ranking(self.searcher.run(topics, self.fusion, own)) if topics else {}

    def _vectors(self, topics: Sequence[Topic]) -> dict[str, tuple[Any, Any]]:
        if "vectors" not in self.gate.needs or not isinstance(self.searcher, DenseSearch) or not topics:
            return {}
        queries, texts = self.searcher.encoded(topics)
        return {t.qid: (unit(q[None])[0], unit(some)) for t, q, some in zip(topics, queries, texts, strict=True)}

    def _choice(self, qid: str, values: dict[str, float | None]) -> Choice:
        if qid not in values:
            return Choice(qid, False, None, "has no expansion")
        value, gate = values[qid], self.gate
        expanded = gate.expands(value)
        if value is None:
            return Choice(qid, expanded, None, f"nothing to judge {gate.name} by")
        side = gate.side if expanded else {"at least": "below", "at most": "above"}[gate.side]
        return Choice(qid, expanded, value, f"{gate.name} {side} {gate.threshold:g}")

    def facts(self) -> dict[str, Any]:
        """Return what pins the choices, for the run's manifest."""
        refused = sum(not c.expanded and c.value is not None for c in self.choices)
        expanded = sum(c.expanded for c in self.choices)
        origin = {"origin": origin} if (origin := GATES.origin(self.gate.name)) else {}
        return {"gate": {"name": self.gate.name, **self.gate.values, "topics_expanded": expanded, "topics_refused": refused, **origin}}  # fmt: skip


def frequencies_of(names: Iterable[str | None], topics: Sequence[Topic], gate: Gate) -> Frequencies:
    """Count in how many documents the terms of the queries occur, in the first corpus of some names that can be read; nothing where the gate does not need it.

    Raises:
        NotAvailableError: none of the names is that of documents that are on this machine.
    """
    if "frequencies" not in gate.needs:
        return Frequencies()
    terms = set().union(*(terms_of(t.title) for t in topics)) if topics else set()
    for name in dict.fromkeys(filter(None, names)):
        try:
            documents = find_corpus(str(name))
        except (NotAvailableError, UnknownNameError):
            continue
        return Frequencies.count((f"{d.title} {d.text}" for d in documents.read()), terms)
    others = ", ".join(g.name for g in GATES.values() if "frequencies" not in g.needs)
    raise NotAvailableError(f"gate {gate.name!r} counts words in the documents, which are not on this machine; name a collection or a corpus with --index, or use one of: {others}")  # fmt: skip


def gate_path(run: Path) -> Path:
    """Return the file next to a run that lists what its gate chose."""
    return Path(f"{run}.gate.tsv")


def write_choices(path: Path, choices: Iterable[Choice]) -> None:
    """Write what a gate chose: qid, chosen (fusion or query), value, why.

    Raises:
        SetupError: the place cannot be written.
    """
    with atomic_text(path) as file:
        file.write(HEADER)
        for c in choices:
            value = "" if c.value is None else f"{c.value:.6g}"
            file.write(f"{c.qid}\t{'fusion' if c.expanded else 'query'}\t{value}\t{c.why}\n")
