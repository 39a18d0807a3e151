"""Open indexes of a collection, of a path, or of documents in memory; they are built once and cached."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from expandr_repro.api.calls import api, takes
from expandr_repro.api.inputs import as_id, is_frame, records
from expandr_repro.console.parsing import with_options
from expandr_repro.data.collections import collection_meant
from expandr_repro.data.corpus import ID_KEYS, Document
from expandr_repro.encode.options import EncodeRequest
from expandr_repro.encoders.loading import load_encoder
from expandr_repro.encoders.options import DEFAULT
from expandr_repro.encoders.protocol import TextEncoder
from expandr_repro.errors import ExpandrError, FormatError, UnknownNameError, shown
from expandr_repro.indexes.faiss_index import FaissIndex
from expandr_repro.indexes.find import dense_index, lucene_index
from expandr_repro.indexes.lucene import document_count
from expandr_repro.indexes.parted import label
from expandr_repro.io.columns import DOCUMENT_IDS
from expandr_repro.io.files import atomic_text, is_surrogate_free
from expandr_repro.io.paths import cache_dir

BM25 = "bm25"


@dataclass(frozen=True)
class Index:
    """An index that can be searched with `retrieve`.

    Attributes:
        name: as given to `open_index`.
        retriever: `dense` or `bm25`.
        folder: where it is.
        documents: number of documents.
        encoder: encoder of its documents and of the queries; None for BM25.
    """

    name: str
    retriever: str
    folder: Path
    documents: int
    encoder: TextEncoder | None = None
    _faiss: FaissIndex | None = field(default=None, repr=False, compare=False)
    _names: tuple[str, ...] = field(default=(), repr=False, compare=False)

    def __len__(self) -> int:
        return self.documents

    def __repr__(self) -> str:
        made_by = self.encoder.name if self.encoder else "BM25"
        return f"<Index {Path(self.name).name}: {self.documents:,} documents, {made_by}>"


@api
@takes(EncodeRequest, "factory")
def open_index(documents: Any, encoder: TextEncoder | str = DEFAULT, **options: Any) -> Index:
    """Open an index of documents; a missing one is built and cached.

    Args:
        documents: a collection's name, a path (an index folder, a corpus), a Pyserini prebuilt index, or documents in memory: a dict
            docid -> text, a list of paths of index folders, which are searched as one, a list of dicts (`docid`, `text`, and perhaps `title`) or of tuples (docid, text) or (docid, title, text),
            or a DataFrame with these columns.
        encoder: an encoder, its name, or `bm25`.
        **options: those of the command `encode`, for an index that is built now.

    Raises:
        UnknownNameError: nothing has that name; offers the nearest.
        MismatchError: the index is of another encoder.
        FormatError: a document has no id or no text, or an id occurs twice.

    Example:
        >>> index = ex.open_index([("d1", "Cats purr."), ("d2", "Dogs bark.")], "all-MiniLM-L6-v2")
        >>> index.documents, index.retriever
        (2, 'dense')
    """
    names = _folders(documents)
    name: str | tuple[str, ...] = names or name_of(documents)
    factory = with_options(EncodeRequest, options).factory
    if isinstance(encoder, str) and encoder.lower() == BM25:
        if factory != "Flat":
            raise ExpandrError(f"factory {factory!r}: is for dense indexes; leave it out with {BM25!r}")
        folder = lucene_index(name)
        return Index(label(name), BM25, folder, document_count(folder))
    if isinstance(encoder, str):
        encoder = load_encoder(encoder, cache=True)
    elif not hasattr(encoder, "encode"):
        raise ExpandrError(
            f"encoder {shown(encoder)}: wanted what load_encoder returns, an encoder's name, or {BM25!r}"
        )
    opened = dense_index(name, encoder, factory)
    return Index(label(name), "dense", opened.folder, int(opened.index.ntotal), encoder, opened, names)


def _folders(documents: Any) -> tuple[str, ...]:
    """Return the index folders of a list of paths; none where documents are given in another way."""
    listed = isinstance(documents, list | tuple) and all(isinstance(d, str | Path) for d in documents)
    return tuple(map(str, documents)) if listed and any(map(os.path.isdir, documents)) else ()


def name_of(documents: Any) -> str:
    """Return the name or path of documents; documents in memory are written into the cache, under a hash of their content."""
    if not isinstance(documents, str | Path):
        return str(_written(documents))
    name = str(documents)
    known = collection_meant(name)
    return known.dataset if known and not Path(name).exists() else name  # topics of a collection mean its documents


def _written(data: Any) -> Path:
    lines = [
        json.dumps({"_id": d.docid, "title": d.title, "text": d.text}, ensure_ascii=False) + "\n" for d in _read(data)
    ]
    if not lines:
        raise ExpandrError("there are no documents; wanted one or more")
    digest = hashlib.sha256("".join(lines).encode()).hexdigest()
    folder = cache_dir() / "documents" / digest[:20]
    if not (folder / "corpus.jsonl").is_file():
        with atomic_text(folder / "corpus.jsonl") as file:
            file.writelines(lines)
    return folder


def _read(data: Any) -> Iterator[Document]:
    if not is_frame(data) and not isinstance(data, Mapping | str | bytes) and hasattr(data, "__iter__"):
        data = [(d.docid, d.title, d.text) if isinstance(d, Document) else d for d in data]
    known = (*ID_KEYS, *sorted(DOCUMENT_IDS - {"docid", "doc_id"}), "title", "text", "contents")
    keys = known[:-3]
    seen: dict[str, str] = {}
    for where, record in records(data, "documents", {2: ("docid", "text"), 3: ("docid", "title", "text")}, known):
        key = next((k for k in keys if k in record), None)
        if key is None:
            raise UnknownNameError(f"id among the keys of {where}", ", ".join(record), keys[:4])
        docid = as_id(record[key], where, "the docid")
        title, text = record.get("title") or "", record.get("text", record.get("contents"))
        if not isinstance(title, str) or not isinstance(text, str):
            raise FormatError(
                where, None, f"document {docid!r} has no string under `text` or `contents` (or its `title` is none)"
            )
        if not (is_surrogate_free(title) and is_surrogate_free(text)):
            raise FormatError(
                where, None, f"document {docid!r} has half a surrogate pair, which is not a character; fix the text"
            )
        if docid in seen:
            raise FormatError(
                where, None, f"the docid {docid!r} was there before, in {seen[docid]}; ids must be unique"
            )
        seen[docid] = where
        yield Document(docid, title.strip(), text.strip())
