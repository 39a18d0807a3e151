"""Fusion of runs into one, as the command `fuse` does it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from numbers import Real
from typing import Any

from expandr_repro.api.calls import api
from expandr_repro.api.inputs import from_one, plain
from expandr_repro.api.qrels import Qrels, load_qrels
from expandr_repro.api.retrieval import Run, load_run
from expandr_repro.errors import ExpandrError, shown
from expandr_repro.evaluate.metrics import parse_measure
from expandr_repro.fuse.fusing import Input
from expandr_repro.fuse.fusing import fuse as fuse_inputs
from expandr_repro.fuse.methods import HITS, check_weights, method_named
from expandr_repro.fuse.optimizing import optimize as choose
from expandr_repro.fuse.optimizing import refuse_same_topics


@api
def fuse(
    runs: Sequence[Run | Any],
    method: str = "rrf",
    *,
    norm: str | None = None,
    weights: Sequence[float] | None = None,
    hits: int = HITS,
    optimize: str | None = None,
    training_runs: Sequence[Run | Any] | None = None,
    training_qrels: Qrels | Any = None,
) -> Run:
    """Fuse runs of the same topics into one.

    Args:
        runs: two or more, each as `load_run` takes it.
        method: ranx's name of it, perhaps with a parameter (`rrf:k=20`): rrf, sum, wsum, mnz, gmnz, wmnz, mixed, anz, max, min, med, isr,
            log_isr, logn_isr, rbc, bordafuse or w_bordafuse.
        norm: how scores are normalised first: min-max (also where it is not given), min-max-inverted, max, sum, zmuv, rank, borda or none;
            not for methods that look at ranks.
        weights: one per run, for wsum, wmnz, mixed and w_bordafuse.
        hits: documents per topic.
        optimize: a metric; weights or the method's parameter are those that score best on the training topics.
        training_runs: runs of the training topics, in the order of `runs`.
        training_qrels: their relevance judgments.

    Returns:
        The run, ties broken by docid; its manifest names method, weights and all that is known of `runs`.

    Raises:
        UnknownNameError: no such method, normalisation or metric; offers the nearest.
        MismatchError: the runs are of different collections, or have no topic in common.
        ExpandrError: one run alone, or weights that do not fit.

    Example:
        >>> run = ex.fuse([{"q1": {"d1": 3.0, "d2": 2.0}}, {"q1": {"d2": 0.9, "d3": 0.8}}], "rrf")
        >>> list(run["q1"])
        ['d2', 'd1', 'd3']
    """
    if not isinstance(method, str):
        raise ExpandrError(f"method {shown(method)}: wanted a string, e.g. 'rrf'")
    inputs, chosen = _inputs(runs, "run"), method_named(method)
    hits = from_one("hits", hits)
    facts: dict[str, Any] = {}
    if optimize is not None:
        if training_runs is None or training_qrels is None:
            raise ExpandrError("optimize: needs training_runs and training_qrels, so that nothing is chosen on the topics that are fused")  # fmt: skip
        training, qrels = _inputs(training_runs, "training run"), load_qrels(training_qrels)
        refuse_same_topics(inputs, training)
        choice = choose(chosen, norm, training, qrels, qrels.name or "qrels in memory", parse_measure(optimize, qrels.level))  # fmt: skip
        chosen, facts = choice.method, {"optimized": choice.facts}
        if weights is not None:
            raise ExpandrError("weights: apply only without optimize, which chooses them; leave them out")
    else:
        if training_runs is not None or training_qrels is not None:
            raise ExpandrError("training_runs and training_qrels: apply only with optimize; leave them out")
        given = _weights(weights)
        check_weights(chosen, given, len(inputs))
        chosen = replace(chosen, weights=given)
    fused = fuse_inputs(inputs, chosen, norm, hits)
    return Run._of(fused.run, {**fused.facts, **facts}, fused.overlap)


def _weights(weights: Any) -> tuple[float, ...]:
    listed = () if weights is None else plain(weights)
    if isinstance(listed, str) or not isinstance(listed, Iterable):
        raise ExpandrError(f"weights {shown(weights)}: wanted a list of numbers, one per run")
    given = tuple(listed)
    if wrong := [w for w in given if isinstance(w, bool) or not isinstance(w, Real)]:
        raise ExpandrError(f"weights: {shown(wrong[0])} is no weight; wanted numbers of 0 or more")
    return tuple(map(float, given))


def _inputs(runs: Any, kind: str) -> list[Input]:
    if isinstance(runs, str | dict) or not hasattr(runs, "__iter__"):
        raise ExpandrError(f"{kind}s: wanted a list of runs")
    runs = list(runs)
    if any(run is other for n, run in enumerate(runs) for other in runs[:n]):
        raise ExpandrError(f"{kind}s: the same run is given twice")
    loaded = [load_run(run) for run in runs]
    return [Input(f"{kind} {n}", run, run.manifest, run._overlap) for n, run in enumerate(loaded, start=1)]
