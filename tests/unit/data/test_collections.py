"""Collections by any name or path, and what they decide."""

from __future__ import annotations

import pytest

from expandr_repro.data.collections import (
    TopicSet,
    collection_meant,
    find_topics,
    judged_among,
    relevance_level,
    removes_own_ids,
    select_topics,
)
from expandr_repro.data.specs import datasets
from expandr_repro.data.topics import Topic
from expandr_repro.errors import ExpandrError
from expandr_repro.io.paths import resource


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("quora", "quora/test"),
        ("quora/dev", "quora/dev"),
        ("irds:beir/quora", "quora/test"),
        ("irds:beir/quora/dev", "quora/dev"),
        ("irds:beir/quora/somewhere", "quora/test"),
        ("irds:beir/cqadupstack/android", "cqadupstack-android/test"),
        ("beir-v1.0.0-quora-test", "quora/test"),
        ("beir-v1.0.0-quora.flat", "quora/test"),
        ("beir-v1.0.0-quora.multifield", "quora/test"),
        ("/gone/quora", "quora/test"),
        ("/gone/quora/dev", "quora/dev"),
        ("/gone/quora/corpus.jsonl.gz", "quora/test"),
        ("/gone/quora/qrels/dev.tsv.gz", "quora/dev"),
        ("/gone/quora/minilm", "quora/test"),
        ("msmarco-v1-passage", "msmarco/dev"),
        ("dl19-passage", "dl19-passage/test"),
        ("irds:msmarco-passage/dev/small", None),
        ("irds:beir/nothing", None),
        ("/gone/cqadupstack/android/qrels/test.tsv", "cqadupstack-android/test"),
        ("quoras", None),
        ("/gone/my-quora/corpus.jsonl", None),
        ("qrels.txt", None),
    ],
)
def test_a_collection_is_known_by_its_names_and_by_paths_into_its_folder(name, meant):
    found = collection_meant(name)
    assert (str(found) if found else None) == meant


def test_the_first_name_that_means_a_collection_decides():
    assert str(collection_meant(None, "qrels.txt", "dl19", "msmarco-v1-passage")) == "dl19-passage/test"
    assert removes_own_ids("topics.tsv", "msmarco-v1-passage")
    assert not removes_own_ids("topics.tsv", "dl19", "msmarco-v1-passage")
    assert (relevance_level("dl20"), relevance_level("x.txt"), relevance_level("x.txt", "dl20")) == (2, 1, 2)


def test_a_folder_that_only_bears_the_name_and_holds_something_else_is_not_the_collection(tmp_path):
    (tmp_path / "quora").mkdir()
    (tmp_path / "quora" / "index").write_text("")
    assert collection_meant(str(tmp_path / "quora")) is None


def test_the_offline_folder_by_path_is_the_collection_by_name():
    by_path, by_name = find_topics(str(resource("pocket"))), find_topics("pocket")
    assert by_path == by_name
    assert find_topics(f"{resource('pocket')}/test") == by_name


def test_every_collection_is_known_by_each_of_its_own_names():
    for name, spec in datasets().items():
        for spelling in (name, *spec.aliases):
            assert collection_meant(spelling).dataset == name
            assert collection_meant(f"/gone/{spelling}").dataset == name


TOPICS = TopicSet("t", [Topic(q, q) for q in ("3", "1", "2")])


def test_topics_are_chosen_in_their_own_order(write):
    path = write("ids.txt", "2\n\n 3 \r\n")
    assert [t.qid for t in select_topics(TOPICS, None, str(path)).topics] == ["3", "2"]
    assert [t.qid for t in select_topics(TOPICS, 1, "1,2").topics] == ["1"]
    assert select_topics(TOPICS, None, None) == TOPICS
    assert len(select_topics(TOPICS, 9, None).topics) == 3


@pytest.mark.parametrize(("qids", "says"), [("4", "1 of 1 ids"), (" , ", "names no topic"), ("1," * 3000 + "x", "1 of 2 ids")])  # fmt: skip
def test_ids_of_no_topic_are_refused(qids, says):
    with pytest.raises(ExpandrError, match=says):
        select_topics(TOPICS, None, qids)


def test_judgments_of_topics_that_are_not_searched_are_left_out_unless_none_would_remain():
    qrels = {"1": {"a": 1}, "2": {"b": 1}}
    assert judged_among(qrels, ["1", "9"]) == {"1": {"a": 1}}
    assert judged_among(qrels, ["9"]) == qrels
