"""Search several Faiss indexes as one: parts of a corpus, one after another within a memory limit, or all at once."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from expandr_repro.encoders.finite import check_index
from expandr_repro.errors import ExpandrError, FormatError, MismatchError, NotAvailableError
from expandr_repro.indexes.build import Shard
from expandr_repro.indexes.faiss_index import (
    FaissIndex,
    is_faiss_folder,
    merged,
    read_index,
    search_flat,
    set_parameters,
    vectors_of,
)
from expandr_repro.indexes.lucene import is_lucene_folder
from expandr_repro.indexes.merge import difference
from expandr_repro.indexes.parts import DOCIDS
from expandr_repro.io.faiss_library import load_faiss
from expandr_repro.io.manifest import NAME, read_manifest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from expandr_repro.indexes.faiss_index import Found

log = logging.getLogger(__name__)


def is_index(path: Path) -> bool:
    """Return whether a folder contains an index, of Faiss or Lucene."""
    return is_faiss_folder(path) or is_lucene_folder(path)


def parts_of(name: str | Sequence[str]) -> list[Path]:
    """Return the index folders that are meant together: several names, or a folder that contains index folders and nothing else.

    Args:
        name: of an index, or several.

    Returns:
        The folders in natural order (`part2` before `part10`); none where a single index, a collection or a corpus is named.

    Raises:
        NotAvailableError: one of them is not an index.
    """
    if not any(name):
        return []
    if isinstance(name, str):
        path = Path(name)
        if not path.is_dir() or is_index(path):
            return []
        inside = [p for p in path.iterdir() if p.name[0] != "."]
        if not all(p.is_dir() for p in inside) or not any(map(is_index, inside)):
            return []
        folders = sorted(inside, key=lambda p: [(len(w), w) if w.isdigit() else (0, w) for w in re.split(r"(\d+)", p.name)])  # fmt: skip
        wanted = (
            f"{path} contains index folders, so each folder in it must be one: encode this part again, or take it away"
        )
    elif len(name) < 2:
        return parts_of(name[0])
    else:
        folders = [part for one in name for part in parts_of(one) or [Path(one)]]
        wanted = "each of several must be an index folder, as `encode` makes it"
    for folder in folders:
        if not is_index(folder):
            raise NotAvailableError(f"{folder}: no index is there; {wanted}")
    return folders


def label(name: str | Sequence[str]) -> str:
    """Return what to call an index of one or several names.

    Example:
        >>> label(["part0", "part1"]), label([f"part{n}" for n in range(9)])
        ('part0, part1', 'part0, part1 and 7 more')
    """
    if isinstance(name, str):
        return name
    return ", ".join(name) if len(name) < 4 else f"{name[0]}, {name[1]} and {len(name) - 2} more"


def refuse_sparse(name: str | Sequence[str], folders: Sequence[Path]) -> NoReturn:
    """Refuse to search several indexes with BM25.

    Raises:
        ExpandrError: says why, and what to do.
    """
    if any(map(is_faiss_folder, folders)):
        raise ExpandrError(f"{label(name)}: Faiss indexes, and BM25 searches a Lucene index; search them with --retriever dense")  # fmt: skip
    raise ExpandrError(
        f"{label(name)}: BM25 weighs terms by their counts in the whole corpus, which a part does not know, so that scores of several Lucene indexes do not compare; "
        "make one Lucene index of the whole corpus (encode --retriever bm25)"
    )


@dataclass
class Part:
    """One part: where it is, which rows it has of all, and the open index while there is one."""

    folder: Path
    manifest: dict[str, Any] | None
    kind: str
    first: int
    count: int
    flat: bool
    index: Any = None

    @property
    def facts(self) -> dict[str, Any]:
        """What a run's manifest says of the part: its kind and number of documents."""
        return {"factory": (self.manifest or {}).get("factory") or self.kind, "documents": self.count}


