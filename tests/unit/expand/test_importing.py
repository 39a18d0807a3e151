"""Other tools' files to augmented topics: QueryGym's queries.tsv and run JSON, and JSON lists; faults name their line."""

from __future__ import annotations

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expandr_repro.data.topics import Expansion, read_topics, write_topics
from expandr_repro.errors import ExpandrError, FormatError, MismatchError, NotAvailableError, UnknownNameError
from expandr_repro.expand.importing import import_topics
from unit.strategies import ids, said

RUN = {
    "schema_version": 1, "run_id": "e6250cabff57cb42", "params_hash": "4b21ad67", "querygym_version": "0.4.0",
    "pipeline": {"dataset_id": "beir-v1.0.0-x", "method_id": "lamer", "model": "openai/gpt-4.1-nano"},
    "config": {"method_params": {"retrieval_k": 10}, "llm_config": {"temperature": 1.0, "max_tokens": 128}, "dataset_config": {"topics": "x-test"}},
    "artifacts": {"reformulated_queries": "4b21ad67.queries.tsv"},
}  # fmt: skip


def as_tsv(rows):
    file = io.StringIO()
    csv.writer(file, delimiter="\t", lineterminator="\n").writerows(rows)
    return file.getvalue()


@given(
    rows=st.dictionaries(ids.map("9".__add__), said.filter(lambda t: not {"\r", "\0"} & set(t)), min_size=1, max_size=4)
)
def test_texts_of_a_table_come_back_whatever_quotes_tabs_and_line_breaks_they_hold(rows, tmp_path_factory):
    path = tmp_path_factory.mktemp("import") / "x.queries.tsv"
    path.write_text(as_tsv(rows.items()), encoding="utf-8", newline="")

    topics = import_topics(path)

    assert {t.qid: t.texts for t in topics} == {q: (t,) for q, t in rows.items()}


def test_a_table_becomes_topics_whose_text_is_searched_in_place_of_the_query(write):
    path = write("x.queries.tsv", 'q1\tthe query the passage\nq2\t"a ""quoted""\ntext"\n')

    one, two = import_topics(path)

    assert one.title == "the query the passage"
    assert two.expansions == (Expansion('a "quoted"\ntext', type="rewrite"),)
    assert one.provenance["fusion"] == {"bm25": "replace", "dense": "replace"}
    assert one.provenance["imported"]["name"] == "x.queries.tsv"


def test_a_run_json_gives_method_model_and_sampling_with_the_texts_beside_it(write):
    write("4b21ad67.queries.tsv", "q1\tsome text\n")
    path = write("4b21ad67.json", json.dumps(RUN, indent=2))

    (topic,) = import_topics(path)

    assert topic.provenance["prompt"] == "lamer"
    assert topic.provenance["model"] == "openai/gpt-4.1-nano"
    assert topic.provenance["source"] == "QueryGym 0.4.0, run e6250cabff57cb42"
    assert topic.provenance["method_parameters"] == {"retrieval_k": 10}
    assert topic.expansions[0].sampling == {"temperature": 1.0, "max_tokens": 128}


def test_a_table_takes_its_provenance_from_the_run_json_beside_it(write):
    write("4b21ad67.json", json.dumps(RUN))
    (topic,) = import_topics(write("4b21ad67.queries.tsv", "q1\tsome text\n"))

    assert topic.provenance["prompt"] == "lamer"


def test_a_run_json_without_its_texts_says_which_file_is_missing(write):
    with pytest.raises(NotAvailableError, match=r"4b21ad67\.queries\.tsv, are not beside it"):
        import_topics(write("4b21ad67.json", json.dumps(RUN)))


def test_a_run_json_cannot_lead_to_another_folder(write):
    path = write("run.json", json.dumps({**RUN, "artifacts": {"reformulated_queries": "../other.tsv"}}))
    with pytest.raises(FormatError, match="names no file of reformulated queries beside it"):
        import_topics(path)


