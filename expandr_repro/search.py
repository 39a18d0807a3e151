"""`search`: topics, with or without LLM expansions, to a TREC run and its figures."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from expandr_repro import cli
from expandr_repro.core.errors import ExpandrError
from expandr_repro.core.files import sha256_file
from expandr_repro.core.fusion import FUSIONS
from expandr_repro.core.manifest import RUN_HASH, run_manifest_path, write_manifest
from expandr_repro.core.outputs import ENCODED_QUERIES, RUN, check_output, manifest_kind
from expandr_repro.core.specs import collection_named, datasets
from expandr_repro.core.tables import FORMATS
from expandr_repro.core.terminal import printable
from expandr_repro.core.trec import run_writer

if TYPE_CHECKING:
    from expandr_repro.models.interface import TextEncoder
    from expandr_repro.pipeline.searching import Outcome, SearchRequest

log = logging.getLogger("expandr_repro.search")

EXAMPLES = """
python -m expandr_repro.search --topics pocket
python -m expandr_repro.search --topics scifact --expansions claude.q2d --output runs/scifact.mean.trec
python -m expandr_repro.search --topics scifact --expansions my.jsonl --retriever bm25 --fusion repeat
python -m expandr_repro.search --topics my-topics.jsonl --index scifact --fusion rrf --hits 100 --output my.trec
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
        required=True,
        metavar="T",
        help="a collection (pocket, scifact, scifact/train, irds:..., a Pyserini name), a topics file, or a BEIR folder",
    )
    what.add_argument(
        "--expansions",
        metavar="X",
        help="an augmented topics file, or a packaged set (claude.q2d), joined to the topics by qid",
    )
    what.add_argument(
        "--index",
        metavar="I",
        help="an index folder, a Pyserini prebuilt index, a collection or a corpus (default: the topics' collection, built once)",
    )
    what.add_argument(
        "--qrels",
        metavar="Q",
        help="judgements: a file, a collection, irds:... or a Pyserini name (default: the collection's)",
    )
    how = made.add_argument_group("how")
    how.add_argument("--retriever", choices=("dense", "bm25"), default="dense", help="(default: %(default)s)")
    how.add_argument("--fusion", metavar="F", help="; ".join(f"{f.name}: {f.summary}" for f in FUSIONS.values()).replace("%", "%%")
                     + " (default: mean or repeat where topics have expansions, else none)")  # fmt: skip
    how.add_argument(
        "--alpha", type=float, metavar="A", help="mean: the query's weight, 0 to 1 (default: all texts weigh the same)"
    )
    how.add_argument(
        "--repeat",
        type=cli.positive,
        default=5,
        metavar="N",
        help="repeat: how often the query stands before the expansions (default: %(default)s)",
    )
    how.add_argument(
        "--rrf-k", type=cli.positive, default=60, metavar="K", help="rrf: the formula's constant (default: %(default)s)"
    )
    how.add_argument(
        "--feedback-depth",
        type=cli.positive,
        default=3,
        metavar="N",
        help="rocchio, average: documents taken as relevant (default: %(default)s)",
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
    out.add_argument(
        "--export-queries",
        metavar="FOLDER",
        help="write the searched vectors for stock pyserini.search.faiss --encoded-queries",
    )
    return made


def run(args: argparse.Namespace) -> int:
    """Do what the command line says."""
    from expandr_repro.pipeline.searching import SearchRequest, search
    from expandr_repro.pipeline.summary import print_summary

    group = _members(args.topics)
    _check_places(args, group)
    if args.tag.split() != [args.tag] or printable(args.tag) != args.tag:
        raise ExpandrError(f"--tag {args.tag!r}: a run's last column is one word")
    encoder = _encoder(args) if args.retriever == "dense" else None
    outcomes = []
    for name in group or [args.topics]:
        request = SearchRequest(
            topics=name, expansions=args.expansions, index=args.index, retriever=args.retriever, fusion=args.fusion, alpha=args.alpha, repeat=args.repeat,
            rrf_k=args.rrf_k, feedback_depth=args.feedback_depth, hits=args.hits, qrels=args.qrels, metrics=args.metrics, remove_query=args.remove_query,
            baseline=not args.no_baseline, threads=args.threads, batch_size=args.batch_size, stock=args.searcher == "pyserini", factory=args.factory, search_params=args.search_params,
            k1=args.k1, b=args.b,
        )  # fmt: skip
        if args.output:
            outcome = _search_into(
                Path(args.output, f"{name}.trec") if group else Path(args.output), args.tag, request, encoder
            )
        else:
            outcome = search(request, encoder, write=lambda _: None)
        outcomes.append(outcome)
        if args.export_queries:
            _export(Path(args.export_queries, name) if group else Path(args.export_queries), outcome, request)
    print_summary(outcomes, args.format, encoder)
    return 0


def _members(name: str) -> list[str]:
    known = collection_named(name)
    return datasets()[known.dataset].members if known else []


def _check_places(args: argparse.Namespace, group: Sequence[str]) -> None:
    """Find out before anything is encoded that an output cannot be written, or would replace something else."""
    reads = (args.topics, args.expansions, args.index, args.qrels)
    for name in group or ("",) if args.output else ():
        if name and Path(args.output).is_file():
            raise ExpandrError(
                f"--output {args.output}: is a file; a group of collections needs a folder, one run each"
            )
        run = Path(args.output, f"{name}.trec") if name else Path(args.output)
        check_output("--output", run, RUN, reads)
        check_output("--output", run_manifest_path(run), manifest_kind("run"), reads)
    for name in group or ("",) if args.export_queries else ():
        check_output("--export-queries", Path(args.export_queries, name), ENCODED_QUERIES, reads)


def _encoder(args: argparse.Namespace) -> TextEncoder:
    from expandr_repro.pipeline.encoders import EncoderOptions, load_encoder

    return load_encoder(args.encoder, EncoderOptions.of(args), cache=not args.no_vector_cache)


def _search_into(path: Path, tag: str, request: SearchRequest, encoder: TextEncoder | None) -> Outcome:
    """Search, and write the run as it comes, with its manifest."""
    from expandr_repro.pipeline.searching import search

    manifest = run_manifest_path(path)

    def describe() -> None:
        write_manifest(manifest, "run", outcome.facts | {RUN_HASH: sha256_file(path)})

    with run_writer(path, tag, about={manifest: describe}) as write:
        outcome = search(request, encoder, write)
    log.info("wrote %s: %d topics, %d lines", path, len(outcome.topics.topics), outcome.lines)
    return outcome


def _export(folder: Path, outcome: Outcome, request: SearchRequest) -> None:
    from expandr_repro.adapters.pyserini.queries import export_queries
    from expandr_repro.pipeline.dense import DenseSearch

    if not isinstance(outcome.searcher, DenseSearch) or FUSIONS[outcome.fusion].kind in ("run", "feedback"):
        raise ExpandrError("--export-queries: only a dense fusion that searches one vector a topic can be exported")
    topics = outcome.topics.topics
    export_queries(
        folder, [t.qid for t in topics], [t.title for t in topics], outcome.searcher.vectors(topics, outcome.fusion)
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    return cli.execute(build_parser(), run, argv)


if __name__ == "__main__":
    sys.exit(main())
