"""What an artefact was trained on: the topics and their relevant documents, so that a score on them can be told from a score on others.

A trained folder holds `trained_on.json.gz`: one entry per training collection, sorted, equal content in equal bytes. Its hash stands in the
folder's manifest under `trained_on_sha256`.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from expandr_repro.core.errors import FormatError
from expandr_repro.core.files import atomic_bytes, read_text, sha256_file

NAME = "trained_on.json.gz"

TRAINED_ON_HASH = "trained_on_sha256"
"""Where a trained artefact's manifest has the hash of that file."""


@dataclass(frozen=True)
class TrainedOn:
    """The training data from one collection.

    Attributes:
        collection: the dataset's name (`scifact`), or the folder's or file's own name where it is no known dataset.
        corpus: SHA-256 of the corpus as index manifests carry it, or None where it is not known.
        topics: qid -> title of each training topic.
        docids: relevant documents of these topics that training saw (positives, gold passages).
        held_out: names of the topics given to `--hold-out`.
    """

    collection: str
    corpus: str | None
    topics: Mapping[str, str]
    docids: frozenset[str]
    held_out: tuple[str, ...] = field(default=())


def merge_trained_on(parts: Iterable[TrainedOn]) -> list[TrainedOn]:
    """Unite entries of the same collection and corpus: what continued training, blending or merging has seen altogether.

    A topic or a document that any part saw was seen; a hold-out counts only where every part of the collection had it.
    """
    united: dict[tuple[str, str | None], TrainedOn] = {}
    for part in parts:
        key = (part.collection, part.corpus)
        old = united.get(key)
        united[key] = part if old is None else TrainedOn(
            part.collection,
            part.corpus,
            {**old.topics, **part.topics},
            old.docids | part.docids,
            tuple(name for name in old.held_out if name in part.held_out),
        )  # fmt: skip
    return [united[key] for key in sorted(united, key=lambda k: (k[0], k[1] or ""))]


def write_trained_on(folder: Path, parts: Iterable[TrainedOn]) -> str:
    """Write the entries into a trained folder and return the file's SHA-256, for the manifest."""
    listed = [
        {
            "collection": p.collection,
            "corpus": p.corpus,
            "topics": dict(sorted(p.topics.items())),
            "docids": sorted(p.docids),
            "held_out": sorted(p.held_out),
        }
        for p in merge_trained_on(parts)
    ]
    content = json.dumps({"version": 1, "trained_on": listed}, ensure_ascii=False, separators=(",", ":")) + "\n"
    with atomic_bytes(folder / NAME) as file:
        file.write(gzip.compress(content.encode(), mtime=0))
    return sha256_file(folder / NAME)


def read_trained_on(folder: Path) -> list[TrainedOn]:
    """Read the entries of a trained folder; empty where it has none (untrained, or trained elsewhere).

    Raises:
        FormatError: the file is damaged.
    """
    path = folder / NAME
    if not path.is_file():
        return []
    try:
        content: Any = json.loads(read_text(path))
        return [
            TrainedOn(
                str(entry["collection"]),
                entry["corpus"],
                {str(qid): str(title) for qid, title in entry["topics"].items()},
                frozenset(map(str, entry["docids"])),
                tuple(map(str, entry["held_out"])),
            )
            for entry in content["trained_on"]
        ]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise FormatError(path, None, f"the record of training data is damaged ({error}); train again") from error
