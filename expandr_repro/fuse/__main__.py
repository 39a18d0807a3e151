"""`fuse`: runs, or searches of the same topics, into one run by ranx's methods."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from expandr_repro import cli
from expandr_repro.console.arguments import Parser
from expandr_repro.console.progress import counted
from expandr_repro.console.tables import Table, number, print_tables
from expandr_repro.console.terminal import one_line, print_json
from expandr_repro.data.trec import check_tag
from expandr_repro.errors import ExpandrError, NotAvailableError, UnknownNameError
from expandr_repro.fuse.methods import METHODS, check_weights, method_named
from expandr_repro.fuse.norms import NORMS
from expandr_repro.fuse.options import FuseRequest, MethodsRequest
from expandr_repro.search.outputs import beside_run, check_run

if TYPE_CHECKING:
    from expandr_repro.data.trec import Qrels
    from expandr_repro.encoders.protocol import TextEncoder
    from expandr_repro.evaluate.metrics import Measure
    from expandr_repro.evaluate.scoring import Figures
    from expandr_repro.evaluate.seen import Split
    from expandr_repro.fuse.fusing import Fused, Input
    from expandr_repro.fuse.methods import Method

log = logging.getLogger("expandr_repro.fuse")

EXAMPLES = """
python -m expandr_repro.fuse bm25.trec dense.trec --qrels scifact --output hybrid.trec
python -m expandr_repro.fuse bm25.trec dense.trec --method wsum --norm min-max --weights 0.3,0.7 --output hybrid.trec
python -m expandr_repro.fuse --topics scifact --expansions claude.q2d --retrievers bm25,dense --output hybrid.trec
python -m expandr_repro.fuse --topics scifact --expansions claude.q2d --method wsum --optimize nDCG@10 --training-topics scifact/train --output hybrid.trec
python -m expandr_repro.fuse methods
"""


def build_parser() -> Parser:
    """Return the command's parser."""
    return cli.parser(
        "fuse",
        "Fuse TREC runs of the same topics into one, or search topics with several retrievers and fuse what they find. "
        "`fuse methods` lists the methods and the normalisations of scores.",
        EXAMPLES,
        FuseRequest,
    )


@dataclass(frozen=True)
class Scored:
    """What the runs and the fused run score, by name.

    Attributes:
        figures: scores of all of them, the fused one last.
        measures: what was measured.
        split: topics that a model saw in training, and the others.
        facts: for the manifest.
    """

    figures: dict[str, Figures]
    measures: list[Measure]
    split: Split
    facts: dict[str, Any]


def run(request: FuseRequest) -> int:
    """Do what the command line says."""
    from expandr_repro.fuse.fusing import default_norm, fuse, read_input

    check_tag(request.tag)
    if bool(request.runs) == bool(request.topics):
        raise ExpandrError("what to fuse? give two or more run files, or --topics to search with --retrievers; not both")  # fmt: skip
    chosen = method_named(request.method)
    default_norm(chosen, request.norm)
    if request.output:
        reads = (
            *request.runs,
            *request.training_runs,
            request.topics,
            *request.expansions,
            *request.index,
            request.qrels,
        )
        check_run(Path(request.output), reads)
    if request.topics:
        from expandr_repro.fuse.searches import split_retrievers

        count = len(split_retrievers(request.retrievers))
    else:
        count = _count(request.runs)
    if request.optimize is None:
        check_weights(chosen, request.weights, count)
        chosen = replace(chosen, weights=request.weights)
    _check_training(request, chosen)
    encoder = _encoder(request)
    inputs = _searched(request, request.topics, request.expansions, encoder) if request.topics else [read_input(path) for path in request.runs]  # fmt: skip
    facts: dict[str, Any] = {}
    if request.optimize is not None:
        chosen, facts = _optimized(request, chosen, inputs, encoder)
    fused = fuse(inputs, chosen, request.norm, request.hits)
    fused = replace(fused, facts={**fused.facts, **facts})
    scored = _score(request, inputs, fused)
    if scored:
        fused.facts.update(scored.facts)
    if request.output:
        _write(Path(request.output), request.tag, fused)
    _print(request, inputs, fused, chosen, scored)
    return 0


def _count(runs: Sequence[str]) -> int:
    paths = [Path(path).resolve() for path in runs]
    if twice := next((path for n, path in enumerate(paths) if path in paths[:n]), None):
        raise ExpandrError(f"{twice.name}: the same run is given twice")
    if len(paths) < 2:
        raise ExpandrError("one run has nothing to be fused with; give two or more")
    return len(paths)


