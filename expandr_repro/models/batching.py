"""Which texts go through the model together: alike in length, and as many as a budget of tokens allows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence


def batches(lengths: Sequence[int], tokens: int, rows: int) -> Iterator[list[int]]:
    """Yield positions grouped into batches, longest first.

    Longest first finds out at once whether memory suffices, and wastes no padding.

    Args:
        lengths: of each text, in tokens.
        tokens: at most this many tokens a batch, padding included (a single longer text still makes a batch).
        rows: at most this many texts a batch.
    """
    order = sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))
    batch: list[int] = []
    width = 0
    for position in order:
        if batch and (len(batch) >= rows or (len(batch) + 1) * width > tokens):
            yield batch
            batch = []
        if not batch:
            width = max(1, lengths[position])
        batch.append(position)
    if batch:
        yield batch
