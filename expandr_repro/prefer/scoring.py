"""Rewards of texts that are written as they are asked for: what trains online, and `prefer --serve`, ask."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from expandr_repro.encoders.protocol import Role, TextEncoder
from expandr_repro.errors import ExpandrError
from expandr_repro.prefer.gold import Gold
from expandr_repro.prefer.rewards import REWARDS
from expandr_repro.prefer.similarity import Case, Rewarded, SearchedRewards, reward

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from expandr_repro.indexes.faiss_index import FaissIndex


def searched_names(weights: Mapping[str, float]) -> tuple[str, ...]:
    """Return the rewards that search a corpus."""
    return tuple(name for name in weights if REWARDS.find(name).of_corpus)


def gold_index(gold: Gold, encoder: TextEncoder, docids: set[str], index: str | None = None) -> FaissIndex:
    """Return the index of the gold passages' collection, built once where it is not there.

    Args:
        gold: the passages and their collection.
        encoder: that searches.
        docids: of the gold passages.
        index: another index of the same documents.

    Raises:
        ExpandrError: there is none, or it is of other documents.
    """
    from expandr_repro.indexes.compatibility import refuse_foreign, refuse_other_version
    from expandr_repro.indexes.find import dense_index

    if gold.corpus is None:
        raise ExpandrError(f"{gold.label}: its documents are not known, so they cannot be searched; name a collection")
    opened = dense_index(index or gold.corpus, encoder)
    refuse_other_version(opened.folder, opened.manifest, gold.corpus)
    refuse_foreign(opened.folder, docids, lambda wanted: not set(wanted).isdisjoint(opened.docids))
    return opened


class Remembering:
    """An encoder that keeps the vectors of queries and documents, of which an online training has few, and asks for them at every step."""

    def __init__(self, encoder: TextEncoder) -> None:
        self._encoder, self._kept = encoder, dict[tuple[Role, str], "NDArray[np.float32]"]()
        self.name, self.truncated = encoder.name, encoder.truncated

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return self._encoder.dimension

    @property
    def identity(self) -> dict[str, Any]:
        """What decides the vectors."""
        return self._encoder.identity

    @property
    def separator(self) -> str:
        """The tokenizer's separator."""
        return self._encoder.separator

    def encode(self, texts: Sequence[str], role: Role) -> NDArray[np.float32]:
        """Encode texts to (len(texts), dimension) float32."""
        import numpy as np

        if role == "expansion":
            return self._encoder.encode(texts, role)
        new = list(dict.fromkeys(t for t in texts if (role, t) not in self._kept))
        if new:
            self._kept |= zip(((role, t) for t in new), self._encoder.encode(new, role), strict=True)
        return np.stack([self._kept[role, t] for t in texts])


@dataclass(frozen=True)
class Scores:
    """What the texts of a topic are worth.

    Attributes:
        totals: of each text the weighted sum.
        parts: reward -> unweighted values.
        to_gold: cosines to the gold passage, which rise where ranks within a group cannot.
    """

    totals: list[float]
    parts: dict[str, list[float]]
    to_gold: list[float]


@dataclass
class Scorer:
    """Rewards texts of known topics.

    Attributes:
        cases: qid -> the topic with its gold passage and answer; their candidates are none.
        encoder: the reward model.
        weights: reward -> weight.
        searched: for the rewards that search a corpus.
    """

    cases: Mapping[str, Case]
    encoder: TextEncoder
    weights: Mapping[str, float]
    searched: SearchedRewards | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def score(self, asked: Sequence[tuple[str, Sequence[str]]]) -> list[Scores]:
        """Reward the texts of topics; all are encoded and searched together, and ranked among the texts of their own entry.

        A blank text says nothing that could be searched with: it has 0 of every reward, and is not ranked.

        Args:
            asked: qid and texts.

        Raises:
            ExpandrError: a topic is not known.
        """
        cases = []
        for qid, texts in asked:
            if qid not in self.cases:
                raise ExpandrError(f"qid {qid!r}: no topic with a gold passage has it")
            if written := tuple(text for text in texts if text.strip()):
                cases.append(replace(self.cases[qid], candidates=written))
        with self._lock:  # neither Faiss nor an encoder is asked by two threads at once
            rewarded = iter(list(reward(cases, self.encoder, self.weights, self.searched)))
        return [self._scores(texts, rewarded) for _, texts in asked]

    def _scores(self, texts: Sequence[str], rewarded: Iterator[Rewarded]) -> Scores:
        rows = [row for row, text in enumerate(texts) if text.strip()]
        totals, parts = [0.0] * len(texts), {name: [0.0] * len(texts) for name in self.weights}
        to_gold = [0.0] * len(texts)
        if rows:
            result = next(rewarded)
            for number, row in enumerate(rows):
                totals[row], to_gold[row] = float(result.totals[number]), float(result.to_gold[number])
                for name, column in parts.items():
                    column[row] = float(result.parts[name][number])
        return Scores(totals, parts, to_gold)


def make_scorer(
    cases: Mapping[str, Case],
    gold: Gold,
    encoder: TextEncoder,
    weights: Mapping[str, float],
    *,
    index: str | None = None,
    hits: int = 1000,
    threads: int = 0,
) -> Scorer:
    """Return what rewards texts of these topics; an index is opened, and built where it is not there, if a reward searches one.

    Args:
        cases: qid -> the topic with its gold passage and answer.
        gold: where the passages are from.
        encoder: the reward model.
        weights: reward -> weight.
        index: in place of the collection's own.
        hits: how deep `corpus-rank` looks.
        threads: of Faiss; 0 for all processors.

    Raises:
        ExpandrError: what is searched cannot be.
    """
    kept, searched = Remembering(encoder), None
    if names := searched_names(weights):
        from expandr_repro.prefer.rewards.searched import CorpusRewards

        opened = gold_index(gold, encoder, {case.docid for case in cases.values()}, index)
        searched = CorpusRewards(names, opened, gold.qrels, hits, gold.remove_own, threads)
    return Scorer(cases, kept, weights, searched)
