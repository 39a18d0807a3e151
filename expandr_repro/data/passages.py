"""Find the passages that prompts need: a topic's gold passage, and examples of query and passage from training qrels."""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping
from pathlib import Path

from expandr_repro.data.collections import TopicSet, find_corpus, find_topics, level_of, qrels_of, removes_own_ids
from expandr_repro.data.joining import title_digest
from expandr_repro.data.splits import with_split
from expandr_repro.data.topics import Topic
from expandr_repro.data.trec import Qrels
from expandr_repro.errors import ExpandrError, FormatError, MismatchError
from expandr_repro.io.files import is_surrogate_free, read_id, read_objects


def gold_passages(topics: TopicSet, file: str | None = None) -> dict[str, str]:
    """Return a gold passage for every topic: from a file, or the first relevant document of the highest grade by docid.

    Args:
        topics: the topics.
        file: JSONL with `qid` and `text`, in place of the collection's qrels and documents.

    Raises:
        ExpandrError: a topic has none.
        FormatError: the file is not what it should be.
    """
    if file:
        passages, source = read_passages(Path(file), topics.topics), file
    else:
        passages, source = _from_collection(topics, topics.topics), f"the qrels of {topics.label}"
    missing = [t.qid for t in topics.topics if t.qid not in passages]
    if missing:
        raise ExpandrError(
            f"{len(missing)} of {len(topics.topics)} topics have no gold passage in {source} (first: {missing[0]!r}); "
            "give one for each with --passages FILE (JSONL, qid and text), or leave these topics out"
        )
    return passages


def draw_examples(source: str, count: int, seed: int, leave_out: Collection[str]) -> list[tuple[str, str]]:
    """Draw pairs of query and relevant passage, the same for equal seeds.

    Args:
        source: topics with qrels and documents, e.g. scifact/train.
        count: how many.
        seed: of the draw.
        leave_out: queries that may not be examples: those that are to be expanded.

    Raises:
        ExpandrError: there are not that many.
    """
    source = with_split(source, "--examples-from")
    topics = find_topics(source)
    avoided = {" ".join(q.split()) for q in leave_out}
    usable = sorted((t for t in topics.topics if " ".join(t.title.split()) not in avoided), key=lambda t: t.qid)
    best = _best(topics, usable)
    usable = [t for t in usable if t.qid in best]
    if len(usable) < count:
        raise ExpandrError(
            f"{source}: {len(usable)} topics can be examples, {count} are wanted; name another with --examples-from"
        )
    drawn = random.Random(seed).sample(usable, count)  # noqa: S311 - an experiment's draw, to be repeated
    passages = _from_collection(topics, drawn)
    missing = [t.qid for t in drawn if t.qid not in passages]
    if missing:
        raise ExpandrError(
            f"{source}: the corpus has no document {best[missing[0]]!r}, which is judged relevant for {missing[0]!r}"
        )
    return [(t.title, passages[t.qid]) for t in drawn]


def training_split(topics: TopicSet) -> str:
    """Return the name of the training topics that go with topics.

    Raises:
        ExpandrError: none are known.
    """
    if topics.collection and "train" in topics.collection.spec.splits:
        return f"{topics.collection.dataset}/train"
    if topics.folder and (
        (topics.folder / "qrels" / "train.tsv").is_file() or (topics.folder / "qrels" / "train.tsv.gz").is_file()
    ):
        return str(topics.folder / "train")
    raise ExpandrError(
        f"{topics.label}: no training qrels are known for these topics; name some with --examples-from, e.g. scifact/train"
    )


def read_passages(path: Path, topics: Collection[Topic] = ()) -> dict[str, str]:
    """Read a file of gold passages, JSONL with `qid` and `text`: qid -> text.

    Args:
        path: the file.
        topics: that the passages are for; where a line says its topic's `title` as well, it must be this one's.

    Raises:
        FormatError: the file is not what it should be.
        MismatchError: a topic has another title there.
        NotAvailableError: the file cannot be read.
    """
    passages: dict[str, str] = {}
    titles = {t.qid: t.title for t in topics}
    for number, record in read_objects(path):
        qid, text = read_id(path, number, record.get("qid"), "the qid"), record.get("text")
        if not isinstance(text, str) or not text.strip() or not is_surrogate_free(text):
            raise FormatError(path, number, f"topic {qid!r} has no text under `text`")
        if qid in passages:
            raise FormatError(path, number, f"the id {qid!r} was there before; ids must be unique")
        given_title, title = record.get("title"), titles.get(qid)
        if isinstance(given_title, str) and title is not None and title_digest(given_title) != title_digest(title):
            raise MismatchError(
                f"{path}, line {number}: topic {qid!r} is {given_title[:60]!r} there, and {title[:60]!r} among the topics; these are passages of other topics"
            )
        passages[qid] = text
    return passages


def _judged(topics: TopicSet) -> Qrels:
    qrels = qrels_of(topics)
    if qrels is None:
        raise ExpandrError(
            f"{topics.label}: no relevance judgments are known for these topics, so no gold passages; give --passages FILE (JSONL, qid and text)"
        )
    return qrels


def best_documents(
    qrels: Qrels, topics: Collection[Topic], *, remove_own: bool = False, level: int = 1
) -> dict[str, str]:
    """Return the first document by docid among those of the highest grade, for each topic that has a relevant one.

    Args:
        qrels: the relevance judgments.
        topics: the topics.
        remove_own: whether a document with the topic's own id is not an answer, as where the collection takes it out of rankings.
        level: least grade that counts as relevant.
    """
    best = {}
    for topic in topics:
        judged = qrels.get(topic.qid, {})
        relevant = {d: g for d, g in judged.items() if g >= level and not (remove_own and d == topic.qid)}
        if relevant:
            best[topic.qid] = min(relevant, key=lambda d: (-relevant[d], d))
    return best


def _from_collection(topics: TopicSet, wanted: Collection[Topic]) -> dict[str, str]:
    best = _best(topics, wanted)
    texts = document_texts(topics, set(best.values()))
    return {qid: texts[docid] for qid, docid in best.items() if docid in texts}


def _best(topics: TopicSet, wanted: Collection[Topic]) -> dict[str, str]:
    own = removes_own_ids(topics.documents, topics.label)
    return best_documents(_judged(topics), wanted, remove_own=own, level=level_of(topics))


def document_texts(topics: TopicSet, docids: set[str]) -> Mapping[str, str]:
    """Return the texts of documents, reading the corpus until all are found."""
    documents = find_corpus(topics.documents or topics.label).find(docids)
    return {d.docid: d.dense_text for d in documents if d.dense_text}
