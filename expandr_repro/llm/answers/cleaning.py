"""Clean an LLM's answer: remove small talk, markup and reasoning, and keep the text to search with.

The rules are versioned: a change that alters any text raises `CLEANER`. The raw text stays in the store, so a new
version applies to old generations without asking again. A text may be anything: the patterns are written so that none takes
long on any (alternatives that exclude one another; `++` and `*+` where nothing is won by giving back). ExpandR cuts off thirteen openings such as "Here is a passage
...:" with all before them (arXiv 2502.17057, official code); these rules do the same by pattern, and more.
"""

from __future__ import annotations

import functools
import itertools
import json
import re
from bisect import bisect_right
from dataclasses import dataclass
from typing import Any

from expandr_repro.llm.answers.chatter import without_closing, without_echo, without_next, without_opening
from expandr_repro.llm.answers.markers import answer_of
from expandr_repro.llm.answers.refusals import is_refusal

CLEANER = "2"
"""Version of the rules."""

ENDS = ("refusal", "content_filter")
"""Reasons to finish by which a backend itself says that the model refused."""

PASSES = 16
"""A rule may uncover what another takes off (a quoted passage with its own preamble): so often all are applied at most."""


@dataclass(frozen=True)
class Cleaned:
    """A cleaned text, whether it refuses to say anything, and whether it was cut off before the answer began."""

    text: str
    refused: bool = False
    cut: bool = False

    @property
    def empty(self) -> bool:
        """Whether nothing is left."""
        return not self.text


_FENCE = re.compile(r"^[ \t]*(?:```|~~~)[ \t]*([\w+-]*)[ \t]*$", re.M)
_PROSE = ("", "text", "txt", "plain", "plaintext", "markdown", "md", "json", "xml", "html", "passage", "output")
_CODE = re.compile(r"^[ \t]*(```|~~~)[^\n]*\n.*?(?:^[ \t]*\1[ \t]*$|\Z)|(?<!`)`[^`\n]+`(?!`)", re.M | re.S)
_BEFORE, _AFTER = r"(?<![0-9A-Za-z_)\]\u00c0-\u024f\u0370-\u052f*])", r"(?![0-9A-Za-z_\u00c0-\u024f\u0370-\u052f*])"
_BOLD = re.compile(
    rf"{_BEFORE}(\*\*\*?)(?=[^\s*)}}\]>,.;:!?$])([^*\n]++)(?<=[^\s({{\[<$,])\1{_AFTER}|(?<!\w)__(?=\S)((?=[^_ \n]*+ )[^_\n]*+)(?<=\S)__(?!\w)"
)
_HEADING = re.compile(r"^[ \t]*#{1,6}[ \t]+", re.M)
_BULLET = re.compile(r"^[ \t]*[-*•‣◦–][ \t]+", re.M)
_NUMBER = re.compile(r"^[ \t]*(\d{1,2})[.)][ \t]+", re.M)
_RULE = re.compile(r"^[ \t]*(?:-{3,}|\*{3,}|_{3,}|={3,}|\*[ \t]\*[ \t]\*|-[ \t]-[ \t]-)[ \t]*$", re.M)
_MARKED_QUOTE = re.compile(r"(?:[ \t]*>[^\n]*(?:\n|$)|[ \t]*\n)+")
_QUOTES = {'"': '"', "“": "”", "„": "“", "«": "»", "'": "'", "‘": "’", "`": "`", "「": "」", "『": "』"}
_TAG = re.compile(
    r"\s*<(passage|answer|response|output|text|document|paragraph|result|content|article|solution|final_answer|final|conclusion|keywords|query)"
    r"(?:\s[^<>\n]{0,80})?>",
    re.I,
)
_END_TAG = re.compile(
    r"</(passage|answer|response|output|document|paragraph|solution|final_answer|final|conclusion|keywords)>\s*$", re.I
)
_PYTHON = re.compile(r"\{\s*'\w{1,40}'\s*:\s*(['\"])((?:(?!\1\s*,\s*').)*)\1\s*\}", re.S)
_ECHOED = ("query", "question", "claim", "topic", "prompt", "language", "id", "qid", "type")
_THINKING_ALOUD = re.compile(
    r"\s*(?:(?:okay|ok|alright|all\s+right|hmm+|well|right|so|first|now)\b[,.:]?\s+)*(?:let\s+me\s+(?:think|see|start|break|figure|recall|consider|tackle|try)"
    r"|let['’]?s\s+(?:think|see|break|tackle|figure|unpack|craft|write|produce|parse)|the\s+user\s+(?:is|wants|asks|asked|has|needs|would|said)"
    r"|(?:i|we)(?:['’]ll)?\s+(?:(?:need|have|are\s+asked|was\s+asked|want)\s+to|should|must)\s+"
    r"(?:write|answer|generate|produce|provide|create|craft|think|figure|come|respond|output|compose)"
    r"|i['’]m\s+(?:asked|supposed|trying)\s+to|the\s+(?:question|task|prompt|query)\s+(?:asks|wants|is\s+to|says))\b",
    re.I,
)


