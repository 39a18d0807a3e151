"""Run a search: find topics, index and encoder by name, search, and score the run."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
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
from expandr_repro.data.topics import Topic
from expandr_repro.data.trec import Qrels, Run, strictly_decreasing
from expandr_repro.encoders.protocol import TextEncoder
from expandr_repro.errors import ExpandrError
from expandr_repro.evaluate.depths import warn_of_depth
from expandr_repro.evaluate.metrics import DEFAULT, Measure, parse_measures
from expandr_repro.evaluate.run_facts import WITHOUT_HITS
from expandr_repro.evaluate.scoring import Figures, Scorer
from expandr_repro.evaluate.seen import Overlap, find_overlap
from expandr_repro.evaluate.significance import paired_p
from expandr_repro.indexes.faiss_index import FaissIndex
from expandr_repro.search.fusion import ALIASES, FUSIONS, Fusion, check_alpha, fusion_named, set_by_alias
from expandr_repro.search.gate import gate_named
from expandr_repro.search.gate.choose import Choice, Gating, frequencies_of
from expandr_repro.search.opening import check_pairing, collection_of, open_searcher, source_of
from expandr_repro.search.options import SearchRequest
from expandr_repro.search.outputs import cost_facts, facts_of
from expandr_repro.search.searcher import Searcher
from expandr_repro.search.typed import select_types

log = logging.getLogger(__name__)

DEFAULT_HITS = 1000

BLOCK = 4096
"""Topics whose vectors and rankings are held at a time."""

SEEN = 10
"""Ranks in which a topic's own id is noticed."""


@dataclass
class Outcome:
    """What a search gave.

    Attributes:
        topics: what was searched.
        fusion: the name of the fusion.
        index: what was searched in, for people.
        searcher: what searched, for whoever wants its vectors.
        run: scores strictly decreasing, as the run file will have them; empty where it was written as it came.
        measures: what was measured; empty where no relevance judgments are known.
        figures: scores of the run, or None.
        baseline: scores of the query alone, or None.
        p_values: per measure, of the difference between the two.
        without_expansion: topics searched by their query alone.
        facts: for the run's manifest.
        lines: of the run.
        seconds: that the run took, without opening the index and without the baseline.
        overlap: which topics the models saw in training; None where none of them says what it was trained on.
        chosen: the fusion with its parameters.
        choices: what the gate chose per topic; None where there is no gate.
        gate: its name and parameters, as typed.
    """

    topics: TopicSet
    fusion: str
    index: str
    searcher: Searcher
    run: Run = field(default_factory=dict)
    measures: list[Measure] = field(default_factory=list)
    figures: Figures | None = None
    baseline: Figures | None = None
    p_values: dict[Measure, float] = field(default_factory=dict)
    without_expansion: int = 0
    facts: dict[str, Any] = field(default_factory=dict)
    lines: int = 0
    seconds: float = 0.0
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
    check_pairing(searcher, size, topics, qrels)
    if request.hits is not None and request.hits > size:
        log.info("--hits %d: the index has %d documents, and all of them are ranked", request.hits, size)
    searcher.hits = min(request.hits or DEFAULT_HITS, size)
    outcome = Outcome(topics, fusion.name, label, searcher, chosen=fusion)
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
    usual = _expansion_files(request, topics) if fusion.expands else []
    files = usual if given.files is None else list(given.files)
    outcome.overlap = _overlap(request, outcome, encoder, qrels, level, files, file)
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
        started = time.perf_counter()
        # a fusion of runs begins with the run of the queries alone, so the two need not search it twice
        alone = searcher.run(some, "none") if gating or (beside and fusion.of == "runs") else None
        searched_run = gating.run(some, alone or {}) if gating else searcher.run(some, fusion, alone)
        outcome.seconds += time.perf_counter() - started
        run = final_ranking(searched_run)
        outcome.lines += sum(map(len, run.values()))
        without_hits += [t.qid for t in some if not run.get(t.qid)]
        itself = (qid for qid, ranked in run.items() if qid in ranked and qid in list(ranked)[:SEEN])
        own_ids += sum((qrels or {}).get(qid, {}).get(qid, 0) < level for qid in itself)
        if qrels:
            scorer.add(run)
        if beside:
            searched = searcher.searched  # the baseline is no part of the run
            baseline.add(final_ranking(alone or searcher.run(some, "none")))
            searcher.searched = searched
        write(run) if write else outcome.run.update(run)
        if len(topics.topics) > block:
            searcher.forget()
    collection = collection_of(request, topics, searcher)
    if own_ids and request.remove_query is None and collection is None:
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
    outcome.facts = facts_of(request, outcome, collection, joined, qrels) | {WITHOUT_HITS: without_hits}
    outcome.facts |= gating.facts() if gating else {}
    outcome.facts |= {**types, **cost_facts(files, topics.topics)} if fusion.expands else {}
    outcome.facts |= outcome.overlap.facts() if outcome.overlap else {}
    return outcome


def _overlap(
    request: SearchRequest,
    outcome: Outcome,
    encoder: TextEncoder | None,
    qrels: Qrels | None,
    level: int,
    files: Sequence[Path],
    gate: Path | None,
) -> Overlap | None:
    """Find which topics the models of a search saw in training, however topics, qrels and index are named."""
    topics, searcher = outcome.topics, outcome.searcher
    named = map(collection_meant, (request.topics, request.qrels, *request.index, source_of(request, searcher)))
    names = {known.dataset for known in (topics.collection, *named) if known}
    names |= {topics.folder.resolve().name} if topics.folder else set()
    searched = Searched(frozenset(names), searcher.corpus.get("sha256"))
    return find_overlap(encoder, files, topics.topics, qrels, searched, level, gate)


def _expansion_files(request: SearchRequest, topics: TopicSet) -> list[Path]:
    """Return the files that the expansions of a search are from."""
    folder = topics.folder or Path(request.topics or "-")  # topics from memory have no file
    own = [folder / "queries.jsonl", folder / "queries.jsonl.gz"] if folder.is_dir() else [Path(request.topics)]
    return [expansions_path(topics, name) for name in request.expansions] or [path for path in own if path.is_file()]


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


def final_ranking(run: Run) -> Run:
    """Return a run as its file has it: scores strictly decreasing, ties by docid."""
    return {qid: strictly_decreasing(ranked) for qid, ranked in run.items()}
