"""Gold passages and few-shot examples, from a small BEIR folder."""

from __future__ import annotations

import json

import pytest

from expandr_repro.data.collections import TopicSet, find_topics
from expandr_repro.data.passages import draw_examples, gold_passages, training_split
from expandr_repro.data.topics import Topic
from expandr_repro.errors import ExpandrError, FormatError


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "weather"
    (made / "qrels").mkdir(parents=True)
    documents = [{"_id": f"d{i}", "title": f"title {i}", "text": f"text {i}"} for i in range(9)]
    queries = [{"_id": f"q{i}", "text": f"query {i}"} for i in range(9)]
    (made / "corpus.jsonl").write_text("".join(json.dumps(d) + "\n" for d in documents))
    (made / "queries.jsonl").write_text("".join(json.dumps(q) + "\n" for q in queries))
    head = "query-id\tcorpus-id\tscore\n"
    (made / "qrels" / "test.tsv").write_text(head + "q0\td5\t1\nq0\td4\t2\nq0\td3\t2\nq0\td8\t0\nq1\td1\t1\n")
    (made / "qrels" / "train.tsv").write_text(head + "".join(f"q{i}\td{i}\t1\n" for i in range(2, 9)))
    return made


def test_the_gold_passage_is_the_first_by_docid_of_the_highest_grade(folder):
    assert gold_passages(find_topics(str(folder))) == {"q0": "title 3 text 3", "q1": "title 1 text 1"}


def test_a_file_of_passages_goes_before_the_judgements(folder, write):
    path = write("gold.jsonl", '{"qid": "q0", "text": "a"}\n\n{"qid": "q1", "text": "b"}\n')

    assert gold_passages(find_topics(str(folder)), str(path)) == {"q0": "a", "q1": "b"}


def test_a_topic_without_a_gold_passage_is_named_with_the_cure(folder, write):
    path = write("gold.jsonl", '{"qid": "q0", "text": "a"}\n')

    with pytest.raises(
        ExpandrError,
        match=r"1 of 2 topics have no gold passage in .*gold.jsonl .first: 'q1'.; give one for each with --passages",
    ):
        gold_passages(find_topics(str(folder)), str(path))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"qid": "q0"}', "line 1: topic 'q0' has no text under `text`"),
        ('{"text": "a"}', "line 1: the qid is None"),
        ('{"qid": "q0", "text": "a"}\n{"qid": "q0", "text": "b"}', "line 2: the id 'q0' was there before"),
        ("q0\ta", "line 1: not JSON"),
    ],
)
def test_a_broken_file_of_passages_names_its_line(folder, write, line, said):
    with pytest.raises(FormatError, match=said):
        gold_passages(find_topics(str(folder)), str(write("gold.jsonl", line)))


def test_topics_without_judgements_have_no_gold_passages():
    with pytest.raises(ExpandrError, match=r"mine.tsv: no relevance judgments are known .* give --passages FILE"):
        gold_passages(TopicSet("mine.tsv", [Topic("1", "x")]))


def test_examples_repeat_with_the_seed(folder):
    source = str(folder / "train")
    drawn = [draw_examples(source, 4, seed, []) for seed in (1, 1, 2)]

    assert drawn[0] == drawn[1]
    assert drawn[0] != drawn[2]
    for query, passage in drawn[0]:
        assert passage == f"title {query[-1]} text {query[-1]}"


def test_a_query_that_is_to_be_expanded_is_no_example(folder):
    drawn = draw_examples(str(folder / "train"), 4, 1, ["query  2", "query 3", "query 4"])

    assert {q for q, _ in drawn} == {"query 5", "query 6", "query 7", "query 8"}


def test_too_few_examples_are_an_error(folder):
    with pytest.raises(ExpandrError, match="7 topics can be examples, 8 are wanted"):
        draw_examples(str(folder / "train"), 8, 1, [])


def test_the_training_split_is_found_or_asked_for(folder):
    assert training_split(find_topics(str(folder))) == str(folder / "train")
    with pytest.raises(ExpandrError, match="name some with --examples-from"):
        training_split(find_topics("pocket"))
