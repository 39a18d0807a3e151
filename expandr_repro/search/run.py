"""Run a search: find topics, index and encoder by name, search, and score the run."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from expandr_repro.data.collections import (
    TopicSet,
    collection_meant,
    find_qrels,
    find_topics,
    judged_among,
    qrels_of,
    relevance_level,
    select_topics,
)
from expandr_repro.data.expansions import Joined, expansions_path, join_sources
from expandr_repro.data.overlap.seen_topics import Searched
from expandr_repro.data.specs import CollectionName
from expandr_repro.data.topics import Topic
from expandr_repro.data.trec import Qrels, Run, strictly_decreasing
from expandr_repro.encoders.protocol import TextEncoder
from expandr_repro.errors import ExpandrError
from expandr_repro.evaluate.depths import warn_of_depth
from expandr_repro.evaluate.metrics import DEFAULT, Measure, parse_measures
from expandr_repro.evaluate.run_facts import (
    WITHOUT_HITS,
    expansions_sha256,
    files_sha256,
    ordered_sha256,
    qrels_sha256,
    topics_sha256,
    versions,
    without_paths,
)
from expandr_repro.evaluate.scoring import Figures, Scorer
from expandr_repro.evaluate.seen import Overlap, find_overlap
from expandr_repro.evaluate.significance import paired_p
from expandr_repro.indexes.compatibility import (
    any_of,
    judged_documents,
    refuse_foreign,
    refuse_other_count,
    refuse_other_version,
)
from expandr_repro.indexes.faiss_index import FaissIndex
from expandr_repro.indexes.find import dense_index, lucene_index
from expandr_repro.indexes.lucene import Bm25, document_count, holds_any, lucene_facts
from expandr_repro.indexes.parted import PartedIndex, label
from expandr_repro.indexes.parts import COMPUTED_BY, DOCIDS
from expandr_repro.io.files import sha256_file
from expandr_repro.io.manifest import NAME, read_manifest
from expandr_repro.llm.costs import FACT, read_costs
from expandr_repro.search.bm25 import Bm25Search
from expandr_repro.search.dense import DenseSearch
from expandr_repro.search.fusion import ALIASES, FUSIONS, Fusion, check_alpha, fusion_named, set_by_alias
from expandr_repro.search.gate import gate_named
from expandr_repro.search.gate.choose import Choice, Gating, frequencies_of
from expandr_repro.search.options import SearchRequest
from expandr_repro.search.typed import select_types

log = logging.getLogger(__name__)

DEFAULT_HITS = 1000

BLOCK = 4096
"""Topics whose vectors and rankings are held at a time."""

OWN = "those of the topics"
"""In place of a name: the expansions that the topics' own file carries."""

SEEN = 10
"""Ranks in which a topic's own id is noticed."""


@dataclass
class Outcome:
    """What a search gave.

    Attributes:
        topics: what was searched.
        fusion: the name of the fusion.
        index: what was searched in, for people.
        run: scores strictly decreasing, as the run file will have them; empty where it was written as it came.
        measures: what was measured; empty where no relevance judgments are known.
        figures: scores of the run, or None.
        baseline: scores of the query alone, or None.
        p_values: per measure, of the difference between the two.
        without_expansion: topics searched by their query alone.
        facts: for the run's manifest.
        searcher: what searched, for whoever wants its vectors.
        lines: of the run.
        overlap: which topics the models saw in training; None where none of them says what it was trained on.
        chosen: the fusion with its parameters.
        choices: what the gate chose per topic; None where there is no gate.
        gate: its name and parameters, as typed.
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
    overlap: Overlap | None = None
    chosen: Fusion = field(default_factory=lambda: FUSIONS["none"])
    choices: list[Choice] | None = None
    gate: str = ""


def topics_for(request: SearchRequest) -> tuple[TopicSet, Joined | None]:
    """Find the topics of a request, with its expansions; also where these are from, unless they are the topics' own."""
    topics = select_topics(find_topics(request.topics), request.limit, request.qids)
    if not request.expansions:
        return topics, None
    joined = join_sources(topics, request.expansions)
    return replace(topics, topics=joined.topics), joined


