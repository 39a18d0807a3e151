"""A collection of any size with two runs, all of it made up: what a report of many topics is tried on."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path

SYLLABLES = ("ka", "lo", "mi", "ner", "pu", "ri", "sta", "ten", "vo", "zu")


def write_many(
    folder: Path, topics: int, documents: int, words: int, hits: int, vocabulary: Sequence[str] = ()
) -> list[str]:
    """Write queries, judgements, a corpus, expansions and two runs; return the arguments that make a report of them.

    Args:
        folder: where to.
        topics: how many.
        documents: in the corpus.
        words: of a document, and of an expansion.
        hits: documents per topic in each run.
        vocabulary: what texts are made of; made up where it is empty.
    """
    draw = random.Random(1)
    vocabulary = vocabulary or ["".join(draw.choices(SYLLABLES, k=3)) for _ in range(5000)]

    def text(length: int) -> str:
        return " ".join(draw.choices(vocabulary, k=length))

    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "corpus.jsonl").open("w") as file:
        for d in range(documents):
            file.write(json.dumps({"_id": f"d{d}", "title": text(6), "text": text(words)}) + "\n")
    with (
        (folder / "topics.jsonl").open("w") as asked,
        (folder / "qrels.txt").open("w") as judged,
        (folder / "none.trec").open("w") as none,
        (folder / "mean.trec").open("w") as mean,
    ):
        for t in range(topics):
            record = {"qid": f"t{t}", "title": f"query {t} {text(6)}", "expansions": [{"text": text(words)}]}
            asked.write(json.dumps(record) + "\n")
            found = [f"d{d}" for d in draw.sample(range(documents), 2 * hits)]
            judged.write(f"t{t} 0 {draw.choice(found[: hits + hits // 2])} 1\n")
            for file, ranked in ((none, found[:hits]), (mean, draw.sample(found, hits))):
                file.writelines(f"t{t} Q0 {d} {r} {hits - r} x\n" for r, d in enumerate(ranked, start=1))
    runs = [str(folder / "none.trec"), str(folder / "mean.trec")]
    return [*runs, "--qrels", str(folder / "qrels.txt"), "--topics", str(folder / "topics.jsonl"),
            "--corpus", str(folder / "corpus.jsonl")]  # fmt: skip
