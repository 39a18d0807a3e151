"""Read the documents of a corpus, and count and hash them in one pass.

Read: a BEIR folder (`corpus.jsonl`), a folder of Pyserini/Anserini JSONL files, one JSONL file, or a TSV file
`docid<TAB>text` (or with a header that names its columns, as DPR's `psgs_w100.tsv` has), each plain or gzipped. A record has `_id`, `id` or `docid`, and `title` and `text`, or `contents`.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from expandr_repro.errors import FormatError, NotAvailableError
from expandr_repro.io.columns import CORPUS, Columns, header_of, unquoted
from expandr_repro.io.files import is_surrogate_free, parse_object, read_id, read_lines

ID_KEYS = ("_id", "id", "docid", "doc_id")


@dataclass(frozen=True, slots=True)
class Document:
    """One passage or document of a corpus."""

    docid: str
    title: str
    text: str

    @property
    def dense_text(self) -> str:
        """What a dense encoder reads: title, space, text (BEIR; ExpandR's evaluation does the same)."""
        return f"{self.title} {self.text}".strip()

    @property
    def lucene_text(self) -> str:
        """What BM25 indexes as one field: title, line end, text (Anserini's 'flat' BEIR indexes)."""
        return f"{self.title}\n{self.text}" if self.title else self.text


@dataclass(frozen=True)
class Corpus:
    """Documents that can be iterated over repeatedly, and a description of their source."""

    source: str
    read: Callable[[], Iterator[Document]]
    files: tuple[Path, ...] = ()

    def find(self, docids: Iterable[str]) -> Iterator[Document]:
        """Yield some documents in the order of the corpus, which is read until all are there."""
        left = set(docids)
        for document in self.read() if left else ():
            if document.docid in left:
                yield document
                left.discard(document.docid)
                if not left:
                    return


@dataclass(frozen=True)
class CorpusFacts:
    """Number of documents, and the SHA-256 over their ids, titles and texts in order."""

    documents: int
    sha256: str


def corpus_files(path: Path) -> tuple[Path, ...]:
    """List the files of a corpus given as a file or a folder, in the order in which they are read.

    Raises:
        NotAvailableError: nothing there that could be a corpus.
    """
    if path.is_file():
        return (path,)
    for name in ("corpus.jsonl", "corpus.jsonl.gz", "corpus.tsv", "corpus.tsv.gz"):
        if (path / name).is_file():
            return (path / name,)
    kinds = (".jsonl", ".json", ".jsonl.gz", ".json.gz")
    listed = sorted(p for p in path.iterdir() if p.is_file() and p.name.endswith(kinds)) if path.is_dir() else []
    files = tuple(
        p for p in listed if not p.name.startswith(("queries.", "topics.", ".")) and p.name != "manifest.json"
    )
    if not files:
        names = sorted(p.name + "/" * p.is_dir() for p in path.iterdir())[:5] if path.is_dir() else []
        holds = f"; it holds {', '.join(names)}" if names else ""
        raise NotAvailableError(
            f"{path}: no corpus there; wanted corpus.jsonl (BEIR), corpus.tsv or a folder of .jsonl files (Pyserini), plain or gzipped{holds}"
        )
    return files


def corpus_at(path: str | Path) -> Corpus:
    """Return the corpus in a file or folder.

    Raises:
        NotAvailableError: nothing there that could be a corpus.
    """
    path = Path(path)
    files = corpus_files(path)
    return Corpus(str(path), lambda: _read_files(files), files)


def _read_files(files: Iterable[Path]) -> Iterator[Document]:
    for path in files:
        tsv = path.name.removesuffix(".gz").endswith((".tsv", ".txt", ".csv"))
        header: Columns | None = None
        first = True
        for number, line in read_lines(path):
            if tsv and first and line.strip():
                first, header = False, header_of(path, number, line.split("\t"), CORPUS, ("id", "text"))
                if header:
                    continue
            if line.strip():
                document = _from_tsv(path, number, line, header) if tsv else _from_json(path, number, line)
                if not (is_surrogate_free(document.text) and is_surrogate_free(document.title)):
                    raise FormatError(
                        path,
                        number,
                        f"document {document.docid!r} has half a surrogate pair, which is not a character; fix the text",
                    )
                yield document


def _from_tsv(path: Path, number: int, line: str, header: Columns | None) -> Document:
    if header:
        fields = header.fields(path, number, line.split("\t"))
        title = fields.get("title", "").strip()
        return Document(read_id(path, number, fields["id"], "the docid"), title, fields["text"].strip())
    docid, tab, text = line.partition("\t")
    if not tab:
        raise FormatError(path, number, "no tab; wanted `docid<TAB>text`, or a header that names id, title and text")
    cells = text.split("\t")
    if len(cells) > 1 and unquoted(cells[0]) != cells[0].strip():
        raise FormatError(
            path,
            number,
            f"{len(cells) + 1} columns in quotes; add a header that names them, e.g. id<TAB>text<TAB>title",
        )
    return Document(read_id(path, number, docid, "the docid"), "", unquoted(text, sure=False))


def _from_json(path: Path, number: int, line: str) -> Document:
    record = parse_object(path, number, line)
    value = next((record[k] for k in ID_KEYS if k in record), None)
    if value is None:
        raise FormatError(path, number, f"no docid; wanted one of the keys {', '.join(ID_KEYS)}")
    docid = read_id(path, number, value, "the docid")
    title = record.get("title") or ""
    text = record.get("text", record.get("contents"))
    if not isinstance(title, str) or not isinstance(text, str):
        raise FormatError(
            path, number, f"document {docid!r} has no string under `text` or `contents` (or its `title` is none)"
        )
    return Document(docid, title.strip(), text.strip())


def survey(corpus: Corpus) -> CorpusFacts:
    """Read a corpus once: count it, hash it, and refuse an empty one or one with a docid twice.

    Eight bytes per document are held, so that a corpus of any size can be checked before hours of encoding.

    Raises:
        FormatError: empty, a duplicate docid, a broken line.
    """
    digest = hashlib.sha256()
    ids = array("Q")
    for document in corpus.read():
        ids.append(_short_hash(document.docid))
        digest.update(f"{document.docid}\0{document.title}\0{document.text}\n".encode())
    if not ids:
        raise FormatError(corpus.source, None, "the corpus is empty; wanted at least one document")
    _refuse_duplicates(corpus, ids)
    return CorpusFacts(len(ids), digest.hexdigest())


def _short_hash(docid: str) -> int:
    return int.from_bytes(hashlib.blake2b(docid.encode(), digest_size=8).digest(), "little")


def _refuse_duplicates(corpus: Corpus, ids: array[int]) -> None:
    import numpy as np

    values, counts = np.unique(np.frombuffer(ids, dtype=np.uint64), return_counts=True)
    suspects = set(values[counts > 1].tolist())
    seen: dict[str, int] = {}
    for position, document in enumerate(corpus.read() if suspects else (), start=1):
        if _short_hash(document.docid) in suspects:
            if document.docid in seen:
                raise FormatError(
                    corpus.source,
                    None,
                    f"the docid {document.docid!r} occurs twice (documents {seen[document.docid]} and {position}); ids must be unique",
                )
            seen[document.docid] = position