def choose_fusion(request: SearchRequest, topics: Sequence[Topic]) -> Fusion:
    """Return the fusion asked for, or the retriever's own where topics have expansions, else `none`, with its parameters.

    Raises:
        UnknownNameError: no such fusion, or no such parameter.
        ExpandrError: the fusion needs expansions and there are none, or is for the other retriever; or a parameter's value is wrong.
    """
    expanded = any(t.texts for t in topics)
    if request.fusion is None and not expanded and any(t.provenance for t in topics):
        log.warning(
            "%s: none of the %d topics has an expansion, though `expand` wrote them; the queries are searched alone (--fusion none: without this warning)",
            request.topics,
            len(topics),
        )
    usual = {"dense": "mean", "bm25": "repeat"}[request.retriever] if expanded else "none"
    if request.fusion is None and (own := method_fusion(topics, request.retriever)):
        log.info("fusion %s, the one of the method that wrote the expansions (--fusion takes another)", own)
        usual = str(own)
    chosen = fusion_named(request.fusion or usual, request.retriever)
    chosen = set_by_alias(chosen, request.fusion, {option: getattr(request, option) for option in ALIASES})
    if not expanded and chosen.expands:
        raise ExpandrError(
            f"fusion {chosen.name!r}: none of the {len(topics)} topics has an expansion; give --expansions, or use --fusion none"
        )
    return chosen


def method_fusion(topics: Sequence[Topic], retriever: str) -> Fusion | None:
    """Return the fusion that the method which wrote the expansions goes with, as their provenance names it; None where it names none.

    Raises:
        ExpandrError: there is no such fusion, or it is not for this retriever.
    """
    named = [(t.provenance or {}).get("fusion") for t in topics if t.texts]
    fusions = {
        f.get(retriever) if isinstance(f, Mapping) else None for f in named if f is None or isinstance(f, Mapping)
    }
    if len(fusions) > 1:
        log.warning("the expansions are of several methods, which go with different fusions; the retriever's own is used (--fusion takes another)")  # fmt: skip
    if len(fusions) != 1 or (name := fusions.pop()) is None:
        return None
    try:
        return fusion_named(str(name), retriever)
    except ExpandrError as error:
        raise ExpandrError(f"the provenance of the expansions: {error}; give --fusion") from error


@dataclass(frozen=True)
class Given:
    """What a search is given already read or open, in place of the names in its request; None is found by name.

    Attributes:
        topics: with their expansions.
        joined: where these are from, unless they are the topics' own.
        qrels: relevance judgments.
        level: the least grade of these that counts as relevant.
        index: for dense retrieval.
        files: what the expansions are from, for the records of training next to them.
        held: ends a cluster's workers, when whoever searches needs them no more; None has this process search.
    """

    topics: TopicSet | None = None
    joined: Joined | None = None
    qrels: Qrels | None = None
    level: int | None = None
    index: FaissIndex | None = None
    files: Sequence[Path] | None = None
    held: ExitStack | None = None


