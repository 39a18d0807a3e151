"""Find Pyserini's topics, qrels and prebuilt indexes by name; Pyserini fetches each on first use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from expandr_repro.data.topics import Topic
from expandr_repro.data.trec import Qrels
from expandr_repro.data.trec import read_qrels as read_qrels_file
from expandr_repro.errors import NotAvailableError, reason_of
from expandr_repro.io.archives import guarded_archives
from expandr_repro.io.patching import patched
from expandr_repro.pyserini import tables
from expandr_repro.pyserini.jvm import java_class, start


@contextmanager
def _fetching(what: str, name: str) -> Iterator[None]:
    """Keep Pyserini's prints off standard output, and turn whatever goes wrong into one error."""
    try:
        import pyserini.util

        # its prints alone: a redirected standard output would swallow what other threads print
        with guarded_archives(), patched([(pyserini.util, "print", lambda *_, **__: None)]):
            yield
    except Exception as error:  # urllib, Java and Pyserini each raise their own; each means: not to be had
        raise NotAvailableError(
            f"Pyserini's {what} {name!r} could not be fetched ({type(error).__name__}: {reason_of(error, 160)})"
        ) from error


def _base() -> Any:
    """Return Pyserini's module of topics and qrels, its tables filled: `cacm` is missing up to 2.3, and 2.4 fetches them in each process."""
    from pyserini.search import _base

    if hasattr(_base, "qrels_mapping"):
        _base.topics_mapping.setdefault("cacm", java_class("io.anserini.search.topicreader.Topics").CACM)
        _base.qrels_mapping.setdefault("cacm", java_class("io.anserini.eval.Qrels").CACM)
    else:
        for kind, table in (("topics", tables.topics()), ("qrels", tables.qrels())):
            if table.own:
                setattr(_base, f"_{kind}_mapping", dict(table.entries))
    return _base


def read_topics(name: str) -> list[Topic]:
    """Return topics by Pyserini's name, ids as the strings they are (Pyserini itself turns `007` into 7).

    Raises:
        NotAvailableError: they cannot be fetched.
    """
    start()
    with _fetching("topics", name):
        base, reader = _base(), java_class("io.anserini.search.topicreader.TopicReader")
        if hasattr(base, "topics_mapping"):
            topics = reader.getTopicsWithStringIds(base.topics_mapping[name])
        else:
            entry = base._get_topics_mapping()[name]
            path = base._download_and_cache(
                base.TOPICS_BASE_URL + entry["path"], entry["path"], base._get_topics_cache_path()
            )
            topics = reader.getTopicsWithStringIdsFromFileWithTopicReaderClass(str(path), entry["reader_class"])
        return [
            Topic(str(qid), str(topics.get(qid).get("title"))) for qid in sorted(map(str, topics.keySet().toArray()))
        ]


def read_qrels(name: str) -> Qrels:
    """Return qrels by Pyserini's name, with the errors of `read_topics`."""
    start()
    with _fetching("qrels", name):
        path = _base().get_qrels_file(name)
    return read_qrels_file(path)


def prebuilt_index(name: str) -> Path:
    """Return the folder of a prebuilt index, fetched when missing.

    Raises:
        NotAvailableError: it cannot be fetched.
    """
    start()
    with _fetching("prebuilt index", name):
        from pyserini.util import download_prebuilt_index

        return Path(download_prebuilt_index(name, verbose=False))
