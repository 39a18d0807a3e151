"""Find the topics, qrels and documents of a study, and what is known of them where they are missing."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from expandr_repro.data.collections import (
    TopicSet,
    collection_meant,
    find_corpus,
    find_qrels,
    find_topics,
    relevance_level,
)
from expandr_repro.data.corpus import Corpus, Document
from expandr_repro.data.expansions import expansions_path, join_sources
from expandr_repro.data.overlap.seen_topics import Searched
from expandr_repro.data.topics import Topic
from expandr_repro.data.trec import Qrels
from expandr_repro.errors import MismatchError, NotAvailableError
from expandr_repro.evaluate.run_facts import expansions_sha256, topics_sha256
from expandr_repro.evaluate.seen import Overlap, find_overlap
from expandr_repro.report.documents import fetch
from expandr_repro.report.studies import Entry, Study
from expandr_repro.search.outputs import OWN

log = logging.getLogger(__name__)

CURE = "the page goes without document texts and marks (--corpus names the documents)"


@dataclass(frozen=True)
class Sources:
    """What runs are held against.

    Attributes:
        label: what to call the collection in print.
        qrels: the relevance judgments.
        topics: the topics; None where they are not known.
        corpus: the documents; None where they are not known.
        must: whether the documents were asked for by name, so that a page without them would not be what was asked for.
        relevant_from: the least grade that counts as relevant.
    """

    label: str
    qrels: Qrels
    topics: TopicSet | None
    corpus: Corpus | None
    must: bool
    relevant_from: int

    def expansions(self, entry: Entry) -> dict[str, Topic]:
        """Return the topics that have expansions of a run's files or packaged sets, or (`OWN`) of their own, by qid.

        Raises:
            ExpandrError: as `join_sources`.
        """
        if self.topics is None or not entry.expansions:
            return {}
        if entry.expansions == OWN:
            return {t.qid: t for t in self.topics.topics if t.texts}
        return {t.qid: t for t in join_sources(self.topics, entry.sources or [entry.expansions]).topics if t.texts}

    def overlap(self, entry: Entry) -> Overlap | None:
        """Return what the LLM that wrote a run's expansions saw of the topics, for a run without a manifest; None where no record of its training is there.

        Raises:
            ExpandrError: as `join_sources`, or the record is damaged.
        """
        if self.topics is None or not entry.expansions or entry.expansions == OWN:
            return None
        files = [expansions_path(self.topics, name) for name in entry.sources or [entry.expansions]]
        names = frozenset({self.topics.collection.dataset} if self.topics.collection else ())
        topics = self.topics.topics
        return find_overlap(None, files, topics, self.qrels, Searched(names), self.relevant_from)

    def refuse_other_topics(self, entry: Entry, searched: Collection[str]) -> None:
        """Refuse a run whose manifest says that it was searched with other topics or expansions under the same ids.

        Args:
            entry: the run.
            searched: the ids of all its topics.

        Raises:
            MismatchError: its topics or expansions are others than those here.
        """
        topics = [t for t in self.topics.topics if t.qid in searched] if self.topics else []
        if self.topics is None or len(topics) < len(searched):  # what is not known cannot be compared
            return
        hashes: list[tuple[str, str, str]] = [("topics_sha256", "topics", topics_sha256(topics))]
        if entry.expansions:
            having = self.expansions(entry)
            with_texts = [having[t.qid] for t in topics if t.qid in having]
            hashes.append(("expansions_sha256", "expansions", expansions_sha256(with_texts)))
        for key, what, digest in hashes:
            if entry.facts.get(key) not in (None, digest):
                label = entry.expansions if what == "expansions" and entry.expansions != OWN else self.topics.label
                raise MismatchError(
                    f"{entry.path}: its manifest says that it was searched with other {what} than those of {label}"
                    f" (SHA-256 {str(entry.facts[key])[:16]} there, {digest[:16]} here); name the ones it was searched with"
                )

    def documents(self, docids: Iterable[str]) -> dict[str, Document] | None:
        """Return documents by docid, or None where they cannot be had: a page without texts is still worth having.

        Raises:
            ExpandrError: they were asked for by name and are not available, or are not those that runs and qrels name.
        """
        if self.corpus is None:
            return None
        try:
            return fetch(self.corpus, docids)
        except NotAvailableError as error:  # what others fetch on demand fails only now
            if self.must:
                raise
            log.warning("%s; %s", error, CURE)
            return None


def sources_of(study: Study) -> Sources:
    """Find what a study's runs are held against.

    Raises:
        ExpandrError: qrels, or topics or documents that were asked for by name, are not available.
        MismatchError: the topics are not those that are judged.
    """
    qrels = find_qrels(study.qrels)
    known = collection_meant(study.qrels)
    topics = find_topics(study.topics) if study.topics else None
    if topics is None:
        log.warning("%s: the topics are not known; the page shows ids alone (give --topics)", study.qrels)
    elif not any(t.qid in qrels for t in topics.topics):
        raise MismatchError(
            f"{topics.label}: none of these {len(topics.topics)} topics is judged (first: {topics.topics[0].qid!r}, judged e.g. "
            f"{next(iter(qrels))!r}); are these the right topics?"
        )
    known = known or (topics.collection if topics else None)
    corpus = find_corpus(study.corpus) if study.corpus else _corpus_of(study, topics)
    return Sources(
        known.title if known else Path(study.qrels).name,
        qrels,
        topics,
        corpus,
        study.corpus is not None,
        relevance_level(study.qrels, study.topics),
    )


def _corpus_of(study: Study, topics: TopicSet | None) -> Corpus | None:
    """Return the corpus that belongs to the topics, or None where none is known or it is not here."""
    where = study.topics if study.topics and study.topics.startswith("irds:") else None
    if topics and topics.documents:
        where = topics.documents
    if where is None:
        log.warning("%s: which documents were searched is not known; %s", study.qrels, CURE)
        return None
    try:
        return find_corpus(where)
    except NotAvailableError as error:
        log.warning("%s; %s", error, CURE)
        return None