def _check_training(request: FuseRequest, chosen: Method) -> None:
    """Find out before anything is searched that there is nothing to choose, or nothing to choose it on."""
    from expandr_repro.evaluate.metrics import parse_measure
    from expandr_repro.fuse.optimizing import trials_of

    if request.optimize is None:
        return
    parse_measure(request.optimize)
    next(trials_of(chosen, 2))
    if request.topics and not request.training_topics:
        raise ExpandrError("--optimize needs --training-topics, such as scifact/train, so that nothing is chosen on the topics that are fused")  # fmt: skip
    if request.runs and len(request.training_runs) != len(request.runs):
        raise ExpandrError(f"--optimize needs --training-runs, one for each of the {len(request.runs)} runs and in their order, so that nothing is chosen on the topics that are fused")  # fmt: skip
    if request.runs and not request.training_qrels:
        raise ExpandrError("--optimize needs --training-qrels: the qrels of the training topics")


def _encoder(request: FuseRequest) -> TextEncoder | None:
    if not request.topics or "dense" not in request.retrievers:
        return None
    from expandr_repro.encoders.loading import load_encoder

    return load_encoder(request.encoder.name, request.encoder, cache=True)


def _searched(
    request: FuseRequest, topics: str, expansions: Sequence[str], encoder: TextEncoder | None, training: bool = False
) -> list[Input]:
    from expandr_repro.fuse.searches import search_all, split_retrievers
    from expandr_repro.search.options import SearchRequest

    retrievers = split_retrievers(request.retrievers)
    if len(request.index) not in (0, 1, len(retrievers)):
        raise ExpandrError(f"--index: {len(request.index)} names for {len(retrievers)} searches; give one for all, or one for each")  # fmt: skip
    one = SearchRequest(
        topics=topics, expansions=tuple(expansions), types=request.types, hits=request.hits, k1=request.k1, b=request.b,
        qrels=request.training_qrels if training else request.qrels, limit=None if training else request.limit,
        qids=None if training else request.qids, encoder=request.encoder,
    )  # fmt: skip
    return search_all(one, retrievers, request.index, encoder)


def _optimized(
    request: FuseRequest, chosen: Method, inputs: Sequence[Input], encoder: TextEncoder | None
) -> tuple[Method, dict[str, Any]]:
    from expandr_repro.data.collections import find_qrels, find_topics, qrels_of, relevance_level
    from expandr_repro.evaluate.metrics import parse_measure
    from expandr_repro.fuse.fusing import read_input
    from expandr_repro.fuse.optimizing import optimize, refuse_same_topics

    name = request.training_qrels or request.training_topics or ""
    qrels: Qrels | None
    if request.training_topics:
        qrels = find_qrels(name) if request.training_qrels else qrels_of(find_topics(request.training_topics))
        if not qrels:
            raise ExpandrError(f"--training-topics {name}: no qrels are known for these topics; give --training-qrels")  # fmt: skip
        training = _searched(request, request.training_topics, request.training_expansions or request.expansions, encoder, training=True)  # fmt: skip
    else:
        qrels, training = find_qrels(name), [read_input(path) for path in request.training_runs]
    refuse_same_topics(inputs, training)
    measure = parse_measure(request.optimize or "", relevance_level(name))
    choice = optimize(chosen, request.norm, training, qrels, Path(name).name if Path(name).exists() else name, measure)
    log.info("chosen on %d training topics by %s: %s", choice.facts["qrels"]["topics"], measure, choice.facts["chosen"])
    return choice.method, {"optimized": choice.facts}


def _score(request: FuseRequest, inputs: Sequence[Input], fused: Fused) -> Scored | None:
    """Score the runs and the fused run on the topics that all of them can be compared on; None where no qrels are known."""
    from expandr_repro.data.collections import collection_meant, find_qrels, judged_among, relevance_level
    from expandr_repro.evaluate.depths import depth_faults
    from expandr_repro.evaluate.gaps import comparable, refuse_other_collection, warn_of_gaps
    from expandr_repro.evaluate.metrics import DEFAULT, parse_measures
    from expandr_repro.evaluate.run_facts import qrels_sha256
    from expandr_repro.evaluate.scoring import evaluate
    from expandr_repro.evaluate.seen import split_topics

    name = request.qrels or fused.facts.get("collection") or ("" if Path(request.topics).is_file() else request.topics)
    try:
        qrels = find_qrels(name) if name else None
    except (NotAvailableError, UnknownNameError):
        if request.qrels:
            raise
        qrels = None
    if qrels is None:
        if request.metrics:
            raise ExpandrError("--metrics: applies only where qrels are known; give --qrels")
        return None
    for item in inputs:
        refuse_other_collection(item.name, item.facts, name)
    level = relevance_level(name, fused.facts.get("collection"))
    known = collection_meant(name)
    measures = parse_measures(request.metrics or ",".join(known.spec.measures if known else DEFAULT), level)
    if request.limit is not None or request.qids is not None:
        qrels = judged_among(qrels, list(fused.run))
    names = _names(inputs)
    label = "fused" if "fused" not in names else "(fused)"
    every = [*zip(names, inputs, strict=True), (label, replace(inputs[0], run=fused.run, facts=fused.facts))]
    listed = comparable([evaluate(item.run, qrels, measures, n) for n, item in every], [item.facts for _, item in every])  # fmt: skip
    figures = {n: f for (n, _), f in zip(every, listed, strict=True)}
    warn_of_gaps("the fused run", listed[-1])
    for fault in depth_faults(figures, measures):
        log.warning("%s", fault)
    split = split_topics([("", fused.overlap)], listed[-1].qids, qrels, level)
    here = judged_among(qrels, list(fused.run))
    facts = {
        "qrels": {"name": Path(name).name if Path(name).exists() else str(known or name), "topics": len(here), "sha256": qrels_sha256(here)},
        "metrics": [str(m) for m in measures],
        "figures": {str(m): round(listed[-1].mean(m), 4) for m in measures},
    }  # fmt: skip
    return Scored(figures, measures, split, facts)


