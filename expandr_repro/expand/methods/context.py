"""The passages that go into prompts: found by our own search, read from a run file, or given by a function."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from expandr_repro.data.collections import TopicSet, collection_meant, find_corpus, removes_own_ids
from expandr_repro.data.topics import Topic
from expandr_repro.data.trec import Run, read_run
from expandr_repro.encoders.options import DEFAULT
from expandr_repro.errors import ExpandrError, MismatchError, UnknownNameError, nearest, shown
from expandr_repro.expand.store import Store
from expandr_repro.io.files import sha256_file

if TYPE_CHECKING:
    from expandr_repro.search.bm25 import Bm25Search
    from expandr_repro.search.dense import DenseSearch

log = logging.getLogger(__name__)

DEPTH = 10
"""Passages per topic where nothing else is asked for."""

USUAL = {"dense": "mean", "bm25": "repeat"}
"""How topics with texts are searched where the method does not say."""


@dataclass(frozen=True)
class Passage:
    """A document that goes into a prompt; without an id where a function gave its text alone."""

    docid: str
    text: str


class Context(Protocol):
    """Where passages are from."""

    @property
    def facts(self) -> dict[str, Any]:
        """What it is, for the provenance."""

    @property
    def known(self) -> bool:
        """Whether what it gives is known without a search, so that a dry run can count it."""

    def find(self, topics: Sequence[Topic], seen: Mapping[str, Sequence[str]]) -> dict[str, list[Passage]]:
        """Return each topic's passages, best first.

        Args:
            topics: with the texts that were generated so far.
            seen: docids by qid that are to be left out.
        """


Function = Callable[[Sequence[Topic]], Mapping[str, Iterable[Any]]]
"""From topics, with their texts so far, to passages by qid: texts, (docid, text) or documents."""


@dataclass(frozen=True)
class Named:
    """A context as typed: bm25 or dense, or a run file; and how many passages."""

    kind: str
    depth: int = DEPTH
    path: str = ""


def parse_context(text: str) -> Named:
    """Read `bm25:10`, `dense:10`, `RUNFILE[:k]` or `none`.

    Raises:
        ExpandrError: it is none of these.
    """
    head, colon, tail = text.rpartition(":")
    name, depth = (head, tail) if colon and tail.isdigit() and not Path(text).is_file() else (text, str(DEPTH))
    if int(depth) < 1 or len(depth) > 6:
        raise ExpandrError(f"--context {text}: wanted 1 or more passages per topic")
    if name == "none":
        return Named("none", 0)
    if name in ("bm25", "dense"):
        return Named(name, int(depth))
    if Path(name).is_file():
        return Named("run", int(depth), name)
    if (close := nearest(name, ("bm25", "dense", "none"))) or not set(name) & set("./\\"):
        raise UnknownNameError(
            "context", name, ("bm25", "dense", "none"), "A run file works as well." if close else "Or name a run file."
        )
    raise ExpandrError(f"--context {text}: no such run file; name one, or bm25:10, dense:10 or none")


class Corpus:
    """The texts of documents, each read once from the corpus.

    Args:
        name: of a collection, a corpus or a folder.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._texts: dict[str, str] = {}

    def texts(self, docids: Iterable[str]) -> Mapping[str, str]:
        """Return texts by docid; a document that is not there, or says nothing, is left out."""
        if wanted := set(docids) - self._texts.keys():
            self._texts |= {d.docid: d.dense_text for d in find_corpus(self.name).find(wanted)}
        return self._texts


def _documents(topics: TopicSet, corpus: str | None) -> str:
    name = corpus or topics.documents
    if name is None:
        raise ExpandrError(
            f"{topics.label}: the passages of which documents? give --corpus: a collection or a corpus, or leave them out with --context none"
        )
    return name


