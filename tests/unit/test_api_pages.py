"""The pages of the Python API are made from the docstrings, and can be read as they are in the repository."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path

import pytest

import expandr_repro as ex

ROOT = Path(__file__).resolve().parents[2]
spec = importlib.util.spec_from_file_location("api_pages", ROOT / "scripts" / "api_pages.py")
api_pages = importlib.util.module_from_spec(spec)
spec.loader.exec_module(api_pages)


@pytest.mark.parametrize("name", api_pages.PAGES)
def test_a_page_of_the_api_is_what_the_docstrings_say(name):
    text = (ROOT / "docs" / "api" / f"{name}.md").read_text(encoding="utf-8")
    assert text == api_pages.page(name), "run `python scripts/api_pages.py`"


def test_every_name_of_the_api_is_on_a_page_with_its_signature_and_an_example():
    text = "".join(api_pages.page(name) for name in api_pages.PAGES)
    assert [n for n in ex._HOMES if f"## `{n}`\n\n```python\n" not in text] == []
    assert text.count(">>> ") >= 15
    assert ":::" not in text


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("def f(a: int, *, b: str = 'x', **c: int) -> None: ...", "f(a: int, *, b: str = 'x', **c: int) -> None"),
        ("def f(self, a=1, *b): ...", "f(a=1, *b)"),
        ("class A(B, C): ...", "class A(B, C)"),
        ("@dataclass\nclass A:\n    b: int\n    c: str = ''\n    _d: int = 0", "class A(b: int, c: str = '')"),
        ("class A:\n    def __init__(self, b: int): ...", "class A(b: int)"),
        ("@property\ndef a(self) -> int: ...", "a: int"),
        (f"def f({', '.join(f'argument{i}: int' for i in range(7))}): ...", "f(\n" + "".join(f"    argument{i}: int,\n" for i in range(7)) + ")"),
    ],
)  # fmt: skip
def test_a_signature_is_shown_as_it_is_called(source, shown):
    assert api_pages.signature(ast.parse(source).body[0]) == shown


def test_a_docstring_becomes_paragraphs_lists_and_examples():
    docstring = "Do it.\n\nArgs:\n    a: what\n        it is.\n    b: more.\n\nReturns:\n    A\n    thing.\n\nExample:\n    >>> 1 + 1\n    2"
    assert list(api_pages.text_parts(docstring)) == [
        "Do it.",
        "**Args**\n\n- `a`: what it is.\n- `b`: more.",
        "**Returns** A thing.",
        "```python\n>>> 1 + 1\n2\n```",
    ]
