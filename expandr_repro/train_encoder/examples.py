"""Read the training examples of `train_encoder`: topics with expansions, relevant documents, hard negatives."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from expandr_repro.data.collections import TopicSet, find_corpus, find_topics, relevance_level, removes_own_ids
from expandr_repro.data.corpus import Corpus
from expandr_repro.data.overlap.sharing import relevant_documents
from expandr_repro.data.overlap.trained_on import TrainedOn, carried_on
from expandr_repro.data.splits import split_of, with_split
from expandr_repro.data.topics import Topic
from expandr_repro.data.trec import Qrels, read_run
from expandr_repro.errors import ExpandrError, MismatchError
from expandr_repro.indexes.find import corpus_facts
from expandr_repro.io.files import sha256_file, sha256_text
from expandr_repro.train_encoder.batches import Example, held_out
from expandr_repro.train_encoder.dev_topics import (
    DevSearch,
    check_selection,
    dev_searches,
    expansion_sets,
    judgements_of,
)
from expandr_repro.train_encoder.settings import EncoderTraining, TrainRequest
from expandr_repro.training.hold_out import TrainingTopics, collection_of, leave_out

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
        dev_qrels: their relevance judgments.
        counts: what a user should know of, in words.
        facts: what decides the training, for the manifest and the name of the working folder.
        names: what the parts were called, which decides nothing.
        trained_on: the record of the topics and their relevant documents, and what the expansions' records say.
    """

    examples: list[Example]
    texts: dict[str, str]
    corpus: Corpus
    searches: list[DevSearch]
    dev_qrels: Qrels
    counts: dict[str, int] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    names: dict[str, Any] = field(default_factory=dict)
    trained_on: list[TrainedOn] = field(default_factory=list)


@dataclass(frozen=True)
class _Rules:
    """The collection's: whether a topic's own id is taken out of its ranking, and the least grade that is relevant."""

    remove_own: bool
    level: int


def gather(request: TrainRequest, config: EncoderTraining) -> TrainingData:
    """Read and check all that a request names, before a model is loaded.

    Raises:
        ExpandrError: whatever the user can cause; the message says what to do.
    """
    topics = find_topics(with_split(request.train, "--train"))
    log.info("training topics: %s, %d topics", topics.label, len(topics.topics))
    qrels = judgements_of(topics, request.qrels, "--qrels")
    corpus = find_corpus(request.corpus or _documents_of(topics))
    names = (request.train, request.corpus, request.qrels)
    rules = _Rules(removes_own_ids(*names), relevance_level(request.qrels, *names))
    sets = expansion_sets(topics, request.expansions)
    expanded = request.fusion != "none" and set(config.views) != {"query"}
    if not sets and expanded:
        raise ExpandrError(
            f"--fusion {request.fusion} with views {', '.join(config.views)}: none of the {len(topics.topics)} topics has an expansion; "
            "give --expansions, or train on the queries alone with --fusion none"
        )
    training = TrainingTopics(
        topics.label,
        {t.qid: t.title for t in topics.topics},
        relevant_documents(qrels, [t.qid for t in topics.topics], rules.level),
        collection_of(topics, *names),
        corpus_facts(corpus).sha256,
    )
    left_out = leave_out(request.hold_out, training)
    kept = replace(topics, topics=[t for t in topics.topics if t.qid not in left_out.qids])
    negatives = _negatives(request.negatives, kept, config.hard_negatives)
    counts: dict[str, int] = dict(left_out.counts)
    examples, texts = _examples(kept, sets if expanded else {}, qrels, negatives, corpus, config, counts, rules)
    apart = None if request.allow_overlap else training.in_common()
    dev = held_out([e.qid for e in examples], config.dev, config.dev_seed, apart) if config.dev else set()
    examples = [e for e in examples if e.qid not in dev]
    training = training.only(e.qid for e in examples)
    searches, dev_qrels, seen = dev_searches(request, kept, sets, qrels, dev, training)
    if request.dev_topics:
        _refuse_foreign_topics(request.dev_topics, dev_qrels, corpus)
    check_selection(config, searches)
    _check_expansions(request, config, expanded, searches)
    _check_contrast(examples, config)
    data = TrainingData(examples, texts, corpus, searches, dev_qrels, counts)
    counts |= {
        "topics for training": len(data.examples),
        "topics for development": len(searches[0].topics) if searches else 0,
        **seen,
    }
    data.facts = _facts(request, topics, sets if expanded else {}, qrels, data)
    data.facts |= {"relevance_level": rules.level, "own_id_removed": rules.remove_own, **left_out.facts}
    negatives_name = Path(request.negatives).name if request.negatives else None
    data.names = {
        "topics": topics.label,
        "split": split_of(topics),
        "corpus": corpus.source,
        "negatives": negatives_name,
        "hold_out": left_out.names,
        "development": searches[0].source if request.dev_topics else None,
    }
    seen_documents = frozenset(d for e in examples for d in e.positives)
    own = TrainedOn(training.collection, training.corpus, training.titles, seen_documents, tuple(left_out.names))
    files = map(Path, (request.expansions or (request.train,)) if expanded else ())
    data.trained_on = [own, *(part for file in files if file.is_file() for part in carried_on(file))]
    return data


