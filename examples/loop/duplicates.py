"""Find documents that two collections share under different docids, and the test topics that a split of protocol.py saw in training through them.

    python examples/loop/duplicates.py            # with $EXPANDR_DATA

Records of training (`trained_on.json`) name documents by collection and docid, so commands do not know them.
Documents with the same title, in at least 25 characters of words and single spaces, count as the same.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache

from protocol import SPLITS, TESTS

from expandr_repro.data.collections import find_corpus, find_qrels
from expandr_repro.data.overlap.sharing import relevant_documents

SHORTEST = 25


@cache
def titles(collection: str) -> dict[str, set[str]]:
    """Return title -> docids."""
    found = defaultdict(set)
    for document in find_corpus(collection).read():
        title = " ".join(re.findall(r"\w+", document.title.lower()))
        if len(title) >= SHORTEST:
            found[title].add(document.docid)
    return found


def relevant(topics: str) -> dict[str, set[str]]:
    """Return the relevant documents of each topic."""
    qrels = find_qrels(topics)
    return relevant_documents(qrels, qrels)


def lines() -> Iterator[str]:
    """Yield what each training saw of each test on another collection."""
    for split, (training, held_out) in SPLITS.items():
        kept_apart = set().union(*(docids for test in held_out[1:] for docids in relevant(test).values()))
        learned = set().union(*(docids for docids in relevant(training).values() if not docids & kept_apart))
        own = training.split("/")[0]
        for collection in TESTS[split]:
            if collection == own:
                continue
            here, there = titles(own), titles(collection)
            shared = {a: there[title] for title, docids in here.items() if title in there for a in docids}
            seen = set().union(*(others for docid, others in shared.items() if docid in learned))
            tests = relevant(f"{collection}/test")
            met = [qid for qid, docids in tests.items() if docids & seen]
            yield f"({split}) {training}, {collection}/test: {len(shared)} shared documents; {len(met)} of {len(tests)} test topics seen {' '.join(met)}".rstrip()


if __name__ == "__main__":
    print("\n".join(lines()))
