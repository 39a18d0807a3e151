"""`search`: topics, with or without LLM expansions, to a TREC run and its figures."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from expandr_repro import cli
from expandr_repro.console.applies import Applies, refuse_idle
from expandr_repro.console.tables import FORMATS, Table
from expandr_repro.console.terminal import one_line, printable
from expandr_repro.data.specs import collection_named, datasets
from expandr_repro.data.trec import run_writer
from expandr_repro.errors import ExpandrError
from expandr_repro.io.files import About, sha256_file
from expandr_repro.io.manifest import RUN_HASH, run_manifest_path, write_manifest
from expandr_repro.io.outputs import ENCODED_QUERIES, RUN, SEEN, check_output, manifest_kind
from expandr_repro.search.fusion import fusion_named, listed

if TYPE_CHECKING:
    from expandr_repro.encoders.protocol import TextEncoder
    from expandr_repro.search.fusion import Fusion
    from expandr_repro.search.run import Outcome, Resolved, SearchRequest

log = logging.getLogger("expandr_repro.search")

HITS = 10
"""Documents shown for a query typed by hand."""

EXAMPLES = """
python -m expandr_repro.search --topics pocket
python -m expandr_repro.search --topics scifact --expansions claude.q2d --output runs/scifact.mean.trec
python -m expandr_repro.search --topics scifact --expansions my.jsonl --retriever bm25 --fusion repeat
python -m expandr_repro.search --topics my-topics.jsonl --index scifact --fusion rrf --hits 100 --output my.trec
python -m expandr_repro.search --query "why do cats purr" --expansion-text "Cats purr by moving the larynx." --index pocket
"""


def build_parser() -> argparse.ArgumentParser:
    """Return the command's parser."""
    made = cli.parser(
        "search",
        "Search a collection with queries and their LLM expansions; write a TREC run; show what the expansions change.",
        EXAMPLES,
    )
    what = made.add_argument_group("what")
    what.add_argument(
        "--topics",
        metavar="T",
        help="a collection (pocket, scifact, scifact/train, irds:..., a Pyserini name), a topics file, or a BEIR folder",
    )
    what.add_argument(
        "--query",
        metavar="S",
        help=f"in place of topics: one query typed by hand; prints its best documents ({HITS}, or --hits) with their titles",
    )
    what.add_argument(
        "--expansion-text",
        action="append",
        default=[],
        metavar="S",
        help="a text that expands --query, which is then searched without and with it; may be repeated",
    )
    what.add_argument(
        "--expansions",
        nargs="+",
        action="extend",
        default=[],
        metavar="X",
        help="augmented topics files, or packaged sets (claude.q2d), joined to the topics by qid; of a topic in several, all texts are used",
    )
    what.add_argument("--limit", type=cli.positive, metavar="N", help="search the first N topics alone")
    what.add_argument("--qids", metavar="IDS", help="search these topics alone: a file with one id a line, or ids with commas between")  # fmt: skip
    what.add_argument(
        "--index",
        metavar="I",
        help="an index folder, a Pyserini prebuilt index, a collection or a corpus (default: the topics' collection, built once)",
    )
    what.add_argument(
        "--qrels",
        metavar="Q",
        help="judgments: a file, a collection, irds:... or a Pyserini name (default: the collection's)",
    )
    how = made.add_argument_group("how")
    how.add_argument("--retriever", choices=("dense", "bm25"), default="dense", help="(default: %(default)s)")
    how.add_argument("--fusion", metavar="F", help="NAME or NAME:PARAMETER=VALUE,...; " + "; ".join(f"{f.name}: {f.summary}{_parameters(f)}" for f in listed()).replace("%", "%%")
                     + " (default: mean or repeat where topics have expansions, else none)")  # fmt: skip
    how.add_argument(
        "--alpha", type=float, metavar="A", help="the same as --fusion mean:alpha=A (default: all texts weigh the same)"
    )
    how.add_argument(
        "--repeat",
        type=cli.positive,
        metavar="N",
        help="the same as --fusion repeat:n=N (default: 5)",
    )
    how.add_argument("--rrf-k", type=cli.positive, metavar="K", help="the same as --fusion rrf:k=K (default: 60)")
    how.add_argument(
        "--feedback-depth",
        type=cli.positive,
        metavar="N",
        help="the same as --fusion rocchio:depth=N or average:depth=N (default: 3)",
    )
    how.add_argument("--k1", type=float, default=0.9, help="of BM25 (default: %(default)s)")
    how.add_argument("--b", type=float, default=0.4, help="of BM25 (default: %(default)s)")
    how.add_argument("--hits", type=cli.positive, metavar="K", help="documents a topic (default: 1000, or all)")
    how.add_argument(
        "--remove-query",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="take a document with the topic's own id out, before the cut (default: the collection's)",
    )
    how.add_argument("--threads", type=int, default=0, metavar="N", help="(default: all processors)")
    how.add_argument(
        "--batch-size",
        type=cli.positive,
        default=1024,
        metavar="N",
        help="topics searched together (default: %(default)s)",
    )
    how.add_argument(
        "--no-vector-cache",
        action="store_true",
        help="encode queries and expansions anew; neither take their vectors from the cache nor keep them",
    )
    how.add_argument(
        "--searcher",
        choices=("expandr", "pyserini"),
        default="expandr",
        help="pyserini: the same search through stock FaissSearcher or LuceneSearcher",
    )
    how.add_argument(
        "--factory",
        default="Flat",
        metavar="S",
        help="Faiss factory string of an index built on demand (default: %(default)s, exact)",
    )
    how.add_argument(
        "--search-params",
        metavar="S",
        help="of an approximate Faiss index, e.g. nprobe=32 (IVF) or efSearch=128 (HNSW); commas between several",
    )
    cli.add_encoder_options(made, "all-MiniLM-L6-v2")
    out = made.add_argument_group("output")
    out.add_argument(
        "--output", metavar="RUN", help="TREC run to write (.gz compresses); for a group of collections a folder"
    )
    out.add_argument("--tag", default="expandr_repro", help="last column of the run (default: %(default)s)")
    out.add_argument("--metrics", metavar="M", help="e.g. nDCG@10,R@100,MAP,MRR@10,P@5 (default: the collection's)")
    out.add_argument("--no-baseline", action="store_true", help="do not search the query alone beside the fusion")
    out.add_argument("--format", choices=FORMATS, default="text", help="of the summary (default: %(default)s)")
    cli.add_dry_run(out)
    out.add_argument(
        "--export-queries",
        metavar="FOLDER",
        help="write the searched vectors for stock pyserini.search.faiss --encoded-queries",
    )
    return made


