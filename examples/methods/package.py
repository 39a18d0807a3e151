"""Package the texts of a study, so that they can be searched offline: titles become hashes, prompts and the passages in them are left out.

    python examples/methods/package.py results qwen2.5-coder-1.5b scifact nfcorpus cacm

makes `expandr_repro/resources/expansions/qwen2.5-coder-1.5b.METHOD/COLLECTION.test.jsonl.gz` of every `results/texts.METHOD.COLLECTION.jsonl.gz`,
except for the method q2d, whose set is that of the loop's study (four texts per topic).
"""

from __future__ import annotations

import argparse
import gzip
import json
from pathlib import Path

from expandr_repro.data.collections import find_topics
from expandr_repro.data.expansions import ENDING
from expandr_repro.data.joining import title_digest
from expandr_repro.io.files import read_lines
from expandr_repro.io.paths import resource

LEFT_OUT = ("prompts", "examples")
"""Of what is noted with a topic."""


def packaged(line: str) -> str:
    """Return a topic of an augmented topics file as a packaged set has it."""
    topic = json.loads(line)
    provenance = {key: value for key, value in topic["provenance"].items() if key not in LEFT_OUT}
    texts = [{key: value for key, value in text.items() if key != "prompt"} for text in topic.get("expansions", [])]
    made = {
        "qid": topic["qid"],
        "title_sha256": title_digest(topic["title"]),
        "expansions": texts,
        "provenance": provenance,
    }
    return json.dumps(made, ensure_ascii=False) + "\n"


def main() -> None:
    """Package what is asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, help="where the study's `--output` is")
    parser.add_argument("model", help="first part of the sets' names")
    parser.add_argument("collections", nargs="+")
    args = parser.parse_args()
    for path in sorted(args.results.glob(f"texts.*{ENDING}")):
        _, method, collection = path.name.removesuffix(ENDING).split(".")
        if collection in args.collections and method != "q2d":
            where = find_topics(collection).collection
            target = resource(
                "expansions", f"{args.model}.{method}", f"{collection}.{where.split if where else 'test'}{ENDING}"
            )
            target.parent.mkdir(exist_ok=True)
            lines = "".join(packaged(line) for _, line in read_lines(path))
            target.write_bytes(gzip.compress(lines.encode(), mtime=0))  # the same bytes each time: their hash is pinned
            print(f"{target.parent.name}/{target.name}: {target.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