def _names(inputs: Sequence[Input]) -> list[str]:
    """Return short names, or the whole ones where the short ones are not distinct."""
    short = [Path(i.name).name.removesuffix(".gz").removesuffix(".trec") for i in inputs]
    return short if len(set(short)) == len(short) else [i.name for i in inputs]


def _write(path: Path, tag: str, fused: Fused) -> None:
    from expandr_repro.data.trec import run_writer

    with run_writer(path, tag, about=beside_run(path, tag, lambda: (fused.facts, fused.overlap, None))) as write:
        write(fused.run)
    log.info(
        "wrote %s: %s, %s", path, counted(len(fused.run), "topic"), counted(sum(map(len, fused.run.values())), "line")
    )


def _print(request: FuseRequest, inputs: Sequence[Input], fused: Fused, chosen: Method, scored: Scored | None) -> None:
    rows = _differences(scored) if scored else []
    if request.format == "json":
        result: dict[str, Any] = dict(fused.facts)
        if scored:
            result["scores"] = {n: {str(m): number(f.mean(m)) for m in scored.measures} for n, f in scored.figures.items()}  # fmt: skip
            keys = ("comparison", "metric", "difference", "p", "p_holm")
            result["comparisons"] = [dict(zip(keys, [*row[:2], *map(number, row[2:])], strict=True)) for row in rows]
        print_json(result)
        return
    names = ", ".join(one_line(name) for name in _names(inputs))
    print(f"fused   {names}: {counted(len(fused.run), 'topic')}, {request.hits} hits")
    weights = f", weights {', '.join(format(w, 'g') for w in chosen.weights)}" if chosen.weights else ""
    print(f"method  {chosen}{weights}, normalisation {fused.facts['normalisation']}")
    if scored is None:
        log.info("no qrels are known for these topics; give --qrels for scores")
        return
    for sentence in scored.split.sentences:
        print(f"seen    {one_line(sentence)}")
    print("\n" + scored.split.table("run", scored.figures.items(), scored.measures).render(request.format))
    print("\n" + Table(["comparison", "metric", "Δ", "p", "p (Holm)"], rows).render(request.format) + "\n")


def _differences(scored: Scored) -> list[list[Any]]:
    """Return a row for each metric and run: how much more the fused run scores, p, and p with Holm's correction."""
    from expandr_repro.evaluate.significance import holm, paired_p

    rows: list[list[Any]] = []
    for m in scored.measures:
        *before, after = (figures.per_topic[m] for figures in scored.figures.values())
        p_values = [paired_p(one, after) for one in before]
        for name, one, p, corrected in zip(scored.figures, before, p_values, holm(p_values), strict=False):
            rows.append([f"fused - {name}", str(m), float((after - one).mean()), p, corrected])
    return rows


def build_reading_parser(_: str = "methods") -> Parser:
    """Return the parser of `fuse methods`."""
    return cli.parser("fuse methods", "List the methods of fusion and the normalisations of scores.", "python -m expandr_repro.fuse methods", MethodsRequest)  # fmt: skip


def list_methods(request: MethodsRequest) -> int:
    """Print the methods and the normalisations."""
    rows = [[m.name, m.by, ", ".join([*(["weights"] if m.weighted else []), *(f"{k}={v}" for k, v in m.values.items())]) or "-", m.summary, m.source]
            for m in METHODS.values()]  # fmt: skip
    tables = [
        Table(["method", "looks at", "parameters", "what it does", "source"], rows),
        Table(["normalisation", "what it does"], [[name, summary] for name, (summary, _) in NORMS.items()]),
    ]
    print_tables(tables, request.format)
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] == ["methods"]:
        return cli.execute(build_reading_parser(), list_methods, words[1:])
    return cli.execute(build_parser(), run, words)


if __name__ == "__main__":
    sys.exit(main())