def search(
    request: SearchRequest,
    encoder: TextEncoder | None,
    write: Callable[[Run], object] | None = None,
    given: Given = Given(),
) -> Outcome:
    """Search, `BLOCK` topics at a time.

    Args:
        request: what and how.
        encoder: for dense retrieval.
        write: takes the run, some topics at a time, so that it need not be held; None keeps it in the outcome.
        given: what is in memory already.

    Raises:
        ExpandrError: whatever the user can cause; the message says what to do.
    """
    check_alpha(request.alpha)
    level = given.level or relevance_level(request.qrels, request.topics)
    measures = parse_measures(request.metrics, level) if request.metrics else []
    topics, joined = (given.topics, given.joined) if given.topics else topics_for(request)
    some, types = select_types(topics.topics, request.retriever, request.types)
    topics = replace(topics, topics=some)
    fusion = choose_fusion(request, some)
    qrels = given.qrels or (find_qrels(request.qrels) if request.qrels else qrels_of(topics))
    replace(request, fusion=fusion.name, judged=bool(qrels)).refuse_idle()
    searcher, size, label = open_searcher(request, topics, fusion, encoder, given.index, given.held)
    _check_pairing(searcher, size, topics, qrels)
    searcher.hits = _hits(request.hits, size, searcher.remove_own)
    outcome = Outcome(topics, fusion.name, label, {}, searcher=searcher, chosen=fusion)
    if fusion.expands:
        outcome.without_expansion = sum(not t.texts for t in topics.topics)
    if qrels:
        qrels = _judged_here(request, qrels, topics)
        known = topics.collection or collection_meant(request.qrels, request.topics)
        outcome.measures = measures or parse_measures(",".join(known.spec.measures if known else DEFAULT), level)
        warn_of_depth(topics.label, outcome.measures, searcher.hits, size)
    gating: Gating | None = None
    gate = gate_named(request.gate, request.retriever, fusion) if request.gate and fusion.expands else None
    file = gate.learned.path if gate and gate.learned else None
    outcome.overlap = _overlap(request, outcome, searcher, encoder, qrels, level, given.files, file)
    if gate:
        corpora = (*request.index, source_of(request, searcher), topics.documents)
        gating = Gating(gate, searcher, fusion, final_ranking, frequencies_of(corpora, topics.topics, gate))
        outcome.choices, outcome.gate = gating.choices, str(gate)
        gating.warn_of_others()
    beside = bool(qrels) and request.baseline and fusion.name != "none"
    scorer, baseline = (Scorer(qrels or {}, outcome.measures) for _ in range(2))
    without_hits: list[str] = []
    own_ids = 0
    block = len(topics.topics) if request.stock else BLOCK  # Pyserini's searchers read the index at every call
    for begin in range(0, len(topics.topics), block):
        some = topics.topics[begin : begin + block]
        # a fusion of runs begins with the run of the queries alone, so the two need not search it twice
        alone = searcher.run(some, "none") if gating or (beside and fusion.of == "runs") else None
        searched_run = gating.run(some, alone or {}) if gating else searcher.run(some, fusion, alone)
        run = final_ranking(searched_run)
        outcome.lines += sum(map(len, run.values()))
        without_hits += [t.qid for t in some if not run.get(t.qid)]
        own_ids += sum(_ranks_itself(qid, ranked, (qrels or {}).get(qid, {}), level) for qid, ranked in run.items())
        if qrels:
            scorer.add(run)
        if beside:
            searched = searcher.searched  # the baseline is no part of the run
            baseline.add(final_ranking(alone or searcher.run(some, "none")))
            searcher.searched = searched
        write(run) if write else outcome.run.update(run)
        if len(topics.topics) > block:
            searcher.forget()
    if own_ids and request.remove_query is None and _collection(request, topics, searcher) is None:
        log.warning(
            "%d of %d topics rank a document with their own id among the first %d, which is not judged relevant; if these documents are the "
            "queries themselves, --remove-query takes them out, as for BEIR's collections (--no-remove-query: they stay, without this warning)",
            own_ids,
            len(topics.topics),
            SEEN,
        )
    if qrels:
        outcome.figures = scores = scorer.figures()
        if beside:
            outcome.baseline = before = baseline.figures()
            for m in outcome.measures:
                outcome.p_values[m] = paired_p(before.per_topic[m], scores.per_topic[m])
    outcome.facts = _facts(request, outcome, searcher, joined, qrels) | {WITHOUT_HITS: without_hits}
    outcome.facts |= gating.facts() if gating else {}
    outcome.facts |= types if fusion.expands else {}
    if fusion.expands:
        files = _expansion_files(request, topics) if given.files is None else given.files
        outcome.facts |= _cost_facts(files, topics.topics)
    outcome.facts |= outcome.overlap.facts() if outcome.overlap else {}
    return outcome


