"""Documents of ir_datasets: every kind that it defines, read with its title once."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest

from expandr_repro.data import irds

MARK = "Tit7le"


def kinds() -> list[Any]:
    """Return the kinds of documents that ir_datasets defines, found in its source."""
    root = Path(pytest.importorskip("ir_datasets").__file__).parent
    found = []
    for path in sorted(root.rglob("*.py")):
        module = ".".join(["ir_datasets", *path.relative_to(root).with_suffix("").parts]).removesuffix(".__init__")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and node.name.endswith(("Doc", "Document", "Passage", "Doc2024")):
                kind = getattr(importlib.import_module(module), node.name, None)
                if kind is not None and "doc_id" in getattr(kind, "_fields", ()):
                    found.append(kind)
    return found


def filled(kind: Any) -> Any:
    """Return a document of a kind, each text field holding its own name and the title a mark."""
    pieces = (SimpleNamespace(text="piece one"), SimpleNamespace(text="piece two"))
    values: dict[str, Any] = {name: f"the {name}" for name in kind._fields}
    values |= {name: MARK for name in irds.TITLES if name in kind._fields}
    values |= {name: pieces for name in ("spans", "passages") if name in kind._fields}
    if "anchors" in values:
        values["anchors"] = ("anchor one", "anchor two")
    return kind(**values)


READABLE = {"body_content_type", "phash"}
"""Fields of kinds that parse HTML or hold pictures, which need more than names for contents."""


@pytest.mark.parametrize("kind", [k for k in kinds() if not READABLE & set(k._fields)], ids=lambda k: k.__name__)
def test_every_kind_of_document_is_read_with_its_title_once_and_all_of_its_default_text(kind):
    record = filled(kind)
    if kind.__name__ in ("Cord19FullTextDoc", "PmcDoc", "ArgsMeDoc", "ArgsMeProcessedDoc"):
        record = record._replace(**{f: () for f in ("body",) if f in kind._fields and "Cord19" in kind.__name__})
    found = irds.document_of(record)
    assert found.docid == "the doc_id"
    assert found.dense_text.count(MARK) == int(any(name in kind._fields for name in irds.TITLES))
    if hasattr(record, "default_text"):
        assert found.dense_text.split() == record.default_text().split()
    assert found.lucene_text.split() == found.dense_text.split()


class Parsed(NamedTuple):
    doc_id: str
    title: str | None
    body: str | None

    def default_text(self):
        return f"{self.title} {self.body}"


@pytest.mark.parametrize(
    ("record", "title", "text"),
    [
        (Parsed("1", "A title", "A body"), "A title", "A body"),
        (Parsed("1", " A title ", "\nA body\n"), "A title", "A body"),
        (Parsed("1", "", "A body"), "", "A body"),
        (Parsed("1", None, "A body"), "", "A body"),
        (Parsed("1", "A title", None), "A title", ""),
        (Parsed("1", "A title", "A title again"), "A title", "A title again"),
    ],
)
def test_a_document_without_title_or_body_says_so_and_never_none(record, title, text):
    found = irds.document_of(record)
    assert (found.title, found.text) == (title, text)


def test_a_kind_without_any_text_is_an_error():
    class Picture(NamedTuple):
        doc_id: str
        png: bytes
        url: str

    with pytest.raises(ValueError, match="documents of the kind Picture have no text"):
        irds.document_of(Picture("1", b"", "http://x"))


def test_a_collection_with_title_and_body_is_read_through_its_name(monkeypatch):
    dataset = SimpleNamespace(docs_iter=lambda: iter([Parsed("d1", "Old cats", "They purr."), Parsed("d2", "", "z")]))
    monkeypatch.setattr(irds, "_load", lambda name: dataset)
    documents = list(irds.corpus("toy/parsed").read())
    assert [d.dense_text for d in documents] == ["Old cats They purr.", "z"]
    assert documents[0].lucene_text == "Old cats\nThey purr."
