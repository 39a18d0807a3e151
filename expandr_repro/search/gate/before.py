"""Gates that look at texts, before anything is retrieved."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from expandr_repro.registry import Within
from expandr_repro.search.gate.registry import Evidence, gate
from expandr_repro.search.gate.words import likeness, terms_of, words_of


@gate("query-length", uses="at most", threshold=35, source="long queries say what they mean (arXiv 2309.08541)")
def query_length(evidence: Evidence) -> float:
    """Words of the query."""
    return len(words_of(evidence.topic.title))


@gate(
    "idf", uses="at most", threshold=0.9, needs=("frequencies",), source="query specificity (He and Ounis, SPIRE 2004)"
)
def idf(evidence: Evidence) -> float | None:
    """Mean inverse document frequency of the query's terms, from 0 (in all documents) to 1 (in one or none)."""
    values = [evidence.frequencies.idf(term) for term in terms_of(evidence.topic.title)]
    return sum(values) / len(values) if values else None


@gate("rare-terms", uses="at most", threshold=1, needs=("frequencies",), source="this toolkit")
def rare_terms(evidence: Evidence, *, rare: Annotated[float, Within(0, 1)] = 0.5) -> float | None:
    """Share of the query's terms that are rare: of an inverse document frequency of `rare` or more."""
    values = [evidence.frequencies.idf(term) for term in terms_of(evidence.topic.title)]
    return sum(value >= rare for value in values) / len(values) if values else None


@gate("lost-terms", uses="at most", threshold=0.8, needs=("frequencies",), source="this toolkit")
def lost_terms(evidence: Evidence, *, rare: Annotated[float, Within(0, 1)] = 0.5) -> float | None:
    """Share of the query's rare terms that no expansion has.

    A term is rare from an inverse document frequency of `rare` on: 0.5 is a term in no more documents than the square root of their number.
    """
    terms = {term for term in terms_of(evidence.topic.title) if evidence.frequencies.idf(term) >= rare}
    return len(terms - terms_of(" ".join(evidence.topic.texts))) / len(terms) if terms else None


@gate("word-contrast", uses="at least", threshold=3, needs=("words",), source="this toolkit")
def word_contrast(evidence: Evidence, *, least: Annotated[int, Within(1)] = 10) -> float | None:
    """How many more of the query's terms its own expansions have than those of the other topics searched with it, in standard deviations.

    A term is in the expansions of another topic by chance, with the probability that it has there. With fewer than `least` other topics there is
    nothing to judge by.
    """
    terms, own = terms_of(evidence.topic.title), terms_of(" ".join(evidence.topic.texts))
    others = evidence.words.documents - 1
    if others < least or not terms:
        return None
    shares = [(evidence.words.counts.get(term, 0) - (term in own) + 0.5) / (others + 1) for term in terms]
    return (len(terms & own) - sum(shares)) / math.sqrt(sum(share * (1 - share) for share in shares))


@gate("language", uses="at least", threshold=0.5, source="this toolkit")
def language(evidence: Evidence, *, language: Literal["en", "de", "fr", "es", "it", "pt", "nl"] = "en") -> float:
    """How far the expansions are in the query's script and, where that is Latin, in a language, by stop words; of several the least."""
    return min(likeness(text, evidence.topic.title, language) for text in evidence.topic.texts)
