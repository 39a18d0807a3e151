from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expandr_repro.data.topics import Expansion, Topic, expansions_of, read_topics, topic_record, write_topics
from expandr_repro.errors import FormatError, NotAvailableError
from unit.strategies import ids, said, texts

facts = st.dictionaries(texts, st.one_of(st.integers(), texts, st.booleans(), st.none()), max_size=2)
expansion = st.builds(Expansion, texts, facts)
topic = st.builds(Topic, ids, said, st.lists(expansion, max_size=2).map(tuple), st.none() | facts)


@given(st.lists(topic, min_size=1, max_size=3, unique_by=lambda t: t.qid), st.sampled_from(["t.jsonl", "t.jsonl.gz"]))
def test_topics_are_read_as_they_were_written(tmp_path_factory, topics, name):
    path = tmp_path_factory.getbasetemp() / name
    write_topics(path, topics)

    assert read_topics(path) == topics


@given(st.lists(topic, min_size=1, max_size=3))
def test_topics_are_one_json_object_a_line(tmp_path_factory, topics):
    path = tmp_path_factory.getbasetemp() / "t.jsonl"
    write_topics(path, topics)

    assert [json.loads(line) for line in path.read_bytes().splitlines()] == [topic_record(t) for t in topics]


@given(st.dictionaries(ids, said.filter(lambda t: "\n" not in t and "\0" not in t), min_size=1, max_size=5))
def test_tsv_titles_are_read_stripped(tmp_path_factory, titles):
    path = tmp_path_factory.getbasetemp() / "t.tsv"
    path.write_text("".join(f"{q}\t{t}\n" for q, t in titles.items()), encoding="utf-8", newline="\n")
    if next(iter(titles)).startswith("{"):
        return

    assert {t.qid: t.title for t in read_topics(path)} == {q: t.strip() for q, t in titles.items()}


def test_equal_topics_give_equal_bytes(tmp_path):
    topics = [Topic("1", "é", (Expansion("e", {"seed": 1}),), {"prompt": "q2d"})]
    for name in ("a.jsonl", "b.jsonl"):
        write_topics(tmp_path / name, topics)

    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()


def test_the_written_form_is_the_documented_one(tmp_path):
    write_topics(tmp_path / "t.jsonl", [Topic("1", "é?", (Expansion("yes", {"seed": 42}),), {"prompt": "q2d"})])

    assert (tmp_path / "t.jsonl").read_text(encoding="utf-8") == (
        '{"qid": "1", "title": "é?", "expansions": [{"text": "yes", "sampling": {"seed": 42}}], "provenance": {"prompt": "q2d"}}\n'
    )


def test_a_plain_topic_is_written_without_empty_keys():
    assert topic_record(Topic("1", "a")) == {"qid": "1", "title": "a"}


def test_texts_leave_out_expansions_that_say_nothing():
    assert Topic("1", "a", (Expansion("one"), Expansion(" \n"), Expansion("two"))).texts == ("one", "two")


@pytest.mark.parametrize(
    "line",
    [
        '{"qid": "q1", "title": "a b"}',
        '{"_id": "q1", "text": "a b", "metadata": {}}',
        '{"id": "q1", "query": "a b"}',
        '{"query_id": "q1", "text": "a b"}',
    ],
)
def test_the_spellings_of_other_toolkits_are_read(write, line):
    assert read_topics(write("t.jsonl", line)) == [Topic("q1", "a b")]


def test_blank_lines_are_passed_over(write):
    path = write("t.jsonl", '\n{"qid": "1", "title": "a"}\n  \n{"qid": "2", "title": "b"}\n\n')

    assert [t.qid for t in read_topics(path)] == ["1", "2"]


@pytest.mark.parametrize(
    "content",
    [
        '{"q1": {"title": "a"}, "q2": {"title": "b"}}',
        '{"q1": "a", "q2": "b"}',
        '[{"qid": "q1", "title": "a"}, {"qid": "q2", "title": "b"}]',
        '{"qid": "q1", "title": "a"}\n{"qid": "q2", "title": "b"}\n',
    ],
)
def test_a_json_file_may_be_an_object_a_list_or_lines(write, content):
    assert read_topics(write("t.json", content)) == [Topic("q1", "a"), Topic("q2", "b")]


def test_a_json_file_may_be_one_topic(write):
    assert read_topics(write("t.json", '{"qid": "q1", "title": "a"}')) == [Topic("q1", "a")]


def test_a_json_file_of_something_else_is_refused(write):
    with pytest.raises(FormatError, match=r"t\.json: wanted a JSON object"):
        read_topics(write("t.json", "3"))


def test_a_json_list_of_something_else_names_the_record(write):
    with pytest.raises(FormatError, match=r"t\.json: record 2 is no object"):
        read_topics(write("t.json", '[{"qid": "q1", "title": "a"}, 3]'))


def test_broken_json_names_its_line(write):
    with pytest.raises(FormatError, match=r"t\.json, line 1: not JSON"):
        read_topics(write("t.json", '{"q1": '))


