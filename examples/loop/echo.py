"""Convert rows of query, positive and negative, as in the Echo-embeddings collection, to a BEIR folder and a run of the negatives.

    python examples/loop/echo.py --output $EXPANDR_DATA/echo nq.jsonl hotpotqa.jsonl ...

Each row is a JSON object with the texts `query`, `positive` and `negative`. Equal texts get one id, the start of their SHA-256, so that a
passage that is one query's negative and another's positive is one document. Written: corpus.jsonl.gz, queries.jsonl.gz, qrels/train.tsv, and
negatives.trec for `train_encoder --negatives` (in place of step 6 of loop.sh). Tested on made-up rows; the collection itself was not at hand.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

from expandr_repro.errors import FormatError
from expandr_repro.io.files import atomic_text, parse_object, read_lines, sha256_text

KEYS = ("query", "positive", "negative")


def rows(paths: list[Path]) -> Iterator[tuple[str, ...]]:
    """Yield (query, positive, negative), white space at the ends taken off."""
    for path in paths:
        for number, line in read_lines(path):
            record = parse_object(path, number, line)
            texts = tuple(record.get(key) for key in KEYS)
            if not all(isinstance(t, str) and t.strip() for t in texts):
                raise FormatError(path, number, f"wanted texts under {', '.join(KEYS)}")
            yield tuple(" ".join(str(t).split()) for t in texts)


def main() -> int:
    """Convert."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("files", nargs="+", type=Path, help="JSONL, plain or gzipped")
    made.add_argument("--output", type=Path, required=True)
    args = made.parse_args()
    documents: dict[str, str] = {}
    queries: dict[str, str] = {}
    positives: dict[str, dict[str, None]] = {}
    negatives: dict[str, dict[str, None]] = {}
    for query, positive, negative in rows(args.files):
        qid = sha256_text(query)[:16]
        queries[qid] = query
        for text, kept in ((positive, positives), (negative, negatives)):
            docid = sha256_text(text)[:16]
            documents[docid] = text
            kept.setdefault(qid, {})[docid] = None
    with atomic_text(args.output / "corpus.jsonl.gz") as file:
        file.writelines(json.dumps({"_id": d, "title": "", "text": t}, ensure_ascii=False) + "\n" for d, t in documents.items())  # fmt: skip
    with atomic_text(args.output / "queries.jsonl.gz") as file:
        file.writelines(json.dumps({"_id": q, "text": t}, ensure_ascii=False) + "\n" for q, t in queries.items())
    with atomic_text(args.output / "qrels" / "train.tsv") as file:
        file.write("query-id\tcorpus-id\tscore\n")
        file.writelines(f"{q}\t{d}\t1\n" for q, found in positives.items() for d in found)
    with atomic_text(args.output / "negatives.trec") as file:
        for qid, found in negatives.items():
            file.writelines(f"{qid} Q0 {d} {rank} {-rank} echo\n" for rank, d in enumerate(found, start=1))
    print(f"{len(queries)} queries, {len(documents)} documents, to {args.output}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
