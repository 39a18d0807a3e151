"""Encode a corpus by the workers of a Ray cluster: the chunks of one process, encoded elsewhere and kept here."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from expandr_repro.console.progress import counted
from expandr_repro.data.collections import find_corpus
from expandr_repro.encode.options import EncodeRequest
from expandr_repro.encoders.options import EncoderOptions
from expandr_repro.encoders.protocol import Role
from expandr_repro.encoders.streaming import AHEAD, encode_stream
from expandr_repro.engines.cluster import (
    Work,
    Workers,
    connected,
    device_of_worker,
    placed,
    placement,
    refuse_too_little_memory,
)

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


def streaming(workers: Workers[Texts, Encoded], truncated: dict[str, int]) -> Stream:
    """Return the stream of an index whose chunks the workers encode; texts that were cut are counted in `truncated`."""

    def stream(
        parts: Iterable[tuple[Role, Texts]], done: Callable[[int], object]
    ) -> Iterator[tuple[int, NDArray[np.float32]]]:
        began, first, after = time.perf_counter(), 0.0, 0
        for number, (vectors, cut) in workers.run(texts for _, texts in parts):
            truncated["document"] += cut
            first, after = first or time.perf_counter(), after + len(vectors) if first else 0
            yield number, vectors
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
