"""Load topics by name or from memory, with their expansions and their relevance judgments."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from expandr_repro.api.calls import api
from expandr_repro.api.inputs import as_id, from_one, records
from expandr_repro.api.qrels import Qrels, load_qrels
from expandr_repro.api.tables import SHOWN, table
from expandr_repro.console.progress import counted
from expandr_repro.data.collections import TopicSet, find_topics, judged_among, qrels_of, relevance_level, select_topics
from expandr_repro.data.expansions import Joined, join_sources
from expandr_repro.data.joining import join_expansions
from expandr_repro.data.overlap.trained_on import TrainedOn, carried_on, record_beside, write_record
from expandr_repro.data.topics import (
    ID_KEYS,
    TITLE_KEYS,
    Expansion,
    Topic,
    expansion_record,
    topic_of,
    topic_record,
    write_topics,
)
from expandr_repro.errors import ExpandrError, FormatError, MismatchError, shown
from expandr_repro.evaluate.metrics import DEFAULT
from expandr_repro.io.files import is_surrogate_free
from expandr_repro.io.outputs import RECORD, TOPICS, check_output

if TYPE_CHECKING:
    import pandas as pd

MEMORY = "topics in memory"


class Topics(Sequence[Topic]):
    """Topics in their order, each with its id, its title (the query) and its expansions.

    Args:
        data: a dict qid -> title, a list of dicts (`qid`, `title`, and perhaps `expansions`), pairs (qid, title), a DataFrame with
            these columns, or `Topic` objects.
        qrels: their relevance judgments: a dict of dicts, a DataFrame, a path or a name.
        corpus: their documents: a collection's name, a path, or documents in memory (see `open_index`).

    Raises:
        FormatError: an id or a title is missing, or an id occurs twice.
        UnknownNameError: a key is misspelt.

    Example:
        >>> topics = ex.Topics([{"qid": 1, "title": "why do cats purr", "expansions": ["Cats purr with the larynx."]}])
        >>> topics["1"].texts
        ('Cats purr with the larynx.',)
    """

    @api
    def __init__(self, data: Any, qrels: Any = None, corpus: Any = None) -> None:
        self._set = TopicSet(MEMORY, list(_read(data)))
        self._name, self._sources, self._joined = "", (), None  # type: tuple[str, tuple[str, ...], Joined | None]
        self._qrels = None if qrels is None else load_qrels(qrels)
        self._corpus = corpus
        self._own, self._trained_on = True, list[TrainedOn]()

    @classmethod
    def _of(
        cls,
        topic_set: TopicSet,
        name: str = "",
        sources: tuple[str, ...] = (),
        joined: Joined | None = None,
        qrels: Qrels | None = None,
        corpus: Any = None,
    ) -> Topics:
        topics = cls.__new__(cls)
        topics._set, topics._name, topics._sources, topics._joined = topic_set, name, sources, joined
        topics._qrels, topics._corpus, topics._own = qrels, corpus, False
        files = [Path(source) for source in sources or (name,)]
        topics._trained_on = [part for file in files if file.is_file() for part in carried_on(file)]
        return topics

    def _with(self, topics: list[Topic], own: bool = False) -> Topics:
        """Return the same with other topics; `own` where the expansions are no longer those of the files."""
        other = copy(self)
        other._set, other._own = replace(self._set, topics=topics), own or self._own
        other._joined = None if own or self._joined is None else replace(self._joined, topics=topics)
        other._sources = () if own else self._sources
        return other

    def __len__(self) -> int:
        return len(self._set.topics)

    def __iter__(self) -> Iterator[Topic]:
        return iter(self._set.topics)

    @overload
    def __getitem__(self, key: int | str) -> Topic: ...
    @overload
    def __getitem__(self, key: slice) -> Topics: ...
    def __getitem__(self, key: int | str | slice) -> Topic | Topics:
        """Return a topic by its place or its id, or some of them as topics."""
        if isinstance(key, slice):
            return self._with(self._set.topics[key])
        if isinstance(key, int):
            return self._set.topics[key]
        return next((t for t in self if t.qid == key), None) or self._missing(key)

    def _missing(self, qid: str) -> Topic:
        raise KeyError(f"no topic has the id {qid!r}; the first is {self[0].qid!r}")

    @property
    def label(self) -> str:
        """Name of the topics for display: `scifact/test`."""
        return self._set.label

    @property
    def qrels(self) -> Qrels:
        """Relevance judgments of these topics.

        Raises:
            ExpandrError: none are known.
        """
        whole = self._qrels
        if whole is None and (self._set.collection or self._set.folder):
            known = self._set.collection
            names = [str(n) for n in (known, self._set.folder, self._name) if n]
            qrels = qrels_of(self._set)
            metrics = known.spec.measures if known else DEFAULT
            whole = Qrels(qrels, relevance_level(*names), metrics, names[0]) if qrels else None
        if whole is None:
            raise ExpandrError(
                f"no relevance judgments are known for {self.label}; give Topics(..., qrels=...), or use load_qrels"
            )
        return Qrels(judged_among(whole, [t.qid for t in self]), whole.level, whole.metrics, whole.name)

    @property
    def corpus(self) -> Any:
        """Documents of these topics, as `open_index` takes them.

        Raises:
            ExpandrError: they are not known.
        """
        documents = self._set.documents if self._corpus is None else self._corpus
        if documents is None:
            raise ExpandrError(
                f"the documents of {self.label} are not known; give Topics(..., corpus=...), or name them in open_index"
            )
        return documents

    @api
    def with_expansions(self, expansions: Any) -> Topics:
        """Return the topics with other expansions.

        Args:
            expansions: a packaged set, a file, several of these, topics, or a dict qid -> text or list of texts.

        Raises:
            MismatchError: the expansions are of other topics.
            ExpandrError: there are none.

        Example:
            >>> topics = ex.Topics({"1": "why do cats purr"}).with_expansions({"1": "Cats purr with the larynx."})
            >>> topics[0].texts
            ('Cats purr with the larynx.',)
        """
        named = [expansions] if isinstance(expansions, str | Path) else expansions
        if isinstance(named, list | tuple) and named and all(isinstance(name, str | Path) for name in named):
            names = tuple(map(str, named))
            joined = join_sources(self._set, names)
            fields = replace(self._set, topics=joined.topics)
            return Topics._of(fields, self._name, names, joined, self._qrels, self._corpus)
        trained_on: list[TrainedOn] = []
        if isinstance(expansions, Topics):
            expanded = join_expansions(list(self), {t.qid: (t, None) for t in expansions}, "expansions")
            trained_on = expansions._trained_on
        elif isinstance(expansions, Mapping):
            texts = {as_id(q, f"expansions[{q!r}]", "the qid"): _texts(q, e) for q, e in expansions.items()}
            if strangers := texts.keys() - {t.qid for t in self}:
                raise MismatchError(
                    f"expansions: {len(strangers)} ids are not among the topics (first: {min(strangers)!r})"
                )
            expanded = [replace(t, expansions=texts.get(t.qid, ()), provenance=None) for t in self]
        else:
            raise ExpandrError(
                "expansions: wanted a packaged set, a file, topics, or a dict qid -> text or list of texts"
            )
        if not any(t.texts for t in expanded):
            raise ExpandrError(f"expansions: none of the {counted(len(self), 'topic')} has one there; did generating them fail?")  # fmt: skip
        fresh = self._with(expanded, own=True)
        fresh._trained_on = trained_on
        return fresh

    def to_pandas(self) -> pd.DataFrame:
        """Return a DataFrame with the columns `qid`, `title` and `expansions`, a list of texts.

        Example:
            >>> list(ex.load_topics("pocket").to_pandas().columns)
            ['qid', 'title', 'expansions']
        """
        import pandas as pd

        return pd.DataFrame({"qid": [t.qid for t in self], "title": [t.title for t in self], "expansions": [list(t.texts) for t in self]})  # fmt: skip

    @api
    def save(self, path: str | Path) -> None:
        """Write the topics as the commands read them: one JSON object per line.

        Raises:
            SetupError: the place cannot be written, or something else than topics is there.
        """
        path, parts = Path(path), self._trained_on
        check_output("path", path, TOPICS)
        beside = record_beside(path)
        check_output("path", beside, RECORD)
        write_topics(path, self, about={beside: (lambda: write_record(beside, parts)) if parts else None})

    def __repr__(self) -> str:
        expanded = sum(bool(t.texts) for t in self)
        return (
            f"<Topics {self.label.removeprefix('topics ')}: {counted(len(self), 'topic')}, {expanded} with expansions>"
        )

    def _repr_html_(self) -> str:
        rows = [[t.qid, t.title, len(t.texts), t.texts[0] if t.texts else ""] for t in self[:SHOWN]]
        return table(repr(self).strip("<>"), ["qid", "title", "expansions", "first expansion"], rows)


def _texts(qid: Any, value: Any) -> tuple[Expansion, ...]:
    texts = [value] if isinstance(value, str | Expansion) or not hasattr(value, "__iter__") else list(value)
    expansions = tuple(t if isinstance(t, Expansion) else Expansion(t) for t in texts)
    if not all(isinstance(e.text, str) and is_surrogate_free(e.text) for e in expansions):
        raise FormatError(f"expansions[{qid!r}]", None, "wanted a text or a list of texts")
    return expansions


def _read(data: Any) -> Iterator[Topic]:
    seen: dict[str, str] = {}
    known = (*ID_KEYS, *TITLE_KEYS, "expansions", "provenance")
    if isinstance(data, Topic):
        data = [data]
    listed = list(data) if not isinstance(data, Mapping | str | bytes) and hasattr(data, "__iter__") and not hasattr(data, "columns") else data  # fmt: skip
    if isinstance(listed, list):
        listed = [topic_record(t) if isinstance(t, Topic) else t for t in listed]
    for where, record in records(listed, "topics", {2: ("qid", "title")}, known):
        texts = record.get("expansions")
        if texts is None:
            record.pop("expansions", None)
        else:
            whole = [texts] if isinstance(texts, str | Expansion) or not hasattr(texts, "__iter__") else list(texts)
            record["expansions"] = [expansion_record(e) if isinstance(e, Expansion) else e for e in whole]
        try:
            topic = topic_of(where, 0, record)
        except FormatError as error:
            raise FormatError(where, None, error.problem) from error
        if not topic.title.strip() or not all(
            map(is_surrogate_free, (topic.title, *(e.text for e in topic.expansions)))
        ):
            raise FormatError(
                where, None, f"topic {topic.qid!r} has an empty title, or half a surrogate pair in a text"
            )
        if topic.qid in seen:
            raise FormatError(
                where, None, f"the id {topic.qid!r} was there before, in {seen[topic.qid]}; ids must be unique"
            )
        seen[topic.qid] = where
        yield topic
    if not seen:
        raise ExpandrError("there are no topics; wanted one or more")


@api
def load_topics(
    name: str | Path,
    *,
    expansions: str | Path | Sequence[str | Path] | None = None,
    limit: int | None = None,
    qids: Sequence[str] | str | None = None,
) -> Topics:
    """Load topics by a collection's name or a path, and join expansions to them.

    Args:
        name: `pocket`, `scifact`, `scifact/train`, a topics file, a BEIR folder, `irds:...`, or a Pyserini name.
        expansions: a packaged set (`claude.q2d`), an augmented topics file, or several of these.
        limit: keep only the first ones, at most this many.
        qids: keep only these: a list of ids, or a string as for the option `--qids`.

    Raises:
        UnknownNameError: nothing has that name; offers the nearest.
        NotAvailableError: the data is not on this machine; says what to do.

    Example:
        >>> topics = ex.load_topics("pocket")
        >>> len(topics), topics.corpus
        (72, 'pocket')
    """
    limit = None if limit is None else from_one("limit", limit)
    if not isinstance(qids, str | Iterable | None):
        raise ExpandrError(f"qids {shown(qids)}: wanted a list of ids, or a file with one per line")
    chosen = qids if isinstance(qids, str) or qids is None else [as_id(q, "qids", "an id") for q in qids]
    topics = Topics._of(select_topics(find_topics(str(name)), limit, chosen), str(name))
    return topics if expansions is None else topics.with_expansions(expansions)


def as_topics(topics: Any) -> Topics:
    """Convert a name, a path or topics in memory to `Topics`."""
    if isinstance(topics, Topics):
        return topics
    return load_topics(topics) if isinstance(topics, str | Path) else Topics(topics)
