"""Measure the gates of `search --gate`, and gates learned from them, and print the tables of docs/gates.md; $EXPANDR_DATA has the collections.

    python scripts/gates_table.py                       # all-MiniLM-L6-v2
    python scripts/gates_table.py bm25
    python scripts/gates_table.py FOLDER cacm nfcorpus  # another encoder, some collections

Every gate is fitted on the other collections alone: of a gate of one value the threshold, which is, of those that keep `KEEPS` of the mean gain there, the one with the largest
sum of the share of hurt topics that it saves and the share of planted texts that it refuses; of a learned gate all that `gate fit` chooses.
Planted texts take the place of the expansions: those of another topic, a passage in another language, or empty talk. The texts that learned gates are fitted on are others.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from expandr_repro.console.tables import Table
from expandr_repro.data.topics import Expansion, Topic
from expandr_repro.encoders.loading import load_encoder
from expandr_repro.encoders.options import EncoderOptions
from expandr_repro.evaluate.significance import MARGIN
from expandr_repro.gate.examples import Examples, measure
from expandr_repro.gate.fit import fit
from expandr_repro.gate.options import FitRequest
from expandr_repro.gate.planted import planted
from expandr_repro.search.gate import GATES
from expandr_repro.search.gate.registry import registered

DATA = Path(os.environ["EXPANDR_DATA"], "expansions")
OWN = ["claude.q2d", "qwen2.5-coder-1.5b.q2d"]
SETS = {
    "cacm": OWN,
    "nfcorpus": OWN,
    "scifact": [*OWN, *(str(DATA / f"scifact.test.query2doc-zs.{m}.jsonl") for m in ("gpt-4.1", "gpt-4.1-nano", "Qwen2.5-7B-Instruct"))],
    "pocket": [""],
}  # fmt: skip
KEEPS = 0.95
DRAWS = 1000
TEST = "test: "
"""Before the kind of texts that gates are tested on, and not fitted on."""

LEARNED = {
    "learned: logistic": ("logistic", None, True),
    "learned: trees": ("trees", None, True),
    "learned: logistic, not planted": ("logistic", None, False),
    "learned: logistic of four": ("logistic", ("contrast", "similarity", "lost-terms", "language"), True),
}
"""Name -> model, features (None for all), whether it is fitted on planted texts too."""

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


def tested(topics: Sequence[Topic]) -> dict[str, list[Topic]]:
    """Return the topics with harmful texts in place of their expansions: those that gates are fitted on, and those that they are tested on."""
    half = len(topics) // 2
    other = [topics[(row + half) % len(topics)].expansions for row in range(len(topics))]
    kinds = {
        "another topic's": [replace(t, expansions=texts) for t, texts in zip(topics, other, strict=True)],
        "another language": [replace(t, expansions=(Expansion(FOREIGN[n % len(FOREIGN)]),)) for n, t in enumerate(topics)],
        "empty talk": [replace(t, expansions=(Expansion(TALK[n % len(TALK)]),)) for n, t in enumerate(topics)],
    }  # fmt: skip
    return {**planted(topics), **{TEST + kind: some for kind, some in kinds.items()}}


def measured(retriever: str, collections: Sequence[str]) -> Iterator[tuple[str, list[Examples]]]:
    """Search everything once, and measure every gate: the name of each set of expansions, and its examples."""
    dense = retriever != "bm25"
    encoder = load_encoder(retriever, EncoderOptions(name=retriever), cache=True) if dense else None
    request = FitRequest(train=(), retriever="dense" if dense else "bm25")
    for collection in collections:
        for number, name in enumerate(SETS[collection]):
            item = f"{collection}/test" + (f"={name}" if name else "")
            found = measure(item, request, encoder, tested if number == 0 else None)
            print(collection, Path(name).name, file=sys.stderr, flush=True)
            yield Path(name).name.removeprefix("scifact.test.").removesuffix(".jsonl") or "its own", found.examples


Sets = Sequence[tuple[str, list[Examples]]]
Chooses = Callable[[Examples], "np.ndarray"]
"""From examples to which of their topics are searched with their expansions."""


def real(some: Sets) -> list[Examples]:
    """Return the examples with expansions as they were written."""
    return [e for _, examples in some for e in examples if not e.kind]


def by_value(name: str, column: int) -> Callable[[float], Chooses]:
    """Return what a gate of one value chooses at a threshold."""
    gate = registered(name)

    def at(threshold: float) -> Chooses:
        def choose(e: Examples) -> np.ndarray:
            values = e.values[:, column]
            return np.isnan(values) | (values >= threshold if gate.side == "at least" else values <= threshold)

        return choose

    return at


def fitted(at: Callable[[float], Chooses], column: int, some: Sets) -> float:
    """Return the threshold that saves most hurt topics and refuses most planted texts, of those that keep `KEEPS` of the gain; each collection counts the same."""
    every = [e for _, examples in some for e in examples if not e.kind.startswith(TEST)]
    values = np.concatenate([e.values[:, column] for e in every])
    values = np.unique(values[~np.isnan(values)])
    grid = np.quantile(values, np.linspace(0, 1, 201)) if len(values) > 200 else values

    def merit(threshold: float) -> tuple[bool, float, float]:
        kept, saved, refused = [], [], []
        for collection in dict.fromkeys(e.collection for e in every):
            own = [(e, at(threshold)(e)) for e in every if e.collection == collection]
            true = [(e.gains, used) for e, used in own if not e.kind]
            kept.append(sum(g[used].sum() for g, used in true) / sum(g.sum() for g, _ in true))
            hurt = sum(int((g < -MARGIN).sum()) for g, _ in true)
            saved.append(sum(int(((g < -MARGIN) & ~used).sum()) for g, used in true) / max(hurt, 1))
            refused += [float((~used).mean()) for e, used in own if e.kind]
        good = float(np.mean(kept)) >= KEEPS
        return good, float(np.mean(saved) + np.mean(refused)) if good else 0.0, float(np.mean(kept))

    return max([float(values[0]) - 1, *map(float, grid), float(values[-1]) + 1], key=merit)


def gates(names: Sequence[str], train: Sets) -> Iterator[tuple[str, str, Chooses]]:
    """Yield every gate fitted on some sets: its name, its threshold, and what it chooses."""
    for column, name in enumerate(names):
        if not np.isnan(np.concatenate([e.values[:, column] for e in real(train)])).all() and name != "agreement":
            at = by_value(name, column)
            threshold = fitted(at, column, train)
            yield name, f"{threshold:.3g}", at(threshold)
    for name, (model, features, with_planted) in LEARNED.items():
        columns = [names.index(f) for f in features or names if f in names]
        examples = [
            replace(e, values=e.values[:, columns])
            for _, some in train
            for e in some
            if not e.kind.startswith(TEST) and (with_planted or not e.kind)
        ]
        learned = fit(examples, [names[c] for c in columns], model, KEEPS, 0)
        yield (
            name,
            f"{learned.threshold:.3g}",
            lambda e, learned=learned, columns=columns: (
                learned.probabilities(e.values[:, columns]) >= learned.threshold
            ),
        )  # type: ignore[misc]


def interval(statistic: Callable[[np.ndarray], float], topics: int) -> str:
    """Return the 95 % interval of a statistic of drawn topics."""
    draw = np.random.default_rng(42)
    drawn = [statistic(np.bincount(draw.integers(0, topics, topics), minlength=topics)) for _ in range(DRAWS)]
    low, high = np.nanpercentile(drawn, [2.5, 97.5])
    return f"{low:.0%} to {high:.0%}"


def row(name: str, threshold: str, choose: Chooses, own: Sets) -> list[object]:
    """Return a gate's row for a collection."""
    sets = real(own)
    qids = list(dict.fromkeys(q for e in sets for q in e.qids))
    place = {q: n for n, q in enumerate(qids)}
    total = np.zeros((4, len(qids)))  # gain, gain with the gate, hurt, hurt with the gate: sums per topic over the sets
    for e in sets:
        used, rows = choose(e), [place[q] for q in e.qids]
        hurt = e.gains < -MARGIN
        np.add.at(total, (slice(None), rows), np.array([e.gains, e.gains * used, hurt, hurt & used]))
    count = sum(len(e.qids) for e in sets)
    oracle = sum(np.maximum(e.gains, 0).sum() for e in sets) / count
    gain, gated, hurt, still = total.sum(axis=1)
    tests = [(e, choose(e)) for _, some in own for e in some if e.kind.startswith(TEST)]
    changes = np.mean([e.gains * used for e, used in tests], axis=0)
    draw = np.random.default_rng(42)
    low, high = np.percentile(changes[draw.integers(0, len(changes), (DRAWS, len(changes)))].mean(axis=1), [2.5, 97.5])
    return [
        name, own[0][1][0].collection, threshold, gain / count, gated / count, oracle,
        f"{gated / gain:.0%} ({interval(lambda w: (total[1] @ w) / (total[0] @ w), len(qids))})",
        int(hurt), int(still), f"{1 - still / hurt:.0%} ({interval(lambda w: 1 - (total[3] @ w) / max(total[2] @ w, 1), len(qids))})",
        " ".join(f"{(~used).mean():.0%}" for _, used in tests), f"{changes.mean():+.4f} ({low:+.4f} to {high:+.4f})",
    ]  # fmt: skip


