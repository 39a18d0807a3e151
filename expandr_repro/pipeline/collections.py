"""Topics, judgements and corpora by any name: ours, ir_datasets', Pyserini's, or a path. Offline folders come first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from expandr_repro.adapters import irds
from expandr_repro.adapters.pyserini import registry
from expandr_repro.adapters.pyserini import resources as pyserini_resources
from expandr_repro.core.corpus import Corpus, corpus_at
from expandr_repro.core.errors import (
    ExpandrError,
    FormatError,
    NotAvailableError,
    SetupError,
    UnknownNameError,
    nearest,
)
from expandr_repro.core.paths import data_dir
from expandr_repro.core.specs import CollectionName, collection_named, collection_names, resource
from expandr_repro.core.topics import Topic, read_topics
from expandr_repro.core.trec import Qrels, read_qrels

T = TypeVar("T")

QUERIES = ("queries.jsonl", "queries.tsv")
"""Where the topics of a BEIR folder lie."""


@dataclass(frozen=True)
class TopicSet:
    """Topics, and what is known of where they come from.

    Attributes:
        label: what to call them in print.
        topics: in file order.
        collection: the known collection they are of, if any.
        folder: the BEIR folder they lie in, if any; its judgements and corpus are theirs.
        split: the split of that folder; empty where it has no qrels.
    """

    label: str
    topics: list[Topic]
    collection: CollectionName | None = None
    folder: Path | None = None
    split: str = ""

    @property
    def documents(self) -> str | None:
        """What `find_corpus` finds the documents of these topics by, where they are known."""
        if self.collection:
            return self.collection.dataset
        return str(self.folder) if self.folder else None


def local_folder(name: CollectionName) -> Path | None:
    """Return the offline folder of a collection: the packaged one, or `$EXPANDR_DATA/<name>`, or None."""
    if name.dataset == "pocket":
        return resource("pocket")
    base = data_dir()
    for spelling in (name.dataset, *name.spec.aliases):
        if base and (base / spelling).is_dir():
            return base / spelling
    return None


def find_topics(name: str) -> TopicSet:
    """Find topics by name or path.

    Raises:
        UnknownNameError: nothing has that name.
        NotAvailableError: a known name whose data is not here and could not be fetched; lists what was tried.
        FormatError: the file is not what it should be.
    """
    if known := collection_named(name):
        return _known_topics(known)
    path = Path(name)
    if path.is_file():
        return TopicSet(path.name, read_topics(path))
    if beir := _beir_folder(path):
        where, split = beir
        return TopicSet(f"{where.name}/{split}".rstrip("/"), _judged_topics(where, split), folder=where, split=split)
    if name.startswith("irds:"):
        return TopicSet(name, irds.read_topics(name.removeprefix("irds:")))
    if name in registry.topics_names():
        return TopicSet(name, pyserini_resources.read_topics(name))
    raise _unknown("topics", name)


def _known_topics(name: CollectionName) -> TopicSet:
    if members := name.spec.members:
        raise ExpandrError(
            f"{name.dataset!r} is a group of {len(members)} collections, each with its own topics; name one, e.g. {members[0]}"
        )
    folder = local_folder(name)
    if folder:
        return TopicSet(str(name), _judged_topics(folder, name.split), name, folder, name.split)
    entry = name.split_spec
    topics = _first_of(
        name,
        "topics",
        [
            (f"ir_datasets {entry.irds}", entry.irds, irds.read_topics),
            (f"Pyserini {entry.pyserini_topics}", entry.pyserini_topics, pyserini_resources.read_topics),
        ],
    )
    return TopicSet(str(name), topics, name)


def _judged_topics(folder: Path, split: str) -> list[Topic]:
    """Return the topics of a BEIR folder that the split judges, in file order; all topics where there is no split."""
    queries = _first_file(folder, QUERIES)
    if queries is None:
        raise NotAvailableError(f"{folder}: no {' or '.join(QUERIES)} there, plain or gzipped; {_holds(folder)}")
    topics = read_topics(queries)
    if not split:
        return topics
    judged = read_qrels(_qrels_file(folder, split))
    if not (found := [t for t in topics if t.qid in judged]):
        raise FormatError(_qrels_file(folder, split), None, f"judges none of the topics in {queries}")
    return found


def _first_file(folder: Path, names: Sequence[str]) -> Path | None:
    candidates = (folder / f"{name}{packed}" for name in names for packed in ("", ".gz"))
    return next((path for path in candidates if path.is_file()), None)


def _holds(folder: Path) -> str:
    """Say what a folder holds, and what a collection's folder would."""
    names = sorted(p.name + "/" * p.is_dir() for p in folder.iterdir() if not p.name.startswith("."))
    listed = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "") if names else "nothing"
    return f"it holds {listed}; wanted a BEIR folder: corpus.jsonl, queries.jsonl, and qrels/<split>.tsv for scores"


