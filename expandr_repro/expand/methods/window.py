"""Prompts that are longer than the model reads: passages are taken out from the end, whole ones only, until the prompt fits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from expandr_repro.llm.base import Generator
from expandr_repro.llm.chats import Prompted, plain_text

T = TypeVar("T")

BYTES_A_TOKEN = 3
"""For a model whose tokenizer is not here: English has four bytes or more per token, so this counts a few too many."""


def window_of(generator: Generator, asked: int | None) -> int | None:
    """Return how many tokens of prompt and answer a model reads: as asked, or its own where it is on this machine; None where nobody says."""
    own: int | None = getattr(generator, "window", None)
    return asked or own


def lengths_of(generator: Generator, prompts: Sequence[Prompted], extra: Mapping[str, object]) -> list[int]:
    """Return the lengths of prompts in tokens, counted where the tokenizer is on this machine, else estimated."""
    count = getattr(generator, "prompt_lengths", None)
    if count:
        found: list[int] = count(prompts, extra)
        return found
    return [-(-len(plain_text(p).encode("utf-8", "replace")) // BYTES_A_TOKEN) for p in prompts]


def fitting(
    passages: Mapping[str, Sequence[T]],
    render: Callable[[str, Sequence[T]], Prompted],
    count: Callable[[Sequence[Prompted]], Sequence[int]],
    room: int,
) -> dict[str, list[T]]:
    """Return each topic's passages without the last ones that do not fit.

    Args:
        passages: by qid.
        render: from a qid and passages to the prompt.
        count: from prompts to their lengths in tokens.
        room: tokens that a prompt may have.
    """
    kept = {qid: list(some) for qid, some in passages.items()}
    left = [qid for qid, some in kept.items() if some]
    while left:
        lengths = count([render(qid, kept[qid]) for qid in left])
        left = [qid for qid, length in zip(left, lengths, strict=True) if length > room]
        for qid in left:
            kept[qid].pop()
        left = [qid for qid in left if kept[qid]]
    return kept
