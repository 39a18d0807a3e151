"""Rewards with an encoder whose vectors are written down here, so that every score can be checked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from expandr_repro.data.topics import Topic
from expandr_repro.errors import ExpandrError
from expandr_repro.prefer.rewards.searched import CorpusRewards
from expandr_repro.prefer.similarity import Case, reward

BOTH = {"retriever": 1.0, "answer": 1.0}


class Known:
    """An encoder that knows each text's vector, and remembers what it was asked."""

    name = "known"
    dimension = 2
    separator = ""

    def __init__(self, vectors):
        self.vectors, self.asked = vectors, []

    def encode(self, texts, role):
        self.asked.append((role, list(texts)))
        return np.array([self.vectors[t] for t in texts], dtype=np.float32)


def angle(degrees, length=1.0):
    return [length * np.cos(np.radians(degrees)), length * np.sin(np.radians(degrees))]


# seen from the gold passage (0 degrees) and from the answer (90)
ENCODER = {
    "gold": angle(0),
    "answer": angle(90),
    "near": angle(10),
    "middle": angle(45),
    "far": angle(85),
    "query": angle(30),
}


def case(*candidates, qid="1", **changes):
    return Case(Topic(qid, "query"), candidates, **{"gold": "gold", "answer": "answer", **changes})


def test_similarities_and_rewards_are_those_of_the_angles():
    (found,) = reward([case("near", "middle", "far")], Known(ENCODER), BOTH)
    assert found.to_gold == pytest.approx(np.cos(np.radians([10, 45, 85])), abs=1e-6)
    assert found.to_answer == pytest.approx(np.cos(np.radians([80, 45, 5])), abs=1e-6)
    assert found.parts["retriever"].tolist() == [1, 1 / 2, 1 / 3]
    assert found.parts["answer"].tolist() == [1 / 3, 1 / 2, 1]
    assert found.totals.tolist() == [round(4 / 3, 12), 1.0, round(4 / 3, 12)]
    assert found.similarities == pytest.approx(found.to_gold + found.to_answer)


def test_without_an_answer_only_the_gold_passage_counts():
    (found,) = reward([case("near", "far", answer="")], Known(ENCODER), {"retriever": 2.0})
    assert found.to_answer is None
    assert found.totals.tolist() == [2.0, 1.0]
    assert found.similarities is found.to_gold


def test_similarity_is_the_cosine_whatever_the_length_of_the_vectors():
    longer = {**ENCODER, "near": angle(10, 7.0), "gold": angle(0, 0.5)}
    (found,) = reward([case("near", "far")], Known(longer), BOTH)
    assert found.to_gold == pytest.approx(np.cos(np.radians([10, 85])), abs=1e-6)


def test_every_text_is_encoded_once_however_many_topics_have_it():
    encoder = Known(ENCODER)
    cases = [case("near", "far", "near", qid="1"), case("far", "middle", "far", qid="2")]
    found = list(reward(cases, encoder, BOTH))
    asked = [(role, sorted(texts)) for role, texts in encoder.asked]
    assert asked == [("document", ["answer", "gold"]), ("expansion", ["far", "middle", "near"])]
    assert found[0].to_gold[0] == found[0].to_gold[2]
    assert found[0].parts["retriever"].tolist() == [1, 1 / 3, 1]


@pytest.mark.parametrize("texts_at_once", [1, 4, 5, 1000])
def test_the_rewards_do_not_depend_on_how_many_texts_are_encoded_together(texts_at_once):
    cases = [
        case(*texts, qid=str(n)) for n, texts in enumerate([("near", "far"), ("far", "middle"), ("middle", "near")])
    ]
    found = list(reward(cases, Known(ENCODER), BOTH, texts_at_once=texts_at_once))
    assert [r.case.topic.qid for r in found] == ["0", "1", "2"]
    assert [r.parts["retriever"].tolist() for r in found] == [[1, 1 / 2], [1 / 2, 1], [1 / 2, 1]]


def test_no_cases_give_no_rewards():
    assert list(reward([], Known({}), BOTH)) == []


def test_a_vector_that_is_not_finite_is_refused():
    with pytest.raises(ExpandrError, match="use --precision fp32"):
        list(reward([case("near", "far")], Known({**ENCODER, "far": [np.nan, 0]}), BOTH))


class Documents:
    """An index of vectors written down here, searched by a plain product."""

    def __init__(self, **vectors):
        self.docids = list(vectors)
        self.matrix = np.array(list(vectors.values()), dtype=np.float32)
        self.depths = []

    def search(self, vectors, hits, threads=0):
        self.depths.append(hits)
        scores = vectors @ self.matrix.T
        return [
            dict(sorted(zip(self.docids, map(float, row), strict=True), key=lambda x: (-x[1], x[0]))[:hits])
            for row in scores
        ]


def test_the_corpus_rank_is_that_of_the_gold_document_for_the_mean_of_query_and_candidate():
    # the query stands at 30 degrees, so the means with near, middle and far stand at 20, 37.5 and 57.5
    index = Documents(gold=angle(0), d24=angle(24), d44=angle(44), d66=angle(66), d80=angle(80))
    searched = CorpusRewards(("corpus-rank",), index, {"1": {"gold": 1}}, hits=4)
    (found,) = reward([case("near", "middle", "far", docid="gold")], Known(ENCODER), {"corpus-rank": 1.0}, searched)
    assert found.totals.tolist() == [1 / 2, 1 / 4, 0.0]  # for the last it is the fifth, which is not looked at
    assert index.depths == [4]


def test_a_topics_own_document_does_not_stand_before_the_gold_one():
    index = Documents(**{"1": angle(20), "gold": angle(0), "other": angle(80)})
    for remove, expected in ((False, 1 / 2), (True, 1.0)):
        searched = CorpusRewards(("corpus-rank",), index, {"1": {"gold": 1}}, remove_own=remove)
        (found,) = reward([case("near", "near ", docid="gold")], Known({**ENCODER, "near ": angle(10)}), {"corpus-rank": 1.0}, searched)  # fmt: skip
        assert found.totals.tolist() == [expected, expected]


def test_a_text_that_comes_twice_is_searched_once():
    index = Documents(gold=angle(0))
    searched = CorpusRewards(("corpus-rank",), index, {"1": {"gold": 1}})
    seen = []
    search = index.search
    index.search = lambda vectors, *rest: seen.append(len(vectors)) or search(vectors, *rest)
    list(reward([case("near", "near", "far", docid="gold")], Known(ENCODER), {"corpus-rank": 1.0}, searched))
    assert seen == [2]
