"""Choose development topics and searches for an encoder's training."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from expandr_repro.data.collections import TopicSet, find_qrels, find_topics, qrels_of, relevance_level, removes_own_ids
from expandr_repro.data.expansions import with_expansions
from expandr_repro.data.overlap.sharing import relevant_documents
from expandr_repro.data.splits import DEV, with_split
from expandr_repro.data.topics import Topic
from expandr_repro.data.trec import Qrels
from expandr_repro.errors import ExpandrError, nearest
from expandr_repro.train_encoder.settings import EncoderTraining, TrainRequest
from expandr_repro.training.hold_out import TrainingTopics, collection_of, refuse_seen

log = logging.getLogger(__name__)

SAME = "development topics that are training topics"
SHARED = "development topics that share a relevant document with training topics"


@dataclass(frozen=True)
class DevSearch:
    """One search that is made during training.

    Attributes:
        name: in the output.
        topics: what is searched, perhaps with expansions.
        fusion: that searches with them.
        remove_own: whether a topic's own id is taken out of its ranking.
        source: where the topics are from.
    """

    name: str
    topics: list[Topic]
    fusion: str
    remove_own: bool = False
    source: str = ""


def judgements_of(topics: TopicSet, name: str | None, flag: str) -> Qrels:
    """Return the qrels named, or those that belong to the topics.

    Raises:
        ExpandrError: none are known; names the flag that gives some.
    """
    qrels = find_qrels(name) if name else qrels_of(topics)
    if qrels is None:
        raise ExpandrError(f"{topics.label}: no relevance judgments are known for these topics; give {flag}")
    return qrels


def expansion_sets(topics: TopicSet, names: Sequence[str]) -> dict[str, list[Topic]]:
    """Return name -> topics with that set of expansions; the topics' own where no set is named."""
    if not names:
        own = any(t.texts for t in topics.topics)
        return {"own": topics.topics} if own else {}
    sets: dict[str, list[Topic]] = {}
    for name in names:
        label = Path(name).name.removesuffix(".gz").removesuffix(".jsonl")
        if label in sets:
            raise ExpandrError(f"--expansions: {label!r} occurs twice; name each set once")
        sets[label] = with_expansions(topics, name)
    return sets


def dev_searches(
    request: TrainRequest,
    topics: TopicSet,
    sets: Mapping[str, Sequence[Topic]],
    qrels: Qrels,
    dev: set[str],
    training: TrainingTopics,
) -> tuple[list[DevSearch], Qrels, dict[str, int]]:
    """Return the searches of the topics held out, or of --dev-topics: their queries alone, and with each set of expansions.

    Args:
        request: what was asked for.
        topics: of which some are held out.
        sets: their expansions.
        qrels: their relevance judgments.
        dev: the qids held out.
        training: what is left to train on.

    Returns:
        The searches, their relevance judgments, and how many of their topics training sees.

    Raises:
        ExpandrError: training sees some, and it was not allowed to; or the request makes no sense.
    """
    fusion, asked = "mean" if request.fusion == "none" else request.fusion, request.train
    if request.dev_topics:
        if dev:
            raise ExpandrError(
                f"--dev-topics and dev {len(dev)}: the development topics are either other ones or held out; set dev to 0"
            )
        asked = with_split(request.dev_topics, "--dev-topics", DEV)
        topics = find_topics(asked)
        log.info("development topics: %s, %d topics", topics.label, len(topics.topics))
        qrels = judgements_of(topics, None, "--dev-topics a collection that has some")
        sets = expansion_sets(topics, request.dev_expansions)
        dev = {t.qid for t in topics.topics}
    elif request.dev_expansions:
        raise ExpandrError("--dev-expansions goes with --dev-topics; topics held out have those of --expansions")
    if not dev:
        return [], {}, {}
    names = (asked, request.corpus, request.qrels)
    own, level = removes_own_ids(*names), relevance_level(None if request.dev_topics else request.qrels, *names)
    alone = [Topic(t.qid, t.title) for t in topics.topics if t.qid in dev]
    searches = [DevSearch("none", alone, "none", own, topics.label)]
    searches += [
        DevSearch(f"{fusion}.{name}", [t for t in listed if t.qid in dev], fusion, own, topics.label)
        for name, listed in sets.items()
    ]
    seen = _overlap(request, alone, relevant_documents(qrels, dev, level), topics, names, training)
    return searches, {qid: judged for qid, judged in qrels.items() if qid in dev}, seen


def _overlap(
    request: TrainRequest,
    dev: Sequence[Topic],
    relevant: Mapping[str, set[str]],
    source: TopicSet,
    names: Sequence[str | None],
    training: TrainingTopics,
) -> dict[str, int]:
    """Count the development topics that training sees, altogether or by their relevant documents."""
    same_ids = collection_of(source, *names) == training.collection
    titles = {t.qid: t.title for t in dev}
    same, shared = refuse_seen(names[0], titles, relevant, training, request.allow_overlap, same_ids=same_ids)
    return {SAME: len(same), SHARED: len(shared)}


def check_selection(config: EncoderTraining, searches: Sequence[DevSearch]) -> None:
    """Refuse settings that want searches which are not made.

    Raises:
        ExpandrError: a setting names a search that there is not, or wants one where there is none; names those that there are.
    """
    names = [s.name for s in searches]
    for name in config.select_on:
        if name not in names:
            close = nearest(name, names)
            raise ExpandrError(
                f"select_on: {name!r} is not a development search; there are: {', '.join(names) or 'none (set dev, or give --dev-topics)'}"
                + (f"; did you mean {close!r}?" if close else "")
            )
    if config.patience and not searches:
        raise ExpandrError(f"patience {config.patience}: needs development topics; set dev, or give --dev-topics")


def selected(config: EncoderTraining, searches: Sequence[DevSearch], fusion: str) -> list[str]:
    """Return the names of the searches whose mean nDCG@10 decides: those asked for, or those with the fusion trained."""
    return list(config.select_on) or [s.name for s in searches if (s.fusion == "none") == (fusion == "none")]
