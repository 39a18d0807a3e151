"""Merge the shards of a corpus, encoded separately, into one index."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from expandr_repro.errors import ExpandrError, FormatError, MismatchError
from expandr_repro.indexes import build as building
from expandr_repro.indexes.build import Shard, facts_key, fill, is_built, locked
from expandr_repro.indexes.faiss_index import FaissIndex, is_faiss_folder, new_index, save_index
from expandr_repro.indexes.flat_file import save_flat
from expandr_repro.indexes.parts import COMPUTED_BY, DOCIDS, docids_fact
from expandr_repro.io.files import atomic_folder
from expandr_repro.io.manifest import NAME, write_manifest
from expandr_repro.io.outputs import FAISS_INDEX, check_output

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def merge_shards(folders: Sequence[Path], target: Path, factory: str = "Flat", overwrite: bool = False) -> int:
    """Merge flat shards, in any order given, into one index as if it had been encoded at once.

    Args:
        folders: every shard of one corpus.
        target: the index folder.
        factory: the kind of the merged index.
        overwrite: replace another index that is at `target`; whatever else is there is never replaced.

    Returns:
        The number of documents.

    Raises:
        ExpandrError: something else is at `target`.
        MismatchError: a shard is missing, there twice, or of another corpus or encoder.
        NotAvailableError: a folder is not an index.
    """
    check_output("--output", target, FAISS_INDEX, folders)
    shards = [FaissIndex.load(f, mapped=True) for f in folders]
    manifests = [_manifest(s) for s in shards]
    for shard, manifest in zip(shards[1:], manifests[1:], strict=True):
        if differing := difference(manifests[0], manifest):
            raise MismatchError(
                f"{shard.folder}: the shards are not of one corpus, encoder and kind: {differing[0]} is {differing[2]!r} there, {differing[1]!r} in {folders[0]}; encode them alike"
            )
    order = sorted(range(len(shards)), key=lambda i: int(manifests[i]["shard"]["number"]))
    numbers = [int(manifests[i]["shard"]["number"]) for i in order]
    count = int(manifests[0]["shard"]["count"])
    if numbers != list(range(count)):
        raise MismatchError(f"found shards {numbers} of {count}; wanted each of 0 to {count - 1} once")
    common = {k: v for k, v in manifests[0].items() if k not in ("kind", "made_by", COMPUTED_BY, DOCIDS)}
    total = sum(s.index.ntotal for s in shards)
    if total != common["corpus"].get("documents"):
        raise MismatchError(
            f"the shards hold {total} documents, and {common['corpus'].get('documents')} are in their corpus; encode them again"
        )
    common.update(factory=factory, documents=total, shard=vars(Shard()))
    if is_faiss_folder(target) and is_built(target, common):
        return int(total)
    refuse_another(target, overwrite)
    docids = [d for i in order for d in shards[i].docids]
    vectors = partial(_chunks, [shards[i].index for i in order])
    dimension = int(shards[0].index.d)
    with locked(target), atomic_folder(target, FAISS_INDEX) as folder:
        if factory == "Flat":
            save_flat(dimension, vectors(), docids, folder)
        else:
            save_index(fill(new_index(dimension, factory), factory, vectors, total), docids, folder)
        by = ", ".join(sorted({m[COMPUTED_BY] for m in manifests if COMPUTED_BY in m}))
        write_manifest(folder / NAME, "faiss-index", common | docids_fact(folder) | ({COMPUTED_BY: by} if by else {}))
    return int(total)


def refuse_another(target: Path, overwrite: bool) -> None:
    """Refuse to replace another index unless asked to.

    Raises:
        ExpandrError: one is there.
    """
    if not overwrite and target.is_dir() and any(target.iterdir()):
        raise ExpandrError(
            f"--output {target}: contains something else than this index; choose another folder, or add --overwrite"
        )


def _manifest(shard: FaissIndex) -> dict[str, Any]:
    if shard.manifest is None or "shard" not in shard.manifest:
        raise MismatchError(
            f"{shard.folder}: has no manifest that says which shard it is; encode it with --shard-id and --num-shards"
        )
    parts = {key: shard.manifest.get(key) for key in ("shard", "corpus", "encoder")}
    if damaged := [key for key, part in parts.items() if not isinstance(part, dict)]:
        raise FormatError(shard.folder / NAME, None, f"{damaged[0]} is not an object; encode the shard again")
    shard_of: dict[str, Any] = shard.manifest["shard"]
    if not all(isinstance(shard_of.get(key), int) for key in ("number", "count")):
        raise FormatError(shard.folder / NAME, None, "shard has no whole `number` and `count`; encode the shard again")
    if shard.manifest.get("factory") != "Flat":
        raise ExpandrError(f"{shard.folder}: is not a flat index; encode shards flat and give --factory when merging")
    return shard.manifest


def difference(first: dict[str, Any], other: dict[str, Any]) -> tuple[str, Any, Any] | None:
    """Return what differs between the manifests of two shards and should not, with both values; None where they belong together."""
    if facts_key({**first, "shard": None, "documents": None}) != facts_key({**other, "shard": None, "documents": None}):
        for where in ("corpus", "encoder"):
            for key in sorted({*first[where], *other[where]} - {"source", "name", "query_prefix", "query_max_length"}):
                if first[where].get(key) != other[where].get(key):
                    return f"{where}.{key}", first[where].get(key), other[where].get(key)
        return NAME, first, other
    # a shard of an older version has no `chunk`: it is of another division, which repeats some documents and lacks others
    for key in ("count", "chunk"):
        if first["shard"].get(key) != other["shard"].get(key):
            return f"shard.{key}", first["shard"].get(key), other["shard"].get(key)
    return None


def _chunks(indexes: Sequence[Any]) -> Iterator[NDArray[np.float32]]:
    """Read the vectors in the chunks in which an index that is encoded at once gets them, whatever the shards' sizes."""
    import numpy as np

    size = building.CHUNK
    waiting = np.zeros((0, int(indexes[0].d)), dtype=np.float32)
    for index in indexes:
        for begin in range(0, index.ntotal, size):
            part = index.reconstruct_n(begin, min(size, index.ntotal - begin))
            waiting = np.concatenate([waiting, part])
            if len(waiting) >= size:
                yield waiting[:size]
                waiting = waiting[size:]
    if len(waiting):
        yield waiting
