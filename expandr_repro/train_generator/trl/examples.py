"""Tokenise examples to fit: what is too long is dropped or cut, and counted, before trl could do it silently."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from expandr_repro.llm.local.chat import completion_ids, prompt_ids

LONG = "prompt longer than max_prompt_length"
CUT = "passages cut at max_length"
OPEN = "passages that generation had cut off, learned without an end"
ALIKE = "both passages the same once cut"


@dataclass(frozen=True)
class Texts:
    """What to train on, as text.

    Attributes:
        prompts: one for each example.
        passages: of each example, the chosen and the rejected one, or the one to learn.
        unfinished: of each example's passages, whether generation was cut off at its limit; empty where none was.
    """

    prompts: list[str]
    passages: list[tuple[str, ...]]
    unfinished: list[tuple[bool, ...]] = field(default_factory=list)


@dataclass(frozen=True)
class Examples:
    """What to train on, as token ids.

    Attributes:
        prompts: one for each example that is left.
        passages: of each example as many as of the text.
        counts: what became of the texts.
    """

    prompts: list[list[int]]
    passages: list[tuple[list[int], ...]]
    counts: dict[str, int]

    def __len__(self) -> int:
        """Return the number of examples."""
        return len(self.prompts)


def fit(
    tokenizer: Any,
    texts: Texts,
    max_prompt_length: int,
    max_length: int,
    ends: Collection[int],
    template_values: Mapping[str, Any] | None = None,
) -> Examples:
    """Tokenise, and make fit.

    A prompt has exactly the ids that `expand --backend transformers` generates from.

    Args:
        tokenizer: of transformers.
        texts: prompts without any chat template, and their passages.
        max_prompt_length: an example with a longer prompt is dropped, since a model asked half a question learns the wrong thing.
        max_length: tokens of prompt and passage; a longer passage is cut, its end token with it.
        ends: the token ids that end a passage.
        template_values: for the chat template.
    """
    starts = prompt_ids(tokenizer, texts.prompts, template_values)
    unfinished = texts.unfinished or [(False,) * len(row) for row in texts.passages]
    columns = [
        completion_ids(tokenizer, texts.prompts, column, ends, template_values, cut)
        for column, cut in zip(zip(*texts.passages, strict=True), zip(*unfinished, strict=True), strict=True)
    ]
    counts = {"read": len(starts), LONG: 0, CUT: 0, ALIKE: 0, "used": 0}
    prompts, passages = [], []
    for start, cut, *whole in zip(starts, unfinished, *columns, strict=True):
        if len(start) > max_prompt_length:
            counts[LONG] += 1
            continue
        room = max_length - len(start)
        fitting = tuple(row[:room] for row in whole)
        if len(fitting) > 1 and fitting[0] == fitting[1]:
            counts[ALIKE] += 1
            continue
        counts[CUT] += sum(len(row) > room for row in whole)
        if any(cut):
            counts[OPEN] = counts.get(OPEN, 0) + sum(cut)
        prompts.append(start)
        passages.append(fitting)
    counts["used"] = len(prompts)
    return Examples(prompts, passages, counts)
