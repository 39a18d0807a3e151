"""Leave out training topics that share relevant documents with test topics (`--hold-out`)."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from expandr_repro.data.collections import (
    TopicSet,
    collection_meant,
    find_corpus,
    find_topics,
    qrels_of,
    relevance_level,
    splits_of,
)
from expandr_repro.data.overlap.sharing import relevant_documents, same_title, sharing
from expandr_repro.data.specs import datasets
from expandr_repro.data.topics import Topic
from expandr_repro.errors import ExpandrError, NotAvailableError
from expandr_repro.indexes.compatibility import affordable_facts
from expandr_repro.io.files import sha256_text

log = logging.getLogger(__name__)

LEFT_OUT = "topics left out for --hold-out"
TITLES = "only topics with the same title are left out"


def refuse_seen(
    name: str | None,
    titles: Mapping[str, str],
    relevant: Mapping[str, set[str]],
    training: TrainingTopics,
    allowed: bool,
    **same: bool,
) -> tuple[set[str], set[str]]:
    """Return which of --dev-topics are training topics, and which of the rest share a relevant document with some; refuse both unless that is allowed.

    Args:
        name: what --dev-topics says.
        titles: qid -> title of the topics.
        relevant: qid -> their relevant documents.
        training: what is trained on.
        allowed: whether --allow-overlap was given.
        same: `same_ids` and `same_documents` of `sharing`.

    Raises:
        ExpandrError: training sees some, and that is not allowed.
    """
    equal, sharers = sharing(titles, relevant, training.titles, training.relevant or {}, **same)
    if (equal or sharers) and not allowed:
        raise ExpandrError(
            f"--dev-topics {name}: of {len(titles)} topics {len(equal)} are training topics, and {len(sharers)} share a relevant document with "
            f"some, so their scores would show what was memorised; leave those out of training (--hold-out {name}), give other topics, or "
            "accept it with --allow-overlap"
        )
    return equal, sharers


@dataclass(frozen=True)
class TrainingTopics:
    """Topics that are to be trained on.

    Attributes:
        label: what to call them in print.
        titles: qid -> title.
        relevant: qid -> relevant documents; None where no relevance judgments are known.
        collection: the known collection, else the folder's or file's own name.
        corpus: SHA-256 of the documents, or None where it is not known.
    """

    label: str
    titles: Mapping[str, str]
    relevant: Mapping[str, set[str]] | None
    collection: str
    corpus: str | None

    def only(self, qids: Iterable[str]) -> TrainingTopics:
        """Return some of the topics."""
        kept = set(qids)
        relevant = self.relevant and {q: d for q, d in self.relevant.items() if q in kept}
        return replace(self, titles={q: t for q, t in self.titles.items() if q in kept}, relevant=relevant)

    def in_common(self) -> dict[str, set[str]]:
        """Return what two topics may have in common: qid -> relevant documents, and the title, which is marked as none of them."""
        relevant = self.relevant or {}
        return {qid: relevant.get(qid, set()) | {f"\0{same_title(title)}"} for qid, title in self.titles.items()}


@dataclass
class LeftOut:
    """What `--hold-out` took away.

    Attributes:
        qids: training topics that are left out.
        names: of the topics that were held out.
        counts: of the training topics, in words.
        relevant: qid -> relevant documents, as far as these topics' collections know training topics that came without relevance judgments.
    """

    qids: set[str] = field(default_factory=set)
    names: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    relevant: dict[str, set[str]] = field(default_factory=dict)

    @property
    def facts(self) -> dict[str, object]:
        """What decides the training; empty where nothing was held out."""
        digest = sha256_text(repr(sorted(self.qids)))[:32]
        return {"left_out": {"topics": len(self.qids), "sha256": digest}} if self.names else {}


def collection_of(topics: TopicSet, *names: str | None) -> str:
    """Return the name of the collection that topics are of: the known one, else the folder's or file's own name.

    Args:
        topics: the topics.
        names: by which they, their documents and their qrels were asked for.
    """
    known = topics.collection or collection_meant(*names)
    if known:
        return known.dataset
    return topics.folder.resolve().name if topics.folder else topics.label


def corpus_hash(documents: str | None) -> str | None:
    """Return the hash of a corpus, or None where it is not here, or is large and was never read."""
    if not documents:
        return None
    try:
        facts = affordable_facts(find_corpus(documents))
    except NotAvailableError:
        return None
    return facts.sha256 if facts else None


def leave_out(names: Sequence[str], training: TrainingTopics) -> LeftOut:
    """Find the training topics that are among topics to be held out, or share a relevant document with one of them.

    Args:
        names: of the topics to be held out, as `find_topics` takes them.
        training: what is trained on.

    Raises:
        ExpandrError: no topic is left, or whatever `find_topics` cannot find.
    """
    left_out = LeftOut()
    for name in names:
        _take(left_out, name, training)
    if names and len(left_out.qids) == len(training.titles):
        raise ExpandrError(
            f"--hold-out {' '.join(names)}: all {len(training.titles)} topics of {training.label} are, or share a relevant document "
            "with, topics to be held out; nothing is left to train on"
        )
    if names:
        left_out.counts[LEFT_OUT] = len(left_out.qids)
    return left_out


def _take(left_out: LeftOut, name: str, training: TrainingTopics) -> None:
    held = find_topics(name)
    left_out.names.append(held.label)
    titles = {t.qid: t.title for t in held.topics}
    qrels = qrels_of(held)
    if qrels is None:
        log.warning(
            "--hold-out %s: no relevance judgments are known for these topics, so %s; "
            "name a collection and its split, e.g. scifact/test, to leave out those that share relevant documents",
            name,
            TITLES,
        )
    relevant = relevant_documents(qrels or {}, titles, relevance_level(name))
    ours, same = training.relevant, True
    if ours is None:  # of a file: what its topics are, the collection of those held out may know
        ours = _known_topics(held, name, training.titles)
        left_out.relevant.update(ours)
        if not ours:
            log.warning("--hold-out %s: none of the topics of %s is known there, so %s", name, training.label, TITLES)
    elif not (same := _is_same(held, name, training)) and qrels is not None:
        log.warning("--hold-out %s: is of another collection than %s, so %s", name, training.label, TITLES)
    known = {qid: title for qid, title in training.titles.items() if qid in ours}
    equal, shared = sharing(known, ours, titles, relevant, same_ids=same, same_documents=same)
    equal |= sharing(training.titles, {}, titles, {}, same_documents=False, same_ids=False)[0]
    left_out.qids |= equal | shared
    log.info(
        "--hold-out %s: %d of %d topics of %s are left out (%d share a relevant document, %d are among the topics held out)",
        held.label, len(equal | shared), len(training.titles), training.label, len(shared - equal), len(equal),
    )  # fmt: skip


def _is_same(held: TopicSet, asked: str, training: TrainingTopics) -> bool:
    """Return whether ids of both mean the same: a known collection of one name, or equal documents."""
    name = collection_of(held, asked)
    if name == training.collection and name in datasets():
        return True
    theirs = corpus_hash(held.documents)
    return training.corpus == theirs if training.corpus and theirs else name == training.collection


def _known_topics(held: TopicSet, asked: str, titles: Mapping[str, str]) -> dict[str, set[str]]:
    """Return the relevant documents of topics that another split of a collection, or the same, has under the same id and title."""
    level = relevance_level(asked)
    known: dict[str, set[str]] = {}
    for name in _splits(held):
        try:
            split = find_topics(name)
            qrels = qrels_of(split) or {}
        except NotAvailableError:
            continue
        same = [t.qid for t in split.topics if t.qid in titles and same_title(t.title) == same_title(titles[t.qid])]
        for qid, documents in relevant_documents(qrels, same, level).items():
            known.setdefault(qid, set()).update(documents)
    return known


def collection_topics(name: str) -> list[Topic]:
    """Return the topics of all splits of the collection that a name means."""
    return [t for split in _splits(find_topics(name)) for t in _topics_here(split)]


def _topics_here(name: str) -> list[Topic]:
    try:
        return find_topics(name).topics
    except NotAvailableError:
        return []


def _splits(topics: TopicSet) -> list[str]:
    if topics.folder:
        return [str(Path(topics.folder) / split) for split in splits_of(topics.folder)]
    return [f"{topics.collection.dataset}/{s}" for s in topics.collection.spec.splits] if topics.collection else []
