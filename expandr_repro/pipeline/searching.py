"""One search from names to runs and figures: what `search` does for a collection, and `train_encoder` and the regressions with it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from expandr_repro.adapters.pyserini.lucene import Bm25, document_count, holds_any
from expandr_repro.adapters.ranx import Figures, Scorer
from expandr_repro.core.errors import ExpandrError
from expandr_repro.core.fusion import FUSIONS, check_alpha, fusion_named
from expandr_repro.core.manifest import NAME, read_manifest
from expandr_repro.core.measures import DEFAULT, Measure, parse_measures
from expandr_repro.core.stats import paired_p
from expandr_repro.core.topics import Topic
from expandr_repro.core.trec import Qrels, Run, strictly_decreasing
from expandr_repro.models.interface import TextEncoder
from expandr_repro.pipeline.collections import TopicSet, find_qrels, find_topics, qrels_of
from expandr_repro.pipeline.dense import DenseSearch
from expandr_repro.pipeline.expansions import with_expansions
from expandr_repro.pipeline.indexes import dense_index, lucene_index
from expandr_repro.pipeline.pairing import (
    any_of,
    judged_documents,
    refuse_foreign,
    refuse_other_count,
    refuse_other_version,
)
from expandr_repro.pipeline.sparse import Bm25Search

log = logging.getLogger(__name__)

DEFAULT_HITS = 1000

BLOCK = 4096
"""Topics whose vectors and rankings are held at a time."""


@dataclass(frozen=True)
class SearchRequest:
    """What is to be searched, and how; the names mean what they mean on the command line of `search`."""

    topics: str
    expansions: str | None = None
    index: str | None = None
    retriever: str = "dense"
    fusion: str | None = None
    alpha: float | None = None
    repeat: int = 5
    rrf_k: int = 60
    feedback_depth: int = 3
    hits: int | None = None
    qrels: str | None = None
    metrics: str | None = None
    remove_query: bool | None = None
    baseline: bool = True
    threads: int = 0
    batch_size: int = 1024
    stock: bool = False
    factory: str = "Flat"
    search_params: str | None = None
    k1: float = 0.9
    b: float = 0.4


@dataclass
class Outcome:
    """What a search gave.

    Attributes:
        topics: what was searched.
        fusion: with which fusion.
        index: what was searched in, for people.
        run: scores strictly decreasing, as the run file will have them; empty where it was written as it came.
        measures: what was measured; empty where no judgements are known.
        figures: of the run, or None.
        baseline: figures of the query alone, or None.
        p_values: per measure, of the difference between the two.
        without_expansion: topics searched by their query alone.
        facts: for the run's manifest.
        searcher: what searched, for whoever wants its vectors.
        lines: of the run.
    """

    topics: TopicSet
    fusion: str
    index: str
    run: Run
    measures: list[Measure] = field(default_factory=list)
    figures: Figures | None = None
    baseline: Figures | None = None
    p_values: dict[Measure, float] = field(default_factory=dict)
    without_expansion: int = 0
    facts: dict[str, Any] = field(default_factory=dict)
    searcher: DenseSearch | Bm25Search | None = None
    lines: int = 0


def topics_for(request: SearchRequest) -> TopicSet:
    """Find the topics of a request, with its expansions."""
    found = find_topics(request.topics)
    if request.expansions:
        joined = with_expansions(found, request.expansions)
        found = TopicSet(found.label, joined, found.collection, found.folder, found.split)
    return found


def choose_fusion(request: SearchRequest, topics: Sequence[Topic]) -> str:
    """Return the fusion asked for, or the retriever's own where topics have expansions, else `none`.

    Raises:
        UnknownNameError: no such fusion.
        ExpandrError: the fusion needs expansions and there are none, or is for the other retriever.
    """
    expanded = any(t.texts for t in topics)
    if request.fusion is None:
        return {"dense": "mean", "bm25": "repeat"}[request.retriever] if expanded else "none"
    chosen = fusion_named(request.fusion, request.retriever)
    if not expanded and chosen.name != "none" and chosen.kind != "feedback":
        raise ExpandrError(
            f"fusion {chosen.name!r}: none of the {len(topics)} topics has an expansion; give --expansions, or use --fusion none"
        )
    return chosen.name


def search(
    request: SearchRequest, encoder: TextEncoder | None, write: Callable[[Run], object] | None = None
) -> Outcome:
    """Search, `BLOCK` topics at a time.

    Args:
        request: what and how.
        encoder: for dense retrieval.
        write: takes the run, some topics at a time, so that it need not be held; None keeps it in the outcome.

    Raises:
        ExpandrError: whatever the user can cause; the message says what to do.
    """
    check_alpha(request.alpha)
    measures = parse_measures(request.metrics) if request.metrics else []
    topics = topics_for(request)
    fusion = choose_fusion(request, topics.topics)
    qrels = find_qrels(request.qrels) if request.qrels else qrels_of(topics)
    searcher, size, label = _searcher(request, topics, fusion, encoder)
    _check_pairing(searcher, size, topics, qrels)
    searcher.hits = _hits(request.hits, size, searcher.remove_own)
    outcome = Outcome(topics, fusion, label, {}, searcher=searcher)
    if FUSIONS[fusion].kind != "feedback" and fusion != "none":
        outcome.without_expansion = sum(not t.texts for t in topics.topics)
    if qrels:
        outcome.measures = measures or parse_measures(
            ",".join(topics.collection.spec.measures if topics.collection else DEFAULT)
        )
    beside = bool(qrels) and request.baseline and fusion != "none"
    scorer, baseline = (Scorer(qrels or {}, outcome.measures) for _ in range(2))
    block = len(topics.topics) if request.stock else BLOCK  # Pyserini's searchers read the index at every call
    for begin in range(0, len(topics.topics), block):
        some = topics.topics[begin : begin + block]
        # a fusion of runs begins with the run of the queries alone, so the two need not search it twice
        alone = searcher.run(some, "none") if beside and FUSIONS[fusion].kind == "run" else None
        run = final(searcher.run(some, fusion, alone))
        outcome.lines += sum(map(len, run.values()))
        if qrels:
            scorer.add(run)
        if beside:
            baseline.add(final(alone or searcher.run(some, "none")))
        write(run) if write else outcome.run.update(run)
        if len(topics.topics) > block:
            searcher.forget()
    if qrels:
        outcome.figures = figures = scorer.figures()
        if beside:
            outcome.baseline = before = baseline.figures()
            for m in outcome.measures:
                outcome.p_values[m] = paired_p(before.per_topic[m], figures.per_topic[m])
    outcome.facts = _facts(request, outcome, searcher)
    return outcome


def _searcher(
    request: SearchRequest, topics: TopicSet, fusion: str, encoder: TextEncoder | None
) -> tuple[DenseSearch | Bm25Search, int, str]:
    where = request.index or topics.documents
    if where is None:
        raise ExpandrError(
            f"{topics.label}: which documents? give --index: an index folder, a collection's name, a corpus, or a Pyserini prebuilt index"
        )
    remove = (
        request.remove_query
        if request.remove_query is not None
        else bool(topics.collection and topics.collection.spec.remove_query)
    )
    if request.search_params and (request.stock or request.retriever == "bm25"):
        raise ExpandrError("--search-params: is for Faiss indexes that --searcher expandr searches; leave it out")
    if request.retriever == "bm25":
        folder = lucene_index(where, feedback=FUSIONS[fusion].kind == "feedback")
        sparse = Bm25Search(
            folder,
            Bm25(request.k1, request.b),
            repeat=request.repeat,
            rrf_k=request.rrf_k,
            remove_own=remove,
            threads=request.threads,
            stock=request.stock,
        )
        return sparse, document_count(folder), f"BM25 (k1 {request.k1:g}, b {request.b:g})"
    if encoder is None:
        raise ExpandrError("dense retrieval needs an encoder")
    index = dense_index(where, encoder, request.factory)
    if request.search_params:
        index.set_parameters(request.search_params)
    dense = DenseSearch(
        encoder, index, alpha=request.alpha, rrf_k=request.rrf_k, feedback_depth=request.feedback_depth, remove_own=remove,
        threads=request.threads, batch_size=request.batch_size, stock=request.stock,
    )  # fmt: skip
    return dense, int(index.index.ntotal), f"{encoder.name} ({encoder.dimension} dimensions)"


def _check_pairing(searcher: DenseSearch | Bm25Search, size: int, topics: TopicSet, qrels: Qrels | None) -> None:
    """Refuse an index of other documents than those that the topics are judged on, before anything is searched."""
    if isinstance(searcher, Bm25Search):
        folder = searcher.index
        manifest = read_manifest(folder / NAME)
        found: Callable[[Collection[str]], bool] = partial(holds_any, folder)
        refuse_other_count(folder, manifest, size)
    else:
        folder, manifest, found = searcher.index.folder, searcher.index.manifest, any_of(searcher.index.docids)
    refuse_other_version(folder, manifest, topics.documents)
    if qrels:
        refuse_foreign(folder, judged_documents(qrels, topics.topics), found, "name another --index, or other --qrels")


def _hits(asked: int | None, documents: int, remove_own: bool) -> int:
    if asked is not None and asked > documents:
        raise ExpandrError(f"--hits {asked}: the index has only {documents} documents; ask for at most that many")
    return min(asked or DEFAULT_HITS, documents)


def final(run: Run) -> Run:
    """Return a run as its file will have it: ties settled by docid, scores strictly decreasing."""
    return {qid: strictly_decreasing(ranked) for qid, ranked in run.items()}


def _facts(request: SearchRequest, outcome: Outcome, searcher: DenseSearch | Bm25Search) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "topics": outcome.topics.label,
        "topics_count": len(outcome.topics.topics),
        "expansions": request.expansions
        or ("those of the topics" if any(t.texts for t in outcome.topics.topics) else None),
        "topics_without_expansion": outcome.without_expansion,
        "retriever": request.retriever,
        "fusion": outcome.fusion,
        "hits": searcher.hits,
        "own_id_removed": searcher.remove_own,
        "searcher": "pyserini" if request.stock else "expandr_repro",
    }
    if request.search_params:
        facts["search_params"] = request.search_params
    if isinstance(searcher, DenseSearch):
        facts.update(
            encoder=searcher.encoder.identity, corpus=(searcher.index.manifest or {}).get("corpus"), alpha=request.alpha
        )
    else:
        facts.update(k1=request.k1, b=request.b, repeat=request.repeat)
    if outcome.figures:
        facts["figures"] = {str(m): round(outcome.figures.mean(m), 4) for m in outcome.measures}
    return facts
