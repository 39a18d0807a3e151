"""Expansions for reading in a terminal: the query, the prompt that was sent, and each text with its settings."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from expandr_repro.console.terminal import one_line
from expandr_repro.data.topics import TYPES, Topic, read_topics
from expandr_repro.errors import ExpandrError, FormatError, UnknownNameError
from expandr_repro.expand.store import Store
from expandr_repro.io.files import sha256_text
from expandr_repro.llm.prompts import Prompt, prompts
from expandr_repro.llm.rendering import PROMPTS
from expandr_repro.llm.templates import check_template


def shown(file: str, qids: Sequence[str], store: Path) -> Iterator[str]:
    """Yield each topic as text.

    Args:
        file: augmented topics.
        qids: which topics; all where empty.
        store: where to look for prompts that are none of ours.

    Raises:
        UnknownNameError: no topic has that id.
        FormatError: the file is not what it should be.
    """
    topics = {t.qid: t for t in read_topics(file)}
    for qid in qids:
        if qid not in topics:
            raise (
                UnknownNameError("topic", qid, topics)
                if len(topics) <= 20
                else ExpandrError(f"{file}: no topic {qid!r}")
            )
    templates: dict[str, str | None] = {}
    for topic in [topics[q] for q in qids] or topics.values():
        digest = str((topic.provenance or {}).get("prompt_sha256", ""))
        if digest not in templates:
            templates[digest] = None if (topic.provenance or {}).get(PROMPTS) else _template(digest, store)
        yield "\n".join(_lines(topic, templates[digest]))


def _template(digest: str, store: Path) -> str | None:
    for spec in prompts().values():
        if sha256_text(spec.template) == digest:
            return spec.template
    if not digest or not store.is_file():
        return None
    with Store(store) as opened:
        return _trusted(opened.template(digest))


def _lines(topic: Topic, template: str | None) -> Iterator[str]:
    facts = topic.provenance or {}
    yield one_line(f"topic {topic.qid}")
    yield from _wrapped(topic.title, "  ")
    if facts:
        made_by = ", ".join(f"{k} {facts[k]}" for k in ("model", "revision", "adapter", "backend") if facts.get(k))
        yield one_line(
            f"{'method' if facts.get('method') else 'prompt'} {facts.get('method') or facts.get('prompt', '?')} ({made_by})"
        )
    if template:
        yield from _wrapped(Prompt("", 0, template).render(topic.title, "(the gold passage)"), "  > ")
    asked: int | None = None
    for number, expansion in enumerate(topic.expansions, start=1):
        if expansion.prompt is not None and expansion.prompt != asked:
            asked = expansion.prompt
            yield from _recorded(facts, asked)
        facts_of_it = {**({"type": expansion.type} if expansion.type != TYPES[0] else {}), **expansion.sampling,
                       **({"finish": "length"} if expansion.finish == "length" else {})}  # fmt: skip
        settings = ", ".join(f"{k} {v}" for k, v in facts_of_it.items())
        yield one_line(f"expansion {number}" + (f" ({settings})" if settings else ""))
        yield from _wrapped(expansion.text, "  ")
    if not topic.expansions:
        yield "no expansion"
    yield ""


def _recorded(facts: Mapping[str, Any], number: int) -> Iterator[str]:
    """Yield the prompt of that number as it was sent, where the provenance has it."""
    listed = facts.get(PROMPTS)
    record = listed[number] if isinstance(listed, list) and number < len(listed) else None
    if not isinstance(record, Mapping):
        return
    messages = record.get("messages")
    texts = [m.get("content") for m in messages if isinstance(m, Mapping)] if isinstance(messages, list) else [record.get("text")]  # fmt: skip
    for text in texts:
        if isinstance(text, str):
            yield from _wrapped(text, "  > ")


def _wrapped(text: str, indent: str) -> Iterator[str]:
    width = min(120, shutil.get_terminal_size().columns)
    for line in _printable(text).splitlines():
        yield from textwrap.wrap(line, width, initial_indent=indent, subsequent_indent=indent) or [indent.rstrip()]


def _printable(text: str) -> str:
    """Return a text without control characters: what an LLM wrote must not steer the terminal."""
    return "".join(c if c.isprintable() or c == "\n" else " " for c in text)


def _trusted(template: str | None) -> str | None:
    """Return a template of a store, which may be anyone's, where it asks for no more than a prompt may."""
    try:
        check_template(template or "", ("query", "passage"), "", "")
    except FormatError:
        return None
    return template
