"""Form batches of texts of similar length, within a budget of tokens."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


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


def packs(lengths: Sequence[int], tokens: int) -> Iterator[list[int]]:
    """Yield positions grouped into batches without padding, longest first: as many texts as `tokens` has room for, at least one."""
    batch: list[int] = []
    total = 0
    for position in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        if batch and total + lengths[position] > tokens:
            yield batch
            batch, total = [], 0
        batch.append(position)
        total += lengths[position]
    if batch:
        yield batch


def padded(ids: Sequence[Sequence[int]], pad: int, multiple: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    """Return token ids as one right-padded matrix, and its mask, both (texts, longest up to a multiple) int64.

    Filled in one step: a loop over the texts takes as long as a small model does on a GPU.
    """
    import numpy as np
    import torch

    lengths = np.fromiter(map(len, ids), dtype=np.int64, count=len(ids))
    mask = np.arange(-(-max(1, lengths.max()) // multiple) * multiple) < lengths[:, None]
    tokens = np.full(mask.shape, pad, dtype=np.int64)
    tokens[mask] = np.fromiter(itertools.chain.from_iterable(ids), dtype=np.int64, count=int(lengths.sum()))
    return torch.from_numpy(tokens), torch.from_numpy(mask.astype(np.int64))
