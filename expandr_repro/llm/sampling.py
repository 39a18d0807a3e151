"""Sampling settings: temperature, top-p, length, number of samples, and a seed for each."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from expandr_repro.errors import ExpandrError, UnknownNameError


@dataclass(frozen=True)
class Sampling:
    """The settings of one sample.

    Attributes:
        temperature: of the softmax; 0 takes the most likely token each time.
        top_p: the smallest set of tokens with at least this probability is sampled from.
        max_tokens: at most this many new tokens.
        extra: what else goes to the backend (top_k and the like).
    """

    temperature: float = 1.0
    top_p: float = 0.9
    max_tokens: int = 512
    extra: Mapping[str, Any] = field(default_factory=dict)

    def record(self) -> dict[str, Any]:
        """Return the settings as the object they are written as."""
        known = {"temperature": self.temperature, "top_p": self.top_p, "max_tokens": self.max_tokens}
        return known | ({"extra": dict(self.extra)} if self.extra else {})


@dataclass(frozen=True)
class SamplingPlan:
    """Settings of all samples of a topic: `samples` at each of the temperatures, in that order.

    Attributes:
        temperatures: of the samples.
        samples: how many at each temperature.
        top_p: see `Sampling`.
        max_tokens: see `Sampling`.
        seed: from which each sample's seed is derived.
        extra: see `Sampling`.
    """

    temperatures: tuple[float, ...] = (1.0,)
    samples: int = 1
    top_p: float = 0.9
    max_tokens: int = 512
    seed: int = 42
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse settings that make no sense.

        Raises:
            ExpandrError: a value out of its range, or the same greedy text many times.
        """
        for value in self.temperatures:
            if not (math.isfinite(value) and 0 <= value <= 5):
                raise ExpandrError(f"--temperature {value:g}: wanted a number from 0 (greedy) to 5")
        if not self.temperatures or len(set(self.temperatures)) != len(self.temperatures):
            raise ExpandrError(
                "--temperature: wanted different numbers, e.g. 0.8,0.9,1.0,1.1; --samples sets how many at each"
            )
        for name in ("model", "messages", "prompt", "stream"):
            if name in self.extra:
                raise ExpandrError(f"--extra: {name!r} is not a setting of the sampling, and the request would be another one; leave it out")  # fmt: skip
        for name in ("temperature", "top_p", "max_tokens"):
            if self.extra.get(name) is not None:
                raise ExpandrError(f"--extra: {name!r} has an option of its own, whose value the output would name; give --{name.replace('_', '-')}")  # fmt: skip
        if not 0 < self.top_p <= 1:
            raise ExpandrError(f"--top-p {self.top_p:g}: wanted a number above 0 and up to 1")
        if 0 in self.temperatures and self.samples > 1:
            raise ExpandrError(
                f"--samples {self.samples} at temperature 0 gives the same text {self.samples} times; take --samples 1 or a higher temperature"
            )

    def settings(self) -> list[Sampling]:
        """Return the settings of each sample; a sample's number is its position."""
        return [
            Sampling(temperature, self.top_p, self.max_tokens, self.extra)
            for temperature in self.temperatures
            for _ in range(self.samples)
        ]


PRESETS: dict[str, SamplingPlan] = {
    "expandr-eval": SamplingPlan(),
    "expandr-candidates": SamplingPlan(temperatures=(0.8, 0.9, 1.0, 1.1), samples=8),
}
"""ExpandR's settings (section 4 of the paper): one sample to search with; 32 candidates for preference pairs."""


def plan_named(preset: str, **changes: Any) -> SamplingPlan:
    """Return a preset with changes; None changes nothing.

    Raises:
        UnknownNameError: no such preset.
        ExpandrError: settings that make no sense.
    """
    if preset not in PRESETS:
        raise UnknownNameError("preset", preset, PRESETS)
    return dataclasses.replace(PRESETS[preset], **{k: v for k, v in changes.items() if v is not None})


def seed_of(seed: int, qid: str, sample: int, attempt: int = 0) -> int:
    """Return the seed of one sample: 31 bits, so that every backend can take it.

    Args:
        seed: the run's seed.
        qid: the topic.
        sample: the sample's number, from 0.
        attempt: from 0; a sample that came out empty is asked again with another seed.
    """
    text = f"{seed}\0{qid}\0{sample}" + (f"\0{attempt}" if attempt else "")
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") & 0x7FFFFFFF