def test_tsv_keeps_leading_zeros_and_later_tabs(write):
    assert read_topics(write("t.tsv", "007\tjames\tbond\n")) == [Topic("007", "james\tbond")]


def test_a_tsv_line_without_a_tab_names_its_line(write):
    with pytest.raises(FormatError, match=r"t\.tsv, line 2: no tab; wanted `qid<TAB>title`"):
        read_topics(write("t.tsv", "1\ta\n2 b\n"))


def test_json_under_a_tsv_name_gets_the_cure(write):
    with pytest.raises(FormatError, match=r"looks like JSON under a \.tsv or \.txt name; rename it to \.jsonl"):
        read_topics(write("t.txt", '{"qid": "1", "title": "a"}\n'))


def test_a_topics_file_with_a_duplicate_id_names_both_lines(write):
    path = write("t.jsonl", '{"qid": "1", "title": "a"}\n\n{"qid": 1, "title": "b"}\n')

    with pytest.raises(FormatError, match=r"t\.jsonl, line 3: the id '1' was there before, on line 1"):
        read_topics(path)


def test_an_empty_title_names_its_topic_and_line(write):
    with pytest.raises(FormatError, match=r"t\.jsonl, line 2: topic '2' has an empty title"):
        read_topics(write("t.jsonl", '{"qid": "1", "title": "a"}\n{"qid": "2", "title": " "}\n'))


@pytest.mark.parametrize(
    "line",
    ['{"qid": "1", "title": "\\ud800"}', '{"qid": "1", "title": "a", "expansions": ["\\udfff"]}'],
)
def test_half_a_surrogate_pair_in_a_text_is_refused(write, line):
    with pytest.raises(FormatError, match="line 1: topic '1' holds half a surrogate pair"):
        read_topics(write("t.jsonl", line))


def test_a_topics_file_without_topics_is_refused(write):
    with pytest.raises(FormatError, match=r"t\.jsonl: holds no topics; wanted one a line"):
        read_topics(write("t.jsonl", "\n\n"))


def test_a_topics_file_that_is_not_there_is_not_available(tmp_path):
    with pytest.raises(NotAvailableError, match=r"none\.jsonl: cannot be read"):
        read_topics(tmp_path / "none.jsonl")


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('{"title": "a"}', "no id; wanted one of the keys qid, id, _id, query_id"),
        ('{"qid": "1"}', "no text; wanted a string under one of the keys title, text, query"),
        ('{"qid": "1", "title": 3}', "no text; wanted a string"),
        ('{"qid": "1 2", "title": "a"}', "the id '1 2' is empty or contains white space"),
        ('{"qid": "1", "title": "a", "provenance": 3}', "`provenance` must be an object"),
        ('{"qid": "1", "title": "a", "expansions": "b"}', "`expansions` must be a list"),
        ('{"qid": "1", "title": "a", "expansions": [3]}', "an expansion must be an object with a string `text`"),
        ('{"qid": "1", "title": "a", "expansions": [{"text": "b", "sampling": 1}]}', "`sampling` must be an object"),
    ],
)
def test_a_broken_record_says_what_was_wanted(write, line, problem):
    path = write("t.jsonl", '{"qid": "0", "title": "ok"}\n' + line)

    with pytest.raises(FormatError) as caught:
        read_topics(path)
    assert str(caught.value).startswith(f"{path}, line 2: {problem}")


def test_an_expansion_may_be_a_bare_string():
    assert expansions_of("t", 1, {"expansions": ["a", {"text": "b", "sampling": {"seed": 1}}]}) == (
        Expansion("a"),
        Expansion("b", {"seed": 1}),
    )


def test_a_json_topics_file_with_an_id_twice_is_refused(tmp_path):
    path = tmp_path / "t.json"
    path.write_text('{"q1": {"title": "a"}, "q1": {"title": "b"}}')
    with pytest.raises(FormatError, match="'q1' is there twice"):
        read_topics(path)


@pytest.mark.parametrize("value", ['{"a": NaN}', '{"a": 1e999}', '{"a": "\\ud800"}', '{"\\ud800": 1}'])
@pytest.mark.parametrize("record", ['{"qid": "1", "title": "a", "provenance": %s}', '{"qid": "1", "title": "a", "expansions": [{"text": "b", "sampling": %s}]}'])  # fmt: skip
def test_facts_that_could_not_be_written_again_are_refused(write, record, value):
    with pytest.raises(FormatError, match=r"t\.jsonl, line 1: `(provenance|sampling)` contains NaN"):
        read_topics(write("t.jsonl", record % value))


def test_the_last_of_a_hundred_thousand_keys_twice_is_found_at_once(write):
    keys = ", ".join(f'"{n}": "a"' for n in [*range(100_000), 99_999])

    with pytest.raises(FormatError, match="the key '99999' is there twice"):
        read_topics(write("t.json", "{" + keys + "}"))
