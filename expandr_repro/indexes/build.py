"""Build an index chunk by chunk in a working folder, so that a killed run can continue, and rename it when it is complete."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from expandr_repro.console.progress import progress
from expandr_repro.data.corpus import Corpus, CorpusFacts
from expandr_repro.encoders.cached import behind
from expandr_repro.encoders.finite import check_finite
from expandr_repro.encoders.protocol import Role, TextEncoder
from expandr_repro.encoders.streaming import encode_stream
from expandr_repro.errors import ExpandrError, SetupError
from expandr_repro.indexes.faiss_index import faiss_threads, is_faiss_folder, new_index, save_index
from expandr_repro.indexes.flat_file import save_flat
from expandr_repro.indexes.in_background import in_background
from expandr_repro.indexes.parts import COMPUTED_BY, DOCIDS, docids_fact
from expandr_repro.io.files import atomic_bytes, atomic_folder
from expandr_repro.io.manifest import NAME, key_of, read_manifest, write_manifest
from expandr_repro.io.outputs import FAISS_INDEX
from expandr_repro.io.replacing import clear_leftovers

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CHUNK = 2048
"""Documents sorted by length together, and written together: the memory that encoding needs does not grow with the corpus."""

EMPTY = "empty_documents"
"""Where a Lucene index's manifest has the number of documents without text, which are not in it."""

Stream = Callable[
    [Iterable[tuple[Role, list[str]]], Callable[[int], object]], Iterable[tuple[int, "NDArray[np.float32]"]]
]
"""From parts, role and texts, and what takes the number of finished texts to the vectors of each part with its place, in any order."""

TRAINING = 65536
"""Vectors, at most, that an index such as IVF or PQ is trained on: evenly spaced over the corpus."""


