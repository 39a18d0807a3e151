"""Rewards of a candidate by what it does to a search: `corpus-rank` and `delta-ndcg`."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from expandr_repro.data.trec import Qrels, Run, strictly_decreasing, without_own_id
from expandr_repro.evaluate.metrics import Measure
from expandr_repro.indexes.faiss_index import FaissIndex
from expandr_repro.prefer.similarity import Case, Vectors
from expandr_repro.search.fusion import fuse_vectors

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MEASURE = Measure("nDCG", 10)
VECTORS_AT_ONCE = 1024
"""Fused vectors searched together; their rankings are held only until the rewards are known."""


@dataclass
class CorpusRewards:
    """Searches an index with the mean of query and candidate, exactly as `search --fusion mean` does with one expansion.

    Attributes:
        names: which of `corpus-rank` and `delta-ndcg` are wanted.
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
        """Return reward -> (candidates,) for each case; equal texts are searched once a topic and so are worth the same."""
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
        values: dict[str, dict[tuple[int, int], float]] = {name: {} for name in self.names}
        for name, column in self._values(owners, fused).items():
            values[name] = dict(zip(places, column, strict=True))
        if "delta-ndcg" in self.names:
            alone = self._values(cases, queries)["delta-ndcg"]
            values["delta-ndcg"] = {place: v - alone[place[0]] for place, v in values["delta-ndcg"].items()}
        return [
            {name: np.array([found[row, n] for n in numbers]) for name, found in values.items()}
            for row, numbers in enumerate(expansions)
        ]

    def _values(self, cases: Sequence[Case], vectors: NDArray[np.float32]) -> dict[str, list[float]]:
        """Return, for each vector, the gold document's reciprocal rank and nDCG@10 (under `delta-ndcg`)."""
        found: dict[str, list[float]] = {name: [] for name in self.names}
        for begin in range(0, len(cases), VECTORS_AT_ONCE):
            part = cases[begin : begin + VECTORS_AT_ONCE]
            rankings = list(self._rankings(part, vectors[begin : begin + VECTORS_AT_ONCE]))
            if "corpus-rank" in found:
                found["corpus-rank"] += [self._rank(c.docid, r) for c, r in zip(part, rankings, strict=True)]
            if "delta-ndcg" in found:
                found["delta-ndcg"] += self._ndcg(part, rankings)
        return found

    def _rankings(self, cases: Sequence[Case], vectors: NDArray[np.float32]) -> Iterator[dict[str, float]]:
        wanted = max({"corpus-rank": self.hits, "delta-ndcg": MEASURE.depth or 0}[name] for name in self.names)
        for case, ranked in zip(cases, self.index.search(vectors, wanted + self.remove_own, self.threads), strict=True):
            yield without_own_id({case.topic.qid: ranked}, wanted)[case.topic.qid] if self.remove_own else ranked

    def _rank(self, docid: str, ranked: Mapping[str, float]) -> float:
        within = itertools.islice(ranked, self.hits)
        return next((1.0 / rank for rank, found in enumerate(within, start=1) if found == docid), 0.0)

    def _ndcg(self, cases: Sequence[Case], rankings: Iterable[Mapping[str, float]]) -> list[float]:
        from expandr_repro.evaluate.scoring import evaluate

        run: Run = {str(n): _best(ranked) for n, ranked in enumerate(rankings)}
        judged = {str(n): self.qrels.get(case.topic.qid, {}) for n, case in enumerate(cases)}
        values: list[float] = evaluate(run, judged, [MEASURE]).per_topic[MEASURE].tolist()
        return values


def _best(ranked: Mapping[str, float]) -> dict[str, float]:
    """Return the ten best, ties settled as in a run that `search` writes."""
    return strictly_decreasing(dict(list(ranked.items())[: MEASURE.depth]))