HEADER = ["gate", "collection", "threshold", "gain", "with the gate", "oracle", "gain kept (95 %)", "hurt", "with the gate", "saved (95 %)", "planted refused", "planted, mean change (95 %)"]  # fmt: skip


def report(every: Sets, names: Sequence[str]) -> list[Table]:
    """Return the tables: what expansions change, and every gate fitted on the other collections."""
    whole = [(name, e) for name, examples in every for e in examples if not e.kind or e.kind.startswith(TEST)]
    rows: list[list[object]] = [
        [e.collection, name if not e.kind else f"planted: {e.kind.removeprefix(TEST)}", float(e.alone.mean()), float(e.fused.mean()), float(e.gains.mean()),
         len(e.qids), int((e.gains < -MARGIN).sum()), float(np.maximum(e.gains, 0).mean())]
        for name, e in sorted(whole, key=lambda pair: bool(pair[1].kind))
    ]  # fmt: skip
    head = ["collection", "expansions", "query only", "fusion", "gain", "topics", "hurt", "oracle gain"]
    collections = list(dict.fromkeys(e.collection for e in real(every)))
    lines: dict[str, list[list[object]]] = {}
    for collection in collections:
        own = [(name, some) for name, some in every if some[0].collection == collection]
        train = [(name, some) for name, some in every if some[0].collection != collection]
        for name, threshold, choose in gates(names, train):
            lines.setdefault(name, []).append(row(name, threshold, choose, own))
    return [Table(head, rows), Table(HEADER, [line for some in lines.values() for line in some])]


def main(retriever: str, collections: Sequence[str]) -> None:
    """Measure and print."""
    names = [g.name for g in GATES.values() if retriever != "bm25" or "vectors" not in g.needs]
    for table in report(list(measured(retriever, collections)), names):
        print(table.render("markdown") + "\n")


if __name__ == "__main__":
    main(*(sys.argv[1:2] or ["all-MiniLM-L6-v2"]), sys.argv[2:] or list(SETS))
