"""Find the topics of a search that a model saw in training, so that its scores on them and on others can be separated.

A topic was seen if one of its relevant documents was a relevant document in training, or if its title repeats or nearly repeats that of a
training topic.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from expandr_repro.data.overlap.trained_on import TrainedOn
from expandr_repro.data.specs import datasets

_WORD = re.compile(r"\w+")

NEAR = (3, 5)
"""Titles nearly repeat each other from this Jaccard similarity of their sets of lower-cased words on: 0.6, as a fraction."""


@dataclass(frozen=True)
class Searched:
    """The collection that is searched.

    Attributes:
        names: what it is called (`scifact`); several where topics, index and qrels are named apart.
        corpus: SHA-256 of its corpus, or None where it is not known.
    """

    names: frozenset[str]
    corpus: str | None = None


@dataclass(frozen=True)
class Seen:
    """The topics that one model saw in training.

    Attributes:
        document: qids of topics with a relevant document that was a relevant document in training.
        repeat: of topics whose title is a training topic's.
        near: of topics whose title nearly repeats that of a training topic, and does not repeat one.
        by_ids_alone: training collections whose documents were compared by docid, as it is not known whether they are the searched ones.
        docids: the relevant documents of training, where no qrels say yet which topics they are relevant to.
    """

    document: frozenset[str] = frozenset()
    repeat: frozenset[str] = frozenset()
    near: frozenset[str] = frozenset()
    by_ids_alone: tuple[str, ...] = ()
    docids: frozenset[str] = frozenset()

    def judged(self, qrels: Mapping[str, Mapping[str, int]], relevant_from: int) -> Seen:
        """Return the same with the topics added to which the documents of training are relevant."""
        if not self.docids:
            return self
        document = {
            qid
            for qid, judged in qrels.items()
            if any(grade >= relevant_from and docid in self.docids for docid, grade in judged.items())
        }
        return replace(self, document=self.document | document, docids=frozenset())

    @property
    def qids(self) -> frozenset[str]:
        """All of them."""
        return self.document | self.repeat | self.near


def seen_topics(
    records: Sequence[TrainedOn],
    searched: Searched,
    topics: Mapping[str, str],
    qrels: Mapping[str, Mapping[str, int]] | None,
    relevant_from: int = 1,
) -> Seen:
    """Find the topics that a model saw in training.

    Args:
        records: what it was trained on.
        searched: the collection that the topics are searched in; documents of other collections are others, whatever their ids.
        topics: qid -> title.
        qrels: relevance judgments of these topics; without them titles alone are compared, and the documents are kept for `Seen.judged`.
        relevant_from: the least grade that counts as relevant.
    """
    same = {id(record): is_same_collection(record, searched) for record in records}
    docids = frozenset[str]().union(*(r.docids for r in records if same[id(r)] is not False))
    titles = dict.fromkeys(title for record in records for title in record.topics.values())
    repeat = _repeated(topics, titles)
    near = _nearly_repeated({qid: title for qid, title in topics.items() if qid not in repeat}, titles)
    unknown = sorted({r.collection for r in records if same[id(r)] is None and r.docids})
    seen = Seen(frozenset(), frozenset(repeat), frozenset(near), tuple(unknown), docids)
    return seen if qrels is None else seen.judged({qid: qrels.get(qid, {}) for qid in topics}, relevant_from)


def is_same_collection(record: TrainedOn, searched: Searched) -> bool | None:
    """Return whether training documents are those that are searched; None where neither names nor hashes tell."""
    if record.corpus and record.corpus == searched.corpus:
        return True
    known = datasets()
    if record.collection in searched.names:
        return True
    there, here = known.get(record.collection), [known[name] for name in searched.names if name in known]
    if there and here:
        # TREC DL judges MS MARCO's passages; no other two known collections have equally many documents
        return any(there.documents is not None and spec.documents == there.documents for spec in here)
    return None if record.corpus is None or searched.corpus is None else False


def _plain(title: str) -> str:
    return " ".join(title.lower().split())


def _words(title: str) -> frozenset[str]:
    return frozenset(_WORD.findall(title.lower()))


def _repeated(topics: Mapping[str, str], titles: Iterable[str]) -> set[str]:
    """Return the topics whose title is among some titles, but for case and white space."""
    wanted = defaultdict(list)
    for qid, title in topics.items():
        if plain := _plain(title):
            wanted[plain].append(qid)
    return {qid for title in titles for qid in wanted.get(_plain(title), ())}


def _nearly_repeated(topics: Mapping[str, str], titles: Iterable[str]) -> set[str]:
    """Return the topics whose words are nearly those of one of some titles.

    Two sets as near as `NEAR` have a word in common among the rarest `len(x) - least + 1` words of each, where `least` is how many a set of
    that size must share, whatever order says what is rare (prefix filtering). So only these are looked up.
    """
    over, under = NEAR
    words = {qid: _words(title) for qid, title in topics.items()}
    common = Counter(word for listed in words.values() for word in listed)

    def rarest(known: Iterable[str], size: int, unknown: int) -> list[str]:
        return sorted(known, key=lambda w: (common[w], w))[: size - -(-over * size // under) + 1 - unknown]

    by_word: defaultdict[str, list[str]] = defaultdict(list)
    for qid, listed in words.items():
        for word in rarest(listed, len(listed), 0) if listed else ():
            by_word[word].append(qid)
    repeated: set[str] = set()
    for title in titles:
        there = _words(title)
        known = [word for word in there if word in common]
        if len(known) * under < over * len(there):  # too few words that any topic has
            continue
        for word in rarest(known, len(there), len(there) - len(known)):  # a word of no topic is the rarest there is
            for qid in by_word.get(word, ()):
                shared = len(words[qid] & there)
                if shared * under >= over * (len(words[qid]) + len(there) - shared):
                    repeated.add(qid)
    return repeated
