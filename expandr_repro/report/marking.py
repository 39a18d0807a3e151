"""Mark the words of an expansion that occur in relevant documents, and detect copied runs of words."""

from __future__ import annotations

import functools
import re
from collections.abc import Collection, Iterable, Iterator

from expandr_repro.io.files import read_text
from expandr_repro.io.paths import resource

WORD = re.compile(r"\w+")

PLAIN, NEW, QUERY = " ", "+", "="
"""The first character of a piece of text says what it is: plain; a word of a relevant document; one that the query has as well."""

RUN = 6
"""Words in a row that two texts hardly share by chance: what the README of the packaged expansions measures memory by."""


@functools.cache
def stopwords() -> frozenset[str]:
    """Return the English words that are never marked."""
    return frozenset(read_text(resource("report", "stopwords.txt")).split())


def marked_words(text: str) -> set[str]:
    """Return the words of a text that may be marked: in small letters, two characters or more, no stopwords."""
    return {word for word in map(str.lower, WORD.findall(text)) if len(word) > 1} - stopwords()


def mark(expansion: str, query: str, relevant: Collection[str]) -> list[str]:
    """Cut an expansion into pieces, each with its kind as first character; joined without these they are the expansion again.

    Args:
        expansion: the text.
        query: what was asked.
        relevant: the words of the relevant documents that may be marked (`marked_words`).
    """
    asked = marked_words(query)
    pieces: list[str] = []
    plain = 0  # where the text that is not yet in a piece begins
    for match in WORD.finditer(expansion):
        word = match[0].lower()
        if word not in relevant:
            continue
        if match.start() > plain:
            pieces.append(PLAIN + expansion[plain : match.start()])
        pieces.append((QUERY if word in asked else NEW) + match[0])
        plain = match.end()
    if plain < len(expansion):
        pieces.append(PLAIN + expansion[plain:])
    return pieces


def shares_run(expansion: str, documents: Iterable[str]) -> bool:
    """Return whether an expansion repeats `RUN` words in a row of one of the documents: what white space parts, ignoring case."""
    runs = set(_runs(expansion))
    return bool(runs) and any(not runs.isdisjoint(_runs(document)) for document in documents)


def _runs(text: str) -> Iterator[tuple[str, ...]]:
    words = text.lower().split()
    return zip(*(words[i:] for i in range(RUN)), strict=False)
