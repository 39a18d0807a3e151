"""`evaluate`: runs and qrels to scores, with trec_eval's meaning."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from expandr_repro import cli
from expandr_repro.console.arguments import Parser
from expandr_repro.console.tables import Table, note, number
from expandr_repro.console.terminal import print_json
from expandr_repro.console.warned import warned
from expandr_repro.evaluate.metrics import Measure, parse_measures
from expandr_repro.evaluate.options import EvaluateRequest

if TYPE_CHECKING:
    from expandr_repro.evaluate.scoring import Figures
    from expandr_repro.evaluate.seen import Split

EXAMPLES = """
python -m expandr_repro.evaluate --qrels scifact my.trec
python -m expandr_repro.evaluate --qrels qrels.txt --metrics nDCG@10,MAP,R@1000 a.trec.gz b.trec.gz
python -m expandr_repro.evaluate --qrels scifact --per-topic --format json my.trec
"""


def build_parser() -> Parser:
    """Return the command's parser."""
    return cli.parser(
        "evaluate",
        "Evaluate TREC runs. A judged topic that a run misses scores 0 and is reported (trec_eval -c); ties are broken as trec_eval does.",
        EXAMPLES,
        EvaluateRequest,
    )


def run(request: EvaluateRequest) -> int:
    """Run the command."""
    with warned() as warnings:
        return _run(request, warnings)


def _run(request: EvaluateRequest, warnings: list[str]) -> int:
    from expandr_repro.data.collections import find_qrels, relevance_level
    from expandr_repro.evaluate.depths import warn_of_depth
    from expandr_repro.evaluate.gaps import refuse_other_collection, searched_alone, warn_of_gaps
    from expandr_repro.evaluate.run_facts import documents_in, facts_beside
    from expandr_repro.evaluate.scoring import evaluate_file
    from expandr_repro.evaluate.seen import split_files

    facts = [facts_beside(path) for path in request.runs]
    level = relevance_level(request.qrels, *(f.get("collection") for f in facts))
    measures = parse_measures(request.metrics, level)
    qrels = find_qrels(request.qrels)
    scored: list[tuple[str, Figures]] = []
    of_run: list[list[str]] = []
    for path, known in zip(request.runs, facts, strict=True):
        before = len(warnings)
        refuse_other_collection(path, known, request.qrels)
        scores = searched_alone(path, evaluate_file(path, qrels, measures), known)
        scored.append((Path(path).name, scores))
        warn_of_gaps(path, scores)
        warn_of_depth(path, measures, scores.depth, documents_in(known))
        of_run.append(warnings[before:])
    runs = [(name, path, known) for (name, _), path, known in zip(scored, request.runs, facts, strict=True)]
    split = split_files(runs, [f for _, f in scored], qrels, level)
    if request.format == "json":
        listed = [
            {**_as_json(name, split, f, measures, request.per_topic), "warnings": warning}
            for (name, f), warning in zip(scored, of_run, strict=True)
        ]
        print_json(listed)
        return 0
    print(split.table("run", scored, measures).render(request.format))
    beside = () if request.format == "text" else warnings  # in a terminal they stand above already
    for sentence in (*split.sentences, *(f"WARNING: {warning}" for warning in beside)):
        print("\n" + note(sentence, request.format))
    for name, scores in scored if request.per_topic else ():
        rows = [[qid, *(float(scores.per_topic[m][i]) for m in measures)] for i, qid in enumerate(scores.qids)]
        print("\n" + Table([name, *map(str, measures)], rows).render(request.format))
    return 0


def _as_json(name: str, split: Split, scores: Figures, measures: Sequence[Measure], per_topic: bool) -> dict[str, Any]:
    result: dict[str, Any] = {
        "run": name,
        "topics": len(scores.qids),
        "missing": len(scores.missing),
        **{str(m): scores.mean(m) for m in measures},
    }
    for part, some in split.parts(scores).items():
        if part != "all":
            result[part] = {"topics": len(some.qids), **{str(m): number(some.mean(m)) for m in measures}}
    if per_topic:
        result["per_topic"] = {
            qid: {str(m): float(scores.per_topic[m][i]) for m in measures} for i, qid in enumerate(scores.qids)
        }
    return result


main = cli.command(build_parser, run)

if __name__ == "__main__":
    sys.exit(main())
