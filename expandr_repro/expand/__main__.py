"""`expand`: topics and an LLM to augmented topics; each text is kept as it arrives and never paid for twice."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from expandr_repro import cli
from expandr_repro.console.arguments import Parser
from expandr_repro.console.progress import counted
from expandr_repro.console.tables import Table, print_tables
from expandr_repro.data.overlap.trained_on import record_beside
from expandr_repro.engines.running import printed, running
from expandr_repro.errors import ExpandrError, UnknownNameError
from expandr_repro.expand.options import (
    ExpandRequest,
    ImportRequest,
    MethodsRequest,
    ShowRequest,
    StatsRequest,
    store_file,
)
from expandr_repro.io.outputs import COSTS, EXPANDED, FAILURES, RECORD, check_output
from expandr_repro.llm.costs import cost_path

if TYPE_CHECKING:
    from expandr_repro.expand.methods.spec import Method

log = logging.getLogger("expandr_repro.expand")  # also where this module runs as __main__

EXAMPLES = """
python -m expandr_repro.expand --topics scifact --backend openai --base-url http://localhost:8000/v1 --model meta-llama/Meta-Llama-3-8B-Instruct --output scifact.q2d.jsonl
python -m expandr_repro.expand --topics scifact --backend transformers --model meta-llama/Meta-Llama-3-8B-Instruct --adapter chengpingan/ExpandR_LLM --output scifact.q2d.jsonl
python -m expandr_repro.expand --topics nfcorpus/train --preset expandr-candidates --model gpt-4.1-nano --output candidates.jsonl --dry-run
python -m expandr_repro.expand --topics scifact --method lamer --context dense:10 --model gpt-4.1-nano --output scifact.lamer.jsonl
python -m expandr_repro.expand methods
python -m expandr_repro.expand show scifact.q2d.jsonl 1 3 5
python -m expandr_repro.expand stats scifact.q2d.jsonl
python -m expandr_repro.expand import lamer.queries.tsv --topics scifact --output scifact.lamer.jsonl
"""


def build_parser() -> Parser:
    """Return the command's parser."""
    return cli.parser(
        "expand",
        "Let an LLM write passages for topics. What is in the store already is not asked for again. "
        "`expand methods` lists the methods, `expand show FILE [QID ...]` prints expansions, `expand stats FILE` counts and lengths, "
        "`expand import FILE` reads what other tools wrote.",
        EXAMPLES,
        ExpandRequest,
    )


def run(request: ExpandRequest, argv: Sequence[str]) -> int:
    """Do what the command line says; `argv` is that line, for further processes."""
    if printed("expand", request, request.engine):
        return 0
    if not request.output and not request.dry_run:
        raise ExpandrError("--output is missing: where to write the augmented topics (or --dry-run to count only)")
    if request.output:
        _check_place(request.output, request)
    ray = request.engine.engine == "ray"
    if request.dry_run:
        from expandr_repro.preview import plan as dry_run

        here = dry_run.expand(request)
        if ray:
            from expandr_repro.llm import on_ray

            on_ray.dry_run(request.backend, request.generator, request.engine)
        if not here:
            return 0
    copies = request.generator.data_parallel
    if copies > 1 and not ray and "WORLD_SIZE" not in os.environ and not request.dry_run:
        from expandr_repro.expand.shares import launch

        return launch(argv, copies, request.generator.tensor_parallel)
    from expandr_repro.expand.run import expand

    try:
        with running(request.engine, request.dry_run):
            return expand(request)
    except KeyboardInterrupt:
        log.info("what has arrived is kept; the same command goes on from there")
        raise


def _check_place(output: Path, request: ExpandRequest) -> None:
    """Find out before anything is paid for that the output cannot be written, or would replace something else."""
    reads = [request.topics, request.passages, request.examples_from, request.prompt, request.store, request.method, request.context, request.prompt_bank, request.prices]  # fmt: skip
    writes = {"--store": store_file(request.store)}
    check_output("--output", output, EXPANDED, reads, writes)
    check_output("--output", Path(f"{output}.failures.jsonl"), FAILURES, reads, writes)
    check_output("--output", record_beside(output), RECORD, reads, writes)
    check_output("--output", cost_path(output), COSTS, reads, writes)
    if any(word in str(output) for word in ("beir", "cacm")):
        log.warning("--output %s: stock Pyserini misreads topics files with `beir` or `cacm` in their path", output)


