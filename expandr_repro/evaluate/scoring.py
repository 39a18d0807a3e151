"""Score runs with ranx's metrics, as trec_eval does.

ranx keeps input order among ties and refuses runs whose topics are not those of the qrels; trec_eval (`-c`) breaks ties by docid and
lets a judged topic that the run misses score 0. Both are settled here, so that the scores agree with trec_eval's exactly.

ranx's metric functions are called on arrays. Its `Run` and `Qrels` classes compile their dictionaries again in every process, which takes
seconds to a minute; the functions on arrays are compiled once, and cached by numba next to ranx.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import threading
import types
import warnings
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from expandr_repro.data.run_blocks import NotPlainError, plain_parts
from expandr_repro.data.trec import Qrels, read_run, trec_order
from expandr_repro.errors import MismatchError
from expandr_repro.evaluate.metrics import Measure
from expandr_repro.io.paths import cache_dir, private_folder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FUNCTIONS = {
    "nDCG": "ndcg",
    "MAP": "average_precision",
    "MRR": "reciprocal_rank",
    "R": "recall",
    "P": "precision",
    "Success": "hit_rate",
}
"""Our measure -> ranx's function; Judged is computed here."""

Ranked = Mapping[str, Mapping[str, float]]
"""qid -> docid -> score."""

TOPICS_AT_ONCE = 1024
"""Topics evaluated together, so that memory does not grow with their number."""


@dataclass(frozen=True)
class Figures:
    """Scores of a run: of each judged topic, and their means.

    Attributes:
        qids: the judged topics, in the qrels' order.
        per_topic: measure -> (topics,) scores.
        missing: judged topics that the run lacks; they score 0.
        unjudged: topics of the run without relevance judgments; they do not count.
        ranked: judged topics for which the run has documents.
        met: those of them for which one of these is judged, whatever its grade.
        known: whether a document of the run is judged, possibly for another topic.
        depth: the most documents that the run has for a judged topic.
        full: judged topics for which it has so many; many of them mean that the run was cut there.
        nothing: measures by whose least relevant grade the qrels have no relevant document, so that all runs score 0.
    """

    qids: list[str]
    per_topic: dict[Measure, NDArray[np.float64]]
    missing: list[str]
    unjudged: list[str]
    ranked: int = 0
    met: int = 0
    known: bool = False
    depth: int = 0
    full: int = 0
    nothing: tuple[Measure, ...] = ()

    def mean(self, measure: Measure) -> float:
        """Return the mean over all judged topics; NaN where there is none."""
        return float(self.per_topic[measure].mean()) if self.qids else float("nan")

    def without(self, dropped: Collection[str]) -> Figures:
        """Return the scores without some topics."""
        kept = [row for row, qid in enumerate(self.qids) if qid not in dropped]
        if len(kept) == len(self.qids):
            return self
        return replace(
            self,
            qids=[self.qids[row] for row in kept],
            per_topic={measure: values[kept] for measure, values in self.per_topic.items()},
            missing=[qid for qid in self.missing if qid not in dropped],
        )


def evaluate(run: Ranked, qrels: Qrels, measures: Sequence[Measure], label: str = "the run") -> Figures:
    """Evaluate a run on qrels.

    Args:
        run: scores; ties are ranked as trec_eval would.
        qrels: grades; negative ones gain nothing.
        measures: what to compute.
        label: what to call the run in errors.

    Raises:
        MismatchError: the qrels judge no topic of the run.
    """
    scorer = Scorer(qrels, measures)
    scorer.add(run)
    return scorer.figures(label)


def evaluate_file(
    path: str | Path, qrels: Qrels, measures: Sequence[Measure], seen: Callable[[Ranked], object] | None = None
) -> Figures:
    """Evaluate a run file; where the lines of a topic are together, with no more than some topics in memory.

    Args:
        path: the file.
        qrels: grades.
        measures: what to compute.
        seen: called with the topics of the run, some at a time; again from the first, where the file has to be read again with care.

    Raises:
        FormatError: the file is not a run.
        MismatchError: the qrels judge no topic of the run.
    """

    def score(parts: Iterable[Ranked]) -> Figures:
        scorer = Scorer(qrels, measures)
        for part in parts:
            scorer.add(part)
            if seen:
                seen(part)
        return scorer.figures(str(path))

    try:
        return score(plain_parts(Path(path)))
    except NotPlainError:
        return score([read_run(path)])


