"""Search topics through a gate: the query alone or the fusion per topic, and a list of which and why."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from expandr_repro.data.collections import find_corpus
from expandr_repro.data.topics import Topic
from expandr_repro.data.trec import Run
from expandr_repro.errors import NotAvailableError, UnknownNameError
from expandr_repro.evaluate.run_facts import without_paths
from expandr_repro.io.files import atomic_text
from expandr_repro.search.dense import DenseSearch
from expandr_repro.search.fusion import Fusion, unit
from expandr_repro.search.gate.registry import GATES, Evidence, Gate
from expandr_repro.search.gate.words import Frequencies, terms_of
from expandr_repro.search.searcher import Searcher

log = logging.getLogger(__name__)

HEADER = "qid\tchosen\tvalue\twhy\n"


@dataclass(frozen=True)
class Choice:
    """How a topic was searched, and why.

    Attributes:
        qid: of the topic.
        expanded: with its expansions, or by the query alone.
        value: what the gate measured; None where there was nothing to judge by.
        why: for people.
        weight: of the expansions, as a share of what the fusion gives them; below 1 where a gate gives weights.
    """

    qid: str
    expanded: bool
    value: float | None
    why: str
    weight: float = 1.0

    @property
    def chosen(self) -> str:
        """What the list next to the run says: `fusion`, `query`, or `weight` in between."""
        return "query" if not self.expanded else "fusion" if self.weight == 1 else "weight"


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
    searcher: Searcher
    fusion: Fusion
    ranking: Callable[[Run], Run]
    frequencies: Frequencies = field(default_factory=Frequencies)
    choices: list[Choice] = field(default_factory=list)

    def warn_of_others(self) -> None:
        """Warn where a learned gate was fitted with another retriever, encoder or fusion than it chooses for."""
        if not self.gate.learned:
            return
        facts = self.gate.learned.facts
        encoder = without_paths(self.searcher.encoder.identity) if isinstance(self.searcher, DenseSearch) else None
        here = {"retriever": self.searcher.retriever, "encoder": encoder}
        others = [name for name, value in here.items() if name in facts and facts[name] != value]
        if str(self.fusion) not in {t.get("fusion") for t in facts.get("trained_on", [])}:
            others.append("fusion")
        if others:
            log.warning("gate %s was fitted with another %s than this search has, so its probabilities may be off; fit one for this search", self.gate.name, " and ".join(others))  # fmt: skip

    def run(self, topics: Sequence[Topic], alone: Run) -> Run:
        """Search topics.

        Args:
            topics: what is searched.
            alone: the run of their queries alone.
        """
        having = [t for t in topics if t.texts]
        fused = self._fused(having, alone) if self.gate.after else {}
        alone = self.ranking(alone)
        given = evidence(self.searcher, self.gate.needs, having, alone, fused, self.frequencies)
        choices = [self._choice(t.qid, given.get(t.qid)) for t in topics]
        self.choices += choices
        weighted = {c.qid: c.weight for c in choices if c.expanded}
        again = [t for t in having if weighted.get(t.qid, 1) < 1 or (t.qid in weighted and t.qid not in fused)]
        for weight in sorted({weighted[t.qid] for t in again}):
            fused |= self._fused([t for t in again if weighted[t.qid] == weight], alone, weight)
        return {t.qid: (fused if t.qid in weighted else alone).get(t.qid, {}) for t in topics}

    def _fused(self, topics: Sequence[Topic], alone: Run, weight: float = 1.0) -> Run:
        own = {t.qid: alone[t.qid] for t in topics if t.qid in alone} if self.fusion.of == "runs" else None
        if weight == 1:
            return self.ranking(self.searcher.run(topics, self.fusion, own)) if topics else {}
        run: Run = {}
        for count in sorted({len(t.distinct) for t in topics}):
            usual = self.fusion.values["alpha"]
            share = weight * (1 - float(usual) if usual is not None else count / (count + 1))
            some = [t for t in topics if len(t.distinct) == count]
            run |= self.ranking(self.searcher.run(some, self.fusion.set({"alpha": 1 - share})))
        return run

    def _choice(self, qid: str, given: Evidence | None) -> Choice:
        gate = self.gate
        if given is None:
            return Choice(qid, False, None, "has no expansion")
        value = gate.value(given)
        if value is None:
            return Choice(qid, True, None, f"nothing to judge {gate.name} by")
        expanded = gate.expands(value)
        side = gate.side if expanded else {"at least": "below", "at most": "above"}[gate.side]
        why = f"{gate.label} {side} {gate.threshold:g}"
        if gate.learned:
            why += f": {gate.learned.reason(given)}"
        if expanded or not gate.values.get("weight"):
            return Choice(qid, expanded, value, why)
        weight = round(value / gate.threshold, 2)
        return Choice(qid, weight > 0, value, f"{why}; the expansions have {weight:g} of their weight", weight or 1.0)

    def facts(self) -> dict[str, Any]:
        """Return what pins the choices, for the run's manifest."""
        refused = sum(not c.expanded and c.value is not None for c in self.choices)
        counts = {"topics_expanded": sum(c.expanded for c in self.choices), "topics_refused": refused}
        if weighted := sum(c.weight < 1 for c in self.choices):
            counts["topics_weighted"] = weighted
        origin = {"origin": origin} if (origin := GATES.origin(self.gate.name)) else {}
        pins = self.gate.learned.pins() if self.gate.learned else {"name": self.gate.name}
        return {"gate": {**pins, **self.gate.values, **counts, **origin}}


def evidence(
    searcher: Searcher,
    needs: Collection[str],
    topics: Sequence[Topic],
    alone: Run,
    fused: Run,
    frequencies: Frequencies,
) -> dict[str, Evidence]:
    """Return what gates are given of topics that have expansions, by qid.

    Args:
        searcher: has the vectors.
        needs: of `NEEDS`.
        topics: with their expansions.
        alone: the run of their queries, as it is ranked in the end.
        fused: the run of the fusion.
        frequencies: of the queries' terms.
    """
    words = Frequencies()
    if "words" in needs:
        terms = set[str]().union(*(terms_of(t.title) for t in topics))
        words = Frequencies.count((" ".join(t.texts) for t in topics), terms)
    given = {
        t.qid: Evidence(t, alone.get(t.qid, {}), fused.get(t.qid, {}), frequencies=frequencies, words=words)
        for t in topics
    }
    if "vectors" not in needs or not isinstance(searcher, DenseSearch) or not topics:
        return given
    import numpy as np

    queries, texts = searcher.encoded(topics)
    pool, ends = unit(np.concatenate(texts)), np.cumsum([len(some) for some in texts])
    for t, query, end, some in zip(topics, unit(queries), ends, texts, strict=True):
        own = int(end) - len(some), int(end)
        given[t.qid] = replace(given[t.qid], query=query, expansions=pool[slice(*own)], pool=pool, own=own)
    return given


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
    """Write what a gate chose: qid, chosen (fusion, query, or weight), value, why.

    Raises:
        SetupError: the place cannot be written.
    """
    with atomic_text(path) as file:
        file.write(HEADER)
        for c in choices:
            value = "" if c.value is None else f"{c.value:.6g}"
            file.write(f"{c.qid}\t{c.chosen}\t{value}\t{c.why}\n")
