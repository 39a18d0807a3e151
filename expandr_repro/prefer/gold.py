"""Find each topic's gold passage and answer, and check that they belong to the same topics."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from expandr_repro.data.collections import find_topics, qrels_of, relevance_level, removes_own_ids
from expandr_repro.data.joining import title_digest
from expandr_repro.data.passages import best_documents, document_texts, read_passages
from expandr_repro.data.splits import split_of, with_split
from expandr_repro.data.topics import Topic, read_topics
from expandr_repro.data.trec import Qrels
from expandr_repro.errors import ExpandrError, MismatchError
from expandr_repro.training.hold_out import collection_of

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Gold:
    """Gold passages and where they are from.

    Attributes:
        label: the source, for people and the manifest.
        texts: qid -> passage.
        docids: qid -> document, where the passages are documents of a collection.
        qrels: of that collection.
        corpus: what that collection's index is found by.
        remove_own: whether a document with the topic's own id is taken out of rankings there.
        dataset: the collection's name, if it is a known one.
        level: least grade that counts as relevant.
        collection: what the record of training data calls it.
        split: of the collection.
    """

    label: str
    texts: Mapping[str, str]
    docids: Mapping[str, str] = field(default_factory=dict)
    qrels: Qrels = field(default_factory=dict)
    corpus: str | None = None
    remove_own: bool = False
    dataset: str | None = None
    level: int = 1
    collection: str | None = None
    split: str | None = None


def find_gold(collection: str | None, file: str | None, topics: Sequence[Topic]) -> Gold:
    """Find the gold passages of topics.

    Of several relevant documents the one of the highest grade counts, of several such the first by docid.

    Args:
        collection: topics with qrels and documents, e.g. scifact/train.
        file: JSONL with `qid` and `text`; its passages take the place of the collection's.
        topics: that have candidates.

    Raises:
        ExpandrError: neither is given, or nothing is judged.
        MismatchError: none of the topics has a gold passage, or a topic has another title there.
    """
    if not (collection or file):
        raise ExpandrError(
            "no gold passages; give --gold COLLECTION (qrels and documents, e.g. scifact/train) or --gold-file FILE (JSONL, qid and text)"
        )
    gold = _of_collection(collection, topics) if collection else Gold("", {})
    if file:
        gold = replace(gold, label=Path(file).name, texts=read_passages(Path(file), topics))
    if not any(t.qid in gold.texts for t in topics):
        raise MismatchError(
            f"none of the {len(topics)} topics with candidates (first: {topics[0].qid!r}) has a gold passage in {gold.label}; is it the right one?"
        )
    return gold


def _of_collection(name: str, topics: Sequence[Topic]) -> Gold:
    name = with_split(name, "--gold")
    known = find_topics(name)
    log.info("gold passages: %s", known.label)
    qrels = qrels_of(known)
    if qrels is None:
        raise ExpandrError(f"--gold {name}: no relevance judgments are known for these topics; give --gold-file FILE")
    refuse_other_titles(topics, {t.qid: t.title for t in known.topics}, name)
    own, level = removes_own_ids(name), relevance_level(name)
    best = best_documents(qrels, topics, remove_own=own, level=level)
    texts = document_texts(known, set(best.values()))
    return Gold(
        known.label,
        {qid: texts[docid] for qid, docid in best.items() if docid in texts},
        best,
        qrels,
        known.documents,
        own,
        known.collection.dataset if known.collection else None,
        level,
        collection_of(known, name),
        split_of(known),
    )


def read_answers(file: str, topics: Sequence[Topic]) -> dict[str, str]:
    """Read the answers that `expand --prompt q2a` wrote: qid -> answer, for those that have one.

    Raises:
        MismatchError: the file has none of the topics, or a topic has another title there.
        FormatError: the file is not what it should be.
    """
    answered = read_topics(file)
    refuse_other_titles(topics, {t.qid: t.title for t in answered}, file)
    known = {t.qid for t in topics}
    answered = [t for t in answered if t.qid in known]
    if not answered:
        raise MismatchError(
            f"{file}: has answers for none of the {len(known)} topics with candidates; is it the right file?"
        )
    prompts = {str(t.provenance["prompt"]) for t in answered if t.provenance and "prompt" in t.provenance} - {"q2a"}
    if prompts:
        log.warning("%s: made with prompt %s, not q2a; are these answers?", file, ", ".join(sorted(prompts)))
    several = sum(len(t.texts) > 1 for t in answered)
    if several:
        log.warning("%s: %d topics have several answers; the first of each counts", file, several)
    return {t.qid: t.texts[0] for t in answered if t.texts}


def refuse_other_titles(topics: Sequence[Topic], titles: Mapping[str, str], source: str) -> None:
    """Refuse a source in which a topic's id has another title: ids of one set mean nothing in another.

    Raises:
        MismatchError: a topic has another title there.
    """
    for topic in topics:
        title = titles.get(topic.qid)
        if title is not None and title_digest(title) != title_digest(topic.title):
            raise MismatchError(
                f"{source}: topic {topic.qid!r} is {title[:60]!r} there, and {topic.title[:60]!r} among the candidates; these are other topics"
            )
