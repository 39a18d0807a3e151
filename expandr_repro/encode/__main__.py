"""`encode`: a corpus to a Faiss index in Pyserini's layout, or to Pyserini's Lucene index for BM25."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from expandr_repro import cli
from expandr_repro.console.applies import Applies
from expandr_repro.console.arguments import Parser
from expandr_repro.errors import ExpandrError

if TYPE_CHECKING:
    from expandr_repro.indexes.build import Shard

log = logging.getLogger("expandr_repro.encode")

EXAMPLES = """
python -m expandr_repro.encode --corpus scifact --output indexes/scifact.minilm
python -m expandr_repro.encode --corpus my/corpus.jsonl.gz --encoder BAAI/bge-base-en-v1.5 --factory HNSW32 --output indexes/mine
python -m expandr_repro.encode --corpus scifact --retriever bm25 --output indexes/scifact.bm25
python -m expandr_repro.encode --corpus scifact --shard-id 0 --num-shards 2 --output indexes/part0
python -m expandr_repro.encode --merge indexes/part0 indexes/part1 --output indexes/scifact.minilm
torchrun --nproc-per-node 4 -m expandr_repro.encode --corpus msmarco --device cuda --output indexes/msmarco
"""


def build_parser() -> Parser:
    """Return the command's parser."""
    made = cli.parser(
        "encode", "Encode a corpus into a Faiss index in Pyserini's layout, or index it with Lucene for BM25.", EXAMPLES
    )
    source = made.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--corpus",
        metavar="C",
        help="a collection, a BEIR folder, a folder of JSONL files, a JSONL or TSV file, or irds:...",
    )
    source.add_argument("--merge", nargs="+", metavar="SHARD", help="put the shards of one corpus together")
    made.add_argument("--output", required=True, metavar="FOLDER", help="the index folder to write")
    made.add_argument(
        "--overwrite",
        action="store_true",
        help="replace another index of the same kind; anything else that is there is left alone",
    )
    made.add_argument("--retriever", choices=("dense", "bm25"), default="dense", help="(default: %(default)s)")
    made.add_argument(
        "--factory",
        default="Flat",
        metavar="S",
        help="Faiss factory string: Flat, HNSW32, IVF256,Flat, SQ8, ... (default: %(default)s, exact)",
    )
    made.add_argument(
        "--feedback", action="store_true", help="bm25: store the document vectors that rm3 and rocchio need"
    )
    made.add_argument(
        "--threads", type=int, default=0, metavar="N", help="bm25: indexing threads (default: all processors)"
    )
    made.add_argument("--shard-id", type=int, metavar="N", help="encode one of --num-shards parts, counted from 0")
    made.add_argument("--num-shards", type=cli.positive, metavar="N", help="how many parts there are")
    cli.add_dry_run(made)
    cli.add_encoder_options(made)
    return made


CORPUS = "with --corpus, not with --merge"

RULES = (
    Applies(("--retriever", "--feedback", "--threads", "--shard-id", "--num-shards", *cli.ENCODER_OPTIONS), CORPUS, lambda args: not args.merge),
    Applies(
        ("--shard-id", "--num-shards"),
        "with --retriever dense",
        lambda args: args.retriever == "dense",
        lambda _: ": --shard-id and --num-shards are for dense indexes; Lucene uses --threads",
    ),
    Applies((*cli.ENCODER_OPTIONS, "--factory"), "with --retriever dense", lambda args: args.retriever == "dense"),
    Applies(("--feedback", "--threads"), "with --retriever bm25", lambda args: args.retriever == "bm25"),
    *cli.ENCODER_RULES,
    Applies(("--query-prefix",), "where queries are encoded, as in `search`; an index holds documents alone", lambda _: False),
)  # fmt: skip
"""When options apply."""


def run(args: argparse.Namespace) -> int:
    """Do what the command line says."""
    if args.dry_run:
        from expandr_repro.preview import plan as dry_run

        return dry_run.encode(args)
    from expandr_repro.io.outputs import FAISS_INDEX, LUCENE_INDEX, check_output

    target = Path(args.output)
    kind = LUCENE_INDEX if args.retriever == "bm25" and not args.merge else FAISS_INDEX
    check_output("--output", target, kind, [args.corpus, args.encoder, *(args.merge or ())])
    if args.merge:
        from expandr_repro.indexes.merge import merge_shards

        count = merge_shards([Path(p) for p in args.merge], target, args.factory, args.overwrite)
        log.info("wrote %s: %s documents from %d shards", target, f"{count:,}", len(args.merge))
        return 0
    if args.retriever == "bm25":
        return _lucene(args, target)
    shard, rank = _shard(args)
    if rank is None:
        return _dense(args, target, shard, None)
    from expandr_repro.indexes.together import showing_life

    with showing_life(target, shard):
        return _dense(args, target, shard, rank)


