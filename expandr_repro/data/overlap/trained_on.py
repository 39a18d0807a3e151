"""Record the topics and relevant documents that an artefact was trained on, so that scores on them and on others can be separated.

A trained folder contains `trained_on.json.gz`: one entry per training collection, sorted, equal content in equal bytes. Its hash is in the
folder's manifest under `trained_on_sha256`. A file that comes of training, or of a trained LLM (preference pairs, expansions), has the record
next to it: `pairs.jsonl.trained_on.json.gz`.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from expandr_repro.errors import FormatError
from expandr_repro.io.files import atomic_bytes, read_text, sha256_file
from expandr_repro.io.manifest import NAME as MANIFEST
from expandr_repro.io.manifest import read_manifest, run_manifest_path

log = logging.getLogger(__name__)

NAME = "trained_on.json.gz"

TRAINED_ON_HASH = "trained_on_sha256"
"""Where a trained artefact's manifest has the hash of that file."""

MADE_BY_TRAINING = ("encoder", "generator", "preference-pairs", "learned-gate")
"""Kinds of manifests whose artefacts have such a record."""


@dataclass(frozen=True)
class TrainedOn:
    """The training data from one collection.

    Attributes:
        collection: the dataset's name (`scifact`), or the folder's or file's own name where it is not a known dataset.
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


def record_beside(file: Path) -> Path:
    """Return where the record of a file is: next to it, `.trained_on.json.gz` added to its name."""
    return file.with_name(f"{file.name}.{NAME}")


def packed(parts: Iterable[TrainedOn]) -> bytes:
    """Return the bytes of a record."""
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
    # a line each: a million topics in one line would be longer than any line that is read
    content = json.dumps({"version": 1, "trained_on": listed}, ensure_ascii=False, indent=0) + "\n"
    return gzip.compress(content.encode(), mtime=0)


def record_hash(parts: Iterable[TrainedOn]) -> str:
    """Return the SHA-256 that the file of a record has, for manifests that are written before it."""
    return hashlib.sha256(packed(parts)).hexdigest()


def write_record(path: Path, parts: Iterable[TrainedOn]) -> str:
    """Write a record and return the file's SHA-256."""
    content = packed(parts)
    with atomic_bytes(path) as file:
        file.write(content)
    return hashlib.sha256(content).hexdigest()


def write_trained_on(folder: Path, parts: Iterable[TrainedOn]) -> str:
    """Write the entries into a trained folder and return the file's SHA-256, for the manifest."""
    return write_record(folder / NAME, parts)


def read_trained_on(folder: Path) -> list[TrainedOn]:
    """Read the entries of a trained folder; empty where it has none (untrained, or trained elsewhere).

    Raises:
        FormatError: the file is damaged.
    """
    return read_record(folder / NAME)


def read_record(path: Path) -> list[TrainedOn]:
    """Read a record; empty where there is no such file.

    Raises:
        FormatError: the file is damaged.
    """
    if not path.is_file():
        return []
    try:
        content: Any = json.loads(read_text(path))
        return [_entry(entry) for entry in content["trained_on"]]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise FormatError(path, None, f"the record of training data is damaged ({error}); train again") from error


def _entry(entry: Any) -> TrainedOn:
    corpus, docids, held_out = entry["corpus"], entry["docids"], entry["held_out"]
    if not (isinstance(docids, list) and isinstance(held_out, list) and (corpus is None or isinstance(corpus, str))):
        raise TypeError("a value is of another type than it should be")
    topics = {str(qid): str(title) for qid, title in entry["topics"].items()}
    return TrainedOn(str(entry["collection"]), corpus, topics, frozenset(map(str, docids)), tuple(map(str, held_out)))


def carried_on(source: Path) -> list[TrainedOn]:
    """Read what further training starts from, or trains on, was itself trained on; warn where that should be known and is not.

    Args:
        source: a model's or adapter's folder, or a file of pairs or expansions.

    Raises:
        FormatError: the record is damaged.
    """
    is_folder = source.is_dir()
    record = source / NAME if is_folder else record_beside(source)
    manifest: dict[str, Any] = {}
    with contextlib.suppress(FormatError):  # a stranger's file of that name may be anything
        manifest = read_manifest(source / MANIFEST if is_folder else run_manifest_path(source)) or {}
    if record.is_file():
        if manifest.get(TRAINED_ON_HASH) not in (None, sha256_file(record)):
            log.warning(
                "%s: is not the record that the manifest next to it names; was one of the two replaced?", record
            )
        return read_record(record)
    if TRAINED_ON_HASH in manifest or manifest.get("kind") in MADE_BY_TRAINING:
        log.warning(
            "%s: the record of what it was trained on (%s) is missing, so topics and documents that it has seen will count as unseen; "
            "make it again with this version to have one",
            source,
            record.name,
        )
    return []
