"""Read, write and search Faiss indexes in Pyserini's layout: a folder with `index` (Faiss), `docid` (one id per line, in row order) and our manifest."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial, reduce
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from expandr_repro.encoders.finite import check_finite, check_index
from expandr_repro.errors import (
    ExpandrError,
    FormatError,
    MismatchError,
    NotAvailableError,
    NotFiniteError,
    SetupError,
    reason_of,
)
from expandr_repro.indexes.parts import check_parts
from expandr_repro.io.faiss_library import load_faiss
from expandr_repro.io.files import read_lines
from expandr_repro.io.manifest import NAME, read_manifest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Found = tuple[NDArray[np.float32], NDArray[np.int64]]

SLICED = 128_000
"""Numbers in a batch of query vectors from which Faiss multiplies blocks of vectors by BLAS, where threads that meet after each block wait more than they work."""

TOGETHER = 1024
"""Queries, at least and less than twice as many, of which each thread collects the best documents: what bounds its memory."""

PARAMETERS = re.compile(r"\w+=\d+(\.\d+)?(,\w+=\d+(\.\d+)?)*", re.ASCII)


LONGEST_FACTORY = 200
"""Characters of a factory string: Faiss parses it by recursion, and one of some thousands ends the process."""


def _option(setting: str, value: object) -> str:
    """Return what to type for an encoder's setting."""
    if setting == "normalize":
        return "--normalize" if value else "--no-normalize"
    options = {"document_max_length": "--max-length", "document_prefix": "--document-prefix", "pooling": "--pooling"}
    return (
        f"{options[setting]} {value if value else repr(value)}"
        if setting in options
        else "the settings that it was made with"
    )


def is_faiss_folder(path: Path) -> bool:
    """Return whether a folder contains a Faiss index in Pyserini's layout."""
    return (path / "index").is_file() and (path / "docid").is_file()


def cores() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)


@contextmanager
def faiss_threads(threads: int = 0) -> Iterator[None]:
    """Set the number of Faiss's threads (0 for all processors), and return what was set before.

    Faiss and torch may share one OpenMP runtime: what is set here would hold for torch as well, and change the last digits of a
    training that goes on after a search.
    """
    faiss = load_faiss()
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(threads or cores())
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


def new_index(dimension: int, factory: str) -> Any:
    """Return an empty inner-product index of a Faiss factory string (`Flat`, `HNSW32`, `IVF256,Flat`, `SQ8`, `IVF256,PQ48`).

    Raises:
        ExpandrError: Faiss does not know the string.
    """
    faiss = load_faiss()
    try:
        if len(factory) <= LONGEST_FACTORY:
            return faiss.index_factory(dimension, factory, faiss.METRIC_INNER_PRODUCT)
        reason: RuntimeError | None = None
    except RuntimeError as error:
        reason = error
    raise ExpandrError(
        f"--factory {factory[:LONGEST_FACTORY]!r}: Faiss cannot make such an index of {dimension} dimensions; e.g. Flat, HNSW32, SQ8, IVF256,Flat"
    ) from reason


def save_index(index: Any, docids: Sequence[str], folder: Path) -> None:
    """Write `index` and `docid` into a folder.

    Raises:
        SetupError: no room, or not allowed.
    """
    faiss = load_faiss()
    with writing_index(docids, folder):
        faiss.write_index(index, str(folder / "index"))


@contextmanager
def writing_index(docids: Sequence[str], folder: Path) -> Iterator[None]:
    """Write the docids next to an index, and say what is in the way of either."""
    try:
        yield
        with (folder / "docid").open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(f"{docid}\n" for docid in docids)
    except (OSError, RuntimeError) as error:
        raise SetupError(
            f"{folder}: the index cannot be written ({reason_of(error, 1000)}); choose another place or make room"
        ) from error


def read_index(folder: Path, mapped: bool = False) -> Any:
    """Read the Faiss index of a folder; the arguments and errors are those of `FaissIndex.load`."""
    faiss = load_faiss()
    try:
        # lists that an index keeps in a file of their own are read from its folder alone, whatever path it names
        flags = faiss.IO_FLAG_ONDISK_SAME_DIR | (getattr(faiss, "IO_FLAG_MMAP_IFC", 0) if mapped else 0)
        return faiss.read_index(str(folder / "index"), flags)
    except RuntimeError as error:
        raise FormatError(folder / "index", None, "Faiss cannot read it; build the index again") from error


