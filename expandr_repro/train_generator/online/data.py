"""What a generator is trained on online: topics with gold passages, and topics to validate on by real searches."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from expandr_repro.data.collections import TopicSet, find_topics, qrels_of, relevance_level, removes_own_ids
from expandr_repro.data.overlap.sharing import count_shared, relevant_documents
from expandr_repro.data.overlap.trained_on import TrainedOn, carried_on
from expandr_repro.data.splits import DEV, split_of, with_split
from expandr_repro.data.topics import Topic
from expandr_repro.data.trec import Qrels
from expandr_repro.errors import ExpandrError
from expandr_repro.io.files import sha256_file
from expandr_repro.io.manifest import key_of
from expandr_repro.llm.prompts import Prompt
from expandr_repro.prefer.gold import Gold, find_gold, read_answers
from expandr_repro.prefer.rewards import REWARDS, parse_rewards
from expandr_repro.prefer.similarity import Case
from expandr_repro.train_generator.examples import drawn_apart, plain_prompt, training_topics
from expandr_repro.train_generator.options import TrainRequest
from expandr_repro.training.hold_out import TrainingTopics, collection_of, leave_out, refuse_seen

log = logging.getLogger(__name__)

NO_GOLD, NO_ANSWER = "topics without a gold passage", "topics without an answer"


@dataclass(frozen=True)
class Validated:
    """Topics to validate on.

    Attributes:
        label: the source, for people and the manifest.
        topics: without expansions.
        qrels: their relevance judgments.
        corpus: what their index is found by.
        remove_own: whether a topic's own id is taken out of its ranking.
    """

    label: str
    topics: list[Topic]
    qrels: Qrels
    corpus: str
    remove_own: bool


@dataclass(frozen=True)
class OnlineData:
    """Topics, and what they are.

    Attributes:
        request: what was asked for.
        cases: qid -> a topic to train on with its gold passage and answer.
        gold: where the passages are from.
        dev: topics to validate on, or None.
        prompt: that the model answers.
        counts: what became of the topics.
        facts: for the manifest and the key; names of files are not in it.
        names: for the manifest only.
        trained_on: the record of the topics and their relevant documents.
        rendering: how prompts were rendered before: nothing was.
    """

    request: TrainRequest
    cases: dict[str, Case]
    gold: Gold
    dev: Validated | None
    prompt: Prompt
    counts: dict[str, dict[str, int]]
    facts: dict[str, Any]
    names: dict[str, Any]
    trained_on: list[TrainedOn]
    rendering: Mapping[str, Any] = field(default_factory=dict)


def find_data(request: TrainRequest, reward: str, seed: int) -> OnlineData:
    """Read and check the topics to train on and to validate on, before a model is loaded.

    Args:
        request: what was asked for.
        reward: names of rewards with weights.
        seed: of the draw of topics to validate on.

    Raises:
        ExpandrError: a reward lacks what it needs, or no topic is left to train on; whatever else the user can cause.
        MismatchError: topics, answers and gold passages are of different topics.
    """
    weights = parse_rewards(reward)
    needs = [name for name in weights if REWARDS.find(name).of_answers]
    if needs and not request.answers:
        raise ExpandrError(f"the reward {needs[0]!r} needs --answers F (made by `expand --prompt q2a`); or leave it out: --set reward=retriever=1")  # fmt: skip
    wanted = request.dev or 0
    name = with_split(request.topics or "", "--topics")
    topic_set = find_topics(name)
    log.info("training topics: %s, %d topics", topic_set.label, len(topic_set.topics))
    prompt = plain_prompt(request.prompt or "q2d", topic_set.collection.dataset if topic_set.collection else None)
    gold = find_gold(name, None, topic_set.topics)
    answers = read_answers(request.answers, topic_set.topics) if request.answers else None
    with_gold = [t for t in topic_set.topics if t.qid in gold.texts]
    usable = [t for t in with_gold if answers is None or t.qid in answers]
    counts = {"read": len(topic_set.topics), NO_GOLD: len(topic_set.topics) - len(with_gold), NO_ANSWER: len(with_gold) - len(usable)}  # fmt: skip
    training = training_topics(name, topic_set, usable)
    left_out = leave_out(request.hold_out, training)
    counts |= left_out.counts
    usable = [t for t in usable if t.qid not in left_out.qids]
    if len(usable) <= wanted:
        raise ExpandrError(f"--topics {name}: {len(usable)} topics have gold passages{' and answers' if answers else ''}, {wanted} are for validation; nothing is left to train on")  # fmt: skip
    training = training.only(t.qid for t in usable)
    in_common = {} if request.allow_overlap else training.in_common()
    kept = drawn_apart([t.qid for t in usable], wanted, seed, in_common) if wanted else set[str]()
    train = [t for t in usable if t.qid not in kept]
    dev, overlap = _validated(
        request, name, topic_set, gold, [t for t in usable if t.qid in kept], training.only(t.qid for t in train)
    )
    cases = {
        t.qid: Case(Topic(t.qid, t.title), (), gold.texts[t.qid], gold.docids.get(t.qid, ""), answers[t.qid] if answers else "")
        for t in train
    }  # fmt: skip
    seen = training.only(cases)
    documents = {case.docid for case in cases.values() if case.docid}
    if any(REWARDS.find(one).beyond_query for one in weights):  # which look at all relevant documents
        documents |= {d for docids in (seen.relevant or {}).values() for d in docids}
    counts["used"] = len(cases)
    facts: dict[str, Any] = {
        "data": {
            "train": {"topics": len(cases), "sha256": key_of({q: [c.topic.title, c.gold, c.answer] for q, c in cases.items()})},
            **({"dev": {"topics": len(dev.topics), "sha256": key_of({t.qid: [t.title, dev.qrels.get(t.qid, {})] for t in dev.topics})}} if dev else {}),
        },
        "prompt": {"name": prompt.name, "version": prompt.version, "sha256": prompt.sha256},
        **({"reward_origin": origins} if (origins := {n: o for n in weights if (o := REWARDS.origin(n))}) else {}),
        **({"index": Path(request.index).name} if request.index else {}),
        **({"answers_sha256": sha256_file(request.answers)} if request.answers else {}),
        **left_out.facts,
        **({"development_overlap": overlap} if dev else {}),
    }  # fmt: skip
    names: dict[str, Any] = {"topics": topic_set.label, "split": split_of(topic_set)}
    names |= {"answers": Path(request.answers).name} if request.answers else {}
    names |= {"dev_topics": dev.label} if dev else {}
    names |= {"hold_out": left_out.names} if request.hold_out else {}
    record = TrainedOn(seen.collection, seen.corpus, seen.titles, frozenset(documents), tuple(left_out.names))
    carried = carried_on(Path(request.answers)) if request.answers else []
    both = {"train": counts} | ({"dev": {"read": len(dev.topics), "used": len(dev.topics)}} if dev else {})
    return OnlineData(request, cases, gold, dev, prompt, both, facts, names, [record, *carried])


def _validated(
    request: TrainRequest, name: str, topic_set: TopicSet, gold: Gold, kept: Sequence[Topic], training: TrainingTopics
) -> tuple[Validated | None, int]:
    """Return the topics to validate on, and how many of them share a document or a title with training."""
    if request.dev_topics and request.dev:
        raise ExpandrError("--dev-topics and --dev: topics to validate on are either other ones or drawn from --topics; leave one out")  # fmt: skip
    if not request.dev_topics:
        if not kept:
            return None, 0
        both = {t.qid: t.title for t in kept} | dict(training.titles)
        relevant = {q: {d for d, grade in gold.qrels.get(q, {}).items() if grade >= gold.level} for q in both}
        shared = replace(training, titles=both, relevant=relevant).in_common()
        overlap = count_shared([t.qid for t in kept], list(training.titles), shared)
        return _searchable(name, topic_set, gold.qrels, kept), overlap
    asked = with_split(request.dev_topics, "--dev-topics", DEV)
    other = find_topics(asked)
    log.info("validation topics: %s, %d topics", other.label, len(other.topics))
    qrels = qrels_of(other)
    if qrels is None:
        raise ExpandrError(
            f"--dev-topics {asked}: no relevance judgments are known for these topics; name a collection"
        )
    topics = [t for t in other.topics if qrels.get(t.qid)]
    relevant = relevant_documents(qrels, [t.qid for t in topics], relevance_level(asked))
    same = collection_of(other, asked) == training.collection
    titles = {t.qid: t.title for t in topics}
    equal, sharers = refuse_seen(
        asked, titles, relevant, training, request.allow_overlap, same_ids=same, same_documents=same
    )
    return _searchable(asked, other, qrels, topics), len(equal | sharers)


def _searchable(name: str, topic_set: TopicSet, qrels: Qrels, topics: Sequence[Topic]) -> Validated:
    if not topic_set.documents:
        raise ExpandrError(
            f"{name}: its documents are not known, so validation topics cannot be searched; name a collection"
        )
    plain = [Topic(t.qid, t.title) for t in topics]
    return Validated(
        topic_set.label, plain, {t.qid: qrels.get(t.qid, {}) for t in plain}, topic_set.documents, removes_own_ids(name)
    )