class Scorer:
    """Score a run that is read some topics at a time.

    Args:
        qrels: grades; negative ones gain nothing.
        measures: what to compute.
    """

    def __init__(self, qrels: Qrels, measures: Sequence[Measure]) -> None:
        import numpy as np

        self._qrels, self._rows = qrels, {qid: row for row, qid in enumerate(qrels)}
        self._per_topic = {m: np.zeros(len(qrels)) for m in measures}
        self._scored = np.zeros(len(qrels), dtype=bool)
        self._unjudged: list[str] = []
        self._topics = self._met = 0
        self._lengths: Counter[int] = Counter()
        self._known = False
        self._judged: set[str] | None = None
        self._first: str | None = None

    def add(self, part: Ranked) -> None:
        """Score topics that have not been there before."""
        qrels, rows = self._qrels, self._rows
        self._first = next(iter(part), None) if self._first is None else self._first
        self._topics += len(part)
        self._unjudged += [qid for qid in part if qid not in rows]
        names = {rows[qid]: qid for qid, ranked in part.items() if ranked and qid in rows}
        judged = sorted(names)
        self._scored[judged] = True
        self._lengths.update(len(part[names[row]]) for row in judged)
        self._met += sum(not qrels[names[row]].keys().isdisjoint(part[names[row]]) for row in judged)
        self._known = self._known or self._met > 0 or self._any_judged(part)
        if not judged:
            return
        with _ranx_metrics() as metrics, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # numba on its own type casts
            for begin in range(0, len(judged), TOPICS_AT_ONCE):
                some = judged[begin : begin + TOPICS_AT_ONCE]
                gains, ranking = _arrays(
                    [qrels[names[r]] for r in some], trec_order({names[r]: part[names[r]] for r in some}).values()
                )
                for measure, values in self._per_topic.items():
                    function = _judged if measure.name == "Judged" else getattr(metrics, FUNCTIONS[measure.name])
                    values[some] = function(gains, ranking, measure.depth or 0, measure.rel)

    def figures(self, label: str = "the run") -> Figures:
        """Return the scores of all topics that were added.

        Raises:
            MismatchError: the qrels judge none of them.
        """
        if len(self._unjudged) == self._topics:
            raise MismatchError(
                f"{label}: the qrels judge none of its {self._topics} topics (the run has e.g. {self._first!r}, the qrels e.g. "
                f"{next(iter(self._qrels), None)!r}); are these the right qrels?"
            )
        missing = [qid for qid, row in self._rows.items() if not self._scored[row]]
        ranked = len(self._rows) - len(missing)
        depth = max(self._lengths, default=0)
        highest = max((grade for judged in self._qrels.values() for grade in judged.values()), default=0)
        nothing = tuple(m for m in self._per_topic if m.name != "Judged" and m.rel > highest)
        return Figures(
            list(self._rows), self._per_topic, missing, self._unjudged, ranked, self._met, self._known, depth, self._lengths[depth], nothing,
        )  # fmt: skip

    def _any_judged(self, part: Ranked) -> bool:
        """Return whether a document is judged for any topic; asked for as long as none was judged for its own."""
        if self._judged is None:
            self._judged = {docid for grades in self._qrels.values() for docid in grades}
        return any(not self._judged.isdisjoint(ranked) for ranked in part.values())


