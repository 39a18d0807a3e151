"""Texts to measure with: real passages where they are, else sentences of the packaged collection `pocket`, shuffled."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from expandr_repro.errors import CheckFailedError
from expandr_repro.io.paths import data_dir, resource


def sentences() -> list[str]:
    """Return the sentences of pocket's passages."""
    lines = (resource("pocket") / "corpus.jsonl").read_text(encoding="utf-8").splitlines()
    texts = [json.loads(line)["text"] for line in lines]
    return [f"{s}." for text in texts for s in text.rstrip(".").split(". ")]


def texts_of(draw: random.Random, said: list[str], words: int) -> Iterator[str]:
    """Yield texts of about so many words, half to one and a half times, no two of them equal: equal ones are encoded once."""
    return _unseen(_drawn(draw, said, words))


def _drawn(draw: random.Random, said: list[str], words: int) -> Iterator[str]:
    while True:
        wanted, text = draw.uniform(0.5, 1.5) * words, ""
        while len(text.split()) < wanted:
            text = f"{text} {draw.choice(said)}".strip()
        yield " ".join(text.split()[: max(1, round(wanted))])


def made_up(count: int, words: int, seed: int = 42) -> list[str]:
    """Return so many texts of `texts_of`."""
    return list(islice(texts_of(random.Random(seed), sentences(), words), count))


def distinct(source: Iterable[str], count: int | None = None) -> list[str]:
    """Return the first so many different texts."""
    return list(islice(_unseen(source), count))


def _unseen(source: Iterable[str]) -> Iterator[str]:
    seen: set[str] = set()
    for text in source:
        if text not in seen:
            seen.add(text)
            yield text


def differing(texts: Iterable[str]) -> int:
    """Return how many different texts there are, without keeping them."""
    return len({hash(text) for text in texts})


def all_different(texts: Sequence[str]) -> int:
    """Return how many texts a work has.

    Raises:
        CheckFailedError: two are equal; equal texts are encoded or asked for once, so that its time would not count.
    """
    if (different := differing(texts)) < len(texts):
        raise CheckFailedError(
            f"of {len(texts):,} texts {different:,} are different; a benchmark needs texts that all differ"
        )
    return different


def differing_in(path: Path, field: str = "text") -> int:
    """Return how many different texts there are in a field of a JSONL file."""
    with path.open(encoding="utf-8") as file:
        return differing(json.loads(line)[field] for line in file)


def variants(texts: Sequence[str], count: int) -> list[str]:
    """Return texts `count` times, each time with other words first, so that all differ and are as long as before.

    What has too few words for so many variants, or would be there twice, is left out.
    """
    turned: list[str] = []
    for number in range(count):
        for text in texts:
            words = text.split()
            turn = number * max(1, len(words) // count)
            turned.append(" ".join(words[turn:] + words[:turn]))
    return distinct(turned)


def passages(count: int | None = None) -> tuple[str, list[str]]:
    """Return a word on what they are, and SciFact's passages: all, or so many spread evenly over the corpus.

    Without $EXPANDR_DATA they are made up, about as long.
    """
    folder = data_dir()
    if not (folder and (folder / "scifact").is_dir()):
        return "made-up passages", made_up(count or 5183, 210)
    from expandr_repro.data.corpus import corpus_at

    texts = [d.dense_text for d in corpus_at(folder / "scifact").read()]
    if count and count < len(texts):
        texts = [texts[n * len(texts) // count] for n in range(count)]
    return "SciFact's passages", distinct(texts)


def write_corpus(path: Path, count: int, words: int, seed: int = 42) -> Path:
    """Write a JSONL corpus of short passages; each word is drawn by itself, so that millions take seconds.

    Args:
        path: the file to write.
        count: of passages.
        words: of a passage, half to one and a half times.
        seed: of the draws.
    """
    import numpy as np

    known = np.array([w for w in " ".join(sentences()).split() if w.isascii() and w.isalpha()])
    draw = np.random.default_rng(seed)
    with path.open("w", encoding="utf-8") as file:
        for begin in range(0, count, 10_000):
            many = min(10_000, count - begin)
            lengths = draw.integers(words // 2, words + words // 2, size=many)
            drawn = iter(known[draw.integers(0, len(known), size=int(lengths.sum()))].tolist())
            for number, length in enumerate(lengths.tolist(), begin):
                text = " ".join(next(drawn) for _ in range(length))
                file.write(f'{{"_id": "d{number}", "title": "", "text": "{text}"}}\n')
    return path
