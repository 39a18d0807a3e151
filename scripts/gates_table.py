"""Measure the gates of `search --gate` and print the tables of docs/gates.md; $EXPANDR_DATA has the collections.

    python scripts/gates_table.py            # MiniLM
    python scripts/gates_table.py bm25

A gate's threshold for a collection is chosen on the other collections: of those that keep 95 % of the mean gain there, the one with the largest
sum of the share of hurt topics that it saves and the share of planted texts that it refuses.
Planted texts take the place of the expansions: those of another topic, a passage in another language, or empty talk.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from expandr_repro.console.tables import Table
from expandr_repro.data.collections import find_topics, qrels_of, relevance_level
from expandr_repro.data.expansions import with_expansions
from expandr_repro.data.topics import Expansion, Topic
from expandr_repro.encoders.loading import load_encoder
from expandr_repro.encoders.options import EncoderOptions
from expandr_repro.evaluate.metrics import parse_measures
from expandr_repro.evaluate.scoring import evaluate
from expandr_repro.search.fusion import fusion_named, unit
from expandr_repro.search.gate import GATES, Evidence, Gate, gate_named
from expandr_repro.search.gate.choose import frequencies_of
from expandr_repro.search.options import SearchRequest
from expandr_repro.search.run import final_ranking, open_searcher

DATA = Path(os.environ["EXPANDR_DATA"], "expansions")
SETS = {
    "scifact": ["claude.q2d", *(f"query2doc-zs.{m}" for m in ("gpt-4.1", "gpt-4.1-nano", "Qwen2.5-7B-Instruct"))],
    "nfcorpus": ["claude.q2d"],
    "cacm": ["claude.q2d"],
    "pocket": ["its own"],
}
KEEPS = 0.95
HURT = 1e-9

FOREIGN = (
    "Die Ergebnisse der Untersuchung zeigen, dass eine frühe Behandlung den Verlauf der Krankheit deutlich verbessert und die Zahl der Rückfälle verringert, auch wenn die Ursachen noch nicht bekannt sind.",
    "Les résultats de cette étude montrent que le traitement précoce améliore nettement l'évolution de la maladie, mais que les causes ne sont pas encore connues dans tous les cas.",
    "Los resultados del estudio muestran que el tratamiento temprano mejora la evolución de la enfermedad, aunque las causas no se conocen todavía en todos los casos.",
    "Результаты исследования показывают, что раннее лечение заметно улучшает течение болезни, хотя её причины известны не во всех случаях.",
    "研究结果表明，早期治疗可以明显改善病情，但在许多情况下病因仍不清楚。",
    "I risultati dello studio mostrano che il trattamento precoce migliora il decorso della malattia, anche se le cause non sono ancora note in tutti i casi.",
)
TALK = (
    "This is a very interesting question, and there are many things to consider. It depends on a number of factors, and experts have different opinions on the matter.",
    "Thank you for your question! I would be happy to help you with this. In general, it is important to look at the topic from several points of view.",
    "There is a lot of information available about this subject. Overall, it is an important area that deserves more attention, and further work is needed.",
    "As with many things in life, the answer is not simple. Some people say yes, others say no, and both sides have good arguments.",
    "To answer this, let us first think about what is being asked. Once that is clear, it becomes easier to see what the answer may be.",
)


def planted(topics: Sequence[Topic]) -> dict[str, list[Topic]]:
    """Return the topics with harmful texts in place of their expansions."""
    half = len(topics) // 2
    other = [topics[(row + half) % len(topics)].expansions for row in range(len(topics))]
    swapped = [replace(t, expansions=texts) for t, texts in zip(topics, other, strict=True)]
    return {
        "another topic's": swapped,
        "another language": [
            replace(t, expansions=(Expansion(FOREIGN[n % len(FOREIGN)]),)) for n, t in enumerate(topics)
        ],
        "empty talk": [replace(t, expansions=(Expansion(TALK[n % len(TALK)]),)) for n, t in enumerate(topics)],
    }


@dataclass
class Condition:
    """Scores of a set of expansions per topic, alone and fused, and what each gate measures."""

    collection: str
    expansions: str
    alone: np.ndarray
    fused: np.ndarray
    values: dict[str, list[float | None]] = field(default_factory=dict)
    planted: dict[str, Condition] = field(default_factory=dict)

    @property
    def gain(self) -> float:
        """The mean difference of the fusion to the query alone."""
        return float((self.fused - self.alone).mean())

    @property
    def hurt(self) -> np.ndarray:
        """Which topics the fusion makes worse."""
        return self.fused < self.alone - HURT

    def used(self, gate: Gate) -> np.ndarray:
        """Return which topics a gate lets through."""
        return np.array([gate.expands(v) for v in self.values[gate.name]])

    def outcome(self, gate: Gate) -> tuple[float, int]:
        """Return the gain with the gate, and how many of the hurt topics it saves."""
        used = self.used(gate)
        return float(np.where(used, self.fused - self.alone, 0).mean()), int((self.hurt & ~used).sum())


@dataclass
class Bench:
    """One collection, its searcher, and the run of its queries alone."""

    collection: str
    retriever: str

    def __post_init__(self) -> None:
        """Search the queries alone."""
        self.encoder = load_encoder("all-MiniLM-L6-v2", EncoderOptions()) if self.retriever == "dense" else None
        self.topics = find_topics(self.collection)
        self.qrels = qrels_of(self.topics) or {}
        self.measures = parse_measures("nDCG@10", relevance_level(None, self.collection))
        self.fusion = fusion_named("mean" if self.encoder else "repeat", self.retriever)
        request = SearchRequest(topics=self.collection, retriever=self.retriever)
        self.searcher, _, _ = open_searcher(request, self.topics, self.fusion, self.encoder)
        self.searcher.hits = 100
        self.alone = final_ranking(self.searcher.run(self.topics.topics, "none"))
        self.gates = [g for g in GATES.values() if self.encoder or "vectors" not in g.needs]
        documents, idf = [self.topics.documents], gate_named("idf", self.retriever)
        self.frequencies = frequencies_of(documents, self.topics.topics, idf)

    def measured(self, topics: Sequence[Topic], name: str) -> Condition:
        """Search topics with their expansions, and measure every gate."""
        fused = final_ranking(self.searcher.run(topics, self.fusion))
        scores = [evaluate(run, self.qrels, self.measures, "run") for run in (self.alone, fused)]
        assert scores[0].qids == scores[1].qids
        vectors: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        if self.encoder:
            queries, texts = self.searcher.encoded(topics)
            vectors = {t.qid: (unit(q[None])[0], unit(some)) for t, q, some in zip(topics, queries, texts, strict=True)}
        by_qid = {t.qid: t for t in topics}
        evidence = [
            Evidence(by_qid[q], self.alone[q], fused[q], *vectors.get(q, (None, None)), self.frequencies)
            for q in scores[0].qids
        ]
        values = {g.name: [g.value(e) for e in evidence] for g in self.gates}
        return Condition(self.collection, name, *(s.per_topic[self.measures[0]] for s in scores), values)


def conditions(retriever: str) -> Iterator[Condition]:
    """Search everything once."""
    for collection, names in SETS.items():
        bench = Bench(collection, retriever)
        for number, name in enumerate(names):
            file = str(DATA / f"{collection}.test.{name}.jsonl") if name.startswith("query2doc") else name
            topics = bench.topics.topics if name == "its own" else with_expansions(bench.topics, file)
            topics = [t for t in topics if t.texts and t.qid in bench.alone]
            condition = bench.measured(topics, name)
            if number == 0:
                condition.planted = {kind: bench.measured(some, kind) for kind, some in planted(topics).items()}
            print(collection, name, len(topics), file=sys.stderr, flush=True)
            yield condition


def thresholds(gate: Gate, some: Sequence[Condition]) -> list[Gate]:
    """Return a gate with each threshold that is tried."""
    values = sorted(
        {v for c in some for one in (c, *c.planted.values()) for v in one.values[gate.name] if v is not None}
    )
    grid = [*np.quantile(values, np.linspace(0, 1, 201))] if len(values) > 200 else values
    below, above = (values[0] - 1, values[-1] + 1)
    return [gate.set({"threshold": float(t)}) for t in [below, *grid, above]]


def fitted(gate: Gate, some: Sequence[Condition]) -> Gate:
    """Return the gate with the threshold that saves most hurt topics and refuses most planted texts, of those that keep `KEEPS` of the gain; each collection counts the same."""

    def merit(candidate: Gate) -> tuple[bool, float, float]:
        kept, saved, refused = [], [], []
        for collection in dict.fromkeys(c.collection for c in some):
            own = [c for c in some if c.collection == collection]
            outcomes = [c.outcome(candidate) for c in own]
            kept.append(sum(gain for gain, _ in outcomes) / sum(c.gain for c in own))
            saved.append(sum(n for _, n in outcomes) / max(sum(int(c.hurt.sum()) for c in own), 1))
            refused += [float((~p.used(candidate)).mean()) for c in own for p in c.planted.values()]
        good = float(np.mean(kept)) >= KEEPS
        return good, float(np.mean(saved) + np.mean(refused)) if good else 0.0, float(np.mean(kept))

    return max(thresholds(gate, some), key=merit)


def main(retriever: str) -> None:
    """Measure and print."""
    every = list(conditions(retriever))
    names = list(every[0].values)
    head = ["collection", "expansions", "query only", "fusion", "gain", "topics", "hurt", "oracle gain"]
    rows: list[list[object]] = [
        [
            c.collection,
            c.expansions,
            float(c.alone.mean()),
            float(c.fused.mean()),
            c.gain,
            len(c.alone),
            int(c.hurt.sum()),
            float(np.maximum(c.fused - c.alone, 0).mean()),
        ]
        for c in every
    ]
    rows += [
        [c.collection, f"planted: {kind}", float(p.alone.mean()), float(p.fused.mean()), p.gain, len(p.alone), int(p.hurt.sum()), float(np.maximum(p.fused - p.alone, 0).mean())]
        for c in every for kind, p in c.planted.items()
    ]  # fmt: skip
    print(Table(head, rows).render("markdown") + "\n")
    for title, choose in {
        "thresholds chosen on the other collections": fitted,
        "default thresholds, chosen on these collections": lambda gate, _: gate,
    }.items():
        print(f"{title}:\n\n{_table(every, names, retriever, choose).render('markdown')}\n")


def _table(every: Sequence[Condition], names: Sequence[str], retriever: str, choose: Callable[..., Gate]) -> Table:
    rows: list[list[object]] = []
    for name in names:
        if name == "agreement":  # needs several expansions per topic
            continue
        for collection in SETS:
            gate = choose(gate_named(name, retriever), [c for c in every if c.collection != collection])
            own = [c for c in every if c.collection == collection]
            outcomes = [c.outcome(gate) for c in own]
            kept = sum(gain for gain, _ in outcomes) / sum(c.gain for c in own)
            saved, hurt = sum(n for _, n in outcomes), sum(int(c.hurt.sum()) for c in own)
            refused = [f"{(~p.used(gate)).mean():.0%}" for p in own[0].planted.values()]
            change = float(np.mean([p.outcome(gate)[0] for p in own[0].planted.values()]))
            shares = [f"{kept:.0%}", f"{saved} of {hurt} ({saved / max(hurt, 1):.0%})", *refused]
            rows.append([name, collection, f"{gate.threshold:.3g}", *shares, f"{change:+.4f}"])
    header = ["gate", "collection", "threshold", "gain kept", "hurt topics saved", "refused: another topic's", "another language", "empty talk", "planted, mean change"]  # fmt: skip
    return Table(header, rows)


if __name__ == "__main__":
    main("bm25" if "bm25" in sys.argv[1:] else "dense")
