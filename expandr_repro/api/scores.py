"""Score runs, and test whether their differences are significant."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from expandr_repro.api.calls import api, takes
from expandr_repro.api.inputs import by_name
from expandr_repro.api.qrels import Qrels, load_qrels
from expandr_repro.api.retrieval import Run, load_run
from expandr_repro.compare.options import CompareRequest
from expandr_repro.console.parsing import with_options
from expandr_repro.errors import ExpandrError
from expandr_repro.evaluate.depths import depth_faults, warn_of_depth
from expandr_repro.evaluate.gaps import comparable, refuse_other_collection, searched_alone, warn_of_gaps
from expandr_repro.evaluate.metrics import Measure, parse_measures
from expandr_repro.evaluate.run_facts import documents_in
from expandr_repro.evaluate.scoring import Figures, evaluate
from expandr_repro.evaluate.seen import split_topics
from expandr_repro.llm.costs import GAINED, cost_columns, gained, read_prices, tokens_of

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

HEADER = ("metric", "baseline", "run", "baseline mean", "mean", "difference", "p", "p (Holm)", "wins", "ties", "losses")  # fmt: skip


@api
def score(
    run: Run | Any, qrels: Qrels | Any, metrics: str | Sequence[str] | None = None, *, per_topic: bool = False
) -> dict[str, Any]:
    """Score a run on relevance judgments.

    Args:
        run: a `Run`, a dict of dicts, a DataFrame, or the path of a TREC run.
        qrels: `Qrels`, a dict of dicts, a DataFrame, a path, or a collection's name.
        metrics: e.g. `["nDCG@10", "R@100", "MAP"]`; default: the collection's.
        per_topic: return each topic's scores in place of the mean.

    Returns:
        metric -> mean over the judged topics; with `per_topic`, metric -> qid -> score.

    Raises:
        UnknownNameError: no such metric; offers the nearest.
        MismatchError: run and qrels are of other topics.

    Example:
        >>> ex.score({"q1": {"d1": 2.0, "d2": 1.0}}, {"q1": {"d2": 1}}, ["MRR@10"])
        {'MRR@10': 0.5}
    """
    run, qrels = load_run(run), load_qrels(qrels)
    measures = measures_of(metrics, qrels)
    scores = searched_alone("the run", _figures("the run", run, qrels, measures), run.manifest)
    warn_of_depth("the run", measures, scores.depth, documents_in(run.manifest))
    if run._overlap:
        for sentence in split_topics([("", run._overlap)], scores.qids).sentences:
            log.warning("%s", sentence)
    if per_topic:
        return {str(m): dict(zip(scores.qids, scores.per_topic[m].tolist(), strict=True)) for m in measures}
    return {str(m): scores.mean(m) for m in measures}


@api
@takes(CompareRequest, "test", "all_pairs", "bootstrap", "prices")
def significance(
    runs: Mapping[str, Run | Any], qrels: Qrels | Any, metrics: str | Sequence[str] | None = None, **options: Any
) -> pd.DataFrame:
    """Compare runs on the same topics and test whether they differ.

    Args:
        runs: name -> run, the first being the baseline; each as `score` takes it.
        qrels: as `score` takes them.
        metrics: as `score` takes them.
        **options: those of the command `compare`.

    Returns:
        A DataFrame with one row per metric and comparison: `metric`, `baseline`, `run`, their means (`baseline mean`, `mean`),
        `difference`, `p`, `p (Holm)` corrected for the number of comparisons on the metric, and `wins`, `ties`, `losses` in topics;
        with `bootstrap` also `low` and `high`, the limits of the interval; if the runs' manifests have costs also `tokens per query` of the run's expansions, with
        `prices` `price per 1,000 queries`, and the metric `gained per 1,000 tokens` more than the baseline has.

    Raises:
        ExpandrError: fewer than two runs.
        UnknownNameError: no such metric or test.

    Example:
        >>> runs = {"a": {"1": {"d": 1.0}, "2": {"e": 1.0}}, "b": {"1": {"d": 1.0}, "2": {"d": 1.0}}}
        >>> ex.significance(runs, {"1": {"d": 1}, "2": {"d": 1}}, "P@1")[["difference", "wins", "ties"]].values.tolist()
        [[0.5, 1.0, 1.0]]
    """
    import pandas as pd

    from expandr_repro.compare.comparison import compare

    request = with_options(CompareRequest, options, runs=(), qrels="")
    named = by_name(runs)
    qrels, loaded = load_qrels(qrels), {name: load_run(run) for name, run in named.items()}
    measures = measures_of(metrics, qrels)
    listed = [_figures(name, run, qrels, measures) for name, run in loaded.items()]
    scores = (
        dict(zip(loaded, comparable(listed, [run.manifest for run in loaded.values()]), strict=True)) if listed else {}
    )
    for fault in depth_faults(scores, measures):
        log.warning("%s", fault)
    prices = read_prices(request.prices) if request.prices else None
    columns = cost_columns({name: run.manifest for name, run in loaded.items()}, prices)
    spent = {name: tokens_of(run.manifest) for name, run in loaded.items()}
    rows = [
        [str(c.measure), c.a, c.b, scores[c.a].mean(c.measure), scores[c.b].mean(c.measure), c.difference, c.p, c.p_holm, c.wins, c.ties, c.losses,
         *(c.interval or ()), *(values[c.b] for values in columns.values()),
         *([gained(c.difference, spent[c.b], spent[c.a])] if columns else ())]
        for c in compare(scores, measures, request.test, request.all_pairs, request.bootstrap)
    ]  # fmt: skip
    return pd.DataFrame(
        rows,
        columns=[*HEADER, *(("low", "high") if request.bootstrap else ()), *columns, *([GAINED] if columns else ())],
    )


def measures_of(metrics: str | Sequence[str] | None, qrels: Qrels) -> list[Measure]:
    """Return the measures asked for, or those of the qrels' collection.

    Raises:
        ExpandrError: what is asked for are no names.
    """
    wanted = qrels.metrics if metrics is None else metrics
    if not isinstance(wanted, str | Sequence):
        raise ExpandrError(f"metrics {wanted!r}: wanted names, e.g. ['nDCG@10', 'R@100']")
    return parse_measures(wanted if isinstance(wanted, str) else ",".join(map(str, wanted)), qrels.level)


def _figures(label: str, run: Run, qrels: Qrels, measures: Sequence[Measure]) -> Figures:
    if qrels.name and not Path(qrels.name).is_file():
        refuse_other_collection(label, run.manifest, qrels.name)
    scores = evaluate(run, qrels, measures, label)
    warn_of_gaps(label, scores)
    return scores
