"""The options of `encode`, and when they apply."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from expandr_repro.console.options import Options, When, dry_run, included, natural, option, positive
from expandr_repro.encoders.options import EncoderOptions
from expandr_repro.engines.options import EngineOptions

CORPUS = When("with --corpus", lambda request: request.corpus is not None)
INDEX = When("with --corpus or --merge", lambda request: not request.export)
DENSE = When("with --retriever dense", lambda request: request.retriever == "dense")
BM25 = When("with --retriever bm25", lambda request: request.retriever == "bm25")
SHARDS = (CORPUS, When("", DENSE.holds, lambda _: ": --shard-id and --num-shards are for dense indexes; Lucene uses --threads"))  # fmt: skip
QUERIES = When("where queries are encoded, as in `search`; an index contains documents alone", lambda _: False)


@dataclass(frozen=True)
class EncodeRequest(Options):
    """What is to be indexed, and how."""

    corpus: str | None = option(None, metavar="C", one_of="source!", help="a collection, a BEIR folder, a folder of JSONL files, a JSONL or TSV file, or irds:...")  # fmt: skip
    merge: tuple[str, ...] = option((), metavar="SHARD", one_of="source!", help="put the shards of one corpus together")
    export: tuple[str, ...] = option((), metavar="INDEX", one_of="source!", help="write docids and vectors of an index, or its parts, to a Parquet file")  # fmt: skip
    output: Path = option(Path(), required=True, metavar="FOLDER", help="the index folder to write; with --export a file")  # fmt: skip
    overwrite: bool = option(False, help="replace another index of the same kind; anything else that is there is left alone", applies=INDEX)  # fmt: skip
    retriever: str = option("dense", choices=("dense", "bm25"), applies=CORPUS)
    factory: str = option("Flat", metavar="S", help="Faiss factory string: Flat, HNSW32, IVF256,Flat, SQ8, ... (default: {default}, exact)", applies=(INDEX, DENSE))  # fmt: skip
    feedback: bool = option(False, help="bm25: store the document vectors that rm3 and rocchio need", applies=(CORPUS, BM25))  # fmt: skip
    threads: int = option(0, metavar="N", parse=natural, help="bm25: indexing threads (default: all processors)", applies=(CORPUS, BM25))  # fmt: skip
    shard_id: int | None = option(None, metavar="N", help="encode one of --num-shards parts, counted from 0", applies=SHARDS)  # fmt: skip
    num_shards: int | None = option(None, metavar="N", parse=positive, help="how many parts there are", applies=SHARDS)
    dry_run: bool = dry_run()
    encoder: EncoderOptions = included(
        EncoderOptions,
        "encoder",
        applies=lambda name: (CORPUS, DENSE, QUERIES) if name == "query_prefix" else (CORPUS, DENSE),
    )
    engine: EngineOptions = included(EngineOptions, "several machines", applies=(CORPUS, DENSE))