def _overlap(
    request: SearchRequest,
    outcome: Outcome,
    searcher: DenseSearch | Bm25Search,
    encoder: TextEncoder | None,
    qrels: Qrels | None,
    level: int,
    given: Sequence[Path] | None,
    gate: Path | None,
) -> Overlap | None:
    """Find which topics the models of a search saw in training, however topics, qrels and index are named."""
    topics, fusion = outcome.topics, outcome.chosen
    named = map(collection_meant, (request.topics, request.qrels, *request.index, source_of(request, searcher)))
    names = {known.dataset for known in (topics.collection, *named) if known}
    names |= {topics.folder.resolve().name} if topics.folder else set()
    made_of = _manifest_of(searcher).get("corpus")
    corpus = made_of.get("sha256") if isinstance(made_of, Mapping) else None
    files = list(given or ())
    if given is None and fusion.expands:
        files = _expansion_files(request, topics)
    searched = Searched(frozenset(names), corpus)
    return find_overlap(encoder, files, topics.topics, qrels, searched, level, gate)


def _expansion_files(request: SearchRequest, topics: TopicSet) -> list[Path]:
    """Return the files that the expansions of a search are from."""
    folder = topics.folder or Path(request.topics or "-")  # topics from memory have no file
    own = [folder / "queries.jsonl", folder / "queries.jsonl.gz"] if folder.is_dir() else [Path(request.topics)]
    return [expansions_path(topics, name) for name in request.expansions] or [path for path in own if path.is_file()]


def _cost_facts(files: Sequence[Path], topics: Sequence[Topic]) -> dict[str, Any]:
    """Return what the expansions of the topics cost, where that is known of every file."""
    costs = [read_costs(path) for path in files]
    qids = [t.qid for t in topics]
    return {FACT: [c.facts(qids) for c in costs if c]} if costs and all(costs) else {}


def _judged_here(request: SearchRequest, qrels: Qrels, topics: TopicSet) -> Qrels:
    """Return the qrels of the topics that are searched; the others would enter means and tests as zeros."""
    here = judged_among(qrels, [t.qid for t in topics.topics])
    if left := len(qrels) - len(here):
        chosen = request.limit is not None or request.qids is not None
        log.log(
            logging.INFO if chosen else logging.WARNING,
            "%d of %d judged topics are not among the topics that are searched and do not count",
            left,
            len(qrels),
        )
    return here


def _ranks_itself(qid: str, ranked: Mapping[str, float], judged: Mapping[str, int], level: int) -> bool:
    return qid in ranked and judged.get(qid, 0) < level and qid in list(ranked)[:SEEN]


def _collection(request: SearchRequest, topics: TopicSet, searcher: DenseSearch | Bm25Search) -> CollectionName | None:
    """Return the known collection that is searched, by any of the names that say it."""
    return topics.collection or collection_meant(
        request.topics, request.qrels, *request.index, source_of(request, searcher)
    )


def _manifest_of(searcher: DenseSearch | Bm25Search) -> Mapping[str, Any]:
    manifest = read_manifest(searcher.index / NAME) if isinstance(searcher, Bm25Search) else searcher.index.manifest
    return manifest or {}


def source_of(request: SearchRequest, searcher: DenseSearch | Bm25Search) -> str | None:
    """Return what the manifest of an index folder that was named calls its corpus; one in the cache may have been built under any name."""
    folder = searcher.index if isinstance(searcher, Bm25Search) else searcher.index.folder
    if not request.index or Path(label(request.index)) != folder:
        return None
    made_of = _manifest_of(searcher).get("corpus")
    source = made_of.get("source") if isinstance(made_of, Mapping) else None
    return source if isinstance(source, str) else None


