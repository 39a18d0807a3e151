"""Read and write topics, with or without expansions.

Written form (augmented topics, one JSON object per line)::

    {"qid": "1", "title": "...", "expansions": [{"text": "...", "sampling": {...}, "finish": "stop", "type": "keywords"}], "provenance": {...}}

`type` says what a text is: passage (also where it is absent), keywords, question or rewrite.

Stock Pyserini reads such a file as the plain topics. Also read: JSONL with `_id`/`id`/`query_id` and
`text`/`query`, JSON `{qid: {"title": ...}}`, and TSV `qid<TAB>title`, with or without a header, each plain or gzipped.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from expandr_repro.errors import FormatError, UnknownNameError, shown
from expandr_repro.io.columns import TOPICS, Columns, header_of, unquoted
from expandr_repro.io.files import (
    MAX_TEXT,
    About,
    atomic_text,
    is_surrogate_free,
    read_facts,
    read_id,
    read_lines,
    read_objects,
    read_text,
)

ID_KEYS = ("qid", "id", "_id", "query_id")
TITLE_KEYS = ("title", "text", "query")

TYPES = ("passage", "keywords", "question", "rewrite")
"""What an expansion may be; the first where nothing is stated."""


@dataclass(frozen=True)
class Expansion:
    """One generated text for a topic, with the sampling settings that made it.

    Attributes:
        text: the text, cleaned.
        sampling: its settings.
        finish: why it ended: "stop", "length" (cut at the limit of tokens), or "" where that is not known.
        type: what it is, one of `TYPES`.
        prompt: which of the `prompts` of its topic's provenance it answers, from 0; None where they are not written there.
    """

    text: str
    sampling: Mapping[str, Any] = field(default_factory=dict)
    finish: str = ""
    type: str = TYPES[0]
    prompt: int | None = None


@dataclass(frozen=True)
class Topic:
    """One information need: its id, its query as typed, its expansions, and what made them."""

    qid: str
    title: str
    expansions: tuple[Expansion, ...] = ()
    provenance: Mapping[str, Any] | None = None

    @property
    def texts(self) -> tuple[str, ...]:
        """The texts of the expansions that say something."""
        return tuple(e.text for e in self.expansions if e.text.strip())

    @property
    def distinct(self) -> tuple[str, ...]:
        """The same texts, equal ones once."""
        return tuple(dict.fromkeys(self.texts))


def read_topics(path: str | Path) -> list[Topic]:
    """Read a topics file, in file order.

    Raises:
        FormatError: a broken line, a duplicate id, an empty title, no topics at all.
        NotAvailableError: the file cannot be read.
    """
    path = Path(path)
    suffix = Path(path.name.removesuffix(".gz")).suffix.lower()
    if suffix == ".json":
        records = _read_json(path)
    elif suffix in (".tsv", ".txt", ".csv"):
        records = _read_tsv(path)
    else:
        records = _read_jsonl(path)
    topics: list[Topic] = []
    seen: dict[str, int] = {}
    for number, topic in records:
        if topic.qid in seen:
            raise FormatError(
                path, number, f"the id {topic.qid!r} was there before, on line {seen[topic.qid]}; ids must be unique"
            )
        if not topic.title.strip():
            raise FormatError(path, number, f"topic {topic.qid!r} has an empty title; give it a text or take it out")
        check_characters(path, number, topic)
        seen[topic.qid] = number
        topics.append(topic)
    if not topics:
        raise FormatError(path, None, "contains no topics; wanted one per line")
    return topics


def check_characters(path: Path | str, number: int, topic: Topic) -> None:
    """Refuse a topic that cannot be written as UTF-8.

    Raises:
        FormatError: its title or a text has half a surrogate pair.
    """
    if not all(map(is_surrogate_free, (topic.title, *(e.text + e.finish for e in topic.expansions)))):
        raise FormatError(
            path, number, f"topic {topic.qid!r} has half a surrogate pair, which is not a character; fix the text"
        )


def _read_jsonl(path: Path) -> Iterator[tuple[int, Topic]]:
    for number, record in read_objects(path):
        yield number, topic_of(path, number, record)


def _read_json(path: Path) -> Iterator[tuple[int, Topic]]:
    content = read_text(path, MAX_TEXT)
    try:
        whole = json.loads(content, object_pairs_hook=lambda pairs: _distinct(path, pairs))
    except (ValueError, RecursionError) as error:
        if "\n" in content.strip():  # one object a line under a .json name
            yield from _read_jsonl(path)
            return
        raise FormatError(path, getattr(error, "lineno", None), f"not JSON ({error})") from error
    if isinstance(whole, dict) and _first(whole, ID_KEYS) is not None and not isinstance(_first(whole, ID_KEYS), dict):
        whole = [whole]
    if isinstance(whole, dict):
        whole = [{**v, "qid": k} if isinstance(v, dict) else {"qid": k, "title": v} for k, v in whole.items()]
    if not isinstance(whole, list):
        raise FormatError(path, None, "wanted a JSON object {qid: {title: ...}} or one object per line")
    for position, record in enumerate(whole, start=1):
        if not isinstance(record, dict):
            raise FormatError(path, None, f"record {position} is not an object")
        yield position, topic_of(path, position, record)


def _distinct(path: Path, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object of its keys and values; JSON would silently keep the last of two equal keys."""
    distinct = dict(pairs)
    if len(distinct) < len(pairs):
        counts = Counter(key for key, _ in pairs)
        twice = next(key for key, count in counts.items() if count > 1)
        raise FormatError(path, None, f"the key {twice!r} occurs twice; ids must be unique")
    return distinct