@functools.lru_cache(maxsize=4096)  # the same text is looked at when it arrives and when the output is put together
def clean(raw: str, finish: str = "", prompt: str = "") -> Cleaned:
    """Clean one generation.

    Args:
        raw: the LLM's answer.
        finish: why it stopped, in the backend's word.
        prompt: what it was asked; taken off where the text begins by repeating it.

    Returns:
        The text, whether it is a refusal, and whether it ended before the answer began. Cleaning what is clean changes nothing.
    """
    text = raw.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "").encode("utf-8", "replace").decode("utf-8")
    text, _ = answer_of(text)
    if finish == "length" and _THINKING_ALOUD.match(text):  # the marks of its reasoning stand in the prompt
        text = ""
    if prompt:
        text = without_echo(text, prompt)
    for _ in range(PASSES):
        before = text
        text = _once(text)
        if text == before:
            break
    refused = finish in ENDS or is_refusal(text)
    return Cleaned(text, refused, finish == "length" and not text and not refused)


def _once(text: str) -> str:
    text = answer_of(text)[0].strip()
    text = _without_wrapping(text)
    text = without_opening(text)
    text = without_closing(without_next(text))
    text = _without_markup(text)
    text = "\n".join(line.rstrip(" \t") for line in text.split("\n"))
    return _without_quotes(re.sub(r"\n{3,}", "\n\n", text).strip())


def _without_wrapping(text: str) -> str:
    """Take off what is around the whole text: a code fence, JSON with one text in it, a tag, the marks of a quotation."""
    for unwrapped in (_without_fence, _without_json, _without_tag, _without_marks):
        text = unwrapped(text).strip()
    return text


def _without_fence(text: str) -> str:
    fences = list(_FENCE.finditer(text))
    if not fences:
        return text
    first, last = fences[0], fences[-1]
    leads = first.start() == 0 and first[1].lower() in _PROSE
    if (
        last.end() == len(text)
        and not last[1]
        and (len(fences) == 1 or (leads and len(fences) == 2) or (first[1] and leads))
    ):
        text = text[: last.start()]
        return text[first.end() :] if leads and len(fences) > 1 else text
    return text[first.end() :] if leads and len(fences) == 1 else text


def _without_json(text: str) -> str:
    """Take the text out of an object that holds one, also where it was cut off."""
    if text[:1] not in ("{", "[") or len(text) > 1 << 20:
        return text
    for end in ("", '"}', '"]}', "}"):
        try:
            inner = _text_of(json.loads(text + end, strict=False))
        except (ValueError, RecursionError):
            continue
        return text if inner is None else inner
    quoted = _PYTHON.fullmatch(text)
    return quoted[2].replace("\\'", "'").replace("\\n", "\n") if quoted else text


def _text_of(value: Any) -> str | None:
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict):
        value = value[0]
    if not isinstance(value, dict):
        return None
    wanted = {k: v for k, v in value.items() if k.lower() not in _ECHOED} or value
    title = next((v for k, v in wanted.items() if k.lower() in ("title", "heading") and isinstance(v, str)), None)
    if title and len(wanted) == 2:
        (text,) = (v for v in wanted.values() if v is not title)
        return f"{title}\n\n{text}" if isinstance(text, str) else None
    if len(wanted) != 1:
        return None
    (only,) = wanted.values()
    if isinstance(only, list) and only and all(isinstance(v, str) for v in only):
        return "\n".join(only)
    return only if isinstance(only, str) else _text_of(only)


def _without_tag(text: str) -> str:
    if opened := _TAG.match(text):
        closed = re.search(rf"</{opened[1]}>\s*$", text, re.I)
        inner = text[opened.end() : closed.start() if closed else len(text)]
        if f"</{opened[1].lower()}>" not in inner.lower():
            return inner
    elif (closed := _END_TAG.search(text)) and f"<{closed[1].lower()}" not in text.lower():
        return text[: closed.start()]
    return text


def _without_marks(text: str) -> str:
    """Take `>` off all lines, where all have it; "> 50 % of adults" is no quotation."""
    if text.startswith(">") and _MARKED_QUOTE.fullmatch(text) and not re.fullmatch(r">=?\s*[\d=][^\n]*", text):
        return re.sub(r"^[ \t]*>[ \t]?", "", text, flags=re.M)
    return text


def _without_markup(text: str) -> str:
    for mark, kept in ((_BOLD, r"\2\3"), (_HEADING, ""), (_RULE, ""), (_BULLET, "")):
        text = _outside_code(mark, kept, text)
    # one number at a line's start may be a year's end or a measure, and so may two that do not count up from one
    counted = [int(n) for n in _NUMBER.findall(text)]
    is_list = len(counted) > 1 and counted[0] <= 1 and all(a < b for a, b in itertools.pairwise(counted))
    return _outside_code(_NUMBER, "", text) if is_list else text


def _outside_code(mark: re.Pattern[str], kept: str, text: str) -> str:
    """Replace a mark but in code, which may be of stars and hashes."""
    code = [block.span() for block in _CODE.finditer(text)]
    starts = [start for start, _ in code]

    def replaced(match: re.Match[str]) -> str:
        number = bisect_right(starts, match.start()) - 1
        return match[0] if number >= 0 and match.start() < code[number][1] else match.expand(kept)

    return mark.sub(replaced, text)


def _without_quotes(text: str) -> str:
    """Take off quotes round the whole text, unless they are the first and last of several quotations."""
    if len(text) > 6 and text[:3] in ('"""', "'''") and text.endswith(text[:3]) and text.count(text[:3]) == 2:
        return text[3:-3].strip()
    if len(text) > 2 and _QUOTES.get(text[0]) == text[-1] and not set(text[1:-1]) & {text[0], text[-1]}:
        return text[1:-1].strip()
    return text
