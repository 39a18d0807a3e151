"""What a collection says of its topics and judgments, however it is named: which grade is relevant, and whether a topic's own id is no answer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from expandr_repro.core.specs import CollectionName, collection_named, datasets
from expandr_repro.pipeline.collections import TopicSet, local_folder


@dataclass(frozen=True)
class Conventions:
    """A collection's rules.

    Attributes:
        dataset: the collection, if it is a known one.
        remove_own: whether a document with the topic's own id is taken out of rankings.
        relevance_level: least grade that counts as relevant.
    """

    dataset: str | None = None
    remove_own: bool = False
    relevance_level: int = 1


def conventions_of(*sources: TopicSet | str | None) -> Conventions:
    """Return the rules of the first known collection among topics, indexes or corpora, and qrels."""
    for source in sources:
        if source and (known := _known(source)):
            return Conventions(known, datasets()[known].remove_query, datasets()[known].relevance_level)
    return Conventions()


def _known(source: TopicSet | str) -> str | None:
    if isinstance(source, TopicSet):
        if source.collection:
            return source.collection.dataset
        return _at(source.folder) if source.folder else None
    named = collection_named(source)
    if named:
        return named.dataset
    path = Path(source)
    return next((found for place in (path, *list(path.parents)[:2]) if place.is_dir() and (found := _at(place))), None)


def _at(folder: Path) -> str | None:
    """Return the known collection whose offline folder this is."""
    here = folder.resolve()
    for name, spec in datasets().items():
        there = local_folder(CollectionName(name, spec.default_split))
        if there and there.resolve() == here:
            return name
    return None