def open_context(
    named: Named | Function,
    topics: TopicSet,
    corpus: str | None,
    encoder: str | None,
    fusion: Mapping[str, str],
    store: Store,
) -> Context:
    """Return what finds the passages.

    Args:
        named: as `parse_context` gives it, or a function.
        topics: all that are to be expanded.
        corpus: the documents, where the topics do not say which are theirs.
        encoder: for a dense search.
        fusion: by retriever: how topics that have texts already are searched.
        store: where what was found is kept, so that a later run has the same.

    Raises:
        ExpandrError: the documents are not known, or the run is of others.
    """
    if not isinstance(named, Named):
        return Given(named)
    texts = Corpus(_documents(topics, corpus))
    if named.kind == "run":
        return RunFile(named, topics, texts)
    return Search(named, topics, texts, encoder or DEFAULT, fusion.get(named.kind, USUAL[named.kind]), store)


@dataclass
class Search:
    """Our own search in the collection's index; a topic that has texts already is searched with them."""

    named: Named
    topics: TopicSet
    corpus: Corpus
    encoder: str
    fusion: str
    store: Store
    known: bool = False

    @cached_property
    def opened(self) -> tuple[DenseSearch | Bm25Search, int]:
        """The index, opened when first wanted, or built, and the number of its documents."""
        from expandr_repro.search.fusion import fusion_named
        from expandr_repro.search.opening import open_searcher
        from expandr_repro.search.options import SearchRequest

        encoder = None
        if self.named.kind == "dense":
            from expandr_repro.encoders.loading import load_encoder
            from expandr_repro.encoders.options import EncoderOptions

            encoder = load_encoder(self.encoder, EncoderOptions())
        request = SearchRequest(self.topics.label, index=(self.corpus.name,), retriever=self.named.kind)
        alone = fusion_named("none", self.named.kind)
        searcher, size, _ = open_searcher(request, self.topics, alone, encoder)
        return searcher, size

    @cached_property
    def facts(self) -> dict[str, Any]:
        """The search, the index and the encoder."""
        from expandr_repro.search.dense import DenseSearch

        searcher, _ = self.opened
        facts = {"source": f"{self.named.kind}:{self.named.depth}", "corpus_sha256": searcher.corpus.get("sha256")}
        if isinstance(searcher, DenseSearch):
            return facts | {"encoder": searcher.encoder.identity}
        return facts | {"bm25": {"k1": searcher.settings.k1, "b": searcher.settings.b}}

    def find(self, topics: Sequence[Topic], seen: Mapping[str, Sequence[str]]) -> dict[str, list[Passage]]:
        """Return each topic's passages; see `Context`."""
        from expandr_repro.search.run import final_ranking

        keys = {t.qid: self._key(t, seen.get(t.qid, ())) for t in topics}
        kept = {qid: docids for qid, key in keys.items() if (docids := self.store.passages(key)) is not None}
        missing = [t for t in topics if t.qid not in kept]
        if missing:
            searcher, size = self.opened
            searcher.hits = min(size, self.named.depth + max(len(seen.get(t.qid, ())) for t in missing))
            log.info("finding passages for %d topics (%s)", len(missing), self.facts["source"])
            for fusion, some in (
                ("none", [t for t in missing if not t.texts]),
                (self.fusion, [t for t in missing if t.texts]),
            ):
                run = final_ranking(searcher.run(some, fusion)) if some else {}
                for t in some:
                    gone = set(seen.get(t.qid, ()))
                    kept[t.qid] = [d for d in run.get(t.qid, {}) if d not in gone][: self.named.depth]
            self.store.keep_passages({keys[t.qid]: kept[t.qid] for t in missing})
        texts = self.corpus.texts(d for docids in kept.values() for d in docids)
        return {t.qid: [Passage(d, texts[d]) for d in kept[t.qid] if texts.get(d)] for t in topics}

    def _key(self, topic: Topic, seen: Sequence[str]) -> bytes:
        facts = [
            self.facts,
            self.fusion if topic.texts else "none",
            topic.qid,
            topic.title,
            list(topic.texts),
            sorted(seen),
            self.opened[0].remove_own,
        ]
        return hashlib.sha256(json.dumps(facts, sort_keys=True, ensure_ascii=True, default=str).encode()).digest()


