"""Statistics of a set of expansions: counts, lengths, overlap with the query, duplicates."""

from __future__ import annotations

import re
import statistics
from collections import Counter
from collections.abc import Sequence

from expandr_repro.console.tables import Table
from expandr_repro.data.topics import TYPES, Topic

_WORD = re.compile(r"\w+")


def words_of(text: str) -> list[str]:
    """Return the words of a text, in lower case."""
    return _WORD.findall(text.lower())


def overlap(query: str, text: str) -> float:
    """Return the share of the query's different words that occur in the text; 0 for a query without words."""
    wanted = set(words_of(query))
    return len(wanted & set(words_of(text))) / len(wanted) if wanted else 0.0


def novelty(query: str, text: str) -> float:
    """Return the share of the text's different words that the query does not have; 0 for a text without words."""
    there = set(words_of(text))
    return len(there - set(words_of(query))) / len(there) if there else 0.0


def duplicates(texts: Sequence[str]) -> int:
    """Return how many texts equal an earlier one, but for case, white space and punctuation."""
    counts = Counter(" ".join(words_of(t)) for t in texts)
    return sum(n - 1 for n in counts.values())


def counts_table(topics: Sequence[Topic]) -> Table:
    """Return what there is to count: topics, expansions, empty and refused texts, duplicates."""
    per_topic = [len(t.texts) for t in topics]
    texts = [text for t in topics for text in t.texts]
    rows: list[list[str | int]] = [
        ["topics", len(topics)],
        ["topics without expansion", sum(n == 0 for n in per_topic)],
        ["expansions", len(texts)],
        ["fewest per topic", min(per_topic, default=0)],
        ["most per topic", max(per_topic, default=0)],
        ["empty", sum(not e.text.strip() for t in topics for e in t.expansions)],
        ["cut at the token limit", sum(e.finish == "length" for t in topics for e in t.expansions)],
        ["refused, kept", sum(bool(e.sampling.get("refused")) for t in topics for e in t.expansions)],
        ["duplicates within one topic", sum(duplicates(t.texts) for t in topics)],
        ["duplicates in all", duplicates(texts)],
    ]
    types = Counter(e.type for t in topics for e in t.expansions)
    if set(types) - {TYPES[0]}:
        rows += [[f"of type {kind}", types[kind]] for kind in TYPES if kind in types]
    return Table(["", "count"], rows)


def lengths_table(topics: Sequence[Topic]) -> Table:
    """Return distributions over expansions: length in words, overlap with the query, novelty."""
    pairs = [(t.title, text) for t in topics for text in t.texts]
    rows = [
        _row("words of the query", [float(len(words_of(t.title))) for t in topics]),
        _row("words of an expansion", [float(len(words_of(text))) for _, text in pairs]),
        _row("query words in it", [overlap(*pair) for pair in pairs]),
        _row("words not in the query", [novelty(*pair) for pair in pairs]),
    ]
    return Table(["", "mean", "min", "median", "max"], rows)


def _row(name: str, values: Sequence[float]) -> list[str | float | None]:
    if not values:
        return [name, None, None, None, None]
    return [name, statistics.fmean(values), min(values), statistics.median(values), max(values)]
