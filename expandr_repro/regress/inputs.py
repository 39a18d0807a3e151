"""Count and hash the inputs of a condition before it runs: documents, topics, qrels, expansions."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from expandr_repro.data.collections import TopicSet, find_corpus, find_qrels, find_topics
from expandr_repro.data.expansions import with_expansions
from expandr_repro.data.specs import members_of
from expandr_repro.data.topics import Topic
from expandr_repro.evaluate.run_facts import expansions_sha256, qrels_sha256, topics_sha256
from expandr_repro.indexes.find import corpus_facts
from expandr_repro.pyserini import registry
from expandr_repro.regress.conditions.shapes import Regression
from expandr_repro.regress.stages import substituted

QRELS_HASH = "relevance judgments' hash of"

SHOWN = 16
"""Digits of a hash that are pinned."""


@dataclass(frozen=True)
class Counted:
    """What there is: counts (None: unknown), and SHA-256 in hex (`""`: unknown)."""

    documents: int | None
    corpus_sha256: str
    topics: int
    topics_sha256: str
    judgements: int
    qrels_sha256: str
    expanded: int
    expansions_sha256: str


def count(regression: Regression) -> Counted:
    """Count and hash a condition's inputs.

    Raises:
        ExpandrError: something is not there or not what it should be.
    """
    names = members_of(regression.topics.name) or [regression.topics.name]
    topics = [t for name in names for t in _topics(name, regression)]
    judged = members_of(regression.qrels.name) or [regression.qrels.name]
    qrels = [find_qrels(name) for name in judged]
    documents, corpus_sha256 = _documents(regression)
    expanded = regression.expansions is not None and regression.stages.expand is None
    return Counted(
        documents,
        corpus_sha256,
        len(topics),
        topics_sha256(topics),
        sum(len(grades) for part in qrels for grades in part.values()),
        qrels_sha256(qrels[0]) if len(qrels) == 1 else "",
        sum(bool(t.texts) for t in topics) if expanded else 0,
        expansions_sha256(topics) if expanded else "",
    )


def _topics(name: str, regression: Regression) -> Sequence[Topic]:
    topics: TopicSet = find_topics(substituted(name, {}))
    source = regression.expansions.source if regression.expansions and not regression.stages.expand else None
    return with_expansions(topics, substituted(source, {})) if source else topics.topics


def _documents(regression: Regression) -> tuple[int | None, str]:
    """Return the documents' count and hash; of prebuilt indexes the count that Pyserini states, if it does, without fetching them."""
    names = members_of(regression.collection.name) or [regression.collection.name]
    if regression.stages.index is None and (indexes := other_indexes(regression, names)):
        stated = [n for n in map(registry.index_documents, indexes) if n is not None]
        return (sum(stated) if len(stated) == len(indexes) else None), ""
    facts = [corpus_facts(find_corpus(name)) for name in names]
    return sum(f.documents for f in facts), facts[0].sha256 if len(facts) == 1 else ""


def other_indexes(regression: Regression, members: Sequence[str]) -> list[str]:
    """Return what the search stage's --index means for each member, where it is not `$index`."""
    parts = shlex.split(regression.stages.search)
    if "--index" not in parts[:-1]:
        return []
    template = parts[parts.index("--index") + 1]
    return list(dict.fromkeys(substituted(template, {"member": m}) for m in members))


def differences(regression: Regression, counted: Counted) -> list[str]:
    """Return what is otherwise than pinned, one line each."""
    pins: list[tuple[str, object, object]] = [
        (f"documents of {regression.collection.name}", regression.collection.documents, counted.documents),
        (f"topics of {regression.topics.name}", regression.topics.count, counted.topics),
        (f"qrels of {regression.qrels.name}", regression.qrels.judgements, counted.judgements),
    ]
    hashes = [
        (f"documents' hash of {regression.collection.name}", regression.collection.sha256, counted.corpus_sha256),
        (f"topics' hash of {regression.topics.name}", regression.topics.sha256, counted.topics_sha256),
        (f"{QRELS_HASH} {regression.qrels.name}", regression.qrels.sha256, counted.qrels_sha256),
    ]
    if (pinned := regression.expansions) and not regression.stages.expand:
        if pinned.count is not None:
            pins.append((f"topics with expansions ({pinned.title})", pinned.count, counted.expanded))
        hashes.append((f"hash of the expansions ({pinned.title})", pinned.sha256, counted.expansions_sha256))
    pins += [(what, want, actual[: len(want)]) for what, want, actual in hashes if want and actual]
    return [
        f"{what}: pinned {want}, found {actual}" for what, want, actual in pins if actual is not None and want != actual
    ]
