"""Make the tables of docs/results/loop-leaking.md from the results in runs/loop/.

    python examples/loop/tables.py            # print them
    python examples/loop/tables.py --write    # put them into the page

Means over seeds with 95 % intervals by Student's t (three seeds: 4.30 standard errors, seven: 2.45). Differences are taken seed by seed.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Sequence
from pathlib import Path

import pages

from expandr_repro.console.tables import Table

ROOT = Path(__file__).resolve().parents[2]
RUNS, PAGE = ROOT / "runs" / "loop", ROOT / "docs" / "results" / "loop-leaking.md"
CHOSEN = "b-blend"
NAMES = {
    "base": "untrained", "a-blend": "(a) queries alone, blended", "b-blend": "(b) fused and query, blended", "b-blend-three-views": "(b) fused, query and passage, blended",
    "a": "(a) queries alone", "b-three-views": "(b) fused, query and passage", "b": "(b) fused and query", "b-fused-only": "(b) fused alone",
    "a-gentle": "(a) gentle", "b-gentle": "(b) gentle",
}  # fmt: skip
BLENDED = {"a": "(a) queries alone", "b-fq": "(b) fused and query", "b-fqe": "(b) fused, query and passage"}
CONDITIONS = {
    "scifact.none": "none", "scifact.gpt-4.1": "gpt-4.1", "scifact.gpt-4.1-nano": "gpt-4.1-nano", "scifact.Qwen2.5-7B-Instruct": "Qwen2.5-7B",
    "scifact.claude": "Claude", "nfcorpus.none": "NFCorpus, none", "nfcorpus.claude": "NFCorpus, Claude",
}  # fmt: skip


def records(name: str) -> list[dict[str, object]]:
    """Read a JSONL file of runs/loop."""
    return [json.loads(line) for line in (RUNS / name).read_text(encoding="utf-8").splitlines()]


def interval(values: Sequence[float]) -> str:
    """Return mean and half the width of the 95 % interval."""
    if len(values) == 1:
        return f"{values[0]:.4f}"
    return f"{statistics.fmean(values):.4f} ± {pages.half_width(values):.4f}"


def figures(key: str = "nDCG@10") -> dict[str, dict[str, dict[str, float]]]:
    """Return model -> condition -> seed -> score."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for r in records("retriever.jsonl"):
        model, _, seed = str(r["model"]).partition(".")
        found.setdefault(model, {}).setdefault(str(r["condition"]), {})[seed] = float(str(r[key]))
    return found


def retriever() -> str:
    """Return the table of the retrievers."""
    found = figures()
    rows = [[label, *(interval(list(found[name][c].values())) for c in CONDITIONS)] for name, label in NAMES.items()]
    return Table(["searched with", *CONDITIONS.values()], rows).render("markdown")


def seen() -> str:
    """Return the scores on test topics that training saw, and on the others (examples/loop/seen.py)."""
    rows: list[list[object]] = []
    found = {(r["condition"], r["model"]): r for r in records("retriever.seen.jsonl")}
    for condition, label in CONDITIONS.items():
        for model in ("base", "a-blend", "b-blend") if (condition, "base") in found else ():
            parts = [found[condition, model][part] for part in ("all", "seen", "unseen")]
            rows.append([f"{label}: {NAMES[model]}", *(part["nDCG@10"] for part in parts if isinstance(part, dict))])
    return Table(["SciFact, nDCG@10", "all 300", "seen 196", "unseen 104"], rows).render("markdown")


def differences() -> str:
    """Return the table of (b) minus (a)."""
    found = figures()
    rows = []
    for b, a in (
        (CHOSEN, "a-blend"),
        ("b-blend-three-views", "a-blend"),
        ("b-three-views", "a"),
        ("b", "a"),
        ("b-fused-only", "a"),
        ("b-gentle", "a-gentle"),
    ):
        cells = []
        for condition in CONDITIONS:
            pairs = [found[b][condition][seed] - found[a][condition][seed] for seed in found[b][condition]]
            cells.append(interval(pairs) if statistics.fmean(pairs) < 0 else f"+{interval(pairs)}")
        rows.append([f"{NAMES[b]} minus {NAMES[a]}", *cells])
    return Table(["", *CONDITIONS.values()], rows).render("markdown")


def development() -> str:
    """Return the development scores that the choice rests on."""
    found: dict[str, list[dict[str, float]]] = {}
    for r in records("retriever.development.jsonl"):
        best = r["best"]
        assert isinstance(best, dict)
        found.setdefault(str(r["model"]).partition(".")[0], []).append(best)
    keys = ("none", "mean.claude", "mean.short")
    rows: list[list[object]] = []
    for name, label in NAMES.items():
        if name in found:
            means = [statistics.fmean(b[k] for b in found[name]) for k in keys]
            rows.append([label, *means, statistics.fmean(means)])
    return Table(["", "query alone", "Claude", "Claude, first 30 words", "mean"], rows).render("markdown")