DENSE, BM25 = "with --retriever dense", "with --retriever bm25"
QUERIED = ("--expansions", "--qrels", "--output", "--tag", "--metrics", "--no-baseline", "--export-queries", "--remove-query", "--limit", "--qids")  # fmt: skip


def _fusion_is(*names: str) -> Callable[[Any], bool]:
    """Hold where the fusion is one of some, or not known yet."""
    return lambda args: (chosen := _chosen(args)) is None or chosen.name in names


def _chosen(args: Any) -> Fusion | None:
    """Return the fusion asked for; None where none is, or it is refused later for what it is."""
    try:
        return fusion_named(args.fusion, args.retriever) if args.fusion else None
    except ExpandrError:
        return None


def _parameters(fusion: Fusion) -> str:
    """Return a fusion's parameters with their defaults for the help, in brackets."""
    told = [", ".join(f"{p.name}={'none' if p.default is None else p.default}" for p in way.parameters.values()) for way in (fusion, *fusion.others)]  # fmt: skip
    return f" [{'; for bm25 '.join(filter(None, told))}]" if any(told) else ""


def _expands(args: Any) -> bool:
    return (chosen := _chosen(args)) is None or chosen.expands


def _exports(args: Any) -> bool:
    return args.retriever == "dense" and ((chosen := _chosen(args)) is None or chosen.one_query)


def _builds_index(args: Any) -> bool:
    """Say whether an index is built on demand: what is named is neither a folder of one nor one of Pyserini's."""
    if not args.index or args.index in datasets():
        return True
    from expandr_repro.indexes.faiss_index import is_faiss_folder
    from expandr_repro.pyserini import registry

    return not is_faiss_folder(Path(args.index)) and args.index not in registry.faiss_indexes()


