"""Which topics a model saw in training."""

from __future__ import annotations

import itertools
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expandr_repro.data.overlap.seen_topics import Searched, is_same_collection, seen_topics
from expandr_repro.data.overlap.trained_on import TrainedOn, read_trained_on, write_trained_on

HERE = Searched(frozenset({"mine"}), "h" * 64)


def record(collection="mine", corpus=HERE.corpus, topics=(), docids=()):
    return TrainedOn(collection, corpus, dict(topics), frozenset(docids))


def seen(records, topics, qrels=None, searched=HERE, **more):
    return seen_topics(records, searched, topics, qrels, **more)


def test_a_topic_with_a_relevant_document_of_training_was_seen():
    found = seen([record(docids=["a"])], {"1": "x", "2": "y", "3": "z"}, {"1": {"a": 1}, "2": {"b": 1}, "3": {"a": 0}})
    assert found.document == {"1"}
    assert found.qids == {"1"}
    assert found.by_ids_alone == ()


def test_documents_count_as_relevant_from_the_collections_own_level_on():
    qrels = {"1": {"a": 1}, "2": {"a": 2}}
    assert seen([record(docids=["a"])], {"1": "x", "2": "y"}, qrels, relevant_from=2).document == {"2"}


@pytest.mark.parametrize(
    ("collection", "corpus", "names", "here", "same"),
    [
        ("mine", None, {"mine"}, None, True),
        ("mine", "a", {"mine"}, "b", True),  # another version of the same
        ("queries.jsonl", "a", {"mine"}, "a", True),
        ("queries.jsonl", "a", {"mine"}, "b", False),
        ("queries.jsonl", None, {"mine"}, "b", None),
        ("queries.jsonl", "a", {"mine"}, None, None),
        ("nfcorpus", None, {"scifact"}, None, False),
        ("msmarco", None, {"dl19-passage"}, None, True),
        ("scifact", None, {"index-folder", "scifact"}, None, True),
        ("scifact", None, {"my-folder"}, "b", None),
    ],
)
def test_a_collection_is_known_by_its_hash_or_its_name_and_where_neither_tells_that_is_said(
    collection, corpus, names, here, same
):
    searched = Searched(frozenset(names), here)
    assert is_same_collection(record(collection, corpus), searched) is same
    found = seen([record(collection, corpus, docids=["7"])], {"1": "x"}, {"1": {"7": 1}}, searched)
    assert found.document == (frozenset() if same is False else {"1"})
    assert found.by_ids_alone == ((collection,) if same is None else ())


def test_a_title_repeats_a_training_topic_in_whatever_collection_and_case():
    found = seen([record("other", "g", {"9": "Cats  purr"})], {"1": "cats purr", "2": "dogs", "3": ""})
    assert (found.repeat, found.near) == ({"1"}, frozenset())


def test_titles_of_which_three_words_in_five_are_shared_nearly_repeat_each_other():
    trained = [record("other", "g", {"9": "one two three four five"})]
    topics = {"same": "five, four: three TWO one!", "three": "one two three", "two": "one two", "more": "a b c one two three four five", "many": "a b c d one two three four five"}  # fmt: skip
    assert seen(trained, topics).near == {"same", "three", "more"}


def test_without_qrels_titles_alone_are_compared_and_documents_when_qrels_come():
    found = seen([record(docids=["a"], topics={"9": "t"})], {"1": "T", "2": "u"}, None)
    assert found.qids == {"1"}
    later = found.judged({"1": {"b": 2}, "2": {"a": 2}}, 2)
    assert (later.document, later.repeat) == ({"2"}, {"1"})
    assert later == seen([record(docids=["a"], topics={"9": "t"})], {"1": "T", "2": "u"}, {"2": {"a": 2}})


WORDS = st.lists(st.sampled_from("abcdefgh"), max_size=7).map(" ".join)


@given(st.lists(WORDS, max_size=12), st.lists(WORDS, max_size=12))
def test_near_repeats_are_those_that_comparing_all_with_all_finds(titles, trained):
    topics = dict(zip(map(str, itertools.count()), titles, strict=False))
    found = seen([record(topics=zip(map(str, itertools.count()), trained, strict=False))], topics)

    def near(a, b):
        one, other = set(a.split()), set(b.split())
        return bool(one and other) and len(one & other) / len(one | other) >= 0.6

    assert found.repeat | found.near == {q for q, t in topics.items() if t and any(near(t, other) for other in trained)}


def test_many_training_topics_are_compared_in_seconds():
    trained = {str(n): f"what is the meaning of number {n} among {n % 1000} others" for n in range(20_000)}
    topics = {str(n): f"what is the sense of number {n} among {n} others" for n in range(300)}
    begin = time.process_time()
    found = seen([record(topics=trained)], topics)
    assert time.process_time() - begin < 10
    assert found.near == set(topics)


def test_a_record_of_two_million_words_is_read_back_whole(tmp_path):
    part = record(topics={str(n): f"topic number {n} " * 10 for n in range(100_000)}, docids=map(str, range(100_000)))
    write_trained_on(tmp_path, [part])
    assert read_trained_on(tmp_path) == [part]


@pytest.mark.data
def test_of_scifacts_test_topics_196_share_a_relevant_document_with_training_and_116_nearly_repeat_a_claim(data):
    from expandr_repro.data.collections import find_topics
    from expandr_repro.data.trec import read_qrels

    qrels, train = (read_qrels(data / "scifact" / "qrels" / f"{split}.tsv") for split in ("test", "train"))
    trained = TrainedOn(
        "scifact",
        None,
        {t.qid: t.title for t in find_topics(str(data / "scifact" / "train")).topics},
        frozenset(docid for judged in train.values() for docid, grade in judged.items() if grade > 0),
    )
    topics = {t.qid: t.title for t in find_topics(str(data / "scifact" / "test")).topics}
    found = seen([trained], topics, qrels, Searched(frozenset({"scifact"})))
    assert len(topics) == 300
    assert len(found.document) == 196
    assert len(found.repeat | found.near) == 116
    assert len(found.qids) == 197


@pytest.mark.data
def test_of_nfcorpus_training_topics_74_share_no_relevant_document_with_its_test_topics(data):
    from expandr_repro.data.trec import read_qrels

    qrels, test = (read_qrels(data / "nfcorpus" / "qrels" / f"{split}.tsv") for split in ("train", "test"))
    held = record("nfcorpus", None, docids=[d for judged in test.values() for d, grade in judged.items() if grade > 0])
    found = seen([held], dict.fromkeys(qrels, ""), qrels, Searched(frozenset({"nfcorpus"})))
    assert len(qrels) - len(found.document) == 74
