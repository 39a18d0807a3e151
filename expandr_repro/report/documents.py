"""Collect the documents of a page: each numbered once, in the order in which topics first mention them, and cut to a length."""

from __future__ import annotations

import itertools
import logging
import re
from collections.abc import Iterable, Mapping

from expandr_repro.console.progress import progress
from expandr_repro.data.corpus import Corpus, Document
from expandr_repro.errors import MismatchError

log = logging.getLogger(__name__)

_WRITTEN = re.compile(r"\S+")


class Numbers:
    """Numbers for docids, from 0, in the order in which they are asked for."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def of(self, docid: str) -> int:
        """Return a docid's number."""
        return self._numbers.setdefault(docid, len(self._numbers))

    @property
    def docids(self) -> list[str]:
        """The docids, by number."""
        return list(self._numbers)


def fetch(corpus: Corpus, wanted: Iterable[str]) -> dict[str, Document]:
    """Read a corpus until all wanted documents are found; those that it lacks are warned of.

    Raises:
        MismatchError: it has none of them.
        FormatError: a broken line.
    """
    left = set(wanted)
    asked = len(left)
    documents: dict[str, Document] = {}
    with progress(None, f"documents of {corpus.source}", "documents") as bar:
        for document in corpus.read() if left else ():
            bar.update()
            if document.docid in left:
                documents[document.docid] = document
                left.discard(document.docid)
                if not left:
                    break
    if left and not documents:
        raise MismatchError(
            f"{corpus.source}: contains none of the {asked} documents that runs and qrels name (e.g. {min(left)!r}); is this the right corpus?"
        )
    if left:
        log.warning(
            "%s: lacks %d of the %d documents shown (e.g. %r); they go without text",
            corpus.source,
            len(left),
            asked,
            min(left),
        )
    return documents


def record(docid: str, documents: Mapping[str, Document], words: int) -> list[str | int]:
    """Return a document as the page contains it: docid, title, text, and how many words it had where it was cut (else 0)."""
    document = documents.get(docid)
    if document is None:
        return [docid, "", "", 0]
    text, total = cut(document.text, words)
    return [docid, document.title, text, total]


def cut(text: str, words: int) -> tuple[str, int]:
    """Return the first words of a text as they are, and how many it had if that was more (else 0)."""
    last = next(itertools.islice(_WRITTEN.finditer(text), words - 1, None), None)
    if last is None or not text[last.end() :].strip():
        return text, 0
    return text[: last.end()], words + sum(1 for _ in _WRITTEN.finditer(text, last.end()))
