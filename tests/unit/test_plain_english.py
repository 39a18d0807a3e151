"""Texts that users read are in plain English: README, docs, help, docstrings, messages and the page of a report; names of variables name something."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from expandr_repro.__main__ import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "expandr_repro"
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")] + sorted(
    (ROOT / "docs").rglob("*.md")
)
MODULES = sorted(PACKAGE.rglob("*.py"))
PARTS = [p for p in sorted(PACKAGE.rglob("*")) if p.suffix in (".html", ".js", ".css")]


COUNTED = "answers?|billion|bytes|candidates|columns?|documents?|expansions?|files?|hits|ids?|lines|negatives?|objects?|once|one|pairs|passages?|records?|samples?|shards?|texts?|tokens|vectors?|words"
KINDS = "answer|character|dataset|development search|document|file|folder|index|list|model|name|number|object|parameter|part|path|prompt|record|run|spec|string|text|topic|URL|variable|whole number"
WORDS = {
    r"said": "reported, given or printed",
    r"told": "given, reported or distinguished",
    r"cure[sd]?": "fix",
    r"mend(s|ed|ing)?": "fix",
    r"(?<!matplotlib )figures?(?!:)": "score, metric or number; of a drawing: plot",
    r"judgements?|(?<!relevance )judgments": "relevance judgments, or qrels",
    rf"({COUNTED}) an? (topic|query|document|line|step|condition|process|token)(?! of|'s)": "per topic, per line, ...",
    r"nought|naught": "zero or nothing",
    r"beside": "next to",
    r"to be had": "available",
    r"anew|afresh": "again",
    r"without a word|in silence": "silently",
    r"to the digit": "exactly",
    r"passed over": "skipped",
    r"learnt": "learned",
    r"time stamps?": "timestamp",
    r"whether it be|be it": "whether it is",
    r"whence|thence|thereof|whereof|wherein|hither|lest|forthwith": "a word of this century",
    rf"(?<!here )is no ([a-zA-Z]+ )?({KINDS})": "is not a ...",
    r"not one (topic|expansion|text|document)": "no ..., or none of the ...",
    r"lies? (in|at|there|next|under|on|here)": "is, are",
    r"stands? (in|next|alone|there|beside)": "is, are",
    r"holds? (no|none|NaN|white space|half)": "contains",
    r"say `?--\w": "give --...",
    r"wants `?--\w": "needs --...",
}
"""What is not written -> what is, each a pattern of whole words."""

BANNED = [
    (re.compile(rf"(?<![\w`$.</-])(?:{word})(?![\w`-])", re.IGNORECASE), better) for word, better in WORDS.items()
]
NAMES = {
    "found": "name what was found",
    "made": "name what was made",
    "said": "message, text, recorded, ...",
    "told": "sentences, warnings, ...",
    "place": "position, path, folder, where, ...",
    "cure": "fix",
    "judgements": "qrels",
}
"""Names that no variable has -> what to do instead."""


def faults(text: str, where: str, first: int = 1) -> list[str]:
    """Return `file:line: 'word': better word` for each banned word of a text."""
    return [
        f"{where}:{first + text.count(chr(10), 0, match.start())}: {match[0]!r}: write {better}"
        for pattern, better in BANNED
        for match in pattern.finditer(text)
    ]


def prose(text: str) -> str:
    """Blank out what is no prose of a page: code, generated tables, addresses of links; lines keep their numbers."""
    blank = lambda match: "\n" * match[0].count("\n")  # noqa: E731
    for pattern in (
        r"^```.*?^```",
        r"<!-- (?P<name>[\w.]+): begin -->.*?<!-- (?P=name): end -->",
        r"^    .*?$",
        r"`[^`\n]*`",
        r"(?<=\])\([^)]*\)",
    ):
        text = re.sub(pattern, blank, text, flags=re.DOTALL | re.MULTILINE)
    return text


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def texts(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (line, text) of each docstring, and of each string that has words in it."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        is_text = isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value.strip()
        if is_text and (id(node) in docstrings or "answers" not in path.parts):  # those read what models write
            yield node.lineno, re.sub(r"`[^`\n]*`", "", node.value) if id(node) in docstrings else node.value


def variables(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (line, name) of what functions name; fields of classes may be keys of a format."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)]
    for node in {node for function in functions for node in ast.walk(function)}:
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_a_page_is_in_plain_english(path):
    assert faults(prose(path.read_text(encoding="utf-8")), name(path)) == []


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_docstrings_and_messages_of_a_module_are_in_plain_english(path):
    assert [fault for line, text in texts(path) for fault in faults(text, name(path), line)] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_a_command_is_in_plain_english(command):
    parser = importlib.import_module(f"expandr_repro.{command}.__main__").build_parser()
    assert faults(parser.format_help(), f"{command} --help") == []


@pytest.mark.parametrize("path", PARTS, ids=name)
def test_the_page_of_a_report_is_in_plain_english(path):
    assert faults(path.read_text(encoding="utf-8"), name(path)) == []


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_a_variable_says_what_it_is(path):
    assert sorted(f"{name(path)}:{line}: {v}: {NAMES[v]}" for line, v in variables(path) if v in NAMES) == []


@pytest.mark.parametrize(
    ("text", "better"),
    [
        ("a file is said to be damaged", "reported"),
        ("one object a line", "per line"),
        ("100 hits a topic", "per topic"),
        ("its figures are pinned", "score"),
        ("runs and judgements", "qrels"),
        ("the record beside it", "next to"),
        ("the file is no run", "is not a"),
        ("a loss that is no number", "is not a"),
        ("t.jsonl: holds no topics", "contains"),
        ("the manifest lies in the folder", "is, are"),
        ("it is asked for\nanew", "again"),
    ],
)
def test_dialect_is_noticed_with_the_better_word(text, better):
    (fault,) = faults(text, "page.md")
    assert better in fault
    assert fault.startswith(f"page.md:{1 + text.count(chr(10))}: ")


@pytest.mark.parametrize(
    "text",
    [
        "relevance judgments", "a matplotlib figure", "there is no index", "one of a topic's expansions", "a document of a topic",
        "`judgements: 339`", "documents per topic", "a score that holds for all", "it is no longer there", "[A figure](#a-figure)".replace("A figure", "A score"),
    ],
)  # fmt: skip
def test_plain_words_pass(text):
    assert faults(prose(text), "page.md") == []
