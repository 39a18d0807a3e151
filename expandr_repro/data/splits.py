"""Choose the split of a collection named without one: a training takes `train`, development topics `dev`; never silently `test`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from expandr_repro.data.collections import TopicSet, local_folder, splits_of
from expandr_repro.data.specs import CollectionName, collection_named
from expandr_repro.errors import ExpandrError

TRAIN = ("train",)
DEV = ("dev", "validation", "valid")


def with_split(name: str, flag: str, wanted: Sequence[str] = TRAIN) -> str:
    """Return a name that says its split: as it is where it does, or is a file's; else with the first of the wanted splits.

    Args:
        name: as `find_topics` takes it.
        flag: where it was given, for the error.
        wanted: splits, the best first.

    Raises:
        ExpandrError: the collection has none of them; names those that it has.
    """
    known = collection_named(name)
    if known:
        if known.spec.members or _says_split(name, known):
            return name
        folder = local_folder(known)
        there = [s for s in known.spec.splits if folder is None or s in splits_of(folder)]
        whole = known.dataset
    elif (Path(name) / "qrels").is_dir():
        whole, there = str(Path(name)), splits_of(Path(name))
    else:
        return name
    for split in wanted:
        if split in there:
            return f"{whole}/{split}"
    if not there:
        return name
    raise ExpandrError(
        f"{flag} {name}: which split? There is no {wanted[0]!r}; the splits are: {', '.join(there)}. Name one, e.g. {flag} {name}/{there[0]}"
    )


def _says_split(name: str, known: CollectionName) -> bool:
    entry = known.spec.splits.get(known.split)
    names = (known.dataset, *known.spec.aliases)
    if name in names:  # as `cacm`, which is also what Pyserini calls its topics
        return False
    spellings = {f"{n}/{known.split}" for n in names}
    if entry:
        spellings |= {f"irds:{entry.irds}", entry.pyserini_topics or "", entry.pyserini_qrels or ""}
    return name in spellings


def split_of(topics: TopicSet) -> str | None:
    """Return the split that topics are, or None where they are a file's."""
    return topics.split or (topics.collection.split if topics.collection else None)