def _lucene(args: argparse.Namespace, target: Path) -> int:
    from expandr_repro.data.collections import find_corpus
    from expandr_repro.indexes.build_lucene import build_lucene, lucene_facts
    from expandr_repro.indexes.find import corpus_facts

    corpus = find_corpus(args.corpus)
    facts = corpus_facts(corpus)
    _refuse_other(target, lucene_facts(facts, corpus.source, args.feedback), args.overwrite)
    built = build_lucene(corpus, facts, target, args.feedback, args.threads)
    log.info(
        "%s %s: %s documents", "wrote" if built else "there already, nothing to do:", target, f"{facts.documents:,}"
    )
    return 0


def _dense(args: argparse.Namespace, target: Path, shard: Shard, rank: int | None) -> int:
    from expandr_repro.data.collections import find_corpus
    from expandr_repro.encoders.loading import load_encoder
    from expandr_repro.encoders.options import EncoderOptions
    from expandr_repro.indexes.build import Shard, build_faiss, index_facts, is_built
    from expandr_repro.indexes.faiss_index import is_faiss_folder
    from expandr_repro.indexes.find import corpus_facts, take_from_cache
    from expandr_repro.indexes.together import merge_parts, part_of

    corpus = find_corpus(args.corpus)
    facts = corpus_facts(corpus)
    options = EncoderOptions.of(args)
    encoder = load_encoder(args.encoder, options)
    folder, factory = target, args.factory
    if rank is not None:  # under torchrun or accelerate launch: one flat shard a process, merged by the first
        whole = index_facts(encoder, facts, corpus.source, args.factory, Shard())
        if is_faiss_folder(target) and is_built(target, whole):
            log.info("there already, nothing to do: %s: %s documents", target, f"{facts.documents:,}")
            return 0
        _refuse_other(target, whole, args.overwrite)
        folder, factory = part_of(target, shard), "Flat"
    made = index_facts(encoder, facts, corpus.source, factory, shard)
    _refuse_other(folder, made, args.overwrite)
    if shard.count == 1 and take_from_cache(folder, made):
        log.info("wrote %s: %s documents, as an earlier search had encoded them", folder, f"{facts.documents:,}")
        return 0
    started = time.perf_counter()
    built = build_faiss(corpus, facts, encoder, folder, factory, shard)
    start, stop = shard.bounds(facts.documents)
    rate = (stop - start) / max(1e-9, time.perf_counter() - started)
    log.info(
        "%s %s: %s documents%s",
        "wrote" if built else "there already, nothing to do:",
        folder,
        f"{stop - start:,}",
        f", {rate:,.1f} a second" if built else "",
    )
    if encoder.truncated["document"]:
        log.info(
            "%d documents were cut at %s tokens", encoder.truncated["document"], encoder.identity["document_max_length"]
        )
    if rank == 0:
        shards = [Shard(n, shard.count) for n in range(shard.count)]
        every = [index_facts(encoder, facts, corpus.source, factory, s) for s in shards]
        total = merge_parts(target, every, args.factory, args.overwrite)
        log.info("wrote %s: %s documents from %d processes", target, f"{total:,}", shard.count)
    return 0


def _shard(args: argparse.Namespace) -> tuple[Shard, int | None]:
    """Return the part to encode, and this process's rank where a launcher started several."""
    from expandr_repro.indexes.build import Shard

    if (args.shard_id is None) != (args.num_shards is None):
        raise ExpandrError("--shard-id and --num-shards go together")
    if args.num_shards:
        return Shard(args.shard_id, args.num_shards), None
    try:
        world, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
        local = int(os.environ.get("LOCAL_RANK", "0"))
        if world == 1:
            return Shard(), None
        shard = Shard(rank, world)
    except (ValueError, ExpandrError) as error:
        raise ExpandrError(
            f"RANK={os.environ.get('RANK')} and WORLD_SIZE={os.environ.get('WORLD_SIZE')} make no sense together; unset both, or start through torchrun"
        ) from error
    if args.device in ("auto", "cuda"):
        import torch

        if torch.cuda.is_available():
            args.device = f"cuda:{local}"
    return shard, rank


def _refuse_other(target: Path, facts: dict[str, object], overwrite: bool) -> None:
    """Refuse to replace another index, unless told to."""
    from expandr_repro.indexes.build import is_built
    from expandr_repro.indexes.merge import refuse_another

    if not is_built(target, facts):
        refuse_another(target, overwrite)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    return cli.execute(build_parser(), run, argv, RULES)


if __name__ == "__main__":
    sys.exit(main())
