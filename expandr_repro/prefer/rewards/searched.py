"""Reward a candidate by the rank of the gold passage in a search with it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from expandr_repro.data.trec import Qrels, Run, strictly_decreasing, without_own_id
from expandr_repro.errors import ExpandrError
from expandr_repro.evaluate.metrics import Measure
from expandr_repro.indexes.faiss_index import FaissIndex
from expandr_repro.prefer.rewards import REWARDS, reward
from expandr_repro.search.fusion import fuse_vectors

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from expandr_repro.prefer.similarity import Case, Vectors

MEASURE = Measure("nDCG", 10)
VECTORS_AT_ONCE = 1024
"""Fused vectors searched together; their rankings are held only until the rewards are known."""


@dataclass(frozen=True)
class Rankings:
    """What searches with query and candidate found.

    Attributes:
        cases: for each ranking its topic, with the gold passage's docid.
        rankings: docid -> score, best first.
        qrels: of the topics.
        hits: how deep --hits looks.
    """

    cases: Sequence[Case]
    rankings: Sequence[Mapping[str, float]]
    qrels: Qrels
    hits: int


@dataclass
class CorpusRewards:
    """Searches an index with the mean of query and candidate, exactly as `search --fusion mean` does with one expansion.

    Attributes:
        names: which of the rewards that search are wanted.
        index: of the encoder that encoded the cases.
        qrels: of the topics, for nDCG@10.
        hits: how deep to look for the gold document; below that its reciprocal rank is 0.
        remove_own: whether a topic's own id is taken out of its ranking.
        threads: of Faiss; 0 for all processors.
    """

    names: tuple[str, ...]
    index: FaissIndex
    qrels: Qrels
    hits: int = 1000
    remove_own: bool = False
    threads: int = 0

    def parts(self, cases: Sequence[Case], vectors: Vectors) -> list[dict[str, NDArray[np.float64]]]:
        """Return reward -> (candidates,) for each case; equal texts are searched once per topic and so are worth the same."""
        import numpy as np

        queries = vectors.matrices["query"][vectors.numbers("query", [c.topic.title for c in cases])]
        expansions = [vectors.numbers("expansion", case.candidates) for case in cases]
        places = list(dict.fromkeys((row, number) for row, numbers in enumerate(expansions) for number in numbers))
        fused = fuse_vectors(
            "mean",
            queries[[row for row, _ in places]],
            vectors.matrices["expansion"][[number for _, number in places]],
            range(len(places)),
        )
        owners = [cases[row] for row, _ in places]
        values = {
            name: dict(zip(places, column, strict=True))
            for name, column in self._values(owners, fused, self.names).items()
        }
        beyond = [name for name in self.names if REWARDS.find(name).beyond_query]
        for name, alone in self._values(cases, queries, beyond).items():
            values[name] = {cell: v - alone[cell[0]] for cell, v in values[name].items()}
        return [
            {name: np.array([of_reward[row, n] for n in numbers]) for name, of_reward in values.items()}
            for row, numbers in enumerate(expansions)
        ]

    def _values(
        self, cases: Sequence[Case], vectors: NDArray[np.float32], names: Sequence[str]
    ) -> dict[str, list[float]]:
        """Return reward -> its value for each vector."""
        by_reward: dict[str, list[float]] = {name: [] for name in names}
        if not names:
            return by_reward
        for begin in range(0, len(cases), VECTORS_AT_ONCE):
            part = cases[begin : begin + VECTORS_AT_ONCE]
            rankings = Rankings(part, list(self._rankings(part, vectors[begin : begin + VECTORS_AT_ONCE])), self.qrels, self.hits)  # fmt: skip
            for name in names:
                values = [float(v) for v in REWARDS.find(name).function(rankings)]
                if len(values) != len(part):
                    raise ExpandrError(f"reward {name!r} gave {len(values)} values for {len(part)} rankings")
                by_reward[name] += values
        return by_reward

    def _rankings(self, cases: Sequence[Case], vectors: NDArray[np.float32]) -> Iterator[dict[str, float]]:
        wanted = max(REWARDS.find(name).depth or self.hits for name in self.names)
        for case, ranked in zip(cases, self.index.search(vectors, wanted + self.remove_own, self.threads), strict=True):
            yield without_own_id({case.topic.qid: ranked}, wanted)[case.topic.qid] if self.remove_own else ranked


@reward("corpus-rank", needs={"gold", "index"}, source="after AQE (arXiv 2507.11042)")
def corpus_rank(searched: Rankings) -> list[float]:
    """Reciprocal rank of the gold document when the corpus is searched with query and candidate."""
    return [_rank(case.docid, r, searched.hits) for case, r in zip(searched.cases, searched.rankings, strict=True)]


@reward("delta-ndcg", needs={"gold", "index"}, source="after arXiv 2603.13776", depth=MEASURE.depth, beyond_query=True)
def delta_ndcg(searched: Rankings) -> list[float]:
    """nDCG@10 with query and candidate less nDCG@10 with the query alone."""
    from expandr_repro.evaluate.scoring import evaluate

    run: Run = {str(n): _best(ranked) for n, ranked in enumerate(searched.rankings)}
    judged = {str(n): searched.qrels.get(case.topic.qid, {}) for n, case in enumerate(searched.cases)}
    values: list[float] = evaluate(run, judged, [MEASURE]).per_topic[MEASURE].tolist()
    return values


def _rank(docid: str, ranked: Mapping[str, float], hits: int) -> float:
    within = itertools.islice(ranked, hits)
    return next((1.0 / rank for rank, other in enumerate(within, start=1) if other == docid), 0.0)


def _best(ranked: Mapping[str, float]) -> dict[str, float]:
    """Return the ten best, ties settled as in a run that `search` writes."""
    return strictly_decreasing(dict(list(ranked.items())[: MEASURE.depth]))
