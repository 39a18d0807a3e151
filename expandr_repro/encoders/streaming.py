"""Stream the texts of a corpus or of topics through an encoder: tokenise ahead, and fetch vectors while the next are computed."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from expandr_repro.encoders.compute.launched import Launched
from expandr_repro.encoders.protocol import Role, TextEncoder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

AHEAD = 3
"""Parts that are tokenised, or waiting to be, while the model works: two threads are 1.5 times as fast as one where 2,048
texts are a part, more are no faster (16 processors, H100)."""

SLICE = 256
"""Texts that another toolkit's encoder gets at once."""


@runtime_checkable
class Staged(TextEncoder, Protocol):
    """An encoder whose work comes in stages, as ours does: what one stage does for later texts can overlap with another's."""

    on_gpu: bool

    def tokenize(self, texts: Sequence[str], role: Role) -> list[list[int]]:
        """Return token ids; may be called in several threads."""

    def launch(self, ids: Sequence[list[int]], done: Callable[[int], object] | None = None) -> Launched:
        """Give token ids to the device."""


def encode_stream(
    encoder: TextEncoder, parts: Iterable[tuple[Role, Sequence[str]]], done: Callable[[int], object] | None = None
) -> Iterator[NDArray[np.float32]]:
    """Encode part after part, in order; no more than a few parts are in memory.

    Of our own encoder, two later parts are tokenised in threads while the model works on one, and on a GPU the vectors of a
    part are fetched when the next one has been launched, so that it never waits for the host.

    Args:
        encoder: ours, or another toolkit's.
        parts: the role and the texts of each part; read as they are needed.
        done: called with how many more texts have been taken up, for a progress bar.

    Yields:
        (texts of the part, dimension) float32.

    Raises:
        SetupError: not even one text fits into the device's memory.
    """
    if not isinstance(encoder, Staged):
        for role, texts in parts:
            yield _by_slices(encoder, texts, role, done)
        return
    before: Launched | None = None
    with ThreadPoolExecutor(2 if encoder.on_gpu else 1) as pool:
        try:
            for ids in _tokenised(encoder, parts, pool):
                launched = encoder.launch(ids, done)
                if before is not None:
                    yield before.fetch()
                before = launched
                if not encoder.on_gpu:
                    yield before.fetch()
                    before = None
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
    if before is not None:
        yield before.fetch()


def _tokenised(
    encoder: Staged, parts: Iterable[tuple[Role, Sequence[str]]], pool: ThreadPoolExecutor
) -> Iterator[list[list[int]]]:
    waiting: deque[Future[list[list[int]]]] = deque()
    for role, texts in parts:
        waiting.append(pool.submit(encoder.tokenize, texts, role))
        if len(waiting) == AHEAD:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _by_slices(
    encoder: TextEncoder, texts: Sequence[str], role: Role, done: Callable[[int], object] | None
) -> NDArray[np.float32]:
    """Encode a part with another toolkit's encoder, longest text first, in slices that let a bar move."""
    import numpy as np

    order = sorted(range(len(texts)), key=lambda i: -len(texts[i]))
    out = np.zeros((len(texts), encoder.dimension), dtype=np.float32)
    for begin in range(0, len(order), SLICE):
        rows = order[begin : begin + SLICE]
        out[rows] = encoder.encode([texts[i] for i in rows], role)
        if done:
            done(len(rows))
    return out