@dataclass
class Rows:
    """What searches all parts, with the methods of a Faiss index that a search needs; rows are counted on from part to part.

    Attributes:
        d: length of a vector.
        ntotal: vectors in all parts.
        parts: in the order of their rows.
        together: whether all are open at once.
        parameters: of the search, for approximate indexes.
        span: the first row of those that are searched, and the one after the last; None for all. Of flat parts the blocks that begin in it.
        values: whether vectors are looked through for NaN and infinity as a part is opened.
    """

    d: int
    ntotal: int
    parts: list[Part]
    together: bool
    parameters: str | None = None
    span: tuple[int, int] | None = None
    values: bool = False

    def search(self, vectors: NDArray[np.float32], depth: int) -> Found:
        """Return the best rows of each query over all parts, as Faiss does of one index: scores and rows, both (n, depth).

        Of flat parts the scores have the bits that one index of all vectors gives, with as many threads: Faiss multiplies queries with blocks of so
        many vectors, and a score's last bit may depend on its place in a block, so blocks are those of the one index, across the borders of parts.
        """
        import numpy as np

        best = self.best(vectors, depth)
        missing = ((0, 0), (0, depth - best[0].shape[1]))
        worst = np.finfo(np.float32).min
        return np.pad(best[0], missing, constant_values=worst), np.pad(best[1], missing, constant_values=-1)

    def best(self, vectors: NDArray[np.float32], depth: int) -> Found:
        """Return what `search` does, with fewer columns where there are fewer rows."""
        import numpy as np

        faiss = load_faiss()
        threads = faiss.omp_get_max_threads()
        # Faiss shares out the queries among its threads, so that for few queries several parts are searched side by side
        # (a single query it gives to all threads, over the vectors)
        workers = min(len(self.parts), threads // len(vectors)) if self.together and len(vectors) > 1 else 1
        best = np.zeros((len(vectors), 0), np.float32), np.zeros((len(vectors), 0), np.int64)
        flat = all(part.flat for part in self.parts)
        tasks = self._blocks(vectors, depth) if flat else self._whole(vectors, depth)
        if workers > 1:
            with ThreadPoolExecutor(workers, initializer=faiss.omp_set_num_threads, initargs=(max(1, threads // workers),)) as pool:  # fmt: skip
                for part_best in pool.map(_call, tasks):
                    best = merged(depth, best, part_best)
        else:
            for task in tasks:
                best = merged(depth, best, task())
                del task  # which holds its part, and the next is opened first
        return best

    def search_and_reconstruct(self, vectors: NDArray[np.float32], depth: int) -> tuple[Any, Any, NDArray[np.float32]]:
        """Return what `search` does, and the vectors of the rows, (n, depth, dimension)."""
        import numpy as np

        scores, rows = self.search(vectors, depth)
        taken = np.zeros((*rows.shape, self.d), np.float32)
        for part, index in self.opened():
            inside = (rows >= part.first) & (rows < part.first + part.count)
            if hasattr(index, "make_direct_map"):  # which an index of lists needs to find a row
                index.make_direct_map()
            try:
                for position in zip(*np.nonzero(inside), strict=True):
                    taken[position] = index.reconstruct(int(rows[position]) - part.first)
            except RuntimeError as error:
                raise ExpandrError(f"{part.folder}: an index of this kind ({part.kind}) does not return its vectors, which feedback needs; choose another --fusion") from error  # fmt: skip
            del index
        return scores, rows, taken

    def opened(self, first: int = 0, end: int | None = None) -> Iterator[tuple[Part, Any]]:
        """Open each part with documents among some rows in turn, and release it before the next where they are not open at once."""
        for part in self.parts:
            if not part.count or part.first + part.count <= first or (end is not None and part.first >= end):
                continue
            index = part.index
            if index is None:
                index = read_index(part.folder, part.flat)
                if self.parameters:
                    set_parameters(index, self.parameters)
                if index.ntotal != part.count or index.d != self.d:
                    raise MismatchError(f"{part.folder}: changed while it was searched; run the command again")
                if self.values:
                    check_index(index, partial(_row_of, part.folder))
                if self.together:
                    part.index = index
            yield part, index
            del index

    def _whole(self, vectors: NDArray[np.float32], depth: int) -> Iterator[Callable[[], Found]]:
        """Search each part at once."""
        for part, index in self.opened(*self.span or ()):

            def task(part: Part = part, index: Any = index) -> Found:
                scores, rows = index.search(vectors, min(depth, part.count))
                if rows.size and rows.max() >= part.count:  # numbers of its own, as an IndexIDMap has them
                    raise FormatError(part.folder / "index", None, f"numbers a vector {rows.max()}, and there are {part.count} docids; build the index again")  # fmt: skip
                rows[rows >= 0] += part.first
                return scores, rows

            del index
            yield task
            del task

    def _blocks(self, vectors: NDArray[np.float32], depth: int) -> Iterator[Callable[[], Found]]:
        """Search flat parts in blocks that begin where those of one index do; one across a border is copied together."""
        import numpy as np

        faiss = load_faiss()
        single = len(vectors) == 1
        size = 1 if single else int(faiss.cvar.distance_compute_blas_database_bs)
        # Faiss adds up the products of a single query in another way from 10,000 vectors and 1,024 per thread on: a part below that is filled up
        least = min(self.ntotal, max(16384, 1024 * faiss.omp_get_max_threads())) if single else 0
        low, high = (min(self.ntotal, -(-row // size) * size) for row in self.span or (0, self.ntotal))
        across = np.zeros((0, self.d), np.float32)

        def search(first: int, some: NDArray[np.float32]) -> Callable[[], Found]:
            def task() -> Found:
                count, wanted = len(some), min(depth, len(some))
                if count >= least:
                    scores, rows = search_flat(vectors, some, wanted)
                    return scores, rows + first
                filled = np.zeros((least, self.d), np.float32)
                filled[:count] = some
                scores, rows = faiss.knn(vectors, filled, least, faiss.METRIC_INNER_PRODUCT)
                real = rows[0] < count
                return scores[:, real][:, :wanted], rows[:, real][:, :wanted] + first

            return task

        for part, index in self.opened(low, high):
            first, end = max(low, part.first), min(high, part.first + part.count)
            rows, count = vectors_of(index)[first - part.first : end - part.first], end - first
            begin = 0
            if len(across):
                begin = min(size - len(across), count)
                across = np.concatenate([across, rows[:begin]])
            if len(across) == size or (len(across) and end == self.ntotal):
                yield search(first + begin - len(across), across)
                across = across[:0]
            if begin < count:
                stop = count if end == self.ntotal else count - end % size
                if stop > begin:
                    yield search(first + begin, rows[begin:stop])
                across = rows[max(begin, stop) :].copy()
            del rows, index


def _row_of(folder: Path, row: int) -> str:
    return f"{folder}: vector {row}"


def _call(task: Callable[[], Found]) -> Found:
    return task()


@dataclass
class PartedIndex(FaissIndex):
    """Several Faiss indexes that are searched as one; `index` searches their rows, `docids` are those of all."""

    parts: list[Part] = field(default_factory=list)

    def set_parameters(self, written: str) -> None:
        """Set the search parameters of all parts; see `FaissIndex.set_parameters`."""
        for _, index in self.index.opened():
            set_parameters(index, written)
            if not self.index.together:
                break  # the others get them as they are opened
        self.index.parameters = written


def load_parts(
    folders: Sequence[Path],
    name: str | Sequence[str],
    check: Callable[[FaissIndex], object],
    max_memory: int | None = None,
    values: bool = True,
) -> PartedIndex:
    """Open several Faiss indexes as one.

    Args:
        folders: of the indexes; shards of one corpus in any order.
        name: what they were named by.
        check: refuses an index of another encoder.
        max_memory: bytes that open parts may take; where all take more, a search opens one after another. None opens all at once.
        values: look through the vectors for NaN and infinity.

    Raises:
        MismatchError: they are not parts of one corpus or indexes by one encoder, a shard is missing, or a docid is in two of them.
        ExpandrError: the memory does not suffice for the largest part, or one is a Lucene index.
    """
    for folder in folders:
        if is_lucene_folder(folder):
            raise ExpandrError(f"{folder}: is a Lucene index, and dense retrieval searches Faiss indexes; name another --index")  # fmt: skip
    known: set[Path] = set()
    for folder in folders:
        if folder.resolve() in known:
            raise ExpandrError(f"{folder}: is named twice; name each part once")
        known.add(folder.resolve())
    manifests = {folder: read_manifest(folder / NAME) for folder in folders}
    ordered, common = _together(manifests)
    sizes = {folder: (folder / "index").stat().st_size for folder in ordered}
    largest = max(ordered, key=lambda folder: sizes[folder])
    if max_memory is not None and sizes[largest] > max_memory:
        raise ExpandrError(f"--max-memory: {largest} alone takes {sizes[largest]:,} bytes, more than {max_memory:,}; allow more, or encode in more parts (--num-shards)")  # fmt: skip
    together = max_memory is None or sum(sizes.values()) <= max_memory
    parts: list[Part] = []
    docids: list[str] = []
    for folder in ordered:
        # the vectors of a flat index stay in its file, of which as much is in memory as is searched
        loaded = FaissIndex.load(folder, mapped=(manifests[folder] or {}).get("factory") == "Flat", values=values)
        check(loaded)
        flat, kind = _is_flat(loaded.index), type(loaded.index).__name__
        index = loaded.index if together else None
        parts.append(Part(folder, loaded.manifest, kind, len(docids), len(loaded.docids), flat, index))
        dimension = int(loaded.index.d)
        docids += loaded.docids
        del loaded, index
    _refuse_repeated(parts, docids)
    if common and (made_of := common.get("corpus", {}).get("documents")) not in (None, len(docids)):
        raise MismatchError(f"{label(name)}: the parts hold {len(docids)} documents, and {made_of} are in their corpus; encode them again")  # fmt: skip
    if not together:
        log.info("%d parts of %s bytes are searched one after another: --max-memory holds the largest", len(parts), f"{sum(sizes.values()):,}")  # fmt: skip
    rows = Rows(dimension, len(docids), parts, together)
    return PartedIndex(Path(label(name)), rows, docids, common, parts)


def _is_flat(index: Any) -> bool:
    faiss = load_faiss()
    return isinstance(index, faiss.IndexFlat)


def shard_of(folder: Path, manifest: Mapping[str, Any] | None) -> Shard | None:
    """Return which shard an index says it is; None of a whole one."""
    stated = (manifest or {}).get("shard")
    if stated is None:
        return None
    try:
        shard = Shard(int(stated["number"]), int(stated["count"]))
    except (ExpandrError, TypeError, KeyError, ValueError) as error:
        raise FormatError(folder / NAME, None, "shard has no whole `number` and `count`; encode the shard again") from error  # fmt: skip
    return shard if shard.count > 1 else None


def _together(manifests: Mapping[Path, dict[str, Any] | None]) -> tuple[list[Path], dict[str, Any] | None]:
    """Return the parts in the order of their corpus, and what their manifests have in common; refuse those that do not belong together."""
    first, *others = folders = list(manifests)
    shards = {folder: shard_of(folder, manifest) for folder, manifest in manifests.items()}
    described = {folder: _described(folder, manifest, shards[folder]) for folder, manifest in manifests.items()}
    one = described[first]
    for other in others:
        two = described[other]
        if (one is None) != (two is None):
            without, having = (first, other) if one is None else (other, first)
            raise MismatchError(f"{without}: has no manifest that says which encoder made it, and {having} has one; encode it again")  # fmt: skip
        if (shards[first] is None) != (shards[other] is None):
            part, whole = (first, other) if shards[first] else (other, first)
            raise MismatchError(f"{part}: is one of several parts of a corpus, and {whole} is a whole index; name the parts of one corpus, or whole indexes")  # fmt: skip
        if one and two and (differing := difference(one, two)):
            raise MismatchError(f"{other}: is part of another index: {differing[0]} is {differing[2]!r} there, {differing[1]!r} in {first}; encode both alike")  # fmt: skip
    if not one or not (shard := shards[first]):
        return folders, one and {"encoder": one["encoder"]}
    numbers: dict[int, Path] = {}
    for folder, some in shards.items():
        number = some.number if some else 0
        if number in numbers:
            raise MismatchError(f"{folder}: is part {number} of {shard.count}, and so is {numbers[number]}; name each part once")  # fmt: skip
        numbers[number] = folder
    if missing := [n for n in range(shard.count) if n not in numbers]:
        listed = ", ".join(map(str, missing))
        raise MismatchError(f"part{'s' * (len(missing) > 1)} {listed} of {shard.count} (counted from 0) of this corpus: not among those named ({label([str(f) for f in folders])}); name all, or search one part alone")  # fmt: skip
    common = {k: v for k, v in (manifests[first] or {}).items() if k not in (DOCIDS, "kind", "made_by")}
    return [numbers[n] for n in sorted(numbers)], common | {"shard": vars(Shard())}


def _described(folder: Path, manifest: dict[str, Any] | None, shard: Shard | None) -> dict[str, Any] | None:
    """Return what the manifests of parts must have in common: of whole indexes the encoder, of shards the corpus and the kind too."""
    if manifest is None:
        return None
    for key in ("corpus", "encoder"):
        if not isinstance(manifest.get(key), dict):
            raise FormatError(folder / NAME, None, f"{key} is not an object; encode the corpus again")
    if shard:
        return manifest
    return {**manifest, "corpus": {}, "factory": None, "shard": vars(Shard())}


def _refuse_repeated(parts: Iterable[Part], docids: Sequence[str]) -> None:
    where: dict[str, Part] = {}
    for part in parts:
        for docid in docids[part.first : part.first + part.count]:
            if (other := where.setdefault(docid, part)) is not part:
                raise MismatchError(f"{part.folder}: the docid {docid!r} is in {other.folder} too; parts have no document in common")  # fmt: skip