@dataclass(frozen=True)
class Shard:
    """One of `count` contiguous parts of a corpus, of whole chunks, equal to within one of them."""

    number: int = 0
    count: int = 1

    def __post_init__(self) -> None:
        """Refuse a shard that is none."""
        if not (self.count >= 1 and 0 <= self.number < self.count):
            raise ExpandrError(f"shard {self.number} of {self.count}: --shard-id goes from 0 to --num-shards less one")

    def bounds(self, documents: int) -> tuple[int, int]:
        """Return the first document of the part and the one after its last: both the same where there are fewer chunks than parts.

        A text's vector depends in the last bits on the texts that it is encoded with, so parts that cut a chunk would not have the vectors of one index.
        """
        chunks = -(-documents // CHUNK)
        first, end = (min(documents, chunks * n // self.count * CHUNK) for n in (self.number, self.number + 1))
        return first, end


@contextmanager
def locked(target: Path) -> Iterator[None]:
    """Lock `target`, so that one process at a time builds it; others wait.

    Raises:
        SetupError: the place cannot be written.
    """
    from filelock import FileLock

    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(target.parent / f".{target.name}.lock"):
            yield
    except OSError as error:
        if isinstance(error, SetupError):
            raise
        raise SetupError(
            f"{target}: cannot be written: {error.strerror or error}; choose another place or make room"
        ) from error


def index_facts(encoder: TextEncoder, facts: CorpusFacts, source: str, factory: str, shard: Shard) -> dict[str, Any]:
    """Return what makes a Faiss index what it is, for its manifest and its cache key."""
    start, stop = shard.bounds(facts.documents)
    return {
        "encoder": encoder.identity,
        "corpus": {"source": source, **asdict(facts)},
        "factory": factory,
        "metric": "inner product",
        "documents": stop - start,
        # the size of its chunks tells a part from one of before, which could cut them
        "shard": asdict(shard) | ({"chunk": CHUNK} if shard.count > 1 else {}),
    }


def facts_key(facts: dict[str, Any]) -> str:
    """Hash what matters of an index's facts: not what its corpus or encoder was called."""
    encoder = {
        k: v
        for k, v in facts.get("encoder", {}).items()
        if k not in ("name", "query_prefix", "query_max_length", "expansion_prefix")
    }
    corpus = {k: v for k, v in facts["corpus"].items() if k != "source"}
    return key_of(
        {
            **{k: v for k, v in facts.items() if k not in ("kind", "made_by", COMPUTED_BY, DOCIDS, EMPTY)},
            "encoder": encoder,
            "corpus": corpus,
        }
    )


def is_built(target: Path, facts: dict[str, Any]) -> bool:
    """Return whether a folder already holds just this index, whole."""
    manifest = read_manifest(target / NAME) or {}
    parts = (manifest.get("corpus"), manifest.get("encoder", {}))
    return all(isinstance(part, dict) for part in parts) and facts_key(manifest) == facts_key(facts)


def build_faiss(
    corpus: Corpus,
    facts: CorpusFacts,
    encoder: TextEncoder,
    target: Path,
    factory: str = "Flat",
    shard: Shard | None = None,
    stream: Stream | None = None,
) -> bool:
    """Encode a corpus into a Faiss folder in Pyserini's layout, unless it is there already.

    Args:
        corpus: the documents; read once.
        facts: their count and hash, from `survey`.
        encoder: ours or Pyserini's.
        target: the index folder.
        factory: a Faiss factory string.
        shard: the part of the corpus to encode; None for all.
        stream: encodes the chunks, which may be elsewhere; None for the encoder itself.

    Returns:
        Whether anything had to be built.

    Raises:
        SetupError: the place cannot be written.
        ExpandrError: the corpus is too small for this kind of index.
    """
    import numpy as np

    shard = shard or Shard()
    made_from = index_facts(encoder, facts, corpus.source, factory, shard)
    with locked(target):
        work = target.parent / f".{target.name}.{facts_key(made_from)}.partial"
        if is_faiss_folder(target) and is_built(target, made_from):
            clear_leftovers(target)  # of a process that was killed just before its end
            shutil.rmtree(work, ignore_errors=True)
            return False
        new_index(encoder.dimension, factory)  # an impossible factory fails now, not after the encoding
        work.mkdir(parents=True, exist_ok=True)
        docids = _encode_chunks(corpus, facts, encoder, work, shard, stream)
        chunks = sorted(work.glob("chunk-*.npy"))
        with atomic_folder(target, FAISS_INDEX) as folder:
            if factory == "Flat":
                save_flat(encoder.dimension, (np.load(c, allow_pickle=False) for c in chunks), docids, folder)
            else:
                loaded = partial(map, partial(np.load, allow_pickle=False), chunks)
                index = fill(new_index(encoder.dimension, factory), factory, loaded, len(docids))
                save_index(index, docids, folder)
            by = getattr(encoder, COMPUTED_BY, None)
            write_manifest(folder / NAME, "faiss-index", made_from | docids_fact(folder) | ({COMPUTED_BY: by} if by else {}))  # fmt: skip
        shutil.rmtree(work, ignore_errors=True)
    return True


def _encode_chunks(
    corpus: Corpus, facts: CorpusFacts, encoder: TextEncoder, work: Path, shard: Shard, stream: Stream | None
) -> list[str]:
    """Encode what is missing of the shard's chunks; return the docids in order."""
    import numpy as np

    start, stop = shard.bounds(facts.documents)
    docids: list[str] = []
    targets: dict[int, tuple[Path, list[str]]] = {}

    def missing(bar: Any) -> Iterator[tuple[Role, list[str]]]:
        given = itertools.count()
        documents = islice(corpus.read(), start, stop)
        for number in itertools.count():
            if not (chunk := list(islice(documents, CHUNK))):
                return
            docids.extend(d.docid for d in chunk)
            path = work / f"chunk-{number:06d}.npy"
            if _is_whole(path, len(chunk), encoder.dimension):
                bar.update(len(chunk))
                continue
            targets[next(given)] = path, docids[-len(chunk) :]
            yield "document", [d.dense_text for d in chunk]

    def write(path: Path, vectors: NDArray[np.float32]) -> None:
        with atomic_bytes(path) as file:
            np.save(file, vectors)

    with progress(stop - start, "encode", "docs") as bar, in_background() as later:
        for given, vectors in (stream or _encoded_here(encoder))(missing(bar), bar.update):
            path, names = targets.pop(given)
            check_finite(vectors, partial(_document, names), encoder.identity.get("precision", "fp32"))
            later(partial(write, path, vectors))
    if len(docids) != stop - start:
        raise ExpandrError(
            f"{corpus.source}: changed while it was read ({len(docids)} documents, {stop - start} before); run the command again"
        )
    return docids


def _encoded_here(encoder: TextEncoder) -> Stream:
    return lambda parts, done: enumerate(encode_stream(behind(encoder), parts, done))


def _document(docids: list[str], row: int) -> str:
    return f"document {docids[row]!r}"


def _is_whole(path: Path, rows: int, dimension: int) -> bool:
    import numpy as np

    if not path.is_file():
        return False
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)  # of a zip file it makes something else than an array
        return isinstance(array, np.ndarray) and array.shape == (rows, dimension)
    except (ValueError, OSError, EOFError):
        return False


def fill(index: Any, factory: str, chunks: Callable[[], Iterator[NDArray[np.float32]]], documents: int) -> Any:
    """Train the index where its kind needs it, then add all vectors in order.

    What comes out depends on what is trained on, and for HNSW on which vectors are added together: whoever wants the same index gives chunks of `CHUNK`.

    Args:
        index: empty.
        factory: its kind, for the error.
        chunks: starts over at each call: (n, dimension) float32 each.
        documents: vectors in all chunks.

    Raises:
        ExpandrError: there are too few to train on.
    """
    import numpy as np

    with faiss_threads():
        if not index.is_trained and documents:
            sample = np.concatenate(list(_every(chunks(), max(1, documents // TRAINING))))
            try:
                index.train(np.ascontiguousarray(sample))
            except RuntimeError as error:
                raise ExpandrError(
                    f"--factory {factory!r}: {documents} documents are too few to train it; use Flat or a smaller one"
                ) from error
        for chunk in chunks():
            index.add(chunk)
    return index


def _every(chunks: Iterator[NDArray[np.float32]], step: int) -> Iterator[NDArray[np.float32]]:
    """Take each `step`-th row of all chunks together, wherever one ends and the next begins."""
    begin = 0
    for chunk in chunks:
        yield chunk[-begin % step :: step]
        begin += len(chunk)
