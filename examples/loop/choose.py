"""Choose the settings that are trained for the table from the sweep's development scores; test topics are not used.

The rule, set before any of them was searched: the mean of all development searches, over all seeds; for (a) the best recipe and blend,
for (b) the best recipe, blend and views. Next to them (b) with the second-best views, and (a) with (b)'s recipe and blend if that is another.

    python examples/loop/choose.py sweep.*.jsonl --output retriever.chosen.json
"""

from __future__ import annotations

import argparse
import collections
import json
import statistics
from pathlib import Path
from typing import Any

from sweep import KINDS, RECIPES

Key = tuple[str, float, str]


def means(files: list[Path], least: int) -> dict[Key, float]:
    """Return (recipe, blend, kind) -> the mean of all development scores, for settings with so many seeds."""
    seeds: dict[Key, dict[int, float]] = collections.defaultdict(dict)
    for path in files:
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            if row["kind"] != "untrained":
                seeds[row["recipe"], row["blend"], row["kind"]][row["seed"]] = statistics.fmean(row["figures"].values())
    return {key: statistics.fmean(found.values()) for key, found in seeds.items() if len(found) >= least}


def settings(recipe: str, blend: float, kind: str) -> list[Any]:
    """Return what `retriever.py --chosen` reads: the kind and its settings."""
    values: dict[str, Any] = {"temperature": 0.05, **RECIPES[recipe], "blend": blend}
    if kind == "a":
        return ["a", values]
    views = ", ".join(f"{view}: {weight:g}" for view, weight in KINDS[kind]["views"].items())
    return ["b", {**values, "views": f"{{{views}}}"}]


def main() -> int:
    """Choose."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("files", type=Path, nargs="+")
    made.add_argument("--output", type=Path, required=True)
    made.add_argument("--least-seeds", type=int, default=3)
    args = made.parse_args()
    # what draws alpha is no setting of train_encoder: it was tried, and was no better
    found = {k: v for k, v in means(args.files, args.least_seeds).items() if "random" not in k[2]}
    ranked = sorted(found, key=lambda key: (-found[key], key))
    for key in ranked:
        print(f"{found[key]:.4f} {key}")
    best_a = next(key for key in ranked if key[2] == "a")
    best_b = next(key for key in ranked if key[2] != "a")
    second_b = next(key for key in ranked if key[2] not in ("a", best_b[2]))
    chosen = {"a": settings(*best_a), "b": settings(*best_b), "b-second": settings(*second_b)}
    if best_a[:2] != best_b[:2]:
        chosen["a-as-b"] = settings(*best_b[:2], "a")
    args.output.write_text(json.dumps(chosen, indent=1) + "\n", encoding="utf-8")
    print(args.output.read_text(encoding="utf-8"))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
