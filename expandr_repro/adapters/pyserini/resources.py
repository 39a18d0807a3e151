"""Pyserini's own topics, judgements and prebuilt indexes, by name; each is fetched by Pyserini on first use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from expandr_repro.adapters.archives import guarded_archives
from expandr_repro.adapters.patching import patched
from expandr_repro.adapters.pyserini.jvm import java_class, start
from expandr_repro.core.errors import NotAvailableError
from expandr_repro.core.topics import Topic
from expandr_repro.core.trec import Qrels
from expandr_repro.core.trec import read_qrels as read_qrels_file


@contextmanager
def _fetching(what: str, name: str) -> Iterator[None]:
    """Keep Pyserini's prints off standard output, and turn whatever goes wrong into one error."""
    try:
        import pyserini.util

        # its prints alone: a redirected standard output would swallow what other threads print
        with guarded_archives(), patched([(pyserini.util, "print", lambda *_, **__: None)]):
            yield
    except Exception as error:  # urllib, Java and Pyserini each raise their own; each means: not to be had
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
        raise NotAvailableError(
            f"Pyserini's {what} {name!r} could not be fetched ({type(error).__name__}: {reason})"
        ) from error


def read_topics(name: str) -> list[Topic]:
    """Return topics by Pyserini's name, ids as the strings they are (Pyserini itself turns `007` into 7).

    Raises:
        NotAvailableError: they cannot be fetched.
    """
    start()
    with _fetching("topics", name):
        if name == "cacm":
            enum = java_class("io.anserini.search.topicreader.Topics").CACM
        else:
            from pyserini.search._base import topics_mapping

            enum = topics_mapping[name]
        found = java_class("io.anserini.search.topicreader.TopicReader").getTopicsWithStringIds(enum)
        return [Topic(str(qid), str(found.get(qid).get("title"))) for qid in sorted(map(str, found.keySet().toArray()))]


def read_qrels(name: str) -> Qrels:
    """Return judgements by Pyserini's name, with the errors of `read_topics`."""
    start()
    with _fetching("judgements", name):
        from pyserini.search import get_qrels_file

        path = get_qrels_file(name)
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
