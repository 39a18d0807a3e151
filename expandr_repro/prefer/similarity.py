"""Compute similarities and rewards of candidates; each text is encoded once, in large batches across topics.

Works with torch and transformers alone; the rewards that search a corpus come from `rewards.searched`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from expandr_repro.console.progress import progress
from expandr_repro.data.topics import Topic
from expandr_repro.encoders.protocol import Role, TextEncoder
from expandr_repro.encoders.streaming import encode_stream
from expandr_repro.errors import ExpandrError
from expandr_repro.prefer.rewards import REWARDS, total_rewards
from expandr_repro.search.fusion import unit

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TEXTS_AT_ONCE = 8_192
"""Candidates encoded and held together: enough for full batches of like length, and the next ones are tokenised meanwhile."""


@dataclass(frozen=True)
class Case:
    """A topic with what its candidates are measured against.

    Attributes:
        topic: whose query it is.
        candidates: the texts to be rewarded.
        gold: the gold passage.
        docid: of the gold passage, where it is a document of the corpus.
        answer: the answer; empty where none is used.
    """

    topic: Topic
    candidates: tuple[str, ...]
    gold: str
    docid: str = ""
    answer: str = ""


@dataclass(frozen=True)
class Candidates:
    """One topic's candidates as a reward looks at them.

    Attributes:
        case: the topic, the texts, the gold passage and perhaps an answer.
        vectors: (candidates, dim) of length 1.
        to_gold: (candidates,) cosines to the gold passage.
        to_answer: (candidates,) cosines to the answer; zeros where there is none.
    """

    case: Case
    vectors: NDArray[np.float32]
    to_gold: NDArray[np.float64]
    to_answer: NDArray[np.float64]


@dataclass(frozen=True)
class Rewarded:
    """A case's candidates with their rewards, each array (candidates,).

    Attributes:
        case: the topic and its candidates.
        to_gold: cosine to the gold passage.
        to_answer: cosine to the answer, or None where there is none.
        parts: reward -> unweighted values.
        totals: the weighted sums.
    """

    case: Case
    to_gold: NDArray[np.float64]
    to_answer: NDArray[np.float64] | None
    parts: dict[str, NDArray[np.float64]]
    totals: NDArray[np.float64]

    @property
    def similarities(self) -> NDArray[np.float64]:
        """The sums of similarities, (candidates,): what the official filter and the tie-break look at."""
        return self.to_gold if self.to_answer is None else self.to_gold + self.to_answer


class SearchedRewards(Protocol):
    """Rewards that come from searching a corpus."""

    names: tuple[str, ...]

    def parts(self, cases: Sequence[Case], vectors: Vectors) -> list[dict[str, NDArray[np.float64]]]:
        """Return reward -> (candidates,) for each case."""


@dataclass
class Vectors:
    """Texts of each role and their vectors; equal texts share a row, and so have equal similarities to the last bit.

    Attributes:
        rows: role -> text -> row.
        matrices: role -> (texts, dimension) as the encoder gave them.
        units: the same with rows of length 1.
    """

    rows: dict[Role, dict[str, int]]
    matrices: dict[Role, NDArray[np.float32]] = field(default_factory=dict)
    units: dict[Role, NDArray[np.float32]] = field(default_factory=dict)

    def numbers(self, role: Role, texts: Sequence[str]) -> list[int]:
        """Return the rows of texts."""
        rows = self.rows[role]
        return [rows[text] for text in texts]


def reward(
    cases: Sequence[Case],
    encoder: TextEncoder,
    weights: Mapping[str, float],
    searched: SearchedRewards | None = None,
    texts_at_once: int | None = None,
) -> Iterator[Rewarded]:
    """Reward the candidates of all cases, in the order of the cases.

    Candidates are encoded as `search` encodes expansions, gold passages and answers as documents (the official code's
    `encode_queries` and `encode_corpus`); similarities are cosines, whether or not the encoder gives unit vectors.

    Args:
        cases: topics with equally many candidates, gold passage and perhaps answer.
        encoder: the reward model.
        weights: reward -> weight.
        searched: for the rewards that search a corpus.
        texts_at_once: candidates encoded together; None for `TEXTS_AT_ONCE`.

    Raises:
        ExpandrError: a vector is not finite.
    """
    if not cases:
        return
    blocks = list(blocks_of(cases, texts_at_once or TEXTS_AT_ONCE))
    with progress(len(cases), "reward", "topics") as bar:
        for block, vectors in zip(blocks, _encoded(blocks, encoder, searched is not None), strict=True):
            extra = searched.parts(block, vectors) if searched else [{} for _ in block]
            for case, rewarded in zip(block, extra, strict=True):
                yield _rewarded(case, vectors, weights, rewarded)
            bar.update(len(block))


def blocks_of(cases: Sequence[Case], texts: int) -> Iterator[Sequence[Case]]:
    """Yield the cases whose candidates are encoded together."""
    topics = max(1, texts // len(cases[0].candidates))
    for begin in range(0, len(cases), topics):
        yield cases[begin : begin + topics]


def _encoded(blocks: Sequence[Sequence[Case]], encoder: TextEncoder, queries: bool) -> Iterator[Vectors]:
    """Encode block after block; later ones are tokenised while the model works on one."""
    waiting: deque[Vectors] = deque()

    def parts() -> Iterator[tuple[Role, list[str]]]:
        for block in blocks:
            waiting.append(Vectors(_texts(block, queries)))
            for role, rows in waiting[-1].rows.items():
                yield role, list(rows)

    for matrix in encode_stream(encoder, parts()):
        vectors = waiting[0]
        role = next(role for role in vectors.rows if role not in vectors.matrices)
        vectors.matrices[role] = _finite(matrix, encoder)
        vectors.units[role] = unit(matrix)
        if len(vectors.matrices) == len(vectors.rows):
            yield waiting.popleft()


def _texts(block: Sequence[Case], queries: bool) -> dict[Role, dict[str, int]]:
    """Number a block's texts, each once."""
    texts: dict[Role, list[str]] = {
        "document": [text for case in block for text in (case.gold, case.answer) if text],
        "expansion": [text for case in block for text in case.candidates],
    }
    if queries:
        texts["query"] = [case.topic.title for case in block]
    return {role: {text: row for row, text in enumerate(dict.fromkeys(listed))} for role, listed in texts.items()}