RULES = (
    Applies(("--expansion-text",), "with --query", lambda args: args.query is not None),
    Applies(QUERIED, "to topics, not with --query", lambda args: args.query is None),
    Applies(("--topics",), "without --query, or with it in place of --index", lambda args: args.query is None or not args.index),
    Applies((*cli.ENCODER_OPTIONS, "--no-vector-cache"), DENSE, lambda args: args.retriever == "dense"),
    *cli.ENCODER_RULES,
    Applies(("--k1", "--b"), BM25, lambda args: args.retriever == "bm25"),
    Applies(("--batch-size",), f"{DENSE} and --searcher expandr", lambda args: args.retriever == "dense" and args.searcher == "expandr"),
    Applies(
        ("--search-params",),
        f"{DENSE} and --searcher expandr",
        lambda args: args.retriever == "dense" and args.searcher == "expandr",
        lambda _: ": is for Faiss indexes that --searcher expandr searches; leave it out",
    ),
    Applies(
        ("--factory",),
        f"{DENSE} where the index is built on demand; an index that is there already has its own",
        lambda args: args.retriever == "dense" and _builds_index(args),
    ),
    Applies(("--alpha",), "with --fusion mean", _fusion_is("mean")),
    Applies(("--repeat",), "with --fusion repeat", _fusion_is("repeat")),
    Applies(("--rrf-k",), "with --fusion rrf", _fusion_is("rrf")),
    Applies(
        ("--feedback-depth",),
        f"{DENSE} and --fusion rocchio or average",
        lambda args: args.retriever == "dense" and _fusion_is("rocchio", "average")(args),
    ),
    Applies(("--expansions",), "with a fusion that uses expansions, not with --fusion none or feedback", _expands),
    Applies(("--export-queries",), "to a dense fusion that searches one vector per topic", _exports),
    Applies(("--tag",), "with --output", lambda args: bool(args.output)),
    Applies(("--metrics",), "where judgments are known; give --qrels", lambda args: args.judged is not False),
    Applies(("--qids",), "to a single collection, not to a group", lambda args: not _members(args.topics or "")),
)  # fmt: skip
"""When options apply; `judged` and a fusion that was not given are known once the topics are read."""


def run(args: argparse.Namespace) -> int:
    """Do what the command line says."""
    from expandr_repro.search.run import search
    from expandr_repro.search.summary import print_summary

    if args.tag.split() != [args.tag] or printable(args.tag) != args.tag:
        raise ExpandrError(f"--tag {args.tag!r}: a run's last column is one word")
    if args.fusion:
        fusion_named(args.fusion, args.retriever)
    if args.dry_run and (args.query is not None or args.topics):
        from expandr_repro.preview import plan as dry_run

        return dry_run.search(args)
    if args.query is not None:
        return _ask(args)
    if not args.topics:
        raise ExpandrError("which topics? give --topics: a collection, a topics file or a BEIR folder; or --query for one query")  # fmt: skip
    group = _members(args.topics)
    _check_places(args, group)
    encoder = _encoder(args) if args.retriever == "dense" else None
    outcomes = []
    for name in group or [args.topics]:
        request: SearchRequest = replace(_request(args), topics=name)
        if args.output:
            outcome = _search_into(
                Path(args.output, f"{name}.trec") if group else Path(args.output), args, request, encoder
            )
        else:
            outcome = search(request, encoder, write=lambda _: None, check=partial(_check, args))
        outcomes.append(outcome)
        if args.export_queries:
            _export(Path(args.export_queries, name) if group else Path(args.export_queries), outcome)
    print_summary(outcomes, args.format, encoder)
    if not args.output and not any(o.figures for o in outcomes):
        log.info("the run is not kept: --output RUN writes it, --qrels scores it, and --query shows the titles found for one query")  # fmt: skip
    return 0


def _request(args: argparse.Namespace) -> SearchRequest:
    from expandr_repro.search.run import SearchRequest

    return SearchRequest(
        topics=args.topics or "", expansions=tuple(args.expansions), index=args.index, retriever=args.retriever, fusion=args.fusion, alpha=args.alpha,
        repeat=args.repeat, rrf_k=args.rrf_k, feedback_depth=args.feedback_depth, hits=args.hits, qrels=args.qrels, metrics=args.metrics,
        remove_query=args.remove_query, baseline=not args.no_baseline, threads=args.threads, batch_size=args.batch_size,
        stock=args.searcher == "pyserini", factory=args.factory, search_params=args.search_params, k1=args.k1, b=args.b, limit=args.limit,
        qids=args.qids,
    )  # fmt: skip