def _read_tsv(path: Path) -> Iterator[tuple[int, Topic]]:
    header: Columns | None = None
    first = True
    for number, line in read_lines(path):
        if not line.strip():
            continue
        if number == 1 and line.lstrip().startswith("{"):
            raise FormatError(path, number, "looks like JSON under a .tsv or .txt name; rename it to .jsonl")
        qid, tab, title = line.partition("\t")
        if not tab:
            raise FormatError(path, number, "no tab; wanted `qid<TAB>title`")
        if first:
            first, header = False, header_of(path, number, line.split("\t"), TOPICS, ("id", "title"))
            if header:
                continue
        if header:
            fields = header.fields(path, number, line.split("\t"))
            qid, title = fields["id"], fields["title"]
        else:
            title = unquoted(title, sure=False)
        yield number, Topic(read_id(path, number, qid, "the id"), title.strip())


def _first(record: Mapping[str, Any], keys: Iterable[str]) -> Any:
    return next((record[k] for k in keys if k in record), None)


def topic_of(path: str | Path, number: int, record: Mapping[str, Any]) -> Topic:
    """Make a topic of one parsed record.

    Raises:
        FormatError: a key is missing or has the wrong type.
    """
    qid = _first(record, ID_KEYS)
    if qid is None:
        raise FormatError(path, number, f"no id; wanted one of the keys {', '.join(ID_KEYS)}")
    title = _first(record, TITLE_KEYS)
    if not isinstance(title, str):
        raise FormatError(path, number, f"no text; wanted a string under one of the keys {', '.join(TITLE_KEYS)}")
    provenance = record.get("provenance")
    if provenance is not None:
        read_facts(path, number, provenance, "provenance")
    return Topic(read_id(path, number, qid, "the id"), title, expansions_of(path, number, record), provenance)


def expansions_of(path: str | Path, number: int, record: Mapping[str, Any]) -> tuple[Expansion, ...]:
    """Read the `expansions` of a record: a list of texts, or of objects with `text` and perhaps `sampling`, `finish` and `type`.

    Raises:
        FormatError: something else is there.
    """
    listed = record.get("expansions", [])
    if not isinstance(listed, list):
        raise FormatError(path, number, '`expansions` must be a list of {"text": ...}')
    expansions = []
    for item in listed:
        entry = {"text": item} if isinstance(item, str) else item
        if not isinstance(entry, dict) or not isinstance(entry.get("text"), str):
            raise FormatError(path, number, "an expansion must be an object with a string `text`")
        finish = entry.get("finish") or ""
        if not isinstance(finish, str):
            raise FormatError(
                path,
                number,
                f'an expansion\'s `finish` must be a string such as "stop" or "length", found {shown(finish)}',
            )
        kind = entry.get("type") or TYPES[0]
        if kind not in TYPES:
            raise FormatError(path, number, f"an expansion's `type`: {UnknownNameError('type', str(kind), TYPES)}")
        prompt = entry.get("prompt")
        if prompt is not None and (isinstance(prompt, bool) or not isinstance(prompt, int) or prompt < 0):
            raise FormatError(path, number, f"an expansion's `prompt` is {shown(prompt)}; wanted the number of a prompt, from 0")  # fmt: skip
        expansions.append(
            Expansion(
                entry["text"], read_facts(path, number, entry.get("sampling", {}), "sampling"), finish, kind, prompt
            )
        )
    return tuple(expansions)


def expansion_record(e: Expansion) -> dict[str, Any]:
    """Return an expansion as the JSON object it is written as."""
    more = {"finish": e.finish or None, "type": e.type if e.type != TYPES[0] else None, "prompt": e.prompt}
    return {"text": e.text, "sampling": dict(e.sampling), **{k: v for k, v in more.items() if v is not None}}


def topic_record(topic: Topic) -> dict[str, Any]:
    """Return a topic as the JSON object it is written as."""
    record: dict[str, Any] = {"qid": topic.qid, "title": topic.title}
    if topic.expansions:
        record["expansions"] = list(map(expansion_record, topic.expansions))
    if topic.provenance is not None:
        record["provenance"] = dict(topic.provenance)
    return record


def write_topics(path: str | Path, topics: Iterable[Topic], about: About | None = None) -> None:
    """Write topics as JSONL, whole or not at all; equal topics give equal bytes. `about` is `atomic_text`'s.

    Raises:
        SetupError: the place cannot be written.
    """
    with atomic_text(path, about) as file:
        for topic in topics:
            file.write(json.dumps(topic_record(topic), ensure_ascii=False) + "\n")