class RunFile:
    """The first documents of a run that there is already; it does not change with the texts.

    Args:
        named: the file, and how many documents.
        topics: all that are to be expanded.
        corpus: their texts.

    Raises:
        MismatchError: the run is of other topics or of other documents.
    """

    known = True

    def __init__(self, named: Named, topics: TopicSet, corpus: Corpus) -> None:
        self._named, self._corpus = named, corpus
        run: Run = read_run(named.path)
        wanted = [t.qid for t in topics.topics]
        if not set(run) & set(wanted):
            raise MismatchError(
                f"--context {named.path}: has none of the {len(wanted)} topics of {topics.label}; give a run of these topics"
            )
        _refuse_other_collection(named.path, topics, corpus.name)
        own = removes_own_ids(corpus.name, topics.label)
        self._run = {
            q: [d for d, _ in sorted(run[q].items(), key=lambda item: (-item[1], item[0])) if not (own and d == q)]
            for q in wanted
            if q in run
        }
        self._check(topics)
        self.facts: dict[str, Any] = {
            "source": f"{Path(named.path).name}:{named.depth}",
            "run_sha256": sha256_file(named.path),
        }

    def _check(self, topics: TopicSet) -> None:
        wanted = {d: q for q, docids in self._run.items() for d in docids[: self._named.depth]}
        texts = self._corpus.texts(wanted)
        if foreign := [d for d in wanted if d not in texts]:
            raise MismatchError(
                f"--context {self._named.path}: {len(foreign)} of its documents are not in {self._corpus.name} (first: {foreign[0]!r}, topic {wanted[foreign[0]]!r}); "
                "give a run of this collection, or its documents with --corpus"
            )
        if left := [t.qid for t in topics.topics if t.qid not in self._run]:
            log.warning(
                "--context %s: has no documents for %d of %d topics (first: %r)",
                self._named.path,
                len(left),
                len(topics.topics),
                left[0],
            )

    def find(self, topics: Sequence[Topic], seen: Mapping[str, Sequence[str]]) -> dict[str, list[Passage]]:
        """Return each topic's passages; see `Context`. Where some are left out, those further down take their place."""
        passages = {
            t.qid: [d for d in self._run.get(t.qid, ()) if d not in set(seen.get(t.qid, ()))][: self._named.depth]
            for t in topics
        }
        texts = self._corpus.texts(d for docids in passages.values() for d in docids)
        return {qid: [Passage(d, texts[d]) for d in docids if texts.get(d)] for qid, docids in passages.items()}


def _refuse_other_collection(path: str, topics: TopicSet, corpus: str) -> None:
    """Refuse a run whose manifest says that it is of another collection; ids of two collections may look alike."""
    from expandr_repro.evaluate.run_facts import facts_beside

    recorded = facts_beside(path).get("collection")
    here = topics.collection or collection_meant(corpus)
    there = collection_meant(recorded) if isinstance(recorded, str) else None
    if here and there and here.dataset != there.dataset:
        raise MismatchError(
            f"--context {path}: is a run of {there.dataset}, and the topics are of {here.dataset}; give a run of that collection"
        )


@dataclass
class Given:
    """Whatever a function of the user's gives."""

    function: Function
    known: bool = True
    facts: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Name the function in the facts."""
        self.facts = {"source": f"function {getattr(self.function, '__name__', type(self.function).__name__)}"}

    def find(self, topics: Sequence[Topic], seen: Mapping[str, Sequence[str]]) -> dict[str, list[Passage]]:
        """Return each topic's passages; see `Context`."""
        given = self.function(list(topics))
        if not isinstance(given, Mapping):
            raise ExpandrError(f"the context function gave {shown(given)}; wanted a dict of qid -> passages")
        passages = {}
        for t in topics:
            some = [_passage(item, t.qid) for item in given.get(t.qid, ())]
            passages[t.qid] = [
                p for p in some if p.text.strip() and (not p.docid or p.docid not in set(seen.get(t.qid, ())))
            ]
        return passages


def _passage(item: Any, qid: str) -> Passage:
    if isinstance(item, Mapping):
        item = (item.get("docid", ""), item.get("text"))
    elif hasattr(item, "dense_text"):
        item = (item.docid, item.dense_text)
    elif isinstance(item, str):
        item = ("", item)
    if not (isinstance(item, tuple | list) and len(item) == 2 and isinstance(item[1], str)):
        raise ExpandrError(f"the context function gave {shown(item)} for topic {qid!r}; wanted a text or (docid, text)")
    return Passage(str(item[0]), item[1])
