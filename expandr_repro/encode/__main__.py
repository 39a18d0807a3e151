"""`encode`: a corpus to a Faiss index in Pyserini's layout, or to Pyserini's Lucene index for BM25."""

from __future__ import annotations

import logging
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from expandr_repro import cli
from expandr_repro.console.arguments import Parser
from expandr_repro.encode.options import EncodeRequest
from expandr_repro.engines.launcher import launched
from expandr_repro.engines.running import printed
from expandr_repro.errors import ExpandrError

if TYPE_CHECKING:
    from expandr_repro.encode.on_ray import Encoded
    from expandr_repro.engines.workers import Workers
    from expandr_repro.indexes.build import Shard

log = logging.getLogger("expandr_repro.encode")

EXAMPLES = """
python -m expandr_repro.encode --corpus scifact --output indexes/scifact.minilm
python -m expandr_repro.encode --corpus my/corpus.jsonl.gz --encoder BAAI/bge-base-en-v1.5 --factory HNSW32 --output indexes/mine
python -m expandr_repro.encode --corpus scifact --retriever bm25 --output indexes/scifact.bm25
python -m expandr_repro.encode --corpus scifact --shard-id 0 --num-shards 2 --output indexes/part0
python -m expandr_repro.encode --merge indexes/part0 indexes/part1 --output indexes/scifact.minilm
python -m expandr_repro.encode --export indexes/scifact.minilm --output scifact.parquet
torchrun --nproc-per-node 4 -m expandr_repro.encode --corpus msmarco --device cuda --output indexes/msmarco
python -m expandr_repro.encode --corpus msmarco --engine ray --address 10.0.0.1:6379 --precision bf16 --output indexes/msmarco
"""


def build_parser() -> Parser:
    """Return the command's parser."""
    return cli.parser(
        "encode",
        "Encode a corpus into a Faiss index in Pyserini's layout, or index it with Lucene for BM25.",
        EXAMPLES,
        EncodeRequest,
    )


def run(request: EncodeRequest) -> int:
    """Run the command."""
    if printed("encode", request, request.engine, request.output):
        return 0
    from expandr_repro.io.outputs import FAISS_INDEX, LUCENE_INDEX, check_output

    ray, target = request.engine.engine == "ray", request.output
    kind = LUCENE_INDEX if request.retriever == "bm25" and not request.merge else FAISS_INDEX
    if not request.export:
        check_output("--output", target, kind, [request.corpus, request.encoder.name, *request.merge])
    if request.num_shards or request.shard_id is not None:
        _shard(request)
    if request.dry_run:
        from expandr_repro.preview import plan as dry_run

        shown = dry_run.encode(request)
        if ray:
            from expandr_repro.encode import on_ray

            return on_ray.dry_run(request)
        return shown
    if request.export:
        from expandr_repro.encode.export import export_parquet

        log.info("wrote %s: %s vectors", target, f"{export_parquet(request.export, target):,}")
        return 0
    if request.merge:
        from expandr_repro.indexes.merge import merge_shards

        count = merge_shards([Path(p) for p in request.merge], target, request.factory, request.overwrite)
        log.info("wrote %s: %s documents from %d shards", target, f"{count:,}", len(request.merge))
        return 0
    if request.retriever == "bm25":
        return _lucene(request, target)
    if ray:
        from expandr_repro.encode.on_ray import hired
        from expandr_repro.engines.cluster import connected

        shard = _shard(request)[0]
        with connected(request.engine):
            return _dense(request, target, shard, None, hired(request))
    shard, rank, device = _shard(request)
    request = replace(request, encoder=replace(request.encoder, device=device))
    if rank is None:
        return _dense(request, target, shard, None)
    from expandr_repro.indexes.together import showing_life

    with showing_life(target, shard):
        return _dense(request, target, shard, rank)


def _lucene(request: EncodeRequest, target: Path) -> int:
    from expandr_repro.data.collections import find_corpus
    from expandr_repro.indexes.build_lucene import build_lucene, lucene_facts
    from expandr_repro.indexes.find import corpus_facts

    corpus = find_corpus(request.corpus or "")
    facts = corpus_facts(corpus)
    _refuse_other(target, lucene_facts(facts, corpus.source, request.feedback), request.overwrite)
    built = build_lucene(corpus, facts, target, request.feedback, request.threads)
    log.info(
        "%s %s: %s documents", "wrote" if built else "there already, nothing to do:", target, f"{facts.documents:,}"
    )
    return 0