def _arrays(qrels: Sequence[Mapping[str, int]], rankings: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return (topics, n, 2) arrays of (document number, grade) and (document number, score), best first, as ranx's functions take them.

    `rankings` are as `trec_order` makes them: the scores are n to 1. Shorter rows are filled with a document -1 of grade 0, which is relevant nowhere, and -2, which nobody judges.
    """
    import numpy as np

    ranked = list(rankings)
    gains = np.zeros((len(qrels), max(1, *(len(j) for j in qrels)), 2))
    ranking = np.zeros((len(ranked), max(1, *(len(r) for r in ranked)), 2))
    gains[:, :, 0], ranking[:, :, 0] = -1, -2
    for row, (judged, ranked_docs) in enumerate(zip(qrels, ranked, strict=True)):
        n = len(ranked_docs)
        best = sorted(judged.items(), key=lambda item: -item[1])
        gains[row, : len(best), 0] = [
            n - ranked_docs[d] if d in ranked_docs else n + i for i, (d, _) in enumerate(best)
        ]
        gains[row, : len(best), 1] = [max(0, grade) for _, grade in best]
        ranking[row, :n, 0] = np.arange(n)
        ranking[row, :n, 1] = np.arange(n, 0, -1)
    return gains, ranking


def _judged(gains: NDArray[np.float64], ranking: NDArray[np.float64], depth: int, _: int) -> NDArray[np.float64]:
    """Return the share of the first documents, or of all where there are fewer, that are judged (`Judged@k` of ir_measures)."""
    import numpy as np

    looked_at = np.minimum(depth, (ranking[:, :, 0] >= 0).sum(axis=1))
    numbers = gains[:, :, 0]  # of judged documents; those that were found are numbered by rank, from 0
    shares: NDArray[np.float64] = ((numbers >= 0) & (numbers < looked_at[:, None])).sum(axis=1) / looked_at
    return shares


_LOCK = threading.RLock()
"""ranx's compiled functions are themselves parallel, and not to be entered by two threads."""

_OURS: dict[str, types.ModuleType] = {}
"""ranx's metrics, imported without the rest of it: the modules that are in `sys.modules` while they compute."""


@contextmanager
def _ranx_metrics() -> Iterator[Any]:
    """Yield ranx's metrics; where numba cannot keep what it compiles next to ranx, it does so in our cache.

    `import ranx` brings ir_datasets, seaborn and its own data structures, which takes ten times as long as the metrics. So these are
    imported below an empty package of that name. numba looks modules up by name as it compiles, so they stay in `sys.modules` until the
    metrics have been computed, and then that is as it was: whoever imports ranx afterwards gets all of it.
    """
    from numba import config

    with _LOCK:
        spec = importlib.util.find_spec("ranx") if "ranx" not in sys.modules else None
        if spec is None or spec.origin is None:  # all of it is imported already, or it is not installed
            yield importlib.import_module("ranx.metrics")
            return
        before = {name: sys.modules[name] for name in _modules_of_ranx()}
        settings = config.THREADING_LAYER, config.CACHE_DIR  # type: ignore[attr-defined]
        for name in before:
            del sys.modules[name]
        try:
            config.THREADING_LAYER = "workqueue"  # type: ignore[attr-defined]  # as ranx sets it
            if not settings[1] and not os.access(Path(spec.origin).parent, os.W_OK):
                config.CACHE_DIR = str(private_folder(cache_dir() / "numba"))  # type: ignore[attr-defined]  # it keeps pickles there
            sys.modules.update(_OURS)
            if not _OURS:
                empty = types.ModuleType("ranx")
                empty.__path__ = list(spec.submodule_search_locations or ())
                sys.modules["ranx"] = empty
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                metrics = importlib.import_module("ranx.metrics")
            yield metrics
            _OURS.update({name: sys.modules[name] for name in _modules_of_ranx()})
        finally:
            for name in _modules_of_ranx():
                del sys.modules[name]
            sys.modules.update(before)
            config.THREADING_LAYER, config.CACHE_DIR = settings  # type: ignore[attr-defined]


def _modules_of_ranx() -> list[str]:
    """Return the names of ranx's modules that are imported."""
    return [name for name in list(sys.modules) if name[:4] == "ranx" and name[4:5] in ("", ".")]
