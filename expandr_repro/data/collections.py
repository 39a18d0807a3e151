"""Find topics, qrels and corpora by name: packaged, of ir_datasets, of Pyserini, or a path. Offline folders come first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from expandr_repro.data import irds
from expandr_repro.data.corpus import Corpus, corpus_at
from expandr_repro.data.specs import CollectionName, collection_named, collection_names, datasets
from expandr_repro.data.topics import Topic, read_topics
from expandr_repro.data.trec import Qrels, read_qrels
from expandr_repro.errors import ExpandrError, FormatError, NotAvailableError, SetupError, UnknownNameError, nearest
from expandr_repro.io.files import read_lines
from expandr_repro.io.paths import data_dir, resource
from expandr_repro.pyserini import registry
from expandr_repro.pyserini import resources as pyserini_resources

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
        folder: the BEIR folder they are in, if any; its qrels and corpus are theirs.
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


def collection_meant(*names: str | None) -> CollectionName | None:
    """Return the known collection that the first of some names or paths belongs to, or None.

    Unlike `collection_named` it reads paths as well: the collection's folder, a split of it, its topics, documents or qrels, wherever
    that folder is, since BEIR's archives bear the collection's name. So topics, qrels and indexes may be named in any way, and
    what the collection decides (removal of own ids, the level of relevance) stays the same.

    Args:
        names: of topics, qrels, an index or a corpus, the most telling first; None is skipped.
    """
    for name in names:
        if name and (collection := _collection_by_name(name) or _collection_by_path(Path(name))):
            return collection
    return None


def _collection_by_name(name: str) -> CollectionName | None:
    beir_index = name.removeprefix("beir-v1.0.0-").partition(".")[0] if name.startswith("beir-v1.0.0-") else ""
    try:
        known = collection_named(name) or (collection_named(beir_index) if beir_index else None)
    except ExpandrError:  # a split that the collection does not have
        return None
    parent = name.rpartition("/")[0]
    return known or (_collection_by_name(parent) if parent.startswith("irds:beir/") else None)


def _collection_by_path(path: Path) -> CollectionName | None:
    ours = {spelling: name for name, spec in datasets().items() for spelling in (name, *spec.aliases)}
    split = path.name.removesuffix(".gz").removesuffix(".tsv")
    places = [(path, ""), (path.parent, "" if path.suffix else split)]
    if path.parent.name == "qrels":
        places.append((path.parent.parent, split))
    for folder, of in places:
        spelt = [name for p in (folder, folder.resolve()) for name in (f"{p.parent.name}/{p.name}", p.name)]
        named = next((ours[name] for name in spelt if name in ours), None)
        if named and (not path.exists() or _is_beir(folder)):
            known = of in datasets()[named].splits or of in splits_of(folder)
            return CollectionName(named, of if known else datasets()[named].default_split)
    return None


def _is_beir(folder: Path) -> bool:
    parts = ("qrels", "queries.jsonl", "queries.jsonl.gz", "corpus.jsonl", "corpus.jsonl.gz")
    return any((folder / part).exists() for part in parts)


def removes_own_ids(*names: str | None) -> bool:
    """Return whether a document with a topic's own id is taken out of its ranking in the collection that names belong to."""
    known = collection_meant(*names)
    return bool(known and known.spec.remove_query)


def relevance_level(*names: str | None) -> int:
    """Return the least grade that counts as relevant in the collection that names belong to; 1 where none is known."""
    known = collection_meant(*names)
    return known.spec.relevance_level if known else 1


def level_of(topics: TopicSet) -> int:
    """Return the least grade that counts as relevant for topics; see `relevance_level`."""
    return relevance_level(*(str(known) for known in (topics.collection, topics.folder) if known))


def select_topics(topics: TopicSet, limit: int | None, qids: str | Sequence[str] | None) -> TopicSet:
    """Return some of the topics, in their order.

    Args:
        topics: all of them.
        limit: the first so many, of those chosen by `qids` where it is given.
        qids: a file with one id per line, or ids with commas between them; a list is of ids alone.

    Raises:
        ExpandrError: no topic has one of the ids.
    """
    chosen = topics.topics
    if qids is not None:
        wanted = _listed(qids)
        known = {t.qid for t in chosen}
        if unknown := [qid for qid in wanted if qid not in known]:
            close = nearest(unknown[0], known)
            raise ExpandrError(
                f"--qids: {len(unknown)} of {len(wanted)} ids are not among the {len(known)} topics of {topics.label} (first: {unknown[0]!r}"
                f"{f', did you mean {close!r}?' if close else ''}); name ids of these topics, or a file with one per line"
            )
        chosen = [t for t in chosen if t.qid in wanted]
    return replace(topics, topics=chosen[:limit])


