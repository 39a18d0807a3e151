"""Read topics, qrels and documents through ir_datasets, which fetches what is missing."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

from expandr_repro.data.corpus import Corpus, Document
from expandr_repro.data.topics import Topic
from expandr_repro.data.trec import Qrels
from expandr_repro.errors import NotAvailableError, UnknownNameError, reason_of
from expandr_repro.io.archives import guarded_archives
from expandr_repro.io.unpickling import guarded_records

AT_ONCE = 1024
"""Documents that are read while ir_datasets is guarded."""


class _OnlyErrors(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        """Filter out everything but errors."""
        return record.levelno >= logging.ERROR


@contextmanager
def _guarded() -> Iterator[None]:
    """Restrict ir_datasets to reading and unpacking data, to one try per download, and to our own error for failed ones."""
    log, only_errors = logging.getLogger("ir_datasets"), _OnlyErrors()
    tries = os.environ.get("IR_DATASETS_DL_TRIES")
    if tries is None:
        os.environ["IR_DATASETS_DL_TRIES"] = "1"  # without a network three only take longer
    log.addFilter(only_errors)
    try:
        with guarded_records(), guarded_archives():
            yield
    finally:
        log.removeFilter(only_errors)
        if tries is None:
            os.environ.pop("IR_DATASETS_DL_TRIES", None)


def _load(name: str) -> Any:
    try:
        import ir_datasets
    except ImportError as error:
        raise NotAvailableError("ir_datasets is not installed; run `pip install ir-datasets`") from error
    try:
        with _guarded():
            return ir_datasets.load(name)
    except KeyError as error:
        raise UnknownNameError("ir_datasets id", name, [n for n in ir_datasets.registry if "/" in n]) from error


def _unavailable(name: str, what: str, error: Exception) -> NotAvailableError:
    return NotAvailableError(
        f"ir_datasets has no {what} of {name!r} here and could not fetch them ({type(error).__name__}: {reason_of(error, 160)})"
    )


def read_topics(name: str) -> list[Topic]:
    """Return a dataset's topics.

    Raises:
        NotAvailableError: it has none, or they cannot be fetched.
        UnknownNameError: no such dataset.
    """
    dataset = _load(name)
    try:
        with _guarded():
            return [Topic(str(q.query_id), _text(q)) for q in dataset.queries_iter()]
    except Exception as error:  # downloads fail in as many ways as there are hosts; each means: not to be had
        raise _unavailable(name, "topics", error) from error


def read_qrels(name: str) -> Qrels:
    """Return a dataset's qrels, with the errors of `read_topics`."""
    dataset = _load(name)
    try:
        with _guarded():
            return {str(q): {str(d): int(g) for d, g in judged.items()} for q, judged in dataset.qrels_dict().items()}
    except Exception as error:
        raise _unavailable(name, "judgements", error) from error


def corpus(name: str) -> Corpus:
    """Return a dataset's documents; they are fetched when read.

    Raises:
        UnknownNameError: no such dataset.
    """
    dataset = _load(name)

    def read() -> Iterator[Document]:
        try:
            for record in _records(dataset):
                yield document_of(record)
        except Exception as error:
            raise _unavailable(name, "documents", error) from error

    return Corpus(f"irds:{name}", read)


def _records(dataset: Any) -> Iterator[Any]:
    """Yield a dataset's documents; whoever takes them does so unguarded."""
    with _guarded():
        records = iter(dataset.docs_iter())
    while True:
        with _guarded():
            some = list(islice(records, AT_ONCE))
        if not some:
            return
        yield from some


TITLES = ("title", "document_title", "page_title", "headline")
"""What ir_datasets' kinds of documents call a title."""

NO_TEXT = re.compile(r"(.*_)?(id|url|language|lang|date|path)")
"""Fields of a document that are not part of its text, where its kind does not say what is."""


def document_of(record: Any) -> Document:
    """Return a document of ir_datasets with its title once, whatever fields its kind has.

    What counts as its text is what ir_datasets says (`default_text()`), which begins with the title where there is one: a field `text`
    may lack what belongs to it (anchors), or be missing (body, abstract).

    Raises:
        ValueError: nothing in it is text.
    """
    fields: dict[str, Any] = record._asdict() if hasattr(record, "_asdict") else dict(vars(record))
    empty = [name for name, value in fields.items() if value is None]
    if empty and hasattr(record, "_replace"):  # an f-string would write the word None
        record = record._replace(**dict.fromkeys(empty, ""))
    title = next((str(fields[name]) for name in TITLES if fields.get(name)), "").strip()
    if hasattr(record, "default_text"):
        whole = str(record.default_text()).strip()
    else:
        parts = [value for name, value in fields.items() if isinstance(value, str) and name not in TITLES and not NO_TEXT.fullmatch(name)]  # fmt: skip
        if not (parts or title):
            raise ValueError(f"documents of the kind {type(record).__name__} have no text")
        whole = "\n".join([title, *parts]).strip()
    if title and whole.startswith(title):
        return Document(str(record.doc_id), title, whole[len(title) :].strip())
    return Document(str(record.doc_id), "", whole)


def _text(query: Any) -> str:
    for field in ("text", "title", "query"):
        if getattr(query, field, None):
            return str(getattr(query, field))
    return str(query.default_text())
