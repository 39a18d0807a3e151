"""The methods by which rankings are fused: those of ranx, each one expression over a matrix of runs and documents.

ranx compiles its own dictionaries again in every process, which takes minutes; these give its scores (the tests compare them) in milliseconds,
and do not depend on the order in which runs are added up, so that ties stay ties. Not here: ranx's two Condorcet methods, whose result in ranx
depends on the order of a Python set.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from expandr_repro.errors import ExpandrError, UnknownNameError
from expandr_repro.registry import Entry, Within, split_values

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]

F = TypeVar("F", bound=Callable[..., Any])
By = Literal["scores", "ranks"]

HITS = 1000
"""Documents per topic where no other number is asked for."""


@dataclass(frozen=True)
class Sheet:
    """One topic's rankings side by side.

    Attributes:
        docids: of the documents that any run ranks.
        scores: (runs, documents), NaN where a run lacks a document.
        ranks: (runs, documents), from 0, NaN likewise.
    """

    docids: list[str]
    scores: Matrix
    ranks: Matrix

    @classmethod
    def of(cls, rankings: Sequence[Mapping[str, float]]) -> Sheet:
        """Lay out rankings, each best document first."""
        import numpy as np

        places: dict[str, int] = {}
        for ranked in rankings:
            for docid in ranked:
                places.setdefault(docid, len(places))
        scores = np.full((len(rankings), len(places)), np.nan)
        ranks = scores.copy()
        for row, ranked in enumerate(rankings):
            columns = [places[docid] for docid in ranked]
            scores[row, columns] = list(ranked.values())
            ranks[row, columns] = np.arange(len(ranked))
        return cls(list(places), scores, ranks)

    @cached_property
    def lengths(self) -> Matrix:
        """How many documents each run ranks, (runs, 1)."""
        import numpy as np

        lengths: Matrix = (~np.isnan(self.ranks)).sum(axis=1, keepdims=True).astype(np.float64)
        return lengths

    @cached_property
    def found(self) -> Matrix:
        """How many runs rank each document, (documents,)."""
        import numpy as np

        counts: Matrix = (~np.isnan(self.scores)).sum(axis=0).astype(np.float64)
        return counts


def total(parts: Matrix) -> Matrix:
    """Add up (runs, documents), NaN counting nothing; the smallest first, so that the order of the runs makes no difference to the last bit."""
    import numpy as np

    added: Matrix = np.sort(np.nan_to_num(parts), axis=0).sum(axis=0)
    return added


@dataclass(frozen=True, kw_only=True)
class Method(Entry):
    """A way to fuse rankings, by ranx's name of it: a function that gives (documents,) scores of a `Sheet`.

    Attributes:
        by: what it looks at: scores, which are normalised first, or ranks.
        weighted: whether it takes a weight for each run.
        trials: the values among which the optimiser chooses, by the parameter's name; none where there is nothing to choose but weights.
        weights: one for each run.
    """

    kind = "method"
    by: By
    weighted: bool = False
    trials: Mapping[str, Sequence[float]] = field(default_factory=dict)
    weights: tuple[float, ...] = ()

    def __call__(self, sheet: Sheet) -> Matrix:
        """Return the fused scores of a sheet's documents, (documents,)."""
        import numpy as np

        given = {"weights": np.array(self.weights, dtype=np.float64)[:, None]} if self.weighted else {}
        fused: Matrix = self.function(sheet, **given, **self.values)
        return fused


METHODS: dict[str, Method] = {}


def method(name: str, *, by: By, source: str, **trials: Sequence[float]) -> Callable[[F], F]:
    """Register a function of a `Sheet` as a method; its keyword-only arguments with defaults are parameters, `weights` are one per run."""

    def register(function: F) -> F:
        weighted = "weights" in function.__code__.co_varnames[: function.__code__.co_argcount]
        METHODS[name] = Method.from_function(function, name=name, source=source, by=by, weighted=weighted, trials=trials)  # fmt: skip
        return function

    return register


def method_named(name: str) -> Method:
    """Return a method by its name, perhaps with parameters: `rrf:k=20`.

    Raises:
        UnknownNameError: no such method or parameter.
        ExpandrError: a parameter's value is wrong.

    Example:
        >>> str(method_named("rrf:k=20"))
        'rrf:k=20'
    """
    called, typed = split_values("method", name)
    if called not in METHODS:
        hint = (
            "condorcet depends on the order of a Python set in ranx, and is left out" if "condorcet" in called else ""
        )
        raise UnknownNameError("fusion method", called, METHODS, hint)
    return METHODS[called].parsed(typed)


def percents() -> list[float]:
    """Return 0.01, 0.02 ... 1, among which ranx's optimiser chooses most parameters."""
    return [n / 100 for n in range(1, 101)]


@method("rrf", by="ranks", source="Cormack et al. (SIGIR 2009)", k=range(10, 101, 10))
def rrf(sheet: Sheet, *, k: Annotated[int, Within(0)] = 60) -> Matrix:
    """Reciprocal ranks added: 1 / (k + rank)."""
    return total(1 / (k + sheet.ranks + 1))


@method("sum", by="scores", source="CombSUM, Fox and Shaw (TREC-2)")
def comb_sum(sheet: Sheet) -> Matrix:
    """Scores added."""
    return total(sheet.scores)


@method("wsum", by="scores", source="ranx")
def wsum(sheet: Sheet, weights: Matrix) -> Matrix:
    """Scores added, each run's times its weight."""
    return total(weights * sheet.scores)


