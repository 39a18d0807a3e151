"""Preference pairs, and the file of them that trl reads.

Written form, one JSON object per line (`prompt`, `chosen` and `rejected` are trl's columns, in its standard format)::

    {"qid": "1", "prompt": "...", "chosen": "...", "rejected": "...", "chosen_reward": 2.0, "rejected_reward": 0.0625, "provenance": {...}}
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from expandr_repro.data.overlap.sharing import draw_apart
from expandr_repro.errors import ExpandrError, FormatError, shown
from expandr_repro.io.files import About, atomic_text, is_surrogate_free, read_facts, read_id, read_objects
from expandr_repro.prefer.rewards import is_same_text

TEXT_KEYS = ("prompt", "chosen", "rejected")
REWARD_KEYS = ("chosen_reward", "rejected_reward")

FINISHES = ("chosen_finish", "rejected_finish")
"""Where a pair's provenance says why the generation of each text ended, as far as that is known."""


@dataclass(frozen=True)
class PreferencePair:
    """Two answers to one prompt, the better one and the worse one.

    Attributes:
        qid: the topic.
        prompt: what the generator was asked, as plain text; a chat template is the trainer's business.
        chosen: the better answer.
        rejected: the worse answer.
        chosen_reward: of the better answer.
        rejected_reward: of the worse answer; never above `chosen_reward`.
        provenance: what made the answers and the choice.
    """

    qid: str
    prompt: str
    chosen: str
    rejected: str
    chosen_reward: float
    rejected_reward: float
    provenance: Mapping[str, Any] | None = None

    @property
    def margin(self) -> float:
        """By how much the rewards differ."""
        return self.chosen_reward - self.rejected_reward


def pair_record(pair: PreferencePair) -> dict[str, Any]:
    """Return a pair as the JSON object it is written as."""
    record = {key: getattr(pair, key) for key in ("qid", *TEXT_KEYS, *REWARD_KEYS)}
    if pair.provenance is not None:
        record["provenance"] = dict(pair.provenance)
    return record


def write_pairs(path: str | Path, pairs: Iterable[PreferencePair], about: About | None = None) -> None:
    """Write pairs as JSONL, whole or not at all; equal pairs give equal bytes. `about` is `atomic_text`'s.

    Raises:
        SetupError: the place cannot be written.
    """
    with atomic_text(path, about) as file:
        for pair in pairs:
            file.write(json.dumps(pair_record(pair), ensure_ascii=False, allow_nan=False) + "\n")


def read_pairs(path: str | Path) -> list[PreferencePair]:
    """Read pairs, in file order.

    Raises:
        FormatError: a key is missing or of the wrong type, a side is empty, both sides are the same text, a reward is no
            finite number, the rejected reward is the higher one, or there are no pairs.
        NotAvailableError: the file cannot be read.
    """
    pairs = [_pair_of(path, number, record) for number, record in read_objects(path)]
    if not pairs:
        raise FormatError(path, None, "contains no pairs; wanted one per line, as `prefer` writes them")
    return pairs


def _pair_of(path: str | Path, number: int, record: Mapping[str, Any]) -> PreferencePair:
    qid = read_id(path, number, record.get("qid"), "the qid")
    for key in TEXT_KEYS:
        text = record.get(key)
        if not isinstance(text, str):
            raise FormatError(path, number, f"`{key}` of topic {qid!r} is {shown(text)}; wanted a text")
        if not text.strip():
            raise FormatError(path, number, f"`{key}` of topic {qid!r} is empty; fix the pair or take it out")
        if not is_surrogate_free(text):
            raise FormatError(path, number, f"`{key}` of topic {qid!r} has half a surrogate pair; fix the text")
    better, worse = (_reward_of(path, number, qid, key, record.get(key)) for key in REWARD_KEYS)
    provenance = record.get("provenance")
    if provenance is not None:
        read_facts(path, number, provenance, "provenance")
    pair = PreferencePair(qid, record["prompt"], record["chosen"], record["rejected"], better, worse, provenance)
    if is_same_text(pair.chosen, pair.rejected):
        raise FormatError(path, number, f"topic {qid!r}: chosen and rejected are the same text; take the pair out")
    if pair.margin < 0:
        raise FormatError(path, number, f"topic {qid!r}: the rejected text has the higher reward; swap the two")
    return pair


def _reward_of(path: str | Path, number: int, qid: str, key: str, value: object) -> float:
    try:
        reward = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
    except OverflowError:  # JSON's whole numbers have no end
        reward = math.inf
    if not math.isfinite(reward):
        raise FormatError(path, number, f"`{key}` of topic {qid!r} is {shown(value)}; wanted a finite number")
    return reward


def draw(
    pairs: Sequence[PreferencePair],
    sample: int | None,
    dev: int,
    seed: int,
    in_common: Mapping[str, Collection[str]] | None = None,
) -> tuple[list[PreferencePair], list[PreferencePair]]:
    """Draw a sample and split it, the same for equal seeds.

    The draws are those of the official scripts (`construct_dpo_data.py`: a seeded `random.sample`;
    `shuf_data_train_dev.py`: shuffled with the seed, the first `dev` for development). Where neither a sample nor a
    development part is asked for, the pairs keep their order. Of topics that share relevant documents whole groups are taken for
    development, the first ones that fit.

    Args:
        pairs: one per topic.
        sample: how many to keep; None for all, and all where there are fewer.
        dev: how many of these are for development.
        seed: of both draws.
        in_common: qid -> relevant documents and what else topics may share; None to split without a look at it.

    Returns:
        The pairs for training and those for development.

    Raises:
        ExpandrError: nothing would be left for training, or the groups are too large.
    """
    kept = list(pairs)
    if sample is not None and sample <= len(kept):
        kept = random.Random(seed).sample(kept, sample)  # noqa: S311 - an experiment's draw, to be repeated
    if dev >= len(kept):
        raise ExpandrError(f"--dev {dev}: there are only {len(kept)} pairs; leave some for training")
    if dev:
        random.Random(seed).shuffle(kept)  # noqa: S311
    chosen = draw_apart([p.qid for p in kept], in_common or {}, dev, "--dev")
    return [p for p in kept if p.qid not in chosen], [p for p in kept if p.qid in chosen]