def _check(args: argparse.Namespace, resolved: Resolved) -> None:
    """Refuse options that do not apply to what a request turned out to mean."""
    refuse_idle(args.given, RULES, argparse.Namespace(**{**vars(args), "fusion": resolved.fusion, "judged": resolved.judged}))  # fmt: skip


def _ask(args: argparse.Namespace) -> int:
    """Print the best documents of one query, without and with its expansions."""
    from expandr_repro.search.query import ask

    encoder = _encoder(args) if args.retriever == "dense" else None
    answers = ask(_request(args), encoder, args.query, args.expansion_text, partial(_check, args))
    if args.format == "json":
        listed = [
            {"fusion": a.fusion, "hits": [{"docid": d, "score": score, "title": t} for d, score, t in a.hits]}
            for a in answers
        ]
        print(printable(json.dumps(listed, indent=2, ensure_ascii=False)))
        return 0
    for answer in answers:
        name = "query only" if answer.fusion == "none" else answer.fusion
        print(f"search  {one_line(answer.index)}, {name}\n")
        rows = [[rank, docid, score, title] for rank, (docid, score, title) in enumerate(answer.hits, start=1)]
        print(Table(["rank", "docid", "score", "title"], rows).render(args.format) + "\n")
    return 0


def _members(name: str) -> list[str]:
    known = collection_named(name)
    return datasets()[known.dataset].members if known else []


def _check_places(args: argparse.Namespace, group: Sequence[str]) -> None:
    """Find out before anything is encoded that an output cannot be written, or would replace something else."""
    from expandr_repro.evaluate.seen import lists_path

    reads = (args.topics, *args.expansions, args.index, args.qrels)
    for name in group or ("",) if args.output else ():
        if name and Path(args.output).is_file():
            raise ExpandrError(
                f"--output {args.output}: is a file; a group of collections needs a folder, one run each"
            )
        run = Path(args.output, f"{name}.trec") if name else Path(args.output)
        check_output("--output", run, RUN, reads)
        check_output("--output", run_manifest_path(run), manifest_kind("run"), reads)
        check_output("--output", lists_path(run), SEEN, reads)
    for name in group or ("",) if args.export_queries else ():
        check_output("--export-queries", Path(args.export_queries, name), ENCODED_QUERIES, reads)


def _encoder(args: argparse.Namespace) -> TextEncoder:
    from expandr_repro.encoders.loading import EncoderOptions, load_encoder

    return load_encoder(args.encoder, EncoderOptions.of(args), cache=not args.no_vector_cache)


def _search_into(path: Path, args: argparse.Namespace, request: SearchRequest, encoder: TextEncoder | None) -> Outcome:
    """Search, and write the run as it comes, with its manifest."""
    from expandr_repro.evaluate.seen import lists_path
    from expandr_repro.search.run import search

    manifest = run_manifest_path(path)

    def describe() -> None:
        write_manifest(manifest, "run", outcome.facts | {"tag": args.tag, RUN_HASH: sha256_file(path)})

    def list_seen() -> None:
        if outcome.overlap:
            outcome.overlap.write_beside(path)

    about: About = {lists_path(path): list_seen, manifest: describe}
    with run_writer(path, args.tag, about=about) as write:
        outcome = search(request, encoder, write, partial(_check, args))
    log.info("wrote %s: %d topics, %d lines", path, len(outcome.topics.topics), outcome.lines)
    return outcome


def _export(folder: Path, outcome: Outcome) -> None:
    from expandr_repro.pyserini.queries import export_queries
    from expandr_repro.search.dense import DenseSearch

    if not isinstance(outcome.searcher, DenseSearch) or not outcome.chosen.one_query:
        raise ExpandrError("--export-queries: only a dense fusion that searches one vector a topic can be exported")
    topics = outcome.topics.topics
    export_queries(
        folder, [t.qid for t in topics], [t.title for t in topics], outcome.searcher.vectors(topics, outcome.chosen)
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    made = build_parser()
    made.set_defaults(judged=None)
    return cli.execute(made, run, argv, RULES)


if __name__ == "__main__":
    sys.exit(main())
