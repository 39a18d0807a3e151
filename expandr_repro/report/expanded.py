"""Collect the expansions of a page: each set read once, its words marked, and its overlap with relevant documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from expandr_repro.data.corpus import Document
from expandr_repro.data.topics import Topic
from expandr_repro.report.marking import mark, marked_words, shares_run
from expandr_repro.report.sources import Sources
from expandr_repro.report.studies import Entry, Study
from expandr_repro.search.outputs import OWN


@dataclass(frozen=True)
class ExpansionSet:
    """The expansions of one source.

    Attributes:
        facts: what to call them, how many topics have one, and on how many one repeats a run of words of a relevant document
            (None where the documents are not here).
        pieces: for each topic its texts, each cut into marked pieces, and whether one repeats such a run (1 or 0).
    """

    facts: dict[str, Any]
    pieces: list[list[Any]]


def expansion_sets(
    studies: Sequence[Study], sources: Sources, qids: Sequence[str], documents: Mapping[str, Document] | None
) -> dict[str, ExpansionSet]:
    """Return the expansions that runs used, by source; a source without any for these topics is left out.

    Raises:
        ExpandrError: as `Sources.expansions`.
    """
    users: dict[str, Entry] = {}
    for study in studies:
        for entry in study.entries:
            if entry.expansions:
                users.setdefault(entry.expansions, entry)
    sets = {}
    for source, entry in users.items():
        topics = sources.expansions(entry)
        if topics:
            sets[source] = _read(entry.expansions_title or OWN, topics, sources, qids, documents)
    return sets


def _read(
    title: str,
    topics: Mapping[str, Topic],
    sources: Sources,
    qids: Sequence[str],
    documents: Mapping[str, Document] | None,
) -> ExpansionSet:
    known = documents or {}
    pieces: list[list[Any]] = []
    written = 0
    for qid in qids:
        topic = topics.get(qid)
        if topic is None:
            pieces.append([[], 0])
            continue
        judged = sources.qrels[qid]
        relevant = [known[d].dense_text for d in judged if judged[d] >= sources.relevant_from and d in known]
        words = set().union(*map(marked_words, relevant))
        written += sum(len(text.split()) for text in topic.texts)
        marked = [mark(text, topic.title, words) for text in topic.texts]
        pieces.append([marked, int(any(shares_run(text, relevant) for text in topic.texts))])
    there = [piece for piece in pieces if piece[0]]
    shared = sum(piece[1] for piece in there) if known else None
    return ExpansionSet({"label": title, "topics": len(there), "shared": shared, "words": written / len(qids)}, pieces)
