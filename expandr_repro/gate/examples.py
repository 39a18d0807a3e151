"""Measure training topics: what gates say of each, and what its expansions change."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from expandr_repro.data.collections import judged_among, qrels_of, relevance_level
from expandr_repro.data.overlap.sharing import relevant_documents
from expandr_repro.data.overlap.trained_on import TrainedOn
from expandr_repro.data.splits import with_split
from expandr_repro.data.topics import Topic
from expandr_repro.encoders.protocol import TextEncoder
from expandr_repro.errors import ExpandrError
from expandr_repro.evaluate.metrics import parse_measure
from expandr_repro.evaluate.run_facts import expansions_sha256, qrels_sha256, topics_sha256
from expandr_repro.evaluate.scoring import evaluate
from expandr_repro.gate.options import FitRequest
from expandr_repro.gate.planted import planted
from expandr_repro.search.gate import GATES, Gate
from expandr_repro.search.gate.choose import evidence, frequencies_of
from expandr_repro.search.gate.registry import registered, unfit, with_threshold
from expandr_repro.search.opening import open_searcher, source_of
from expandr_repro.search.options import SearchRequest
from expandr_repro.search.run import choose_fusion, final_ranking, topics_for
from expandr_repro.search.typed import select_types
from expandr_repro.training.hold_out import TrainingTopics, collection_of, corpus_hash, leave_out

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

HITS = 100
"""Documents per topic that gates look at."""


@dataclass(frozen=True)
class Examples:
    """Topics with expansions of one kind.

    Attributes:
        collection: that they are of.
        kind: of planted texts; empty for expansions as an LLM wrote them.
        qids: of the topics.
        values: (topics, features), NaN where there is nothing to judge by.
        alone: (topics,) scores of the query alone.
        fused: (topics,) scores with the expansions.
    """

    collection: str
    kind: str
    qids: tuple[str, ...]
    values: NDArray[np.float64]
    alone: NDArray[np.float64]
    fused: NDArray[np.float64]

    @property
    def gains(self) -> NDArray[np.float64]:
        """What the expansions add, (topics,)."""
        return self.fused - self.alone


@dataclass(frozen=True)
class Training:
    """What a gate is fitted on: one of --train, or all of them.

    Attributes:
        examples: sets of topics with expansions.
        features: what was measured.
        facts: of each of --train, for the manifest.
        trained_on: its topics and their relevant documents.
    """

    examples: list[Examples]
    features: list[Gate]
    facts: list[dict[str, Any]]
    trained_on: list[TrainedOn]


def gather(request: FitRequest, encoder: TextEncoder | None) -> Training:
    """Search the training topics alone and with their expansions, and measure them.

    Raises:
        ExpandrError: whatever the user can cause; the message says what to do.
    """
    parts = [measure(item, request, encoder, planted if request.planted else None) for item in request.train]
    if len({tuple(map(str, part.features)) for part in parts}) > 1:
        raise ExpandrError(
            "--train: the expansions go with fusions that differ in what gates can measure; give one with --fusion"
        )
    joined: list[list[Any]] = [
        [thing for part in parts for thing in getattr(part, name)] for name in ("examples", "facts", "trained_on")
    ]
    return Training(joined[0], parts[0].features, joined[1], joined[2])


def features_of(request: FitRequest) -> list[Gate]:
    """Return the gates whose values are learned from, before anything is searched.

    Raises:
        UnknownNameError: no such gate.
        ExpandrError: a gate is not for the retriever.
    """
    if not request.features:
        return [g for g in GATES.values() if not unfit(g, request.retriever)]
    if own := next((name for name in request.features if "threshold=" in with_threshold(name)), None):
        raise ExpandrError(f"--features {own}: a threshold has no meaning here, where the value itself is learned from; leave it out")  # fmt: skip
    chosen = [registered(name) for name in dict.fromkeys(request.features)]
    for gate in chosen:
        if fault := unfit(gate, request.retriever):
            raise ExpandrError(f"--features: gate {gate.name!r} {fault}; leave it out")
    return chosen


def measure(
    item: str,
    request: FitRequest,
    encoder: TextEncoder | None,
    plant: Callable[[Sequence[Topic]], Mapping[str, list[Topic]]] | None,
) -> Training:
    """Measure one of --train.

    Args:
        item: as typed.
        request: how it is searched, and what is measured.
        encoder: for dense retrieval.
        plant: makes further sets of its topics, with other texts, by kind.

    Raises:
        ExpandrError: whatever the user can cause.
    """
    import numpy as np

    typed, _, expansions = item.partition("=")
    name = with_split(typed, "--train")
    search = SearchRequest(topics=name, expansions=(expansions,) if expansions else (), index=request.index, retriever=request.retriever, fusion=request.fusion)  # fmt: skip
    topics, _ = topics_for(search)
    fusion = choose_fusion(search, topics.topics)
    if not fusion.expands:
        if not request.fusion:
            raise ExpandrError(f"--train {item}: the topics have no expansions, so there is nothing to choose; give some, as in --train {typed}=FILE")  # fmt: skip
        raise ExpandrError(f"--fusion {fusion.name}: uses no expansions, so there is nothing to choose; leave it out")
    features = [g for g in features_of(request) if not unfit(g, request.retriever, fusion)]
    qrels = qrels_of(topics)
    if qrels is None:
        raise ExpandrError(f"--train {item}: no relevance judgments are known for these topics; name a collection with its split, or a BEIR folder")  # fmt: skip
    level = relevance_level(name)
    metric = parse_measure(request.metric, level)
    searcher, _, _ = open_searcher(search, topics, fusion, encoder)
    searcher.hits = HITS
    judged = judged_among(qrels, [t.qid for t in topics.topics if t.texts])
    relevant = relevant_documents(judged, judged, level)
    titles = {t.qid: t.title for t in topics.topics if t.qid in judged}
    about = TrainingTopics(topics.label, titles, relevant, collection_of(topics, name, *request.index), corpus_hash(topics.documents))  # fmt: skip
    left_out = leave_out(request.hold_out, about)
    having = [
        t for t in select_types(topics.topics, request.retriever)[0] if t.qid in titles and t.qid not in left_out.qids
    ]
    if not having:
        raise ExpandrError(f"--train {item}: none of the topics has both expansions and relevance judgments")
    needs = frozenset[str]().union(*(g.needs for g in features))
    corpora = (*request.index, source_of(search, searcher), topics.documents)
    counter = next((g for g in features if "frequencies" in g.needs), features[0])
    frequencies = frequencies_of(corpora, having, counter)
    first = searcher.run(having, "none")
    alone = final_ranking(first)
    examples = []
    for kind, some in {"": having, **(plant(having) if plant else {})}.items():
        fused = final_ranking(searcher.run(some, fusion, first if fusion.of == "runs" else None))
        evidences = evidence(searcher, needs, some, alone, fused, frequencies)
        scores = [evaluate(run, {q: judged[q] for q in evidences}, [metric], request.metric) for run in (alone, fused)]
        values = [[g.value(evidences[q]) for g in features] for q in scores[0].qids]
        both = [s.per_topic[metric] for s in scores]
        examples.append(Examples(about.collection, kind, tuple(scores[0].qids), np.array(values, dtype=float), *both))
    about = about.only(t.qid for t in having)
    record = TrainedOn(about.collection, about.corpus, about.titles, frozenset().union(*(about.relevant or {}).values()), tuple(left_out.names))  # fmt: skip
    facts = {
        "topics": topics.label, "expansions": expansions.rpartition("/")[2] or None, "collection": about.collection, "count": len(having), "fusion": str(fusion),
        "topics_sha256": topics_sha256(having), "expansions_sha256": expansions_sha256(having), "qrels_sha256": qrels_sha256(judged), **left_out.facts,
    }  # fmt: skip
    return Training(examples, features, [facts], [record])