def open_searcher(
    request: SearchRequest,
    topics: TopicSet,
    fusion: Fusion,
    encoder: TextEncoder | None,
    opened: FaissIndex | None = None,
    held: ExitStack | None = None,
) -> tuple[DenseSearch | Bm25Search, int, str]:
    """Return what searches, how many documents it searches, and what to call it.

    Raises:
        ExpandrError: no documents are named, or there is no index of them.
    """
    where = request.index if any(request.index) else topics.documents
    if where is None:
        raise ExpandrError(
            f"{topics.label}: which documents? give --index: an index folder, a collection's name, a corpus, or a Pyserini prebuilt index"
        )
    if request.retriever == "bm25":
        folder = lucene_index(where, feedback=fusion.of == "feedback")
        sparse = Bm25Search(
            folder,
            Bm25(request.k1, request.b),
            threads=request.threads,
            stock=request.stock,
        )
        sparse.remove_own = _removes(request, topics, sparse)
        return sparse, document_count(folder), f"BM25 (k1 {request.k1:g}, b {request.b:g})"
    if encoder is None:
        raise ExpandrError("dense retrieval needs an encoder")
    if request.engine.engine == "ray" and not opened and held:
        from expandr_repro.search.on_ray import spread_index

        index = spread_index(where, encoder, request, held)
    else:
        index = opened or dense_index(where, encoder, request.factory, request.max_memory)
    if request.stock and isinstance(index, PartedIndex):
        raise ExpandrError("--searcher pyserini: Pyserini's FaissSearcher searches one index folder; merge the parts (encode --merge), or leave it out")  # fmt: skip
    if request.search_params:
        index.set_parameters(request.search_params)
    dense = DenseSearch(
        encoder, index, threads=request.threads, batch_size=request.batch_size, stock=request.stock,
    )  # fmt: skip
    dense.remove_own = _removes(request, topics, dense)
    return dense, int(index.index.ntotal), f"{encoder.name} ({encoder.dimension} dimensions)"


def _removes(request: SearchRequest, topics: TopicSet, searcher: DenseSearch | Bm25Search) -> bool:
    """Return whether own ids are taken out: as asked, or as the collection has it however it is named."""
    if request.remove_query is not None:
        return request.remove_query
    known = _collection(request, topics, searcher)
    return bool(known and known.spec.remove_query)


def _check_pairing(searcher: DenseSearch | Bm25Search, size: int, topics: TopicSet, qrels: Qrels | None) -> None:
    """Refuse an index of other documents than those that the topics are judged on, before anything is searched."""
    if isinstance(searcher, Bm25Search):
        folder = searcher.index
        manifest = read_manifest(folder / NAME)
        holds: Callable[[Collection[str]], bool] = partial(holds_any, folder)
        refuse_other_count(folder, manifest, size)
    else:
        folder, manifest, holds = searcher.index.folder, searcher.index.manifest, any_of(searcher.index.docids)
    refuse_other_version(folder, manifest, topics.documents)
    if qrels:
        refuse_foreign(folder, judged_documents(qrels, topics.topics), holds, "name another --index, or other --qrels")


def _hits(asked: int | None, documents: int, remove_own: bool) -> int:
    if asked is not None and asked > documents:
        log.info("--hits %d: the index has %d documents, and all of them are ranked", asked, documents)
    return min(asked or DEFAULT_HITS, documents)


def final_ranking(run: Run) -> Run:
    """Return a run as its file has it: scores strictly decreasing, ties by docid."""
    return {qid: strictly_decreasing(ranked) for qid, ranked in run.items()}


def _facts(
    request: SearchRequest,
    outcome: Outcome,
    searcher: DenseSearch | Bm25Search,
    joined: Joined | None,
    qrels: Qrels | None,
) -> dict[str, Any]:
    """Return what pins the run; see `run_facts`."""
    topics, fusion = outcome.topics, outcome.chosen
    known = _collection(request, topics, searcher)
    facts: dict[str, Any] = {
        "collection": str(known) if known else None,
        "topics": topics.label,
        "topics_count": len(topics.topics),
        "topics_sha256": topics_sha256(topics.topics),
        "topics_in_order_sha256": ordered_sha256(topics.topics),
        "expansions": None,
        "topics_without_expansion": outcome.without_expansion,
        "retriever": request.retriever,
        "fusion": fusion.name,
        **_fusion_facts(fusion),
        "hits": searcher.hits,
        "own_id_removed": searcher.remove_own,
        "searcher": "pyserini" if request.stock else "expandr_repro",
    }
    if fusion.expands:
        digest = expansions_sha256(topics.topics)
        facts["expansions"] = joined.sources if joined else [{"name": OWN, "sha256": digest}]
        facts["expansions_sha256"] = digest
        if joined and joined.from_several:
            facts["topics_with_texts_from_several_files"] = joined.from_several
    if request.search_params:
        facts["search_params"] = request.search_params
    facts |= _index_facts(request, searcher, fusion.of == "feedback")
    if outcome.figures and qrels:
        name = request.qrels if request.qrels and collection_meant(request.qrels) is None else None
        facts["qrels"] = {
            "name": Path(name).name if name else str(collection_meant(request.qrels) or topics.label),
            "topics": len(qrels),
            "sha256": qrels_sha256(qrels),
        }
        facts["metrics"] = [str(m) for m in outcome.measures]
        facts["figures"] = {str(m): round(outcome.figures.mean(m), 4) for m in outcome.measures}
    recorded: dict[str, Any] = without_paths(facts)
    return recorded


