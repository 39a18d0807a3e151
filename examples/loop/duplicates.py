"""Find documents that two collections share under different docids, and the test topics that a training on the other collection saw through them.

    python examples/loop/duplicates.py            # with $EXPANDR_DATA

Records of training (`trained_on.json`) name documents by collection and docid, so commands do not know them.
Documents with the same title of at least 25 letters and digits count as the same.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator

from expandr_repro.data.collections import find_corpus, find_qrels

SHORTEST = 25
TRAININGS = (
    ("scifact/train", "scifact/test", "nfcorpus/test"),
    ("scifact/train", "scifact/test", "cacm/test"),
    ("nfcorpus/train", "", "scifact/test"),
    ("nfcorpus/train", "", "cacm/test"),
)
"""Training topics, what is held out of them, and the test topics."""


def titles(collection: str) -> dict[str, set[str]]:
    """Return title -> docids."""
    found = defaultdict(set)
    for document in find_corpus(collection).read():
        title = " ".join(re.findall(r"\w+", document.title.lower()))
        if len(title) >= SHORTEST:
            found[title].add(document.docid)
    return found


def relevant(topics: str, held_out: str = "") -> dict[str, set[str]]:
    """Return the relevant documents of topics that share none with topics held out."""
    each = {qid: {d for d, grade in judged.items() if grade > 0} for qid, judged in find_qrels(topics).items()}
    others = set().union(*relevant(held_out).values()) if held_out else set()
    return {qid: docids for qid, docids in each.items() if not docids & others}


def lines() -> Iterator[str]:
    """Yield what each training saw of each test."""
    for training, held_out, test in TRAININGS:
        here, there = titles(training.split("/")[0]), titles(test.split("/")[0])
        shared = {a: there[title] for title, docids in here.items() if title in there for a in docids}
        learned = set().union(*relevant(training, held_out).values())
        seen = set().union(*(others for docid, others in shared.items() if docid in learned))
        tests = relevant(test)
        met = [qid for qid, docids in tests.items() if docids & seen]
        yield f"{training} and {test}: {len(shared)} shared documents; {len(met)} of {len(tests)} test topics seen {' '.join(met)}".rstrip()


if __name__ == "__main__":
    print("\n".join(lines()))