def _dense(
    request: EncodeRequest,
    target: Path,
    shard: Shard,
    rank: int | None,
    workers: Workers[list[str], Encoded] | None = None,
) -> int:
    from expandr_repro.data.collections import find_corpus
    from expandr_repro.encoders.loading import load_encoder
    from expandr_repro.indexes.build import CHUNK, Shard, build_faiss, index_facts, is_built
    from expandr_repro.indexes.faiss_index import is_faiss_folder
    from expandr_repro.indexes.find import corpus_facts, take_from_cache
    from expandr_repro.indexes.together import merge_parts, part_of

    corpus = find_corpus(request.corpus or "")
    facts = corpus_facts(corpus)
    if workers:  # this process needs to know what the encoder is, no more, and may have no GPU
        encoder = load_encoder(request.encoder.name, replace(request.encoder, device="cpu", compile=False), cache=True)
    else:
        encoder = load_encoder(request.encoder.name, request.encoder)
    folder, factory = target, request.factory
    if rank is not None:  # under torchrun or accelerate launch: one flat shard a process, merged by the first
        whole = index_facts(encoder, facts, corpus.source, request.factory, Shard())
        if is_faiss_folder(target) and is_built(target, whole):
            log.info("there already, nothing to do: %s: %s documents", target, f"{facts.documents:,}")
            return 0
        _refuse_other(target, whole, request.overwrite)
        folder, factory = part_of(target, shard), "Flat"
    facts_of_index = index_facts(encoder, facts, corpus.source, factory, shard)
    _refuse_other(folder, facts_of_index, request.overwrite)
    if shard.count == 1 and take_from_cache(folder, facts_of_index):
        log.info("wrote %s: %s documents, as an earlier search had encoded them", folder, f"{facts.documents:,}")
        return 0
    started = time.perf_counter()
    cut = dict(encoder.truncated)
    if workers is None:
        built = build_faiss(corpus, facts, encoder, folder, factory, shard)
        cut = encoder.truncated
    else:
        from expandr_repro.encode.on_ray import streaming

        with workers:
            built = build_faiss(corpus, facts, encoder, folder, factory, shard, streaming(workers, cut, encoder))
    start, stop = shard.bounds(facts.documents)
    rate = (stop - start) / max(1e-9, time.perf_counter() - started)
    log.info(
        "%s %s: %s documents%s",
        "wrote" if built else "there already, nothing to do:",
        folder,
        f"{stop - start:,}",
        f", {rate:,.1f} a second" if built else "",
    )
    if start == stop:
        log.info("shard %d of %d has no documents: there are fewer chunks of %s than shards", shard.number, shard.count, f"{CHUNK:,}")  # fmt: skip
    if cut["document"]:
        log.info("%d documents were cut at %s tokens", cut["document"], encoder.identity["document_max_length"])
    if rank == 0:
        shards = [Shard(n, shard.count) for n in range(shard.count)]
        every = [index_facts(encoder, facts, corpus.source, factory, s) for s in shards]
        total = merge_parts(target, every, request.factory, request.overwrite)
        log.info("wrote %s: %s documents from %d processes", target, f"{total:,}", shard.count)
    return 0


def _shard(request: EncodeRequest) -> tuple[Shard, int | None, str]:
    """Return the part to encode, this process's rank where a launcher started several, and its device."""
    from expandr_repro.indexes.build import Shard

    device = request.encoder.device
    if (request.shard_id is None) != (request.num_shards is None):
        raise ExpandrError("--shard-id and --num-shards go together")
    if request.num_shards:
        return Shard(request.shard_id or 0, request.num_shards), None, device
    process = launched()
    if process.world == 1:
        return Shard(), None, device
    if device == "auto":
        import torch

        device = "cuda" if torch.cuda.is_available() else device
    return Shard(process.rank, process.world), process.rank, process.gpu(device)


def _refuse_other(target: Path, facts: dict[str, object], overwrite: bool) -> None:
    """Refuse to replace another index, unless asked to."""
    from expandr_repro.indexes.build import is_built
    from expandr_repro.indexes.merge import refuse_another

    if not is_built(target, facts):
        refuse_another(target, overwrite)


main = cli.command(build_parser, run)

if __name__ == "__main__":
    sys.exit(main())
