"""From what an LLM said to the text that is searched with: small talk, markup and reasoning taken off.

The rules are versioned: a change that alters any text raises `CLEANER`. The raw text stays in the store, so a new
version applies to old generations without asking again. A text may be anything: the patterns are written so that none takes
long on any (alternatives that exclude one another; `++` and `*+` where nothing is won by giving back). ExpandR cuts off thirteen openings such as "Here is a passage
...:" with all before them (arXiv 2502.17057, official code); these rules do the same by pattern, and more.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

CLEANER = "1"
"""Version of the rules."""

ENDS = ("refusal", "content_filter")
"""Reasons to finish by which a backend itself says that the model refused."""


@dataclass(frozen=True)
class Cleaned:
    """A cleaned text, and whether it refuses to say anything."""

    text: str
    refused: bool = False

    @property
    def empty(self) -> bool:
        """Whether nothing is left."""
        return not self.text


_THINK = r"(?:think|thinking|thought|reasoning)"
_REASONING = re.compile(
    rf"(?P<end></{_THINK}>|◁/think▷|<\|channel\|>final<\|message\|>)|<{_THINK}>|◁think▷|<\|channel\|>analysis", re.I
)
_SPECIAL = re.compile(r"<\|[\w.-]{1,40}\|>|</?s>|<(?:eos|bos|pad|end_of_turn|start_of_turn)>")
_FENCE = re.compile(r"^[ \t]*(?:```|~~~)[\w+-]*[ \t]*$\n?", re.M)

_THING = (
    r"(?:passage|paragraph|answer|response|text|document|article|abstract|explanation|summary|rewrite|rewritten|re-?phrased"
    r"|revised|query|question|claim|keywords?|list|counter-?argument|rationale|reasoning|output|version|write-?up|essay)"
)
_GAP = r"(?:[^\n:.!?]|[.](?=\S)|(?<=\b[A-Z])[.](?!\S)){0,150}?"  # within a sentence
_BREAK = r"[^\S\n]*+\n\s*+"  # white space with a line end in it
_ANNOUNCEMENT = (
    rf"(?:(?:here(?:['’]s|\s+is|\s+are|\s+you\s+go)|below\s+(?:is|are)|(?:the\s+)?following\s+(?:is|are))"
    rf"\b{_GAP}\b{_THING}\b{_GAP}(?::++(?:\*\*)?\s*+|[.!]?{_BREAK})"
    rf"|(?:this\s+is|i(?:['’]ve|\s+have)\s+(?:written|prepared|rewritten)|the\s+(?:rewritten|revised))"
    rf"\b{_GAP}\b{_THING}\b{_GAP}:++(?:\*\*)?\s*+)"
)
_CHAT = (
    r"(?:sure(?:\s+thing)?|certainly|of\s+course|absolutely|okay|ok|alright|great(?:\s+question)?|yes|no\s+problem|understood|got\s+it"
    r"|thank(?:s|\s+you)[^\n.!]{0,60}|what\s+a[^\n.!]{0,60}|happy\s+to\s+help|i(?:['’]d|['’]ll|\s++would|\s++will|\s++can)(?:\s(?=\s)|\s++(?:[^\n.!:\s][^\n.!:]{0,79})?))"
)
_OPENING = re.compile(rf"^(?:{_CHAT}[!.,:;—–-]*+\s++){{0,3}}{_ANNOUNCEMENT}", re.I)
_EXCLAMATION = re.compile(
    r"^(?:sure(?:\s+thing)?|certainly|of\s+course|absolutely|great(?:\s+question)?|no\s+problem|happy\s+to\s+help)!\s+|"
    r"^(?:sure|certainly|of\s+course|absolutely|okay|ok)[.,]?\s*\n\s*",
    re.I,
)
_LABEL = re.compile(
    r"^\W{0,3}(?:passage|answer|output|response|keywords?|rewrite|rewritten\s+query|paragraph|counter[ -]?argument"
    r"|related\s+document|scientific\s+paper\s+passage)\W{0,2}:\W{0,3}\s+|^(?:passage|answer|output|keywords)\s*:\s*",
    re.I,
)
_ECHO = re.compile(r"^(?:question|query|claim|topic)\s*:[^\n]*\n\s*(?:passage|answer|output|keywords)\s*:\s*", re.I)
_ASKED = re.compile(r"(?<!\s)(\s++)(?:query|question|claim)\s*+:", re.I)
_ANSWERED = re.compile(r"\n\s*+(?:passage|answer)\s*+:", re.I)
_CLOSING = re.compile(
    r"(?:(?<!\s)(?:(?<=[.!?:)\"”])\s++|\s*+(?<=\n))|^)[(\[*_-]{0,3}(?:"
    r"i\s+hope\s+(?:this|that|it|these)\s+(?:help|is|are|was|answer|meet|passage|text|explanation|information|give|provide|clarif|satisf)"
    r"|(?:please\s+)?let\s+me\s+know\b"
    r"|(?:please\s+)?(?:do\s+not|don['’]t)\s+hesitate\s+to\b"
    r"|(?:please\s+)?feel\s+free\s+to\s+(?:ask|reach|let|contact|request|share)\b"
    r"|would\s+you\s+like\s+(?:me|more|any|further|another)\b|do\s+you\s+(?:want|need)\s+me\b"
    r"|if\s+you(?:['’]d|['’]ve|\s+have|\s+need|\s+want|\s+would|\s+require)\b[^\n.!?]{0,120}\b(?:let\s+me|feel\s+free|just\s+ask|ask\s+me|i\s+can|i['’]d\s+be)\b"
    r"|is\s+there\s+anything\s+else\b"
    r"|note\s*:[^\n]{0,80}\b(?:passage|answer|response|text|information)\b"
    r"|word\s+count\s*:|end\s+of\s+(?:passage|answer)\b"
    r")[^\n]{0,400}$",
    re.I,
)
_WIDE = re.compile(r"\s{50}")
_BOLD = re.compile(r"\*\*(?=\S)([^*]++)(?<=\S)\*\*|(?<!\w)__(?=\S)((?=[^_ \n]*+ )[^_\n]*+)(?<=\S)__(?!\w)")
_HEADING = re.compile(r"^[ \t]*#{1,6}[ \t]+", re.M)
_BULLET = re.compile(r"^[ \t]*[-*•‣◦–][ \t]+", re.M)
_NUMBER = re.compile(r"^[ \t]*\d{1,2}[.)][ \t]+", re.M)
_RULE = re.compile(r"^[ \t]*(?:-{3,}|\*{3,}|_{3,}|={3,})[ \t]*$", re.M)
_QUOTES = {'"': '"', "“": "”", "„": "“", "«": "»", "'": "'", "‘": "’", "`": "`"}

_VERB = (
    r"(?:help|assist|provide|fulfil+|comply|write|generate|create|answer|support|offer|engage|discuss|share|give|complete|verify"
    r"|access|find|produce|respond|continue|do\s+that)"
)
_REFUSAL = re.compile(
    r"^\W*+(?:(?:well|unfortunately|hello|hi)\W++)?(?:"
    r"(?:i\s*+['’]?\s*+a?m\s++)?(?:very\s++|so\s++|truly\s++)?sorry\b\W*+(?:but\b\W*+)?(?:i|as|this|that|we|there)\b"
    r"|i\s+apologi[sz]e\b"
    r"|(?:as|being)\s+an?\s+(?:ai|artificial|language|large|llm)\b"
    rf"|i\s+(?:can\s*not|can['’]t|am\s+unable\s+to|am\s+not\s+able\s+to|won['’]t|will\s+not|could\s+not|couldn['’]t|must\s+decline\s+to)\s++(?:\w++\s++){{0,2}}?{_VERB}\b"
    rf"|i['’]m\s+(?:unable|not\s+able)\s+to\s+{_VERB}\b"
    r"|i\s+(?:don['’]t|do\s+not)\s+have\s+(?:enough|sufficient|any|access|the)\b"
    rf"|(?:unable|not\s+able)\s+to\s+{_VERB}\b"
    r")",
    re.I,
)


@functools.lru_cache(maxsize=4096)  # the same text is looked at when it arrives and when the output is put together
def clean(raw: str, finish: str = "") -> Cleaned:
    """Clean one generation.

    Args:
        raw: what the LLM said.
        finish: why it stopped, in the backend's word.

    Returns:
        The text, and whether it is a refusal. Cleaning what is clean changes nothing.
    """
    text = raw.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "").encode("utf-8", "replace").decode("utf-8")
    for _ in range(6):  # a rule may uncover what another takes off: a quoted passage with its own preamble
        before = text
        text = _once(text)
        if text == before:
            break
    return Cleaned(text, finish in ENDS or bool(_REFUSAL.match(text)))


def _once(text: str) -> str:
    text = _without_reasoning(text)
    text = _FENCE.sub("", _SPECIAL.sub("", text)).strip()
    for opening in (_ECHO, _OPENING, _EXCLAMATION, _LABEL):
        text = opening.sub("", text, count=1)
    text = _without_closing(_without_next(text))
    text = _without_markup(text)
    text = "\n".join(line.rstrip(" \t") for line in text.split("\n"))
    return _without_quotes(re.sub(r"\n{3,}", "\n\n", text).strip())


def _without_reasoning(text: str) -> str:
    """Take reasoning off: closed blocks, a block whose start the template wrote, a block that was cut off."""
    kept: list[str] = []
    position, inside = 0, False
    for tag in _REASONING.finditer(text):
        if not inside and tag["end"]:
            kept.clear()
        elif not inside:
            kept.append(text[position : tag.start()])
        inside = not tag["end"]
        position = tag.end()
    return "".join(kept) + ("" if inside else text[position:])


def _without_next(text: str) -> str:
    """Take off a further query, and the passage to it, that the model went on to write."""
    for found in _ASKED.finditer(text):
        start, end = text.find("\n", *found.span(1)), text.find("\n", found.end())
        if start >= 0 and (end < 0 or _ANSWERED.match(text, end)):
            return text[:start]
    return text


def _without_closing(text: str) -> str:
    while found := _CLOSING.search(text, _closing_from(text)):
        text = text[: found.start()].rstrip()
    return text


def _closing_from(text: str) -> int:
    """Return a place before which no closing begins: one has less than a thousand characters, but for its white space."""
    place = max(0, len(text) - 2000)
    return 0 if _WIDE.search(text, place) else place


def _without_markup(text: str) -> str:
    text = _RULE.sub("", _HEADING.sub("", _BOLD.sub(r"\1\2", text)))
    text = _BULLET.sub("", text)
    # one number at a line's start may be a year's end or a measure; two make a list
    return _NUMBER.sub("", text) if len(_NUMBER.findall(text)) > 1 else text


def _without_quotes(text: str) -> str:
    """Take off quotes round the whole text, unless they are the first and last of several quotations."""
    if len(text) > 2 and _QUOTES.get(text[0]) == text[-1] and not set(text[1:-1]) & {text[0], text[-1]}:
        return text[1:-1].strip()
    return text
