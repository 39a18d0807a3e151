"""What `train_encoder` learns from: topics with their expansions, relevant documents, hard negatives, and the topics held out."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from expandr_repro.core.contrast import Example, held_out
from expandr_repro.core.corpus import Corpus
from expandr_repro.core.encoder_config import EncoderTraining
from expandr_repro.core.errors import ExpandrError, MismatchError
from expandr_repro.core.files import sha256_file, sha256_text
from expandr_repro.core.topics import Topic
from expandr_repro.core.trec import Qrels, read_run
from expandr_repro.pipeline.collections import TopicSet, find_corpus, find_topics, relevance_level
from expandr_repro.pipeline.dev_topics import (
    DevSearch,
    TrainRequest,
    check_selection,
    dev_searches,
    expansion_sets,
    judgements_of,
)
from expandr_repro.pipeline.indexes import corpus_facts

log = logging.getLogger(__name__)

NO_POSITIVE = "topics without a relevant document in the corpus, left out"
NO_EXPANSION = "topics without an expansion, trained by their query alone"
NO_NEGATIVE = "topics without a hard negative"
RELEVANT = "documents of --negatives judged relevant, not taken as negatives"


@dataclass
class TrainingData:
    """Everything that training reads.

    Attributes:
        examples: the training topics.
        texts: docid -> text, of the positives and negatives.
        corpus: of the development searches.
        searches: these, by what varies: the query alone, and each set of expansions.
        dev_qrels: their judgements.
        counts: what a user should know of, in words.
        facts: what decides the training, for the manifest and the name of the working folder.
        names: what the parts were called, which decides nothing.
    """

    examples: list[Example]
    texts: dict[str, str]
    corpus: Corpus
    searches: list[DevSearch]
    dev_qrels: Qrels
    counts: dict[str, int] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    names: dict[str, str | None] = field(default_factory=dict)


def gather(request: TrainRequest, config: EncoderTraining) -> TrainingData:
    """Read and check all that a request names, before a model is loaded.

    Raises:
        ExpandrError: whatever the user can cause; the message says what to do.
    """
    topics = find_topics(request.train)
    qrels = judgements_of(topics, request.qrels, "--qrels")
    corpus = find_corpus(request.corpus or _documents_of(topics))
    sets = expansion_sets(topics, request.expansions)
    if not sets and (request.fusion != "none" or set(config.views) != {"query"}):
        raise ExpandrError(
            f"--fusion {request.fusion} with views {', '.join(config.views)}: none of the {len(topics.topics)} topics has an expansion; "
            "give --expansions, or train on the queries alone with --fusion none"
        )
    negatives = _negatives(request.negatives, topics, config.hard_negatives)
    counts: dict[str, int] = {}
    level = relevance_level(request.qrels, request.train)
    examples, texts = _examples(topics, sets, qrels, negatives, corpus, config, counts, level)
    dev = held_out([e.qid for e in examples], config.dev, config.dev_seed) if config.dev else set()
    searches, dev_qrels = dev_searches(request, topics, sets, qrels, dev)
    if request.dev_topics:
        _refuse_foreign_topics(request.dev_topics, dev_qrels, corpus, relevance_level(request.dev_topics))
    check_selection(config, searches)
    data = TrainingData([e for e in examples if e.qid not in dev], texts, corpus, searches, dev_qrels, counts)
    counts |= {
        "topics for training": len(data.examples),
        "topics for development": len(searches[0].topics) if searches else 0,
    }
    data.facts = _facts(request, topics, sets, qrels, data)
    negatives_name = Path(request.negatives).name if request.negatives else None
    data.names = {"topics": topics.label, "corpus": corpus.source, "negatives": negatives_name}
    return data


def _documents_of(topics: TopicSet) -> str:
    if topics.documents:
        return topics.documents
    raise ExpandrError(
        f"{topics.label}: which documents? give --corpus: a collection's name, a BEIR folder or a JSONL file"
    )


def _negatives(name: str | None, topics: TopicSet, wanted: int) -> dict[str, list[str]]:
    """Read a run: qid -> docids, best first."""
    if name is None:
        if wanted:
            log.info("no --negatives: each query's negatives are the other queries' documents alone")
        return {}
    run = read_run(name)
    if not any(t.qid in run for t in topics.topics):
        raise MismatchError(
            f"--negatives {name}: ranks documents for none of the {len(topics.topics)} topics of {topics.label}; is it a run of other topics?"
        )
    return {qid: sorted(ranked, key=lambda d: (-ranked[d], d)) for qid, ranked in run.items()}


def _examples(
    topics: TopicSet,
    sets: Mapping[str, Sequence[Topic]],
    qrels: Qrels,
    negatives: Mapping[str, list[str]],
    corpus: Corpus,
    config: EncoderTraining,
    counts: dict[str, int],
    level: int,
) -> tuple[list[Example], dict[str, str]]:
    by_set = [{t.qid: t.texts for t in listed} for listed in sets.values()]
    drafts, relevant_negatives = [], 0
    for topic in topics.topics:
        judged = qrels.get(topic.qid, {})
        relevant = {d for d, grade in judged.items() if grade >= level and d != topic.qid}
        ranked = [d for d in negatives.get(topic.qid, [])[: config.negative_depth] if d != topic.qid]
        relevant_negatives += sum(d in relevant for d in ranked)
        alternatives = tuple(found for s in by_set if (found := s.get(topic.qid, ())))
        drafts.append(
            Example(
                topic.qid,
                topic.title,
                alternatives,
                tuple(sorted(relevant)),
                tuple(d for d in ranked if d not in relevant),
            )
        )
    texts = _texts(corpus, {d for e in drafts for d in (*e.positives, *e.negatives)})
    _refuse_foreign(drafts, texts, corpus)
    drafts = [replace(e, positives=tuple(d for d in e.positives if d in texts)) for e in drafts]
    examples = [e for e in drafts if e.positives]
    if not examples:
        raise MismatchError(
            f"{topics.label}: no topic has a relevant document in {corpus.source}; are these judgements of another collection?"
        )
    counts |= {NO_POSITIVE: len(drafts) - len(examples), RELEVANT: relevant_negatives}
    if sets:
        counts[NO_EXPANSION] = sum(not e.alternatives for e in examples)
    if negatives:
        counts[NO_NEGATIVE] = sum(not e.negatives for e in examples)
    return examples, texts


def _texts(corpus: Corpus, wanted: set[str]) -> dict[str, str]:
    return {d.docid: d.dense_text for d in corpus.read() if d.docid in wanted and d.dense_text}


def _refuse_foreign(examples: Sequence[Example], texts: Mapping[str, str], corpus: Corpus) -> None:
    """Refuse a run of another collection: a document that the corpus lacks, or has empty, can be no negative."""
    for example in examples:
        for docid in example.negatives:
            if docid not in texts:
                raise MismatchError(
                    f"--negatives: the document {docid!r} of topic {example.qid!r} is not in {corpus.source}, or empty; is it a run on another collection?"
                )


def _refuse_foreign_topics(name: str, qrels: Qrels, corpus: Corpus, level: int) -> None:
    """Refuse development topics of another collection: their figures would be 0 whatever is learnt."""
    relevant = {d for judged in qrels.values() for d, grade in judged.items() if grade >= level}
    if relevant and not any(document.docid in relevant for document in corpus.read()):
        raise MismatchError(
            f"--dev-topics {name}: none of the {len(relevant)} documents relevant for them (e.g. {min(relevant)!r}) is in {corpus.source}; they are of another collection"
        )


def _facts(
    request: TrainRequest, topics: TopicSet, sets: Mapping[str, Sequence[Topic]], qrels: Qrels, data: TrainingData
) -> dict[str, Any]:
    """Return what decides the training, by content and not by name."""

    def digest(value: object) -> str:
        return sha256_text(repr(value))[:32]

    def judged(judgements: Qrels) -> str:
        return digest(sorted((qid, sorted(grades.items())) for qid, grades in judgements.items()))

    return {
        "topics": {
            "count": len(topics.topics),
            "sha256": digest([(t.qid, t.title) for t in topics.topics]),
        },
        "expansions": {name: digest([(t.qid, t.texts) for t in listed]) for name, listed in sets.items()},
        "qrels_sha256": judged(qrels),
        "corpus": asdict(corpus_facts(data.corpus)),
        "negatives_sha256": sha256_file(request.negatives) if request.negatives else None,
        "fusion": request.fusion,
        "alpha": request.alpha,
        "development": {s.name: digest([(t.qid, t.title, t.texts) for t in s.topics]) for s in data.searches},
        "development_qrels_sha256": judged(data.dev_qrels) if data.searches else None,
    }
