"""Score the kept runs on the test topics that were seen in training and on the others, for docs/results/loop-leaking.md.

    python examples/loop/seen.py            # with $EXPANDR_DATA: writes runs/loop/retriever.seen.jsonl

A test topic was seen if one of its relevant documents was a relevant document of one of SciFact's training topics, all 809 of them: the 120
that were held out for development chose the settings and the stopping point.
"""

from __future__ import annotations

import json
import statistics
from pathlib import Path

from expandr_repro.data.collections import find_qrels, find_topics
from expandr_repro.data.overlap.seen_topics import Searched, seen_topics
from expandr_repro.data.overlap.trained_on import TrainedOn
from expandr_repro.evaluate.metrics import parse_measure
from expandr_repro.evaluate.scoring import evaluate_file
from expandr_repro.evaluate.seen import Split

RUNS = Path(__file__).resolve().parents[2] / "runs" / "loop"
KEPT = RUNS / "retriever.seen.jsonl"
MODELS = ("base", "a-blend", "b-blend")


def seen_in_training() -> frozenset[str]:
    """Return SciFact's test topics of which a relevant document was one in training."""
    train, qrels = find_qrels("scifact/train"), find_qrels("scifact")
    docids = frozenset(docid for judged in train.values() for docid, grade in judged.items() if grade > 0)
    titles = {t.qid: t.title for t in find_topics("scifact").topics}
    record = TrainedOn("scifact", None, {}, docids)
    return seen_topics([record], Searched(frozenset({"scifact"})), titles, qrels).document


def scores() -> list[dict[str, object]]:
    """Return for each condition and model the mean nDCG@10 over the kept seeds, of all, seen and unseen topics."""
    qrels, ndcg, split = find_qrels("scifact"), parse_measure("nDCG@10"), Split(seen_in_training())
    rows: list[dict[str, object]] = []
    for base in sorted((RUNS / "retriever").glob("scifact.*.base.trec.gz")):
        condition = base.name.removesuffix(".base.trec.gz")
        for model in MODELS:
            paths = sorted(base.parent.glob(f"{condition}.{model}*.trec.gz"))
            parts = [split.parts(evaluate_file(path, qrels, [ndcg])) for path in paths]
            row: dict[str, object] = {"condition": condition, "model": model, "seeds": len(paths)}
            for part in ("all", "seen", "unseen"):
                row[part] = {"topics": len(parts[0][part].qids), "nDCG@10": round(statistics.fmean(p[part].mean(ndcg) for p in parts), 6)}  # fmt: skip
            rows.append(row)
    return rows


if __name__ == "__main__":
    KEPT.write_text("".join(json.dumps(row) + "\n" for row in scores()), encoding="utf-8")
