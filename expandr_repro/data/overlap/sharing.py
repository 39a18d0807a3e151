"""Find topics that share relevant documents: training topics with held-out topics, development topics with training topics.

A score on a topic whose relevant document was a training positive measures memory. So topics are held out by what they share, and
development topics are drawn by groups.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence

from expandr_repro.data.trec import Qrels
from expandr_repro.errors import ExpandrError


def relevant_documents(qrels: Qrels, qids: Iterable[str], level: int = 1) -> dict[str, set[str]]:
    """Return the documents judged relevant for each topic.

    Args:
        qrels: the relevance judgments.
        qids: the topics.
        level: least grade that counts as relevant.
    """
    return {qid: {d for d, grade in qrels.get(qid, {}).items() if grade >= level} for qid in qids}


def same_title(title: str) -> str:
    """Return a title as it is compared with others: runs of white space are one space."""
    return " ".join(title.split())


def sharing(
    titles: Mapping[str, str],
    relevant: Mapping[str, Collection[str]],
    others: Mapping[str, str],
    others_relevant: Mapping[str, Collection[str]],
    *,
    same_ids: bool = True,
    same_documents: bool = True,
) -> tuple[set[str], set[str]]:
    """Return which topics are among others, and which share a relevant document with one of them.

    Args:
        titles: qid -> title.
        relevant: qid -> relevant documents.
        others: qid -> title of the others.
        others_relevant: qid -> relevant documents of the others.
        same_ids: whether a topic's id means the same topic in both; equal titles count in any case.
        same_documents: whether a docid means the same document in both.

    Returns:
        The qids of equal topics, and the qids of the rest that share a document.
    """
    known = set(map(same_title, others.values()))
    equal = {q for q, title in titles.items() if same_title(title) in known or (same_ids and q in others)}
    if not same_documents:
        return equal, set()
    theirs = {docid for qid in others for docid in others_relevant.get(qid, ())}
    return equal, {q for q in titles if q not in equal and not theirs.isdisjoint(relevant.get(q, ()))}


def count_shared(qids: Iterable[str], others: Iterable[str], in_common: Mapping[str, Collection[str]]) -> int:
    """Return how many topics have something in common with one of the others."""
    theirs = {thing for qid in others for thing in in_common.get(qid, ())}
    return sum(not theirs.isdisjoint(in_common.get(qid, ())) for qid in qids)


def groups(topics: Iterable[str], relevant: Mapping[str, Collection[str]]) -> list[list[str]]:
    """Return the topics in groups, so that no document is relevant for topics of two groups.

    These are the connected components over topics and documents, each in the order of the topics, the groups by their first one.
    """
    parent: dict[Hashable, Hashable] = {}

    def root(node: Hashable) -> Hashable:
        parent.setdefault(node, node)
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    listed = list(topics)
    for qid in listed:
        for docid in relevant.get(qid, ()):
            parent[root((docid,))] = root(qid)  # a tuple is no topic's id
    by_root: dict[Hashable, list[str]] = {}
    for qid in listed:
        by_root.setdefault(root(qid), []).append(qid)
    return list(by_root.values())


def draw_apart(
    order: Sequence[str], relevant: Mapping[str, Collection[str]], wanted: int, setting: str, others: str = ""
) -> set[str]:
    """Take topics from the front of a drawn order, in whole groups, so that the rest shares no relevant document with them.

    Where no two topics share a document, these are the first ones.

    Args:
        order: the topics, as drawn.
        relevant: qid -> relevant documents.
        wanted: how many, fewer than there are.
        setting: what asks for so many, for the error, e.g. `--dev`.
        others: another way out, for the error.

    Raises:
        ExpandrError: no groups have so many topics together; says how many could be had.
    """
    grouped = groups(order, relevant)
    taken: list[list[str]] = []
    room = wanted
    for group in grouped:
        if len(group) <= room:
            taken.append(group)
            room -= len(group)
    if room:
        taken, most = _exactly(grouped, wanted)
        if most < wanted:
            fewer = f"set {setting} to {most}, " if most else ""
            raise ExpandrError(
                f"{setting} {wanted}: at most {most} topics can be held out that share no relevant document with the rest "
                f"({max(map(len, grouped))} of {len(order)} topics form one group); {fewer}{others}or accept shared documents with --allow-overlap"
            )
    return {qid for group in taken for qid in group}


def _exactly(grouped: Sequence[list[str]], wanted: int) -> tuple[list[list[str]], int]:
    """Return groups that have so many topics together, or as many as can be had below that, and how many."""
    last: dict[int, tuple[int, int]] = {0: (0, -1)}  # number of topics -> number without the last group, that group
    for index, group in enumerate(grouped):
        for count in sorted(last, reverse=True):
            if count + len(group) <= wanted:
                last.setdefault(count + len(group), (count, index))
        if wanted in last:
            break
    taken, most = [], max(last)
    count = most
    while count:
        count, index = last[count]
        taken.append(grouped[index])
    return taken, most