@method("mnz", by="scores", source="CombMNZ, Fox and Shaw (TREC-2)")
def mnz(sheet: Sheet) -> Matrix:
    """Scores added, times the number of runs that found the document."""
    return total(sheet.scores) * sheet.found


@method("gmnz", by="scores", source="CombGMNZ, Lee (SIGIR 1997)", gamma=percents())
def gmnz(sheet: Sheet, *, gamma: float = 1.0) -> Matrix:
    """Scores added, times a power of the number of runs that found the document; at gamma 1 the same as mnz."""
    return total(sheet.scores) * sheet.found**gamma


@method("wmnz", by="scores", source="Wu and Crestani (CIKM 2002)")
def wmnz(sheet: Sheet, weights: Matrix) -> Matrix:
    """Scores added, times the sum of the weights of the runs that found the document."""
    return total(sheet.scores) * total(weights + 0 * sheet.scores)


@method("mixed", by="scores", source="Wu and Crestani (CIKM 2002)")
def mixed(sheet: Sheet, weights: Matrix) -> Matrix:
    """Weighted scores added, times the square root of the number of runs that found the document."""
    return total(weights * sheet.scores) * sheet.found**0.5


@method("anz", by="scores", source="CombANZ, Fox and Shaw (TREC-2)")
def anz(sheet: Sheet) -> Matrix:
    """Mean score over the runs that found the document."""
    return total(sheet.scores) / sheet.found


@method("max", by="scores", source="CombMAX, Fox and Shaw (TREC-2)")
def comb_max(sheet: Sheet) -> Matrix:
    """Highest score over the runs that found the document."""
    import numpy as np

    highest: Matrix = np.nanmax(sheet.scores, axis=0)
    return highest


@method("min", by="scores", source="CombMIN, Fox and Shaw (TREC-2)")
def comb_min(sheet: Sheet) -> Matrix:
    """Lowest score over the runs that found the document."""
    import numpy as np

    lowest: Matrix = np.nanmin(sheet.scores, axis=0)
    return lowest


@method("med", by="scores", source="CombMED, Fox and Shaw (TREC-2)")
def comb_med(sheet: Sheet) -> Matrix:
    """Median score over the runs that found the document."""
    import numpy as np

    middle: Matrix = np.nanmedian(sheet.scores, axis=0)
    return middle


@method("isr", by="ranks", source="Mourão et al. (2014)")
def isr(sheet: Sheet) -> Matrix:
    """Inverse squares of the ranks added, times the number of runs that found the document."""
    return total(1 / (sheet.ranks + 1) ** 2) * sheet.found


@method("log_isr", by="ranks", source="Mourão et al. (2014)")
def log_isr(sheet: Sheet) -> Matrix:
    """Inverse squares of the ranks added, times the logarithm of the number of runs that found the document."""
    return logn_isr(sheet, sigma=0.0)


@method("logn_isr", by="ranks", source="Mourão et al. (2014)", sigma=percents())
def logn_isr(sheet: Sheet, *, sigma: Annotated[float, Within(0)] = 0.01) -> Matrix:
    """Inverse squares of the ranks added, times the logarithm of sigma and the number of runs that found the document."""
    import numpy as np

    fused: Matrix = total(1 / (sheet.ranks + 1) ** 2) * np.log(sheet.found + sigma)
    return fused


@method("rbc", by="ranks", source="Bailey et al. (SIGIR 2017)", phi=percents())
def rbc(sheet: Sheet, *, phi: Annotated[float, Within(0, 1)] = 0.8) -> Matrix:
    """Rank-biased centroid: (1 - phi) phi^rank added, ranks from 0."""
    return total((1 - phi) * phi**sheet.ranks)


def _points(sheet: Sheet) -> Matrix:
    """Return Borda's points: as many as there are documents for the first, one less for the next; those left, shared by the rest."""
    import numpy as np

    most = len(sheet.docids)
    points: Matrix = np.where(np.isnan(sheet.ranks), (most - sheet.lengths + 1) / 2, most - sheet.ranks)
    return points


@method("bordafuse", by="ranks", source="Aslam and Montague (SIGIR 2001)")
def bordafuse(sheet: Sheet) -> Matrix:
    """Borda's points added."""
    return total(_points(sheet))


@method("w_bordafuse", by="ranks", source="Aslam and Montague (SIGIR 2001)")
def weighted_bordafuse(sheet: Sheet, weights: Matrix) -> Matrix:
    """Borda's points added, each run's times its weight."""
    return total(weights * _points(sheet))


def check_weights(chosen: Method, weights: Sequence[float], runs: int) -> None:
    """Refuse weights that do not go with a method or with the number of runs.

    Raises:
        ExpandrError: weights are missing, too many or too few, negative, or not for this method.
    """
    import math

    if not chosen.weighted:
        if weights:
            able = ", ".join(m.name for m in METHODS.values() if m.weighted)
            raise ExpandrError(f"--weights: method {chosen.name!r} takes none; leave them out, or use one of: {able}")
        return
    if not weights:
        raise ExpandrError(f"method {chosen.name!r} needs --weights, one for each of the {runs} runs, or --optimize")
    if len(weights) != runs:
        raise ExpandrError(f"--weights: {len(weights)} weights for {runs} runs; give one for each, in their order")
    if wrong := [w for w in weights if not math.isfinite(w) or w < 0]:
        raise ExpandrError(f"--weights: {wrong[0]:g} is no weight; wanted numbers of 0 or more")
    if not any(weights):
        raise ExpandrError("--weights: all are 0, so that every document would score 0; give one of them more")