def _qrels_file(folder: Path, split: str) -> Path:
    if found := _first_file(folder / "qrels", [f"{split}.tsv"] if split else []):
        return found
    raise NotAvailableError(_without_split(folder, split))


def _without_split(folder: Path, split: str) -> str:
    splits = splits_of(folder)
    if not splits:
        return f"{folder} has no qrels (wanted qrels/<split>.tsv): without them it can be searched and expanded, and not scored"
    close = nearest(split, splits)
    return f"{folder}/{split}: {folder.name} has the splits: {', '.join(splits)}{f'; did you mean {close!r}?' if close else ''}"


def splits_of(folder: Path) -> list[str]:
    """Return the splits of a BEIR folder, `test` first."""
    names = sorted(p.name.removesuffix(".gz").removesuffix(".tsv") for p in (folder / "qrels").glob("*.tsv*"))
    return sorted(dict.fromkeys(names), key=lambda s: (s != "test", s != "dev", s))


def _beir_folder(path: Path) -> tuple[Path, str] | None:
    """Read a path as a BEIR folder, or as a BEIR folder and one of its splits."""
    if _is_collection(path):
        return path, next(iter(splits_of(path)), "")
    if path.name in splits_of(path.parent):
        return path.parent, path.name
    return None


def _is_collection(folder: Path) -> bool:
    return (folder / "qrels").is_dir() or _first_file(folder, QUERIES) is not None


def find_qrels(name: str) -> Qrels:
    """Find judgements by name or path, with the errors of `find_topics`."""
    if known := collection_named(name):
        return _known_qrels(known)
    path = Path(name)
    if path.is_file():
        return read_qrels(path)
    if beir := _beir_folder(path):
        return read_qrels(_qrels_file(*beir))
    if name.startswith("irds:"):
        return irds.read_qrels(name.removeprefix("irds:"))
    if name in registry.qrels_names():
        return pyserini_resources.read_qrels(name)
    raise _unknown("qrels", name)


def _known_qrels(name: CollectionName) -> Qrels:
    if folder := local_folder(name):
        return read_qrels(_qrels_file(folder, name.split))
    entry = name.split_spec
    return _first_of(
        name,
        "judgements",
        [
            (f"ir_datasets {entry.irds}", entry.irds, irds.read_qrels),
            (f"Pyserini {entry.pyserini_qrels}", entry.pyserini_qrels, pyserini_resources.read_qrels),
        ],
    )


def qrels_of(topics: TopicSet) -> Qrels | None:
    """Return the judgements that belong to topics, or None where none are known."""
    if topics.folder:
        return read_qrels(_qrels_file(topics.folder, topics.split)) if topics.split else None
    return _known_qrels(topics.collection) if topics.collection else None


def find_corpus(name: str) -> Corpus:
    """Find a corpus by name or path, with the errors of `find_topics`."""
    if known := collection_named(name):
        if folder := local_folder(known):
            return replace(corpus_at(folder), source=known.dataset)
        ident = known.spec.irds
        if ident:
            return _first_of(known, "documents", [(f"ir_datasets {ident}", ident, irds.corpus)])
        return _first_of(known, "documents", [])
    path = Path(name)
    if path.exists():
        return corpus_at(path)
    if beir := _beir_folder(path):
        return corpus_at(beir[0])
    if name.startswith("irds:"):
        return irds.corpus(name.removeprefix("irds:"))
    raise _unknown("corpus", name)


def _first_of(name: CollectionName, what: str, ways: list[tuple[str, str | None, Callable[[str], T]]]) -> T:
    base = data_dir()
    tried = [f"{base / name.dataset} (not there)" if base else "$EXPANDR_DATA (not set)"]
    for label, ident, read in ways:
        if ident:
            try:
                return read(ident)
            except (NotAvailableError, UnknownNameError, SetupError) as error:
                tried.append(f"{label} ({str(error)[:200]})")
    raise NotAvailableError(
        f"the {what} of {str(name)!r} are not on this machine; tried {'; '.join(tried)}. Put corpus.jsonl, queries.jsonl and "
        f"qrels/{name.split}.tsv into $EXPANDR_DATA/{name.dataset}/, or run once with a network"
    )


def _unknown(kind: str, name: str) -> ExpandrError:
    path = Path(name)
    if path.is_dir():
        return NotAvailableError(f"{name}: no {kind} there; {_holds(path)}")
    if path.name and _is_collection(path.parent) and path.parent != Path():
        return NotAvailableError(_without_split(path.parent, path.name))
    if "/" in name or path.suffix:
        beside = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        close = nearest(path.name, beside)
        offer = str(path.with_name(close)) if close else nearest(name, collection_names())
        return NotAvailableError(
            f"{name}: no such file or folder, and no known {kind}{f'; did you mean {offer!r}?' if offer else ''}"
        )
    return UnknownNameError(
        f"collection or {kind}", name, collection_names(), "A path, irds:ID or a Pyserini name will do as well."
    )