def _listed(qids: str | Sequence[str]) -> dict[str, None]:
    if not isinstance(qids, str):
        if not qids:
            raise ExpandrError("--qids: names no topic; give one id or more")
        return dict.fromkeys(qids)
    try:
        from_file = Path(qids).is_file()
    except OSError:  # a list longer than any file's name
        from_file = False
    lines = [line for _, line in read_lines(qids)] if from_file else qids.split(",")
    listed = dict.fromkeys(line.strip() for line in lines if line.strip())
    if not listed:
        raise ExpandrError(
            f"--qids {qids!r}: names no topic; give a file with one id per line, or ids with commas between"
        )
    return listed


def judged_among(qrels: Qrels, searched: Sequence[str]) -> Qrels:
    """Return the qrels of the topics that were searched; all of them where none of these is judged, so that the error can name some."""
    wanted = set(searched)
    return {qid: judged for qid, judged in qrels.items() if qid in wanted} or qrels


@dataclass(frozen=True)
class Place:
    """Where topics, qrels or documents lie: on this machine, else by the names that other toolkits have for them.

    Attributes:
        what: `topics`, `qrels` or `documents`.
        name: as it was given.
        known: the known collection they are of, where the name is one of its names.
        path: of a file, or for documents of a file or folder.
        folder: in BEIR layout.
        split: of that folder; empty where it has no qrels.
        irds: ir_datasets' name.
        pyserini: what may be Pyserini's name; of a known collection, it is.
    """

    what: str
    name: str
    known: CollectionName | None = None
    path: Path | None = None
    folder: Path | None = None
    split: str = ""
    irds: str | None = None
    pyserini: str | None = None

    @property
    def here(self) -> Path | None:
        """The file or folder on this machine; None where there is none.

        Raises:
            NotAvailableError: the collection's folder is here, and lacks it.
        """
        if self.folder is None or self.what == "documents":
            return self.path or self.folder
        return _qrels_file(self.folder, self.split) if self.what == "qrels" else _queries_in(self.folder)


def place_of(what: str, name: str) -> Place:
    """Find where topics, qrels or documents lie, by name or path; offline folders come first.

    Args:
        what: `topics`, `qrels` or `documents`.
        name: one of ours, a path, `irds:ID`; of topics and qrels also what may be Pyserini's.

    Raises:
        ExpandrError: a group of collections, or a split that the collection does not have.
    """
    if known := collection_named(name):
        entry, folder = known.split_spec, local_folder(known)
        ours = {
            "topics": (entry.irds, entry.pyserini_topics),
            "qrels": (entry.irds, entry.pyserini_qrels),
            "documents": (known.spec.irds, None),
        }
        return Place(what, name, known, None, folder, known.split if folder else "", *ours[what])
    path = Path(name)
    if path.exists() if what == "documents" else path.is_file():
        return Place(what, name, path=path)
    if beir := _beir_folder(path):
        return Place(what, name, None, None, *beir)
    if name.startswith("irds:"):
        return Place(what, name, irds=name.removeprefix("irds:"))
    return Place(what, name, pyserini=None if what == "documents" else name)


def find_topics(name: str) -> TopicSet:
    """Find topics by name or path.

    Raises:
        UnknownNameError: nothing has that name.
        NotAvailableError: a known name whose data is not here and could not be fetched; lists what was tried.
        FormatError: the file is not what it should be.
    """
    source = place_of("topics", name)
    if source.known and (members := source.known.spec.members):
        raise ExpandrError(
            f"{source.known.dataset!r} is a group of {len(members)} collections, each with its own topics; name one, e.g. {members[0]}"
        )
    if source.path:
        return TopicSet(source.path.name, read_topics(source.path))
    if folder := source.folder:
        known = source.known or _whose_folder(folder, source.split)
        label = str(known) if known else f"{folder.name}/{source.split}".rstrip("/")
        return TopicSet(label, _judged_topics(folder, source.split), known, folder, source.split)
    topics = _fetched(source, irds.read_topics, registry.topics_names, pyserini_resources.read_topics)
    return TopicSet(str(source.known or name), topics, source.known)


