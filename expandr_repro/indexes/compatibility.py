"""Check whether an index has the documents that topics are judged on, by its manifest and its docids."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from expandr_repro.data.collections import find_corpus
from expandr_repro.data.corpus import Corpus, CorpusFacts
from expandr_repro.data.topics import Topic
from expandr_repro.data.trec import Qrels
from expandr_repro.errors import MismatchError, NotAvailableError
from expandr_repro.indexes.build import EMPTY
from expandr_repro.indexes.find import corpus_facts, remembered_facts
from expandr_repro.io.manifest import NAME

READ_AT_ONCE = 1_000_000_000
"""Bytes up to which a corpus is read to compare its hash; a larger one is compared where it has been read before, as encoding it does."""


def refuse_other_version(index: Path, manifest: Mapping[str, Any] | None, documents: str | None) -> None:
    """Refuse an index that says it is of the topics' collection, where the collection's corpus is another by now.

    Args:
        index: its folder.
        manifest: None where there is none.
        documents: what the topics' corpus is found by; None where it is not known.

    Raises:
        MismatchError: the corpus is another; names counts and hashes of both.
    """
    made_of = (manifest or {}).get("corpus")
    if not documents or not isinstance(made_of, Mapping) or made_of.get("source") != documents:
        return
    try:
        facts = affordable_facts(find_corpus(documents))
    except NotAvailableError:  # the index alone is enough to search
        return
    if facts and made_of.get("sha256") not in (None, facts.sha256):
        raise MismatchError(
            f"{index}: was made of another version of {documents} ({made_of.get('documents')} documents, SHA-256 {str(made_of.get('sha256'))[:16]} there; "
            f"{facts.documents}, {facts.sha256[:16]} here); encode it again"
        )


def refuse_other_count(index: Path, manifest: Mapping[str, Any] | None, documents: int) -> None:
    """Refuse a Lucene index whose manifest is of another one.

    Raises:
        MismatchError: they do not have equally many documents.
    """
    made_of = (manifest or {}).get("corpus")
    recorded = made_of.get("documents") if isinstance(made_of, Mapping) else None
    if isinstance(recorded, int) and isinstance(empty := (manifest or {}).get(EMPTY, 0), int):
        recorded -= empty
    if recorded is not None and recorded != documents:
        raise MismatchError(
            f"{index}: {NAME} is of another index ({recorded} documents there, {documents} in the index); build the index again"
        )


def affordable_facts(corpus: Corpus) -> CorpusFacts | None:
    """Return a corpus's count and hash, or None where it has no files, or is large and was never read."""
    if not corpus.files:
        return None
    small = sum(p.stat().st_size for p in corpus.files) <= READ_AT_ONCE
    return corpus_facts(corpus) if small else remembered_facts(corpus)


def judged_documents(qrels: Qrels, topics: Iterable[Topic]) -> set[str]:
    """Return all documents that are judged for some topics."""
    return {docid for topic in topics for docid in qrels.get(topic.qid, ())}


def refuse_foreign(
    index: Path,
    judged: Collection[str],
    holds_any: Callable[[Collection[str]], bool],
    fix: str = "name another --index",
) -> None:
    """Refuse an index that contains none of the documents that it is to be measured by.

    Args:
        index: its folder.
        judged: these documents; nothing is checked where there are none.
        holds_any: says whether the index has any of some.
        fix: what to do.

    Raises:
        MismatchError: the index has none of them.
    """
    if judged and not holds_any(judged):
        raise MismatchError(
            f"{index}: contains none of the {len(judged)} documents that are judged for these topics (e.g. {min(judged)!r}); it is of another collection: {fix}"
        )