def _finite(matrix: NDArray[np.float32], encoder: TextEncoder) -> NDArray[np.float32]:
    import numpy as np

    if not np.isfinite(matrix).all():
        raise ExpandrError(f"{encoder.name}: a vector is not finite, so nothing can be ranked; use --precision fp32")
    return matrix


def _rewarded(
    case: Case, vectors: Vectors, weights: Mapping[str, float], searched: Mapping[str, NDArray[np.float64]]
) -> Rewarded:
    units = vectors.units["expansion"][vectors.numbers("expansion", case.candidates)]
    measured = [case.gold, case.answer] if case.answer else [case.gold]
    near = [_cosines(units, vectors.units["document"][n]) for n in vectors.numbers("document", measured)]
    to_answer = near[1] if case.answer else None
    candidates = Candidates(case, units, near[0], near[1] if case.answer else near[0] * 0)
    parts = dict(searched)
    for name in weights:
        entry = REWARDS.find(name)
        if name not in parts and not entry.of_corpus and (case.answer or not entry.of_answers):
            parts[name] = _values(name, entry.function(candidates), len(case.candidates))
    return Rewarded(case, near[0], to_answer, parts, total_rewards(parts, weights))


def _values(name: str, values: Any, count: int) -> NDArray[np.float64]:
    """Return what a reward gave as an array; refuse what is not a finite value for each candidate."""
    import numpy as np

    array: NDArray[np.float64] = np.asarray(values, dtype=np.float64)
    if array.shape != (count,) or not np.isfinite(array).all():
        raise ExpandrError(
            f"reward {name!r} gave {array.shape} values for {count} candidates, or one that is not finite"
        )
    return array


def _cosines(candidates: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the inner products of (n, dim) unit vectors with one (dim,), row by row: equal rows give equal numbers.

    A matrix product may add up differently at a block's edge and set equal texts apart in the last bit.
    """
    import numpy as np

    products = candidates.astype(np.float64) * other.astype(np.float64)
    sums: NDArray[np.float64] = products.sum(axis=1)
    return sums