def sweep() -> str:
    """Return the best settings of the sweep, by the mean over the development searches."""
    rows: list[list[object]] = []
    for r in sorted(records("retriever.sweep.jsonl"), key=lambda r: -float(str(r["mean"])))[:12]:
        settings, dev = r["settings"], r["development"]
        assert isinstance(settings, dict)
        assert isinstance(dev, dict)
        said = ", ".join(f"{k} {v}" for k, v in settings.items() if k != "views")
        rows.append([f"({r['kind']}) {said}" + (f", views {settings['views']}" if "views" in settings else ""), *dev.values(), r["mean"]])  # fmt: skip
    return Table(["", "query alone", "Claude", "Claude, first 30 words", "mean"], rows).render("markdown")


def blends() -> str:
    """Return what the choice of recipe, blend and views rests on: means over the seeds of the searches that it looks at."""
    found: dict[tuple[str, float, str], list[dict[str, float]]] = {}
    for r in records("retriever.sweep-blend.jsonl"):
        values = r["figures"]
        assert isinstance(values, dict)
        found.setdefault((str(r.get("recipe", "")), float(str(r["blend"])), str(r["kind"])), []).append(values)
    rows: list[list[object]] = []
    for (recipe, blend, kind), runs in found.items():
        means = {k: statistics.fmean(run[k] for run in runs) for k in runs[0]}
        if kind == "untrained" or (len(runs) > 3 and kind in ("a", "b-fq", "b-fqe")):
            inside = statistics.fmean(v for k, v in means.items() if k.startswith("scifact"))
            others = statistics.fmean(v for k, v in means.items() if not k.startswith("scifact"))
            label = kind if kind == "untrained" else f"{BLENDED[kind]}, {recipe}, blend {blend:g}"
            rows.append([label, len(runs), inside, others, statistics.fmean(means.values())])
    rows.sort(key=lambda row: -float(str(row[-1])))
    return Table(["", "seeds", "SciFact, held out (3 searches)", "others (5 searches)", "mean of the 8"], rows).render(
        "markdown"
    )


def topics() -> str:
    """Return (b) minus (a) topic by topic, each topic's score the mean over the seeds."""
    rows = [
        [CONDITIONS[str(r["condition"])], r["topics"], f"{float(str(r['difference'])):+.4f}", f"{float(str(r['p_student'])):.4f}", r["better"], r["equal"], r["worse"]]
        for r in records("retriever.topics.jsonl")
    ]  # fmt: skip
    return Table(["(b) minus (a)", "topics", "Δ", "p (Student)", "better", "equal", "worse"], rows).render("markdown")


def generator() -> str:
    """Return the table of the generator, before and after DPO."""
    seeds = records("generator.jsonl")

    def row(label: str, *path: str) -> list[object]:
        values = []
        for side in ("before", "after"):
            found = []
            for seed in seeds:
                at: object = seed
                for key in path:
                    assert isinstance(at, dict)
                    at = at[key.format(side)]
                found.append(float(str(at)))
            values.append(found)
        change = [after - before for before, after in zip(*values, strict=True)]
        sign = "+" if statistics.fmean(change) >= 0 else ""
        return [label, interval(values[0]), interval(values[1]), f"{sign}{interval(change)}"]

    rows = [
        row("similarity to the gold passage", "held out", "{}", "similarity to gold"),
        row("retriever reward, among the 8 passages of both", "held out", "{}", "retriever reward"),
        row("nDCG@10, query and one passage", "search, {}, one passage", "nDCG@10"),
        row("nDCG@10, query and four passages, alpha 0.5", "search, {}, all passages, alpha 0.5", "nDCG@10"),
        row("R@100, query and one passage", "search, {}, one passage", "R@100"),
        row("R@100, query and four passages, alpha 0.5", "search, {}, all passages, alpha 0.5", "R@100"),
    ]
    return Table(["held out: SciFact test", "before DPO", "after DPO", "difference"], rows).render("markdown")


def preference() -> str:
    """Return DPO's scores on the development pairs."""
    rows: list[list[object]] = []
    for seed in (1, 2, 3):
        dev = [r for r in records(f"generator.dpo.seed{seed}.metrics.jsonl") if "eval_loss" in r]
        best = min(dev, key=lambda r: float(str(r["eval_loss"])))
        rows.append([f"seed {seed}, step {best['step']}", *(float(str(r)) for r in (dev[0]["eval_loss"], best["eval_loss"], best["eval_rewards/accuracies"], best["eval_rewards/margins"]))])  # fmt: skip
    return Table(["", "loss before", "loss", "accuracy", "margin"], rows).render("markdown")


TABLES = {
    "seen": seen, "retriever": retriever, "differences": differences, "development": development, "sweep": sweep, "blends": blends, "topics": topics, "generator": generator, "preference": preference,
}  # fmt: skip


def filled(page: str) -> str:
    """Return the page with its tables."""
    return pages.filled(page, {name: table() for name, table in TABLES.items()})


def main() -> int:
    """Print or write."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--write", action="store_true")
    if made.parse_args().write:
        PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    else:
        for name, table in TABLES.items():
            print(f"{name}\n\n{table()}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
