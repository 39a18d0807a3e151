"""Join the expansions of a file to topics by qid, and refuse those of other topics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from expandr_repro.data.topics import ID_KEYS, TITLE_KEYS, Topic, check_characters, topic_of
from expandr_repro.errors import FormatError, MismatchError, nearest, shown
from expandr_repro.io.files import read_objects, sha256_text


def read_expansions(path: str | Path) -> dict[str, tuple[Topic, str | None]]:
    """Read a file of expansions to be joined: augmented topics, or the same with a hash in place of the title.

    Packaged sets carry `title_sha256` (the first 16 digits) because the titles are not ours to ship.

    Returns:
        qid -> (topic, title hash); the topic's title is empty where only its hash is known.

    Raises:
        FormatError: as `read_topics`; also where no topic has an expansion that says something.
    """
    by_qid: dict[str, tuple[Topic, str | None]] = {}
    first: tuple[int, dict[str, object]] | None = None
    for number, record in read_objects(path):
        digest = record.get("title_sha256")
        if digest is not None and not isinstance(digest, str):
            raise FormatError(path, number, "`title_sha256` must be a string")
        titled = any(key in record for key in TITLE_KEYS)
        topic = topic_of(path, number, record if titled else {"title": "", **record})
        if topic.qid in by_qid:
            raise FormatError(path, number, f"the id {topic.qid!r} was there before; ids must be unique")
        check_characters(path, number, topic)
        by_qid[topic.qid] = (topic, digest)
        first = first or (number, record)
    if first is None:
        raise FormatError(path, None, "contains no expansions; wanted one topic per line")
    if not any(topic.texts for topic, _ in by_qid.values()):
        raise FormatError(path, first[0], _why_none(first[1], len(by_qid)))
    return by_qid


def _why_none(record: Mapping[str, object], topics: int) -> str:
    """Return why none of a file's topics has an expansion, as the first of them shows it."""
    start = f"none of the {topics} topics has an expansion"
    if "expansions" in record:
        return (
            f"{start}: `expansions` is empty from here on; did `expand` fail? Generate them, or leave --expansions out"
        )
    close = nearest("expansions", [key for key in record if key not in (*ID_KEYS, *TITLE_KEYS)])
    seen = f"found the key {close!r}" if close else f"found the keys {', '.join(map(shown, list(record)[:8]))}"
    return f'{start}: {seen}, wanted "expansions": [{{"text": ...}}]'


def title_digest(title: str) -> str:
    """Return the short hash by which a packaged expansion knows its topic (white space normalised)."""
    return sha256_text(" ".join(title.split()))[:16]


def join_expansions(
    topics: list[Topic], expansions: Mapping[str, tuple[Topic, str | None]], source: str
) -> list[Topic]:
    """Give topics the expansions of another file, by qid; a topic without one keeps none.

    The file may contain more topics than are asked for, as one for a whole collection does, where the titles or hashes of those in common
    show that it is of the same collection.

    Raises:
        MismatchError: it has none of the topics, or another title for one of them, or it has others besides and says no titles.
    """
    known = {t.qid for t in topics}
    strangers = [qid for qid in expansions if qid not in known]
    common = [(expanded, digest) for qid, (expanded, digest) in expansions.items() if qid in known]
    if strangers and not any(digest or expanded.title for expanded, digest in common):
        unsure = " and the others carry no title to tell them by" if common else ""
        raise MismatchError(
            f"{source}: {len(strangers)} of {len(expansions)} ids are not among the topics (first: {strangers[0]!r}){unsure}; "
            "these expansions were made for other topics"
        )
    joined = []
    for topic in topics:
        other, digest = expansions.get(topic.qid, (None, None))
        if other is None:
            joined.append(replace(topic, expansions=(), provenance=None))
            continue
        if not same_title(topic, other, digest):
            raise MismatchError(
                f"{source}: topic {topic.qid!r} has another title there than in the topics ({topic.title[:60]!r}); "
                "these expansions were made for other topics"
            )
        joined.append(replace(topic, expansions=other.expansions, provenance=other.provenance))
    return joined


def same_title(topic: Topic, other: Topic, digest: str | None) -> bool:
    """Return whether a line of expansions is for a topic, as far as it carries a title or a title's hash."""
    of_topic = title_digest(topic.title)
    return (not digest or digest == of_topic) and (not other.title or title_digest(other.title) == of_topic)


def append_expansions(joined: Sequence[Topic], further: Sequence[Topic]) -> list[Topic]:
    """Unite the expansions of the same topics from two files, a topic's texts in the order of the files."""
    return [_united(topic, more) for topic, more in zip(joined, further, strict=True)]


def _united(topic: Topic, more: Topic) -> Topic:
    """Return a topic with the texts of both; the provenance is the first one's, with the prompts of both, and a fusion only where both name it."""
    if not (topic.expansions and more.expansions):
        return topic if topic.expansions else replace(more, title=topic.title)
    first, second = topic.provenance or {}, more.provenance or {}
    prompts = [list(facts.get("prompts") or ()) for facts in (first, second)]
    moved = [e if e.prompt is None else replace(e, prompt=e.prompt + len(prompts[0])) for e in more.expansions]
    provenance: dict[str, Any] | None = None if topic.provenance is None else dict(first)
    if any(prompts):
        provenance = {**first, "prompts": [*prompts[0], *prompts[1]]}
    if provenance and provenance.get("fusion") != second.get("fusion"):
        provenance.pop("fusion", None)
    return replace(topic, expansions=(*topic.expansions, *moved), provenance=provenance)
