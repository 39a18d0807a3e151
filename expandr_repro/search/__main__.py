"""`search`: topics, with or without LLM expansions, to a TREC run and its scores."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from expandr_repro import cli
from expandr_repro.console.arguments import Parser
from expandr_repro.console.progress import counted
from expandr_repro.console.tables import Table
from expandr_repro.console.terminal import one_line, print_json
from expandr_repro.data.specs import members_of
from expandr_repro.data.trec import check_tag, run_writer
from expandr_repro.engines.running import printed, running
from expandr_repro.errors import ExpandrError
from expandr_repro.io.outputs import ENCODED_QUERIES, check_output
from expandr_repro.search.fusion import fusion_named
from expandr_repro.search.gate import gate_named
from expandr_repro.search.options import SearchRequest
from expandr_repro.search.outputs import beside_run, check_run

if TYPE_CHECKING:
    from expandr_repro.encoders.protocol import TextEncoder
    from expandr_repro.search.run import Given, Outcome

log = logging.getLogger("expandr_repro.search")

EXAMPLES = """
python -m expandr_repro.search --topics pocket
python -m expandr_repro.search --topics scifact --expansions claude.q2d --output runs/scifact.mean.trec
python -m expandr_repro.search --topics scifact --expansions my.jsonl --retriever bm25 --fusion repeat
python -m expandr_repro.search --topics my-topics.jsonl --index scifact --fusion rrf --hits 100 --output my.trec
python -m expandr_repro.search --query "why do cats purr" --expansion-text "Cats purr by moving the larynx." --index pocket
"""


def build_parser() -> Parser:
    """Return the command's parser."""
    return cli.parser(
        "search",
        "Search a collection with queries and their LLM expansions; write a TREC run; show what the expansions change.",
        EXAMPLES,
        SearchRequest,
    )


def run(request: SearchRequest) -> int:
    """Run the command."""
    if printed("search", request, request.engine):
        return 0
    with running(request.engine, request.dry_run):
        return _run(request)


def _run(request: SearchRequest) -> int:
    from expandr_repro.evaluate.metrics import parse_measures
    from expandr_repro.search.run import Given, search
    from expandr_repro.search.summary import print_summary

    check_tag(request.tag)
    fusion = fusion_named(request.fusion, request.retriever) if request.fusion else None
    if request.gate:
        gate_named(request.gate, request.retriever, fusion)
    if request.metrics is not None:
        parse_measures(request.metrics)
    group = members_of(request.topics)
    _check_places(request, group)
    if request.dry_run and (request.query is not None or request.topics):
        from expandr_repro.preview import plan as dry_run

        shown = dry_run.search(request)
        if request.engine.engine == "ray":
            from expandr_repro.search import on_ray

            on_ray.dry_run(request)
        return shown
    if request.query is not None:
        return _ask(request)
    if not request.topics:
        raise ExpandrError("which topics? give --topics: a collection, a topics file or a BEIR folder; or --query for one query")  # fmt: skip
    encoder = _encoder(request) if request.retriever == "dense" else None
    outcomes = []
    for name in group or [request.topics]:
        one = replace(request, topics=name)
        with ExitStack() as held:
            given = Given(held=held)
            if request.output:
                path = Path(request.output, f"{name}.trec") if group else Path(request.output)
                outcome = _search_into(path, one, encoder, given)
            else:
                outcome = search(one, encoder, lambda _: None, given)
            outcomes.append(outcome)
            if request.export_queries:
                _export(Path(request.export_queries, name) if group else Path(request.export_queries), outcome)
    print_summary(outcomes, request.format, encoder)
    if not request.output and not any(o.figures for o in outcomes):
        log.info("the run is not kept: --output RUN writes it, --qrels scores it, and --query shows the titles found for one query")  # fmt: skip
    return 0


def _ask(request: SearchRequest) -> int:
    """Print the best documents of one query, without and with its expansions."""
    from expandr_repro.search.query import ask

    encoder = _encoder(request) if request.retriever == "dense" else None
    with ExitStack() as held:
        answers = ask(request, encoder, held)
    if request.format == "json":
        listed = [
            {"fusion": a.fusion, "hits": [{"docid": d, "score": score, "title": t} for d, score, t in a.hits]}
            for a in answers
        ]
        print_json(listed)
        return 0
    for answer in answers:
        name = "query only" if answer.fusion == "none" else answer.fusion
        print(f"search  {one_line(answer.index)}, {name}\n")
        rows = [[rank, docid, score, title] for rank, (docid, score, title) in enumerate(answer.hits, start=1)]
        print(Table(["rank", "docid", "score", "title"], rows).render(request.format) + "\n")
    return 0


def _check_places(request: SearchRequest, group: Sequence[str]) -> None:
    """Find out before anything is encoded that an output cannot be written, or would replace something else."""
    output, exported = request.output or "", request.export_queries or ""
    reads = (request.topics, *request.expansions, *request.index, request.qrels)
    for name in group or ("",) if output else ():
        if name and Path(output).is_file():
            raise ExpandrError(f"--output {output}: is a file; a group of collections needs a folder, one run each")
        check_run(Path(output, f"{name}.trec") if name else Path(output), reads)
    for name in group or ("",) if exported else ():
        check_output("--export-queries", Path(exported, name), ENCODED_QUERIES, reads, {"--output": output})


def _encoder(request: SearchRequest) -> TextEncoder:
    from expandr_repro.encoders.loading import load_encoder

    return load_encoder(request.encoder.name, request.encoder, cache=request.vector_cache)


def _search_into(path: Path, request: SearchRequest, encoder: TextEncoder | None, given: Given) -> Outcome:
    """Search, and write the run as it comes, with its manifest."""
    from expandr_repro.search.run import search

    about = beside_run(path, request.tag, lambda: (outcome.facts, outcome.overlap, outcome.choices))
    with run_writer(path, request.tag, about=about) as write:
        outcome = search(request, encoder, write, given)
    log.info("wrote %s: %s, %s, searched in %.2f s", path, counted(len(outcome.topics.topics), "topic"), counted(outcome.lines, "line"), outcome.seconds)  # fmt: skip
    return outcome


def _export(folder: Path, outcome: Outcome) -> None:
    from expandr_repro.pyserini.queries import export_queries
    from expandr_repro.search.dense import DenseSearch

    if not isinstance(outcome.searcher, DenseSearch) or not outcome.chosen.one_query:
        raise ExpandrError("--export-queries: only a dense fusion that searches one vector per topic can be exported")
    topics = outcome.topics.topics
    export_queries(
        folder, [t.qid for t in topics], [t.title for t in topics], outcome.searcher.vectors(topics, outcome.chosen)
    )


main = cli.command(build_parser, run)

if __name__ == "__main__":
    sys.exit(main())