def build_reading_parser(word: str) -> Parser:
    """Return the parser of `expand methods`, `expand show`, `expand stats` or `expand import`."""
    if word == "methods":
        summary = "List the expansion methods: what they write, what they need, and their sources."
        return cli.parser("expand methods", summary, "python -m expandr_repro.expand methods", MethodsRequest)
    summary, shape = {
        "show": ("Print topics with their prompt and their expansions.", ShowRequest),
        "stats": ("Print counts, lengths and costs of expansions.", StatsRequest),
        "import": ("Make augmented topics of the reformulated queries or texts that other tools wrote.", ImportRequest),
    }[word]
    file = (
        "lamer.queries.tsv --topics scifact --output scifact.lamer.jsonl" if word == "import" else "scifact.q2d.jsonl"
    )
    return cli.parser(f"expand {word}", summary, f"python -m expandr_repro.expand {word} {file}", shape)


def methods(request: MethodsRequest) -> int:
    """Print the table of methods, ours and those of plug-ins; one that does not load is listed with the reason."""
    from expandr_repro.expand.methods.spec import METHODS, find_method

    rows: list[list[str | int | None]] = []
    for name in METHODS.names():
        try:
            method = find_method(name)
        except ExpandrError as error:
            rows.append([name, str(error), None, None, None, None, None, None])
            continue
        rounds = f" in {method.rounds} rounds" if method.rounds > 1 else ""
        heat = ", ".join(dict.fromkeys(f"{step.temperature:g}" for step in method.steps))
        rows.append([
            name, f"{method.summary}{rounds}" if rounds and "round" not in method.summary else method.summary, method.calls, heat,
            _needs_of(method), method.fusion.get("bm25"), method.fusion.get("dense"), method.source,
        ])  # fmt: skip
    table = Table(["method", "what it writes", "calls", "temperature", "needs", "bm25", "dense", "source"], rows)
    print(table.render(request.format))
    return 0


def _needs_of(method: Method) -> str:
    """Return what a method needs next to topics and an LLM."""
    passages = f"passages ({method.context})" if method.needs_passages else ""
    examples = "training topics" if method.needs_examples else ""
    return ", ".join(filter(None, (passages, examples))) or "-"


def show(request: ShowRequest) -> int:
    """Print topics with their prompt and their expansions."""
    from expandr_repro.expand.show import shown

    for text in shown(request.file, request.qids, store_file(request.store)):
        print(text)
    return 0


def stats(request: StatsRequest) -> int:
    """Print counts, lengths and costs of expansions."""
    from expandr_repro.data.topics import read_topics
    from expandr_repro.expand.budget import costs_table
    from expandr_repro.expand.stats import counts_table, lengths_table
    from expandr_repro.llm.costs import read_costs, read_prices

    topics = read_topics(request.file)
    tables = [counts_table(topics), lengths_table(topics)]
    prices = read_prices(request.prices) if request.prices else None
    if costs := read_costs(request.file):
        tables.append(costs_table(costs, topics, prices))
    elif prices:
        log.warning("%s: the tokens of these expansions are not known, so neither is their price; `expand --costs` writes them to %s", request.file, cost_path(request.file).name)  # fmt: skip
    print_tables(tables, request.format)
    return 0


def import_file(request: ImportRequest) -> int:
    """Write augmented topics of the texts that another tool wrote."""
    from expandr_repro.data.topics import write_topics
    from expandr_repro.expand.importing import import_topics

    check_output("--output", request.output, EXPANDED, (request.file, request.topics))
    topics = import_topics(request.file, request.topics, request.type)
    write_topics(request.output, topics, about={cost_path(request.output): None})
    texts = sum(len(t.expansions) for t in topics)
    log.info("wrote %s: %s, %s", request.output, counted(len(topics), "topic"), counted(texts, "text"))
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    words = list(sys.argv[1:] if argv is None else argv)
    reading: dict[str, Callable[[Any], int]] = {"methods": methods, "show": show, "stats": stats, "import": import_file}
    if words and words[0] in reading:
        return cli.execute(build_reading_parser(words[0]), reading[words[0]], words[1:])
    if words and words[0][:1] != "-":
        build_parser().error(str(UnknownNameError("word after expand", words[0], reading)).rstrip("."))
    return cli.execute(build_parser(), lambda request: run(request, words), words)


if __name__ == "__main__":
    sys.exit(main())
