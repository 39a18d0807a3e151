"""What ranx gives for some runs, as JSON: run by the tests in a process of its own, where numba compiles nothing."""

from __future__ import annotations

import json
import sys
import warnings

warnings.simplefilter("ignore")

from ranx import Run, fuse  # noqa: E402


def main() -> None:
    """Read {"cases": [{"runs", "norm", "method", "params"}]} and print the fused runs."""
    fused = []
    for case in json.load(sys.stdin)["cases"]:
        runs = [Run(run) for run in case["runs"]]
        made = fuse(runs, norm=case["norm"], method=case["method"], params=case["params"])
        fused.append({qid: dict(ranked) for qid, ranked in made.run.items()})
    print(json.dumps(fused))


main()