def _check_expansions(
    request: TrainRequest, config: EncoderTraining, expanded: bool, searches: Sequence[DevSearch]
) -> None:
    """Refuse expansions that nothing uses, and report those that training does not."""
    if request.expansions and not expanded:
        why = f"--fusion {request.fusion} with views {', '.join(config.views)} trains on the queries alone"
        if request.dev_topics or not searches:
            raise ExpandrError(
                f"--expansions: {why}, and no development search uses them; leave them out, or choose --fusion mean"
            )
        log.info("--expansions: %s; they are used in the development searches only", why)


def _check_contrast(examples: Sequence[Example], config: EncoderTraining) -> None:
    """Refuse batches in which a query has nothing to be contrasted with: their loss is 0, and nothing is learned."""
    count, size = len(examples), config.batch_size
    if size > count:
        log.warning(
            "batch_size %d: there are only %d training topics, so each epoch is one batch of all of them", size, count
        )
    if config.hard_negatives and any(e.negatives for e in examples):
        without = sum(not e.negatives for e in examples)
        if without and size == 1:
            log.warning("batch_size 1: %d topics without a hard negative have nothing to be contrasted with", without)
        return
    fix = "give --negatives RUN with hard_negatives 1 or more"
    if size == 1 or count == 1:
        what = f"batch_size {size}" if size == 1 else "one training topic"
        raise ExpandrError(
            f"{what} without negatives: a query has nothing to be contrasted with; set batch_size higher, or {fix}"
        )
    if count % size == 1:
        near = min((s for s in range(2, count + 1) if count % s != 1), key=lambda s: (abs(s - size), s))
        raise ExpandrError(
            f"batch_size {size}: of {count} training topics the last one of each epoch is a batch by itself, with nothing to be contrasted with; "
            f"set batch_size to {near}, or {fix}"
        )
    if len({d for e in examples for d in e.positives}) == 1:
        raise ExpandrError(
            f"all {count} training topics have the same relevant document, so nothing can be contrasted; {fix}"
        )


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
    rules: _Rules,
) -> tuple[list[Example], dict[str, str]]:
    by_set = [{t.qid: t.texts for t in listed} for listed in sets.values()]
    drafts, relevant_negatives = [], 0
    for topic in topics.topics:
        judged = {d: grade for d, grade in qrels.get(topic.qid, {}).items() if grade > 0}
        dropped = {topic.qid} if rules.remove_own else set()
        positives = {d for d, grade in judged.items() if grade >= rules.level} - dropped
        aside = ({topic.qid} | judged.keys()) - positives
        ranked = negatives.get(topic.qid, [])[: config.negative_depth]
        relevant_negatives += sum(d in judged for d in ranked)
        alternatives = tuple(others for s in by_set if (others := s.get(topic.qid, ())))
        drafts.append(
            Example(
                topic.qid,
                topic.title,
                alternatives,
                tuple(sorted(positives)),
                tuple(d for d in ranked if d not in positives and d not in aside),
                tuple(sorted(aside)),
            )
        )
    texts = _texts(corpus, {d for e in drafts for d in (*e.positives, *e.negatives)})
    _refuse_foreign(drafts, texts, corpus)
    drafts = [replace(e, positives=tuple(d for d in e.positives if d in texts)) for e in drafts]
    examples = [e for e in drafts if e.positives]
    if not examples:
        raise MismatchError(
            f"{topics.label}: no topic has a relevant document in {corpus.source}; are these the qrels of another collection?"
        )
    counts |= {NO_POSITIVE: len(drafts) - len(examples), RELEVANT: relevant_negatives}
    if sets:
        counts[NO_EXPANSION] = sum(not e.alternatives for e in examples)
    if negatives:
        counts[NO_NEGATIVE] = sum(not e.negatives for e in examples)
    return examples, texts


def _texts(corpus: Corpus, wanted: set[str]) -> dict[str, str]:
    return {d.docid: d.dense_text for d in corpus.find(wanted) if d.dense_text}


def _refuse_foreign(examples: Sequence[Example], texts: Mapping[str, str], corpus: Corpus) -> None:
    """Refuse a run of another collection: a document that the corpus lacks, or has empty, can be no negative."""
    for example in examples:
        for docid in example.negatives:
            if docid not in texts:
                raise MismatchError(
                    f"--negatives: the document {docid!r} of topic {example.qid!r} is not in {corpus.source}, or empty; is it a run on another collection?"
                )


def _refuse_foreign_topics(name: str, qrels: Qrels, corpus: Corpus) -> None:
    """Refuse development topics of another collection: their scores would be 0 whatever is learned."""
    relevant = {d for judged in qrels.values() for d, grade in judged.items() if grade > 0}
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

    def judged(qrels: Qrels) -> str:
        return digest(sorted((qid, sorted(grades.items())) for qid, grades in qrels.items()))

    return {
        "topics": {"count": len(topics.topics), "sha256": digest([(t.qid, t.title) for t in topics.topics])},
        "expansions": {name: digest([(t.qid, t.texts) for t in listed]) for name, listed in sets.items()},
        "qrels_sha256": judged(qrels),
        "corpus": asdict(corpus_facts(data.corpus)),
        "negatives_sha256": sha256_file(request.negatives) if request.negatives else None,
        "fusion": request.fusion,
        "alpha": request.alpha,
        "development": {
            s.name: digest([s.remove_own, *((t.qid, t.title, t.texts) for t in s.topics)]) for s in data.searches
        },
        "development_qrels_sha256": judged(data.dev_qrels) if data.searches else None,
    }
