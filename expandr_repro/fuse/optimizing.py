"""Parameters and weights of a method, chosen on training topics from the values among which ranx's optimiser chooses."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from expandr_repro.data.collections import collection_meant, judged_among
from expandr_repro.data.trec import Qrels
from expandr_repro.errors import ExpandrError, MismatchError
from expandr_repro.evaluate.metrics import Measure
from expandr_repro.evaluate.run_facts import qrels_sha256
from expandr_repro.evaluate.scoring import Scorer
from expandr_repro.fuse.fusing import Input, check_inputs, default_norm, sheets_of, topics_of
from expandr_repro.fuse.methods import Method, Sheet

STEPS = 10
"""Weights are tenths that add up to 1, as in ranx."""


@dataclass(frozen=True)
class Choice:
    """What the optimiser chose.

    Attributes:
        method: with the parameters or weights that score best.
        facts: for the manifest: on which topics, by which metric, and what it scored there.
    """

    method: Method
    facts: dict[str, Any]


def trials_of(chosen: Method, runs: int) -> Iterator[Method]:
    """Yield a method with each of the weights, or of the values of its parameter, among which there is to choose.

    Raises:
        ExpandrError: the method has neither.
    """
    if chosen.weighted:
        for parts in itertools.product(range(STEPS + 1), repeat=runs - 1):
            if (rest := STEPS - sum(parts)) >= 0:
                yield replace(chosen, weights=tuple(n / STEPS for n in (*parts, rest)))
        return
    if not chosen.trials:
        raise ExpandrError(f"--optimize: method {chosen.name!r} has nothing to choose; leave it out, or use a method with weights or a parameter")  # fmt: skip
    ((name, values),) = chosen.trials.items()
    for value in values:
        yield replace(chosen, values={**chosen.values, name: value})


def optimize(
    chosen: Method, norm: str | None, inputs: Sequence[Input], qrels: Qrels, name: str, measure: Measure
) -> Choice:
    """Choose what scores best on training topics; of several that score the same the last, as ranx does.

    Args:
        chosen: the method.
        norm: the normalisation of scores; the method's default where it is None.
        inputs: runs of the training topics, in the order of the runs that are to be fused.
        qrels: their relevance judgments.
        name: what the qrels are called.
        measure: the metric.

    Raises:
        MismatchError: the runs do not belong together, or none of their topics is judged.
        ExpandrError: there is nothing to choose.
    """
    trials = list(trials_of(chosen, len(inputs)))
    check_inputs(inputs)
    judged = judged_among(qrels, topics_of(inputs))
    if not judged:
        raise MismatchError(f"--training-qrels {name}: judge none of the topics of {inputs[0].name}")
    sheets = {qid: sheet for qid, sheet in sheets_of(inputs, default_norm(chosen, norm)).items() if qid in judged}
    best, most = trials[0], -1.0
    for trial in trials:
        scorer = Scorer(judged, [measure])
        scorer.add({qid: _best(sheet, trial, measure.depth) for qid, sheet in sheets.items()})
        score = scorer.figures().mean(measure)
        if score >= most:
            best, most = trial, score
    choice: dict[str, Any] = {"weights": list(best.weights)} if best.weighted else dict(best.values)
    return Choice(
        best,
        {
            "metric": str(measure),
            "score": round(most, 4),
            "chosen": choice,
            "of": len(trials),
            "qrels": {"name": name, "topics": len(judged), "sha256": qrels_sha256(judged)},
            "runs": [{"name": item.name.rpartition("/")[2], **{k: item.facts[k] for k in ("run_sha256", "topics", "retriever", "fusion") if k in item.facts}} for item in inputs],
        },
    )  # fmt: skip


def _best(sheet: Sheet, trial: Method, depth: int | None) -> dict[str, float]:
    """Return the documents at which a metric looks, best first; ties by docid."""
    import numpy as np

    scores = trial(sheet)
    order = np.lexsort((np.array(sheet.docids), -scores))[: depth or len(scores)].tolist()
    return {sheet.docids[n]: float(len(order) - rank) for rank, n in enumerate(order)}


def refuse_same_topics(inputs: Sequence[Input], training: Sequence[Input]) -> None:
    """Refuse to choose parameters on topics that are fused with them.

    Raises:
        MismatchError: topics of one collection are in both.
    """
    shared = set(topics_of(inputs)) & set(topics_of(training))
    if shared and _dataset(inputs[0].facts) == _dataset(training[0].facts):
        raise MismatchError(
            f"--optimize: {len(shared)} of {len(topics_of(inputs))} topics that are fused are among the training topics (first: "
            f"{min(shared)!r}), so that the scores would be of the topics that the parameters were chosen on; choose on others"
        )


def _dataset(facts: Mapping[str, Any]) -> str | None:
    name = facts.get("collection")
    known = collection_meant(name) if isinstance(name, str) else None
    return known.dataset if known else None