def test_a_list_gives_a_topic_all_texts_of_its_id_and_the_queries_of_the_topics_file(write):
    topics = write("topics.tsv", "q2\tsecond query\nq1\tfirst query\n")
    path = write("list.json", '[{"qid": "q1", "text": "a"},\n {"qid": "q2", "text": "b"}, {"qid": 1e0, "text": "x"}]')
    with pytest.raises(FormatError, match="line 2: the qid"):
        import_topics(path, str(topics))
    path = write("list.json", '[{"qid": "q1", "text": "a"},\n {"qid": "q2", "text": "b"}, {"qid": "q1", "text": "c"}]')

    made = import_topics(path, str(topics), "passage")

    assert [(t.qid, t.title, t.texts) for t in made] == [
        ("q2", "second query", ("b",)), ("q1", "first query", ("a", "c")),
    ]  # fmt: skip
    assert "fusion" not in made[0].provenance


def test_records_may_bring_their_query(write):
    path = write("list.json", json.dumps([{"qid": "q1", "original": "the query", "reformulated": "another"}]))

    (topic,) = import_topics(path, kind="passage")

    assert (topic.title, topic.texts) == ("the query", ("another",))


def test_lines_of_objects_are_read_as_a_list_is(write):
    path = write("list.jsonl", '{"qid": "q1", "text": "a"}\n{"qid": "q2", "text": "b"}\n')

    assert [t.texts for t in import_topics(path)] == [("a",), ("b",)]


def test_imported_topics_are_written_and_read_with_their_type(write, tmp_path):
    topics = import_topics(write("x.tsv", "q1\tsome text\n"))
    write_topics(tmp_path / "topics.jsonl", topics)

    assert read_topics(tmp_path / "topics.jsonl") == topics


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.tsv", "q1\ta\nq2 b\n", "x.tsv, line 2: 1 columns; wanted two"),
        ("x.tsv", "q1\ta\nq2\tb\tc\n", "line 2: 3 columns"),
        ("x.tsv", 'q1\t"a\nb"\nq2\t \n', "line 3: the text of topic 'q2' is ' '; wanted some words"),
        ("x.tsv", "q1\ta\n\nq1\tb\n", "line 3: the id 'q1' was there before, on line 1"),
        ("x.tsv", 'q1\ta\nq2\t"b\n', "line 2: the quotes do not match"),
        ("x.tsv", 'q1\ta\nq2\t"b" c\n', "line 2: the quotes do not match"),
        ("x.tsv", "q 1\ta\n", "line 1: the qid 'q 1' is empty or contains white space"),
        ("x.tsv", "\n", "contains no texts"),
        ("x.json", "[]", "contains no texts"),
        ("x.json", '[{"qid": "q1", "text": "a"},\n\n {"qid": "q2"}]', "line 3: no text .*found the keys 'qid'"),
        ("x.json", '[{"qid": "q1", "text": "a"},\n {"text": "b"}]', "line 2: no id"),
        ("x.json", '[{"qid": "q1", "text": "a"}\n {"qid": "q2", "text": "b"}]', "line 2: not JSON"),
        ("x.json", '[{"qid": "q1", "text": "a"},\n]', "line 2: not JSON"),
        ("x.json", '[{"qid": "q1", "text": "a"}', "line 1: not JSON"),
        ("x.json", '[\n{"qid": "q1", "text": 3}]', "line 2: the text of topic 'q1' is 3"),
        ("x.json", '["a"]', "line 1: found 'a'; wanted an object"),
        ("x.json", '[{"qid": "q1", "text": "\\ud800"}]', "half a surrogate pair"),
        ("x.jsonl", '{"qid": "q1", "text": "a"}\n{"qid": "q2"', "line 2: not JSON"),
    ],
)  # fmt: skip
def test_a_wrong_record_names_file_and_line(write, name, content, message):
    with pytest.raises(FormatError, match=message):
        import_topics(write(name, content))


def test_passages_without_queries_ask_for_the_topics(write):
    with pytest.raises(ExpandrError, match="give --topics, where the queries are"):
        import_topics(write("x.tsv", "q1\ta\n"), kind="passage")


def test_texts_of_other_topics_are_refused(write):
    topics = write("topics.tsv", "q1\tfirst query\n")
    with pytest.raises(MismatchError, match="line 2: the qid 'q9' is not among the topics"):
        import_topics(write("x.tsv", "q1\ta\nq9\tb\n"), str(topics))


def test_an_unknown_type_offers_the_nearest(write):
    with pytest.raises(UnknownNameError, match="did you mean 'passage'"):
        import_topics(write("x.tsv", "q1\ta\n"), kind="pasage")
