"""Parsers: what is read out of an LLM's answer: the text, keywords, quoted sentences, the texts of a JSON object, or a choice."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, TypeVar

from expandr_repro.llm.answers.markers import answer_of
from expandr_repro.registry import Entry, Registry, Within, split_values

F = TypeVar("F", bound=Callable[..., list[str]])

VERSION = "1"
"""Of the parsers; goes up when one of them reads something else out of an answer."""


@dataclass(frozen=True, kw_only=True)
class Reader(Entry):
    """A parser: from the answer as it came, and the same cleaned, to texts; none where it finds nothing.

    Attributes:
        joined: what stands between the texts in an expansion.
        supplied: what the method supplies: the names of its choices.
    """

    kind = "parser"
    joined: str
    supplied: Mapping[str, object] = field(default_factory=dict)

    def read(self, raw: str, cleaned: str) -> list[str]:
        """Return what an answer holds.

        Args:
            raw: the answer as it came.
            cleaned: the same without reasoning, small talk and markup.
        """
        answer = answer_of(raw)[0].strip()
        texts = self.function(answer, cleaned, **self.values, **self.supplied)
        if self.name == "text":
            return [item.strip() for item in texts if item.strip()]
        return [" ".join(item.split()) for item in texts if any(c.isalnum() for c in item)]

    def join(self, items: Sequence[str]) -> str:
        """Return texts as the one text of an expansion."""
        return self.joined.join(items)


PARSERS: Registry[Reader] = Registry("parser", "expandr_repro.parsers", "expandr_repro.expand.methods.parsers")


def parser(name: str, *, joined: str = " ") -> Callable[[F], F]:
    """Register a function as a parser; its keyword-only arguments with defaults are its parameters.

    Args:
        name: as written after `parser:`.
        joined: what stands between the texts in an expansion.
    """

    def register(function: F) -> F:
        PARSERS.add(name, Reader.from_function(function, name=name, joined=joined), function.__module__)
        return function

    return register


def reader_named(written: str, **supplied: object) -> Reader:
    """Return a parser by its name, perhaps with parameters: `keywords:most=20`.

    Raises:
        UnknownNameError: no such parser, or no such parameter.
        ExpandrError: a parameter's value is wrong.
    """
    name, typed = split_values("parser", written)
    return replace(PARSERS.find(name).parsed(typed), supplied=supplied)


@parser("text")
def text(answer: str, cleaned: str) -> list[str]:
    """The answer, cleaned."""
    return [cleaned]


_LABEL = re.compile(r"^[^\S\n]*(?:\*\*)?(?:(?:expansion|search|related|suggested|additional|relevant|key)\s+)?(?:keywords?|terms?|phrases?|key\s?words?)(?:\s+list)?(?:\*\*)?[^\S\n]*[:\-–][^\S\n]*(?:\*\*)?", re.I | re.M)  # fmt: skip
_BULLET = re.compile(r"^(?:[-*•‣◦–▪→+]|\(?\d{1,3}[.):]|\(?[a-z]\))\s+", re.I)
_AGAIN = re.compile(r"^\s*(?:query|question)\s*:", re.I | re.M)
WORDS = 8
"""Words of a keyword at most; a longer item is a sentence around the list, and is left out."""


@parser("keywords", joined=", ")
def keywords(answer: str, cleaned: str, *, most: Annotated[int, Within(0)] = 0) -> list[str]:
    """A list of keywords: commas, semicolons, lines, bullets, numbers or a JSON list; each once; `most` of them, 0 for all."""
    listed = _json_in(answer)
    if isinstance(listed, dict):
        listed = next((v for v in listed.values() if isinstance(v, list)), list(listed.values()))
    if isinstance(listed, list) and listed and all(isinstance(v, str) for v in listed):
        parts = listed
    else:
        own = cleaned[: again.start()] if (again := _AGAIN.search(cleaned, 1)) else cleaned
        lines = [_BULLET.sub("", line.strip()) for line in _LABEL.sub("", own).split("\n")]
        parts = [part for line in lines for part in re.split(r"[,;，；、]|\s\|\s", line)]
    by_lower: dict[str, str] = {}
    for part in parts:
        word = " ".join(part.split()).strip("\"'`“”‘’*_").rstrip(".,;:!?").strip()
        if len(word) > 1 and len(word.split()) <= WORDS and any(c.isalnum() for c in word):
            by_lower.setdefault(word.casefold(), word)
    return list(by_lower.values())[: most or None]


@parser("quoted")
def quoted(answer: str, cleaned: str) -> list[str]:
    """The sentences in double quotes, each once."""
    matches = re.findall(r'"([^"]+)"|“([^”]+)”|«([^»]+)»', answer)
    sentences = [" ".join(next(filter(None, parts)).split()) for parts in matches]
    return list(dict.fromkeys(s for s in sentences if any(c.isalnum() for c in s)))


@parser("json")
def json_texts(answer: str, cleaned: str, *, most: Annotated[int, Within(0)] = 0) -> list[str]:
    """The texts of a JSON object or list, in order, also where it was cut off or is in other text; `most` of them, 0 for all."""
    return _texts_of(_json_in(answer))[: most or None]


@parser("questions")
def questions(answer: str, cleaned: str, *, most: Annotated[int, Within(0)] = 3) -> list[str]:
    """Questions: those of a JSON object or list, else the lines that end with a question mark, else all lines."""
    if texts := _texts_of(_json_in(answer)):
        return texts[: most or None]
    lines = [_BULLET.sub("", line.strip()) for line in cleaned.split("\n")]
    lines = [re.sub(r"^(?:sub-?)?(?:q|question)\s*\d*\s*[:.)]\s*", "", line, flags=re.I) for line in lines if line]
    asked = [line for line in lines if line.endswith(("?", "？"))]
    return (asked or lines)[: most or None]


@parser("choice")
def choice(answer: str, cleaned: str, *, choices: Sequence[str]) -> list[str]:
    """The name of one of the method's choices: the first that the answer names."""
    there = answer.casefold()
    places = [(at, -len(name), name) for name in choices if (at := there.find(name.casefold())) >= 0]
    return [min(places)[2]] if places else []


def _json_in(answer: str) -> Any:
    """Return the JSON value that an answer is or holds: fixed at its end where it was cut off; None where there is none."""
    starts = [at for mark in "{[" if (at := answer.find(mark)) >= 0]
    if not starts or len(answer) > 1 << 20:
        return None
    body = re.sub(r"```\w*", "", answer[min(starts) :]).strip()
    try:
        return json.JSONDecoder(strict=False).raw_decode(body)[0]
    except (ValueError, RecursionError):
        pass
    for candidate in (re.sub(r",(\s*[}\]])", r"\1", body), body.replace("'", '"')):
        for end in ("", '"', "}", '"}', "]", '"]', '"]}', "]}"):
            try:
                return json.JSONDecoder(strict=False).raw_decode(candidate.rstrip().rstrip(",") + end)[0]
            except (ValueError, RecursionError):
                continue
    pairs = re.findall(r'"(\w{1,40})"\s*:\s*"((?:[^"\\]|\\.)*)', body)
    return dict(pairs) or None


def _texts_of(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value] if value.strip() else []
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list):
        return [text for item in value for text in _texts_of(item)]
    return []