def _fusion_facts(fusion: Fusion) -> dict[str, Any]:
    """Return the parameters of a fusion, and of a plug-in's where its code is from."""
    # a parameter that a fusion was given later is left out at its default, so that manifests of older runs stay as they are
    values: dict[str, Any] = {k: v for k, v in fusion.values.items() if k != "lowercase" or v}
    facts: dict[str, Any] = {}
    if fusion.of == "feedback":
        facts["feedback"] = values
    elif values:
        older = {parameter: key for key, (names, parameter) in ALIASES.items() if fusion.name in names}
        ours = fusion.name in FUSIONS
        facts |= {older.get(k, k): v for k, v in values.items()} if ours else {"fusion_parameters": values}
    if origin := FUSIONS.origin(fusion.name):
        facts["fusion_origin"] = origin
    return facts


def _index_facts(request: SearchRequest, searcher: DenseSearch | Bm25Search, feedback: bool) -> dict[str, Any]:
    manifest = _manifest_of(searcher)
    made_of = manifest.get("corpus")
    # an index in the cache may have been built under another name
    corpus = {k: v for k, v in made_of.items() if k != "source"} if isinstance(made_of, Mapping) else None
    java = ("pyserini",) if request.stock or feedback else ()
    if isinstance(searcher, Bm25Search):
        content = lucene_facts(searcher.index)
        # Lucene writes other bytes each time, so an index of ours is known by its corpus, and by what Lucene counts in it
        if not (corpus and corpus.get("sha256")):
            content["sha256"] = files_sha256(searcher.index)
        return {
            "k1": request.k1,
            "b": request.b,
            "corpus": corpus,
            "index": content,
            "versions": versions("pyserini"),
        }
    index, encoder = searcher.index, searcher.encoder
    if "pyserini_class" in encoder.identity:
        java = ("pyserini",)
    by = getattr(encoder, COMPUTED_BY, None)
    return {
        "encoder": encoder.identity,
        **({COMPUTED_BY: by} if by else {}),
        # in other batches, on another device or from the cache, a vector may differ in its last bit, and a run with it
        "query_vectors_sha256": f"{searcher.searched:064x}",
        "corpus": corpus,
        "index": _parts_facts(index)
        if isinstance(index, PartedIndex)
        else {
            "factory": manifest.get("factory") or type(index.index).__name__,
            "documents": len(index.docids),
            "docids_sha256": manifest.get(DOCIDS) or sha256_file(index.folder / "docid"),
            "sha256": files_sha256(index.folder, ["docid"]),
        },
        **({} if request.stock else {"batch_size": request.batch_size}),
        "versions": versions(
            "faiss-cpu", "faiss-gpu", "torch", "transformers", "onnxruntime", "tokenizers", "numpy", *java
        ),
    }


def _parts_facts(index: PartedIndex) -> dict[str, Any]:
    """Return what pins an index of several parts: that of each, in the order of their rows."""
    parts = [
        {
            **part.facts,
            "docids_sha256": (part.manifest or {}).get(DOCIDS) or sha256_file(part.folder / "docid"),
            "sha256": files_sha256(part.folder, ["docid"]),
        }
        for part in index.parts
    ]
    return {"documents": len(index.docids), "parts": parts}
