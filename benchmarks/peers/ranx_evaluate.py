"""ranx as its documentation uses it: `Qrels`, `Run.from_file`, `evaluate`; prints a JSON object of run -> measure -> score.

python -m benchmarks.peers.ranx_evaluate QRELS RUN ...
"""

from __future__ import annotations

import json
import sys


def main() -> int:
    """Evaluate the runs."""
    from ranx import Qrels, Run, evaluate

    judgements, *files = sys.argv[1:]
    qrels = Qrels.from_file(judgements, kind="trec")
    found = {}
    for file in files:
        scored = evaluate(
            qrels, Run.from_file(file, kind="trec"), ["ndcg@10", "recall@100", "map"], make_comparable=True
        )
        found[file] = {"nDCG@10": float(scored["ndcg@10"]), "R@100": float(scored["recall@100"]), "MAP": float(scored["map"])}  # fmt: skip
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
