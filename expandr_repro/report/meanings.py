"""Explain a metric to readers who do not know it."""

from __future__ import annotations

from expandr_repro.evaluate.metrics import Measure

_MEANINGS = {
    "nDCG": "looks at {first} and asks how near their order is to the best possible one. A relevant document counts more the higher it "
    "stands, and a highly relevant one more than a marginal one. 1 is perfect, 0 means that nothing relevant is there.",
    "R": "is recall: the share of all relevant documents that are among {first}. 1 means that all of them are there.",
    "P": "is precision: the share of {first} that are relevant.",
    "MAP": "is mean average precision: how pure the ranking is down to each relevant document, averaged. 1 means that all relevant "
    "documents come before all others.",
    "Success": "is 1 if a relevant document is among {first}, and 0 if there is none; averaged over topics, the share of topics with one.",
    "Judged": "is the share of {first} that somebody has judged. Where it is low, the other metrics may count good documents as not relevant, because "
    "nobody looked at them.",
    "MRR": "is one divided by the rank of the first relevant document: 1 if it is at the top, 0.5 if it is second.",
}


def meaning(measure: Measure) -> str:
    """Return a sentence or two that follow on the measure's name."""
    first = f"the first {measure.depth} documents" if measure.depth else "all documents found"
    text = _MEANINGS[measure.name].format(first=first)
    return text + (f" Grades from {measure.rel} up count as relevant." if measure.rel != 1 else "")
