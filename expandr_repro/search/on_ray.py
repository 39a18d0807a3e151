"""Search by the workers of a Ray cluster: each has a part of the rows, all get the queries, and the best are merged here."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from expandr_repro.encoders.protocol import TextEncoder
from expandr_repro.engines.cluster import connected, placed, placement, refuse_too_little_memory
from expandr_repro.engines.options import EngineOptions
from expandr_repro.engines.workers import Work, Workers
from expandr_repro.errors import NotAvailableError
from expandr_repro.indexes.faiss_index import FaissIndex, faiss_threads, merged
from expandr_repro.indexes.find import dense_index
from expandr_repro.indexes.parted import Part, Rows, load_parts, parts_of
from expandr_repro.io.faiss_library import load_faiss
from expandr_repro.search.options import SearchRequest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from expandr_repro.indexes.faiss_index import Found

    Span = tuple[int, int]
    Order = tuple[int, Span, NDArray[np.float32], int, int, str | None]


def searching(rows: Rows) -> Work[Order, Found]:
    """Return what searches spans of rows on a worker, which opens their parts once."""

    def work(orders: Iterator[tuple[int, Order]], deliver: Callable[[int, Found], None]) -> None:
        for number, (_, span, vectors, depth, threads, parameters) in orders:
            for part in rows.parts:
                if not (part.folder / "index").is_file():
                    raise NotAvailableError(
                        f"{part.folder}: no index is there; put the parts where all machines can read them"
                    )
            rows.span, rows.parameters = span, parameters
            with faiss_threads(threads):
                deliver(number, rows.best(vectors, depth))

    return work


@dataclass
class SpreadRows(Rows):
    """The rows of all parts, searched by workers."""

    workers: Workers[Order, Found] | None = None
    spans: list[Span] = field(default_factory=list)

    def best(self, vectors: NDArray[np.float32], depth: int) -> Found:
        """Ask all workers, and merge what they found in the order of the rows."""
        import numpy as np

        faiss = load_faiss()
        assert self.workers is not None
        threads = faiss.omp_get_max_threads()  # as one process has them: a score's last bit may depend on it
        orders = ((n, span, vectors, depth, threads, self.parameters) for n, span in enumerate(self.spans))
        by_span = dict(self.workers.run(orders, home=_home))
        best: Found = np.zeros((len(vectors), 0), np.float32), np.zeros((len(vectors), 0), np.int64)
        for number in range(len(self.spans)):
            best = merged(depth, best, by_span[number])
        return best


def _home(order: Order) -> int:
    return order[0]


def spans_of(parts: Sequence[Part], workers: int | None) -> list[Span]:
    """Return the rows of each worker: one part each, or several; of flat parts equal shares where there are more workers than parts.

    Args:
        parts: in the order of their rows.
        workers: how many; None for one for each part.
    """
    total, count = parts[-1].first + parts[-1].count, workers or len(parts)
    if count > len(parts) and all(part.flat for part in parts):
        borders = [total * n // count for n in range(count + 1)]
    else:
        count = min(count, len(parts))
        borders = [parts[len(parts) * n // count].first for n in range(count)] + [total]
    return [(low, high) for low, high in itertools.pairwise(borders) if high > low]


def spread_index(
    where: Sequence[str] | str, encoder: TextEncoder, request: SearchRequest, held: ExitStack
) -> FaissIndex:
    """Return an index whose parts are searched by workers, on a cluster that is connected.

    Args:
        where: as `dense_index` takes it; what is not there yet is built first.
        encoder: that made it.
        request: what the workers are to be.
        held: ends them.

    Raises:
        ExpandrError: as `dense_index` and `placed` do.
    """
    folders, single = parts_of(where), None
    if not folders:
        single = dense_index(where, encoder, request.factory)
        folders = [single.folder]
    parted = load_parts(folders, where, partial(_check, encoder), values=False)
    parts = [replace(part, index=None) for part in parted.parts]
    spans = spans_of(parts, request.engine.workers)
    engine = _engine(request.engine, len(spans))
    places = placed(engine)
    largest = max(high - low for low, high in spans) * parted.index.d * 4
    refuse_too_little_memory(places, largest if all(p.flat for p in parts) else 0, "its part of the index")
    rows = Rows(parted.index.d, parted.index.ntotal, parts, together=True, values=True)
    workers: Workers[Order, Found] = held.enter_context(Workers(places, partial(searching, rows), ahead=1))
    spread = SpreadRows(rows.d, rows.ntotal, parts, together=False, workers=workers, spans=spans)
    return replace(single, index=spread) if single else replace(parted, index=spread, parts=parts)


def _check(encoder: TextEncoder, part: FaissIndex) -> None:
    part.check_encoder(encoder.dimension, encoder.identity)


def _engine(options: EngineOptions, workers: int) -> EngineOptions:
    return replace(options, workers=workers, gpus_per_worker=options.gpus_per_worker or 0.0)


def dry_run(request: SearchRequest) -> None:
    """Print which worker would search which part, with how much memory."""
    with connected(request.engine):
        folders = parts_of(request.index)
        places = placed(_engine(request.engine, request.engine.workers or len(folders) or 1))
    sizes = {folder: (folder / "index").stat().st_size for folder in folders}
    shares = [
        folders[len(folders) * n // len(places) : len(folders) * (n + 1) // len(places)] for n in range(len(places))
    ]
    needed = max((sum(sizes[f] for f in share) for share in shares), default=0)

    def work(number: int) -> str:
        return ", ".join(map(str, shares[number])) or f"rows {number + 1} of {len(places)} equal shares"

    print(
        placement(
            places,
            work,
            f"{needed / 1e9:.1f} GB" if needed else "its rows",
            None,
            "a search reads every part once for each --batch-size topics",
        )
    )