def _whose_folder(folder: Path, split: str) -> CollectionName | None:
    """Return the known collection whose offline folder a path leads to, however it is written, or None."""
    named = _collection_by_path(folder)
    own = local_folder(named) if named else None
    return CollectionName(named.dataset, split) if named and own and own.samefile(folder) else None


def _judged_topics(folder: Path, split: str) -> list[Topic]:
    """Return the topics of a BEIR folder that the split judges, in file order; all topics where there is no split."""
    topics = read_topics(_queries_in(folder))
    if not split:
        return topics
    judged = read_qrels(_qrels_file(folder, split))
    if not (judged_topics := [t for t in topics if t.qid in judged]):
        raise FormatError(_qrels_file(folder, split), None, f"judges none of the topics in {_queries_in(folder)}")
    return judged_topics


def _queries_in(folder: Path) -> Path:
    if file := _first_file(folder, QUERIES):
        return file
    raise NotAvailableError(f"{folder}: no {' or '.join(QUERIES)} there, plain or gzipped; {_holds(folder)}")


def _first_file(folder: Path, names: Sequence[str]) -> Path | None:
    candidates = (folder / f"{name}{packed}" for name in names for packed in ("", ".gz"))
    return next((path for path in candidates if path.is_file()), None)


def _holds(folder: Path) -> str:
    """Return what a folder holds, and what a collection's folder would."""
    names = sorted(p.name + "/" * p.is_dir() for p in folder.iterdir() if not p.name.startswith("."))
    listed = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "") if names else "nothing"
    return f"it holds {listed}; wanted a BEIR folder: corpus.jsonl, queries.jsonl, and qrels/<split>.tsv for scores"


def _qrels_file(folder: Path, split: str) -> Path:
    if file := _first_file(folder / "qrels", [f"{split}.tsv"] if split else []):
        return file
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
    """Find qrels by name or path, with the errors of `find_topics`."""
    source = place_of("qrels", name)
    if here := source.here:
        return read_qrels(here)
    return _fetched(source, irds.read_qrels, registry.qrels_names, pyserini_resources.read_qrels)


def has_topics(qrels: str) -> bool:
    """Return whether qrels come with topics that `find_topics` finds by the same name: those of a collection do, those in a file do not."""
    return bool(collection_named(qrels)) or qrels.startswith("irds:") or Path(qrels).is_dir()


def qrels_of(topics: TopicSet) -> Qrels | None:
    """Return the qrels that belong to topics, or None where none are known."""
    if topics.folder:
        return read_qrels(_qrels_file(topics.folder, topics.split)) if topics.split else None
    return find_qrels(str(topics.collection)) if topics.collection else None


def find_corpus(name: str) -> Corpus:
    """Find a corpus by name or path, with the errors of `find_topics`."""
    source = place_of("documents", name)
    if here := source.here:
        corpus = corpus_at(here)
        return replace(corpus, source=source.known.dataset) if source.known else corpus
    return _fetched(source, irds.corpus, lambda: (), irds.corpus)


def _fetched(
    source: Place, of_irds: Callable[[str], T], known: Callable[[], Iterable[str]], of_pyserini: Callable[[str], T]
) -> T:
    """Read what is not on this machine by ir_datasets or Pyserini."""
    name = source.known
    if name is None:
        if source.irds:
            return of_irds(source.irds)
        if source.name in known():
            return of_pyserini(source.name)
        raise unknown(source.what, source.name)
    base = data_dir()
    tried = [f"{base / name.dataset} (not there)" if base else "$EXPANDR_DATA (not set)"]
    ways = (("ir_datasets", source.irds, of_irds), ("Pyserini", source.pyserini, of_pyserini))
    for toolkit, ident, read in ways:
        if ident:
            try:
                return read(ident)
            except (NotAvailableError, UnknownNameError, SetupError) as error:
                tried.append(f"{toolkit} {ident} ({str(error)[:200]})")
    raise NotAvailableError(
        f"the {source.what} of {str(name)!r} are not on this machine; tried {'; '.join(tried)}. Put corpus.jsonl, queries.jsonl and "
        f"qrels/{name.split}.tsv into $EXPANDR_DATA/{name.dataset}/, or run once with a network"
    )


def unknown(what: str, name: str) -> ExpandrError:
    """Return the error of a name or path by which no topics, qrels or documents are found."""
    kind = "corpus" if what == "documents" else what
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
        f"collection or {kind}", name, collection_names(), "A path, irds:ID or a Pyserini name works as well."
    )