def set_parameters(index: Any, written: str) -> None:
    """Set the search parameters of a Faiss index; the errors are those of `FaissIndex.set_parameters`."""
    faiss = load_faiss()
    fix = "an IVF index has nprobe, an HNSW one efSearch, e.g. nprobe=32"
    if not PARAMETERS.fullmatch(written):
        raise ExpandrError(f"--search-params {written!r}: wanted name=number, with commas between several; {fix}")
    space = faiss.ParameterSpace()
    for setting in written.split(","):
        name, _, value = setting.partition("=")
        if name in ("nprobe", "efSearch") and not (value.isdigit() and int(value) > 0):
            raise ExpandrError(f"--search-params {written!r}: {name} is {value}; wanted a whole number from 1")
        try:
            space.set_index_parameter(index, name, float(value))
        except RuntimeError as error:
            kind = type(faiss.downcast_index(index)).__name__
            raise ExpandrError(
                f"--search-params {written!r}: an index of this kind ({kind}) has no {name}; {fix}"
            ) from error


def search_flat(vectors: NDArray[np.float32], rows: NDArray[np.float32], depth: int) -> Found:
    """Search vectors for the best inner products, with the scores that Faiss computes on one thread, in as many threads as are set.

    Of a large batch of queries Faiss lets all threads share each product of the queries with 1,024 vectors, and they wait for each other after it. Here each thread takes a part of
    the vectors instead, which begins where one of these blocks does, so that every score has the bits that one thread computes.

    Args:
        vectors: queries, (n, dimension) float32.
        rows: (count, dimension) float32.
        depth: rows to find per query, no more than `count`.

    Returns:
        Scores and row numbers, (n, depth), best first.
    """
    import numpy as np

    faiss = load_faiss()
    if vectors.size < SLICED:
        scores, numbers = faiss.knn(vectors, rows, depth, faiss.METRIC_INNER_PRODUCT)
        return scores, numbers
    threads, block = faiss.omp_get_max_threads(), int(faiss.cvar.distance_compute_blas_database_bs)
    size = -(-len(rows) // threads // block) * block

    def task(some: NDArray[np.float32], begin: int) -> Found:
        part = rows[begin : begin + size]
        scores, numbers = faiss.knn(some, part, min(depth, len(part)), faiss.METRIC_INNER_PRODUCT)
        return scores, numbers + begin

    with ThreadPoolExecutor(threads, initializer=faiss.omp_set_num_threads, initargs=(1,)) as pool:
        batches = [
            reduce(partial(merged, depth), pool.map(partial(task, some), range(0, len(rows), size)))
            for some in np.array_split(vectors, max(1, len(vectors) // TOGETHER))
        ]
    return np.concatenate([scores for scores, _ in batches]), np.concatenate([numbers for _, numbers in batches])


def merged(depth: int, one: Found, other: Found) -> Found:
    """Return the best of two lists of scores and rows; of equal scores those of the first."""
    import numpy as np

    scores = np.concatenate([one[0], other[0]], axis=1)
    rows = np.concatenate([one[1], other[1]], axis=1)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :depth]
    return np.take_along_axis(scores, order, axis=1), np.take_along_axis(rows, order, axis=1)


def vectors_of(index: Any) -> NDArray[np.float32]:
    """Return the vectors of a flat index, (count, dimension), without a copy: they live as long as the index."""
    faiss = load_faiss()
    rows: NDArray[np.float32] = faiss.rev_swig_ptr(index.get_xb(), index.ntotal * index.d).reshape(-1, index.d)
    return rows


@dataclass
class FaissIndex:
    """A Faiss index in memory with its external ids; `manifest` is None for other toolkits' indexes."""

    folder: Path
    index: Any
    docids: list[str]
    manifest: dict[str, Any] | None

    @classmethod
    def load(cls, folder: str | Path, mapped: bool = False, values: bool = True) -> FaissIndex:
        """Read an index folder.

        Args:
            folder: in Pyserini's layout.
            mapped: leave vectors in the file and read them as they are needed, where this Faiss can.
            values: look through the vectors for NaN and infinity.

        Raises:
            NotAvailableError: no such index there.
            FormatError: ids and vectors are not equally many, or Faiss cannot read the file.
            MismatchError: its files are of different indexes.
            NotFiniteError: a vector contains NaN or infinity.
        """
        folder = Path(folder)
        if not is_faiss_folder(folder):
            raise NotAvailableError(
                f"{folder}: no Faiss index there; wanted a folder with the files `index` and `docid`, as `encode` makes it"
            )
        index = read_index(folder, mapped)
        docids = [line.rstrip() for _, line in read_lines(folder / "docid")]
        manifest = read_manifest(folder / NAME)
        check_parts(folder, index, docids, manifest)
        if values:
            check_index(index, lambda row: f"{folder}: document {docids[row]!r}")
        return cls(folder, index, docids, manifest)

    def set_parameters(self, written: str) -> None:
        """Set the search parameters of an approximate index, as Faiss's `ParameterSpace` reads it (`nprobe=32,quantizer_efSearch=64`).

        Raises:
            ExpandrError: not of that form, or not for an index of this kind.
        """
        set_parameters(self.index, written)

    def check_encoder(self, dimension: int, identity: dict[str, Any]) -> None:
        """Check that an index was made by this encoder, as far as its manifest says what made it.

        Raises:
            MismatchError: dimension, checkpoint or settings differ.
        """
        if self.index.d != dimension:
            raise MismatchError(
                f"{self.folder}: the index has {self.index.d} dimensions, the encoder {dimension}; search with the encoder that made it"
            )
        made_by = (self.manifest or {}).get("encoder")
        if not isinstance(made_by, dict):
            return
        theirs = dict(made_by)
        deciding = (
            "fingerprint", "model", "pooling", "normalize", "document_prefix", "document_max_length",
            "modules", "truncate_dim", "include_prompt", "lower_case", "subfolder",
        )  # fmt: skip
        differing = [k for k in deciding if theirs.get(k) != identity.get(k)]
        if differing:
            key = differing[0]
            same_model = key not in ("fingerprint", "model")
            difference = "with other settings of this encoder" if same_model else "by another encoder"
            fix = _option(key, theirs.get(key)) if same_model else repr(theirs.get("name", "the encoder that made it"))
            raise MismatchError(
                f"{self.folder}: made {difference} ({key} is {theirs.get(key)!r} there, {identity.get(key)!r} here); search with {fix}, or encode "
                "the corpus again"
            )

    def search(self, vectors: NDArray[np.float32], hits: int, threads: int = 0) -> list[dict[str, float]]:
        """Return each row's best `hits` documents, best first, ties by docid.

        Faiss keeps an arbitrary few of the documents tied at the cut, so more are asked for until the tie at the cut is whole.
        A docid that occurs several times counts once, with its best score.

        Args:
            vectors: (n, dimension) float32.
            hits: documents per row.
            threads: 0 for all processors.

        Raises:
            FormatError: the index has numbers of its own for its vectors.
            NotFiniteError: a vector, or a document's score, is NaN or infinite.
        """
        import numpy as np

        check_finite(vectors, lambda row: f"query vector {row}")
        results: list[dict[str, float]] = [{} for _ in range(len(vectors))]
        pending = np.arange(len(vectors))
        depth = min(hits + 16, self.index.ntotal)
        while len(pending) and depth:
            with faiss_threads(threads):
                scores, rows = self._found(np.ascontiguousarray(vectors[pending]), depth)
            if rows.size and rows.max() >= len(self.docids):  # numbers of its own, as an IndexIDMap has them
                raise FormatError(
                    self.folder / "index",
                    None,
                    f"numbers a vector {rows.max()}, and there are {len(self.docids)} docids; build the index again",
                )
            for row in rows[(rows >= 0) & ~np.isfinite(scores)][:1]:
                raise NotFiniteError(
                    f"{self.folder}: document {self.docids[row]!r}",
                    int(row),
                    "encode the corpus again, in --precision bf16 or fp32",
                )
            cut = min(hits, depth) - 1
            open_tie = (scores[:, cut] == scores[:, -1]) & (rows[:, -1] >= 0) & (depth < self.index.ntotal)
            for i in np.flatnonzero(~open_tie):
                ranked, repeated = self._ranked(scores[i], rows[i], hits)
                results[pending[i]] = ranked
                if repeated and rows[i, -1] >= 0 and depth < self.index.ntotal:
                    short = len(ranked) < hits or list(ranked.values())[-1] == scores[i, -1]
                    open_tie[i] = (
                        short  # a docid that stands twice took the place of another, or of one tied at the cut
                    )
            pending = pending[open_tie]
            depth = min(depth * 4, self.index.ntotal)
        return results

    def _found(self, vectors: NDArray[np.float32], depth: int) -> Found:
        faiss = load_faiss()
        if isinstance(self.index, faiss.IndexFlat):
            return search_flat(vectors, vectors_of(self.index), depth)
        scores, rows = self.index.search(vectors, depth)
        return scores, rows

    def _ranked(self, scores: NDArray[np.float32], rows: NDArray[np.int64], hits: int) -> tuple[dict[str, float], bool]:
        """Return the best hits, a docid that occurs several times in an index of another toolkit with its best score, and whether one does."""
        scored = [(-float(s), self.docids[r]) for s, r in zip(scores.tolist(), rows.tolist(), strict=True) if r >= 0]
        ordered = sorted(scored)
        ranked = {docid: -negative for negative, docid in ordered[:hits]}
        if len(ranked) == min(hits, len(ordered)):
            return ranked, False
        best: dict[str, float] = {}
        for negative, docid in ordered:
            best.setdefault(docid, -negative)
        return dict(islice(best.items(), hits)), True
