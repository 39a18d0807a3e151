"""ir_datasets: topics, judgements and documents by id, fetched by it when missing."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from typing import Any

from expandr_repro.adapters.archives import guard_archives
from expandr_repro.adapters.unpickling import guard_records
from expandr_repro.core.corpus import Corpus, Document
from expandr_repro.core.errors import NotAvailableError, UnknownNameError
from expandr_repro.core.topics import Topic
from expandr_repro.core.trec import Qrels


def _only_errors(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.ERROR


def _load(name: str) -> Any:
    # read at its import; without a network three tries only take longer
    os.environ.setdefault("IR_DATASETS_DL_TRIES", "1")
    os.environ.setdefault("IR_DATASETS_DL_TIMEOUT", "15")
    try:
        import ir_datasets
    except ImportError as error:
        raise NotAvailableError("ir_datasets is not installed; `pip install ir-datasets` cures it") from error
    logging.getLogger("ir_datasets").addFilter(_only_errors)  # a failed download is told once, in our own error
    guard_records()
    guard_archives()
    try:
        return ir_datasets.load(name)
    except KeyError as error:
        raise UnknownNameError("ir_datasets id", name, [n for n in ir_datasets.registry if "/" in n]) from error


def _unavailable(name: str, what: str, error: Exception) -> NotAvailableError:
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
    return NotAvailableError(
        f"ir_datasets has no {what} of {name!r} here and could not fetch them ({type(error).__name__}: {reason})"
    )


def read_topics(name: str) -> list[Topic]:
    """Return a dataset's topics.

    Raises:
        NotAvailableError: it has none, or they cannot be fetched.
        UnknownNameError: no such dataset.
    """
    dataset = _load(name)
    try:
        return [Topic(str(q.query_id), _text(q)) for q in dataset.queries_iter()]
    except Exception as error:  # downloads fail in as many ways as there are hosts; each means: not to be had
        raise _unavailable(name, "topics", error) from error


def read_qrels(name: str) -> Qrels:
    """Return a dataset's judgements, with the errors of `read_topics`."""
    dataset = _load(name)
    try:
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
            for record in dataset.docs_iter():
                title = str(getattr(record, "title", "") or "")
                text = str(record.text) if hasattr(record, "text") else str(record.default_text())
                yield Document(str(record.doc_id), title.strip(), text.strip())
        except Exception as error:
            raise _unavailable(name, "documents", error) from error

    return Corpus(f"irds:{name}", read)


def _text(query: Any) -> str:
    for field in ("text", "title", "query"):
        if getattr(query, field, None):
            return str(getattr(query, field))
    return str(query.default_text())
