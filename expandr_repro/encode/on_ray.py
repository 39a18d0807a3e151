"""Encode a corpus by the workers of a Ray cluster: the chunks of one process, encoded elsewhere and kept here."""

from __future__ import annotations

import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from itertools import count, islice
from typing import TYPE_CHECKING, Any

from expandr_repro.console.progress import counted
from expandr_repro.data.collections import find_corpus
from expandr_repro.encode.options import EncodeRequest
from expandr_repro.encoders.options import EncoderOptions
from expandr_repro.encoders.protocol import Role, TextEncoder
from expandr_repro.encoders.streaming import AHEAD, encode_stream
from expandr_repro.engines.cluster import connected, device_of_worker, placed, placement, refuse_too_little_memory
from expandr_repro.engines.workers import Work, Workers

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from expandr_repro.indexes.build import Stream

    Texts = list[str]
    Encoded = tuple[NDArray[np.float32], int]

log = logging.getLogger(__name__)

RATES = {
    ("cpu", "fp32"): (58.4, "all-MiniLM-L6-v2 on two processors"),
    ("cpu", "bf16"): (80.1, "all-MiniLM-L6-v2 on two processors"),
    ("cuda", "fp32"): (608.0, "bert-base's shape on an H100"),
    ("cuda", "bf16"): (5514.0, "bert-base's shape on an H100"),
}
"""Documents a second of one worker, as docs/scale.md has them, and what they were measured with."""

LEAST = 32
"""Texts, at least, of each list that a chunk is divided into: fewer are not worth the way to another worker."""


def encoding(options: EncoderOptions) -> Work[Texts, Encoded]:
    """Return what encodes chunks of documents on a worker."""
    from expandr_repro.encoders.loading import load_encoder

    encoder = load_encoder(options.name, options)

    def work(orders: Iterator[tuple[int, Texts]], deliver: Callable[[int, Encoded], None]) -> None:
        numbers: deque[int] = deque()

        def parts() -> Iterator[tuple[Role, Texts]]:
            for number, texts in orders:
                numbers.append(number)
                yield "document", texts

        for vectors in encode_stream(encoder, parts()):
            cut, encoder.truncated["document"] = encoder.truncated["document"], 0
            deliver(numbers.popleft(), (vectors, cut))

    return work


def divided(
    chunks: Iterable[Texts], encoder: TextEncoder, workers: int
) -> Iterator[tuple[int, Texts, list[list[int]]]]:
    """Yield each chunk's number and texts, and the positions of the texts of each order that it makes.

    Chunks are whole as long as there is one for each worker. The last ones, too few for all or not full, are divided among all workers, where
    that does not change which texts are computed together.
    """
    from expandr_repro.encoders.cached import behind
    from expandr_repro.encoders.encoder import Encoder
    from expandr_repro.indexes.build import CHUNK

    source = enumerate(chunks)
    while some := list(islice(source, workers)):
        last = workers > 1 and (len(some) < workers or any(len(texts) < CHUNK for _, texts in some))
        for number, texts in some:
            most = min(workers, len(texts) // LEAST)
            if last and most > 1 and isinstance(ours := behind(encoder), Encoder):
                yield number, texts, ours.divided(texts, "document", most)
            else:
                yield number, texts, [list(range(len(texts)))]


def streaming(workers: Workers[Texts, Encoded], truncated: dict[str, int], encoder: TextEncoder) -> Stream:
    """Return the stream of an index whose chunks the workers encode; texts that were cut are counted in `truncated`."""
    # on a GPU a chunk takes hardly longer than its division
    sharing = 1 if workers.places[0].gpus else len(workers.places)

    def stream(
        parts: Iterable[tuple[Role, Texts]], done: Callable[[int], object]
    ) -> Iterator[tuple[int, NDArray[np.float32]]]:
        import numpy as np

        began, first, after = time.perf_counter(), 0.0, 0
        given: dict[int, tuple[int, list[int]]] = {}
        chunks: dict[int, NDArray[np.float32]] = {}
        left: Counter[int] = Counter()
        positions = count()

        def orders() -> Iterator[Texts]:
            for number, texts, lists in divided((texts for _, texts in parts), encoder, sharing):
                chunks[number] = np.empty((len(texts), encoder.dimension), np.float32)
                left[number] = len(lists)
                for rows in lists:
                    given[next(positions)] = number, rows
                    yield [texts[row] for row in rows]

        for position, (vectors, cut) in workers.run(orders()):
            truncated["document"] += cut
            first, after = first or time.perf_counter(), after + len(vectors) if first else 0
            number, rows = given.pop(position)
            chunks[number][rows] = vectors
            left[number] -= 1
            if not left[number]:
                yield number, chunks.pop(number)
            done(len(vectors))
        if after:
            rate = after / (time.perf_counter() - first)
            log.info("%s: first chunk after %.1f s, then %s documents a second", counted(len(workers.places), "worker"), first - began, f"{rate:,.1f}")  # fmt: skip

    return stream


def hired(request: EncodeRequest) -> Workers[Texts, Encoded]:
    """Return the workers of a request, on a cluster that is connected."""
    places = placed(request.engine)
    # on a GPU as many chunks as its stages hold, else one that is encoded and one that waits
    ahead = AHEAD + 2 if places[0].gpus else 2
    options = replace(request.encoder, device=device_of_worker(request.encoder.device, places[0]), given={})
    return Workers(places, partial(encoding, options), ahead)


def dry_run(request: EncodeRequest) -> int:
    """Print which worker would encode what, with how much memory, and for how long."""
    from expandr_repro.encoders.loading import load_encoder
    from expandr_repro.indexes.build import CHUNK, Shard
    from expandr_repro.indexes.find import corpus_facts

    with connected(request.engine):
        places = placed(request.engine)
    device = device_of_worker(request.encoder.device, places[0])
    encoder = load_encoder(
        request.encoder.name, replace(request.encoder, device="cpu", precision="fp32", compile=False)
    )
    start, stop = Shard(request.shard_id or 0, request.num_shards or 1).bounds(corpus_facts(find_corpus(request.corpus or "")).documents)  # fmt: skip
    half = request.encoder.precision != "fp32"
    weights = model_bytes(encoder) // (1 + half)
    needed = weights + (1 << 30) + (AHEAD + 2) * CHUNK * 4 * encoder.dimension
    refuse_too_little_memory(places, needed, "the encoder and its chunks")
    chunks, count = -(-(stop - start) // CHUNK), len(places)
    rate, source = RATES[device, "bf16" if half else "fp32"]
    print(
        placement(
            places,
            lambda n: (
                f"about {len(range(n, chunks, count)):,} of {chunks:,} chunks of {CHUNK:,} documents, each as it is free"
            ),
            f"{needed / 1e9:.1f} GB",
            (stop - start) / (rate * count),
            f"{stop - start:,} documents at {rate:,.0f} a second and worker, measured with {source}",
        )
    )
    return 0


def model_bytes(encoder: object) -> int:
    """Return how much memory the weights of an encoder take; 0 where that is not known."""
    model: Any = getattr(encoder, "model", None)
    return sum(p.numel() * p.element_size() for p in model.parameters()) if hasattr(model, "parameters") else 0
