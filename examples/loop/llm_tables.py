"""Make the tables of docs/results/loop.md from runs/loop/llm/.

    python examples/loop/llm_tables.py            # print them
    python examples/loop/llm_tables.py --write    # put them into the page

Scores are means over seeds with 95 % intervals by Student's t. A difference is taken topic by topic, of the means over seeds; its interval and p
are those of the paired t-test over topics, p corrected by Holm over all rows of the table.
"""

from __future__ import annotations

import argparse
import re
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pages
from kept import rows

from expandr_repro.console.tables import Table

ROOT = Path(__file__).resolve().parents[2]
RUNS, PAGE = ROOT / "runs" / "loop" / "llm", ROOT / "docs" / "results" / "loop.md"
GRPO, EQUAL = "grpo.i+length_weight=1", "grpo.i+length_weight=1+gradient_accumulation=4+max_steps=54+eval_steps=18"
NAMES = {
    "none": "query alone",
    "untrained": "untrained",
    "dpo.i": "DPO, ExpandR's reward and loss",
    "dpo.i+loss=sigmoid_norm+beta=5+sft_weight=1": "DPO, loss per token, with an SFT term",
    "dpo.i.corpus-rank": "DPO, reward corpus-rank",
    "dpo.i.delta-ndcg": "DPO, reward delta-ndcg",
    "dpo.ii+max_steps=75": "DPO on NFCorpus's topics",
    "sft": "SFT on Claude's passages",
    GRPO: "GRPO, 60 steps of 64 texts",
    EQUAL: "GRPO, 54 steps of 128 texts",
}
COLLECTIONS = {"scifact": "SciFact", "nfcorpus": "NFCorpus", "cacm": "CACM"}
RETRIEVERS = {"minilm": "MiniLM", "mpnet": "all-mpnet-base-v2", "bm25": "BM25"}
TRAINED = ("minilm", "mpnet")

TEXTS = {"none": "query alone", "untrained": "untrained 1.5B", "dpo.i": "1.5B after DPO", "qwen2.5-7b": "Qwen2.5-7B", "nano": "gpt-4.1-nano",
         "gpt-4.1": "gpt-4.1", "claude": "Claude"}  # fmt: skip
KINDS = {"": "untrained", "a": "(a) trained on queries alone", "b": "(b) trained on fused queries"}
"""Of a retriever's training."""
CLAIMS = [
    ("query alone: (a) minus untrained", ("none", ""), ("none", "a")),
    ("untrained LLM: (b) minus untrained retriever", ("untrained", ""), ("untrained", "b")),
    ("untrained LLM: (b) minus (a)", ("untrained", "a"), ("untrained", "b")),
    ("LLM after DPO: (b) minus (a)", ("dpo.i", "a"), ("dpo.i", "b")),
    ("both trained minus the retriever alone trained", ("untrained", "b"), ("dpo.i", "b")),
    ("both trained minus the LLM alone trained", ("dpo.i", ""), ("dpo.i", "b")),
    ("both trained minus neither", ("untrained", ""), ("dpo.i", "b")),
    ("both trained, the retriever as (a), minus neither", ("untrained", ""), ("dpo.i", "a")),
]
"""What is compared: label, the lesser, the greater; each a condition and a kind of training."""

Run = dict[str, dict[str, float]]
"""Metric -> qid -> score."""

Scores = dict[str, dict[int, Run]]
"""Condition -> seed -> metric -> qid -> score."""


def interval(values: Sequence[float]) -> str:
    """Return the mean, half the width of the 95 % interval and the number of values."""
    if len(values) < 2:
        return f"{values[0]:.4f}" if values else "not run"
    return f"{statistics.fmean(values):.4f} ± {pages.half_width(values):.4f} ({len(values)})"


def scores(steps: dict[str, Any], collection: str, retriever: str) -> Scores:
    """Return what was searched in a collection with a retriever."""
    found: Scores = {}
    for name, row in steps.items():
        match = re.fullmatch(rf"search\.(.*?)(?:\.seed(\d+))?\.{collection}\.{retriever}", name)
        if match and "scores" in row:
            found.setdefault(match[1], {})[int(match[2] or 0)] = row["scores"]
    return found


def mean(run: Run, metric: str) -> float:
    """Return a metric's mean over topics."""
    return statistics.fmean(run[metric].values())


def by_collection(steps: dict[str, Any], collection: str) -> str:
    """Return a collection's table: conditions by retrievers, with the words of the texts."""
    each = {r: scores(steps, collection, r) for r in RETRIEVERS}
    lines: list[list[object]] = []
    for condition, label in NAMES.items():
        if condition not in each["minilm"]:
            continue
        texts = [
            row["texts"]
            for name, row in steps.items()
            if re.fullmatch(rf"texts\.{re.escape(condition)}\.seed\d+\.{collection}", name)
        ]
        cells = [interval([mean(run, "nDCG@10") for run in each[r].get(condition, {}).values()]) for r in RETRIEVERS]
        recall = interval([mean(run, "R@100") for run in each["minilm"].get(condition, {}).values()])
        near = [
            row["similarity"]
            for name, row in steps.items()
            if re.fullmatch(rf"gold\.{re.escape(condition)}\.seed\d+\.{collection}", name)
        ]
        words = f"{statistics.fmean(t['words'] for t in texts):.0f}" if texts else "-"
        lines.append([label, *cells, recall, interval(near) if near else "-", words])
    header = [
        COLLECTIONS[collection],
        *(f"{name}, nDCG@10" for name in RETRIEVERS.values()),
        "MiniLM, R@100",
        "cosine to the gold passage",
        "words per text",
    ]
    return Table(header, lines).render("markdown")


