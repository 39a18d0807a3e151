"""Expansions of one file joined to the topics of another, by qid; what does not belong together is refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from expandr_repro.core.errors import FormatError, MismatchError
from expandr_repro.core.files import is_surrogate_free, parse_object, read_lines, sha256_text
from expandr_repro.core.topics import TITLE_KEYS, Topic, topic_of


def read_expansions(path: str | Path) -> dict[str, tuple[Topic, str | None]]:
    """Read a file of expansions to be joined: augmented topics, or the same with a hash in place of the title.

    Packaged sets carry `title_sha256` (the first 16 digits) because the titles are not ours to ship.

    Returns:
        qid -> (topic, title hash); the topic's title is empty where only its hash is known.

    Raises:
        FormatError: as `read_topics`.
    """
    found: dict[str, tuple[Topic, str | None]] = {}
    for number, line in read_lines(path):
        if not line.strip():
            continue
        record = parse_object(path, number, line)
        digest = record.get("title_sha256")
        if digest is not None and not isinstance(digest, str):
            raise FormatError(path, number, "`title_sha256` must be a string")
        titled = any(key in record for key in TITLE_KEYS)
        topic = topic_of(path, number, record if titled else {"title": "", **record})
        if topic.qid in found:
            raise FormatError(path, number, f"the id {topic.qid!r} was there before; ids must be unique")
        if not all(map(is_surrogate_free, (topic.title, *(e.text for e in topic.expansions)))):
            raise FormatError(
                path, number, f"topic {topic.qid!r} holds half a surrogate pair, which is no character; mend the text"
            )
        found[topic.qid] = (topic, digest)
    if not found:
        raise FormatError(path, None, "holds no expansions; wanted one topic a line")
    return found


def title_digest(title: str) -> str:
    """Return the short hash by which a packaged expansion knows its topic (white space normalised)."""
    return sha256_text(" ".join(title.split()))[:16]


def join_expansions(
    topics: list[Topic], expansions: Mapping[str, tuple[Topic, str | None]], source: str
) -> list[Topic]:
    """Give topics the expansions of another file, by qid; a topic without one keeps none.

    Raises:
        MismatchError: an expansion's qid is no topic's, or its title is another than the topic's.
    """
    known = {t.qid for t in topics}
    strangers = [qid for qid in expansions if qid not in known]
    if strangers:
        raise MismatchError(
            f"{source}: {len(strangers)} of {len(expansions)} ids are not among the topics (first: {strangers[0]!r}); "
            "these expansions were made for other topics"
        )
    joined = []
    for topic in topics:
        other, digest = expansions.get(topic.qid, (None, None))
        if other is None:
            joined.append(replace(topic, expansions=(), provenance=None))
            continue
        if (digest and digest != title_digest(topic.title)) or (
            other.title and title_digest(other.title) != title_digest(topic.title)
        ):
            raise MismatchError(
                f"{source}: topic {topic.qid!r} has another title there than in the topics ({topic.title[:60]!r}); "
                "these expansions were made for other topics"
            )
        joined.append(replace(topic, expansions=other.expansions, provenance=other.provenance))
    return joined