def by_topic(header: list[str], pairs: Sequence[tuple[list[str], Sequence[Run], Sequence[Run]]]) -> str:
    """Return a table of differences topic by topic, of means over seeds: what each is called, the lesser's runs, the greater's."""
    import numpy as np

    from expandr_repro.evaluate.significance import holm, paired_p, wins_ties_losses

    lines, p_values = [], []
    for names, *sides in pairs:
        lesser, greater = (
            np.mean([[run["nDCG@10"][q] for q in sorted(run["nDCG@10"])] for run in runs], axis=0) for runs in sides
        )
        change = greater - lesser
        half = pages.half_width(change.tolist())
        wins, _, losses = wins_ties_losses(lesser, greater)
        p_values.append(paired_p(lesser, greater))
        lines.append([*names, f"{change.mean():+.4f}", f"{change.mean() - half:+.4f} to {change.mean() + half:+.4f}", wins, losses])  # fmt: skip
    for line, p in zip(lines, holm(p_values), strict=True):
        line.insert(-2, f"{p:.2g}")
    columns = [*header, "nDCG@10", "95 % interval over topics", "p (Holm)", "topics better", "worse"]
    return Table(columns, lines).render("markdown")


def differences(steps: dict[str, Any], lesser: str, conditions: Sequence[str], header: str) -> str:
    """Return the table of conditions less another one, topic by topic."""
    pairs = []
    for collection, title in COLLECTIONS.items():
        for retriever, label in RETRIEVERS.items():
            found = scores(steps, collection, retriever)
            for condition in conditions:
                if condition not in found or lesser not in found:
                    continue
                runs = [list(found[name].values()) for name in (lesser, condition)]
                pairs.append(([title, label, NAMES[condition]], *runs))
    return by_topic(["collection", "retriever", header], pairs)


def trained(steps: dict[str, Any], collection: str, retriever: str, condition: str, kind: str) -> list[Run]:
    """Return the runs of a condition, one per seed: with the retriever as it is (no kind), or trained on queries alone (a) or fused (b)."""
    if not kind:
        return list(scores(steps, collection, retriever).get(condition, {}).values())
    pattern = rf"search\.{re.escape(condition)}(?:\.seed\d+)?\.{collection}\.{retriever}-{kind}\.seed\d+"
    return [row["scores"] for name, row in steps.items() if re.fullmatch(pattern, name)]


def together(steps: dict[str, Any], collection: str, retriever: str) -> str:
    """Return whose texts by which training of a retriever: nDCG@10."""
    lines = []
    for condition, label in TEXTS.items():
        runs = [trained(steps, collection, retriever, condition, kind) for kind in KINDS]
        if runs[1]:
            lines.append([label, *(interval([mean(run, "nDCG@10") for run in each]) for each in runs)])
    return Table([f"{COLLECTIONS[collection]}, {RETRIEVERS[retriever]}", *KINDS.values()], lines).render("markdown")


def together_differences(steps: dict[str, Any]) -> str:
    """Return what the claim of joint training is about."""
    pairs = [
        (
            [title, RETRIEVERS[retriever], label],
            *(trained(steps, collection, retriever, *side) for side in (lesser, greater)),
        )
        for collection, title in COLLECTIONS.items()
        for retriever in TRAINED
        for label, lesser, greater in CLAIMS
    ]
    return by_topic(["collection", "retriever", "difference"], pairs)


def tables() -> dict[str, str]:
    """Return marker -> table."""
    steps = rows(RUNS)
    return {
        **{f"llm.{c}": by_collection(steps, c) for c in COLLECTIONS},
        "llm.alone": differences(steps, "none", ["untrained"], "minus the query alone"),
        "llm.differences": differences(steps, "untrained", list(NAMES)[2:], "minus the untrained model"),
        "llm.grpo": differences(steps, "dpo.i", [GRPO, EQUAL], "minus DPO with ExpandR's reward and loss"),
        **{f"llm.together.{r}.{c}": together(steps, c, r) for r in TRAINED for c in COLLECTIONS},
        "llm.together.differences": together_differences(steps),
    }


def filled(page: str) -> str:
    """Return the page with its tables."""
    return pages.filled(page, tables())


def main() -> int:
    """Print the tables, or write them."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--write", action="store_true")
    if made.parse_args().write:
        PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    else:
        print("\n\n".join(tables().values()))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
