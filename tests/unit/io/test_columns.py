"""Tab-separated files with headers and quotes: a header is understood or refused, and never read as data; a byte order mark is taken off everywhere."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expandr_repro.data.corpus import Document, corpus_at
from expandr_repro.data.joining import read_expansions
from expandr_repro.data.topics import read_topics
from expandr_repro.data.trec import read_qrels, read_run
from expandr_repro.errors import FormatError
from expandr_repro.io.strict_yaml import read_yaml
from expandr_repro.llm.prompts import find_prompt

PSGS = (
    "id\ttext\ttitle\n"
    '1\t"Aaron Aaron ( or ; ""Ahärôn"") is a prophet, high priest"\tAaron\n'
    '2\t"God at Sinai granted Aaron the priesthood"\t"""Aaron"" and others"\n'
    "3\tno quotes here\tTitle\n"
)


@pytest.mark.parametrize("name", ["psgs_w100.tsv", "psgs_w100.tsv.gz"])
def test_the_passages_of_dpr_are_read_by_their_header_without_their_quotes(write, name):
    assert list(corpus_at(write(name, PSGS)).read()) == [
        Document("1", "Aaron", 'Aaron Aaron ( or ; "Ahärôn") is a prophet, high priest'),
        Document("2", '"Aaron" and others', "God at Sinai granted Aaron the priesthood"),
        Document("3", "Title", "no quotes here"),
    ]


@pytest.mark.parametrize(
    "header", ["docid\ttext", "DocID\tText", "_id\tcontents", "pid\tpassage", '"id"\t"text"', "# id\ttext", "\ufeffid\ttext", "corpus-id\tbody", "\n\nid\ttext"],
)  # fmt: skip
def test_the_header_of_a_corpus_is_no_document(write, header):
    assert list(corpus_at(write("c.tsv", f"{header}\nd1\ta b\n")).read()) == [Document("d1", "", "a b")]


@pytest.mark.parametrize("header", ["id\turl", "docid\tfoo\tbar", "docid\ttitle"])
def test_a_header_that_names_no_text_is_refused(write, header):
    with pytest.raises(FormatError, match=r"line 1: the header .* names no column of the text; wanted"):
        list(corpus_at(write("c.tsv", f"{header}\nd1\ta\n")).read())


def test_a_line_with_other_columns_than_the_header_is_refused(write):
    with pytest.raises(FormatError, match="line 3: 2 columns, and the header names 3"):
        list(corpus_at(write("c.tsv", "id\ttext\ttitle\n1\ta\tb\n2\ta\n")).read())


def test_passages_in_quotes_whose_header_was_cut_off_are_refused(write):
    with pytest.raises(FormatError, match="line 1: 3 columns in quotes; add a header that names them"):
        list(corpus_at(write("c.tsv", PSGS.split("\n", 1)[1])).read())


def test_ms_marcos_collection_has_no_header_and_its_quotes_are_the_texts_own(write):
    lines = '0\tThe presence of "communication"\n1\t"Manhattan Project" was a "secret"\n2\t"To be or not to be"\n'
    assert [d.text for d in corpus_at(write("collection.tsv", lines)).read()] == [
        'The presence of "communication"',
        '"Manhattan Project" was a "secret"',
        '"To be or not to be"',
    ]


@pytest.mark.parametrize("header", ["qid\tquery", "query_id\ttext", "id\ttitle", "Query-ID\tQuery", "\ufeffqid\tquestion", "topic_id\tquery"])  # fmt: skip
def test_the_header_of_topics_is_no_topic(write, header):
    assert [(t.qid, t.title) for t in read_topics(write("t.tsv", f"{header}\n1\twhat is it\n"))] == [
        ("1", "what is it")
    ]


def test_columns_of_topics_are_found_by_their_header(write):
    path = write("t.tsv", 'query\tlang\tqid\n"what is ""it"""\ten\t7\n')
    assert [(t.qid, t.title) for t in read_topics(path)] == [("7", 'what is "it"')]


def test_topics_in_quotes_are_read_without_them_where_quotes_are_doubled(write):
    path = write("t.tsv", '1\t"what is ""it"""\n2\t"to be or not to be"\n')
    assert [t.title for t in read_topics(path)] == ['what is "it"', '"to be or not to be"']


@pytest.mark.parametrize("header", ["qid\tnarrative", "topic\tdescription\tnarrative"])
def test_a_header_that_names_no_query_is_refused(write, header):
    with pytest.raises(FormatError, match=r"line 1: the header .* names no column of the title"):
        read_topics(write("t.tsv", f"{header}\n1\ta\tb\n"))


@pytest.mark.parametrize(
    ("header", "line"),
    [
        ("query-id\tcorpus-id\tscore", "1\ta\t2"),
        ("query_id\tdoc_id\trelevance", "1\ta\t2"),
        ("qid Q0 docid rel", "1 0 a 2"),
        ("query_id iteration doc_id relevance", "1 0 a 2"),
        ("topic\titer\tdocument\tjudgment", "1\t0\ta\t2"),
        ("corpus-id\tquery-id\tscore", "a\t1\t2"),
        ("query-id\tcorpus-id\tscore\titeration", "1\ta\t2\t0"),
        ("\ufeffquery-id\tcorpus-id\tscore", "1\ta\t2"),
    ],
)
def test_the_header_of_qrels_says_which_column_is_which(write, header, line):
    assert read_qrels(write("q.tsv", f"{header}\n{line}\n")) == {"1": {"a": 2}}


def test_headers_that_say_too_little_are_refused_in_qrels_and_any_header_in_runs(write):
    for header in ("qid\tfoo\tscore", "a\tb\tc"):
        with pytest.raises(FormatError, match="line 1"):
            read_qrels(write("q.tsv", f"{header}\n1\ta\t1\n"))
    with pytest.raises(FormatError, match="line 1: the score 'score' is not a number"):
        read_run(write("r.trec", "qid Q0 docid rank score tag\n1 Q0 a 1 0.5 t\n"))


def test_a_byte_order_mark_is_taken_off_whatever_is_read(write):
    mark = "\ufeff"
    assert read_run(write("r.trec", f"{mark}1 Q0 a 1 0.5 t\n")) == {"1": {"a": 0.5}}
    assert read_qrels(write("q.txt", f"{mark}1 0 a 1\n")) == {"1": {"a": 1}}
    assert read_topics(write("t.tsv", f"{mark}1\ta\n"))[0].qid == "1"
    assert read_topics(write("t.jsonl", mark + '{"qid": "1", "title": "a"}\n'))[0].qid == "1"
    assert read_topics(write("t.json", mark + '{"1": {"title": "a"}}'))[0].qid == "1"
    assert next(corpus_at(write("c.jsonl", mark + '{"_id": "1", "text": "a"}\n')).read()).docid == "1"
    assert list(read_expansions(write("x.jsonl", mark + '{"qid": "1", "expansions": ["a"]}\n'))) == ["1"]
    assert read_yaml(write("s.yaml", f"{mark}a: 1\n")) == {"a": 1}
    assert find_prompt(str(write("p.txt", f"{mark}Say: {{query}}")), None)[1].template == "Say: {query}"


cells = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1, max_size=12).map(str.strip).filter(bool)  # fmt: skip


@given(st.lists(st.tuples(cells, cells), min_size=1, max_size=5), st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
def test_what_a_csv_writer_writes_is_read_back(tmp_path_factory, texts, quoting):
    out = io.StringIO()
    writer = csv.writer(out, delimiter="\t", quoting=quoting, lineterminator="\n")
    writer.writerow(["id", "text", "title"])
    writer.writerows([str(n), text, title] for n, (text, title) in enumerate(texts))
    path = tmp_path_factory.mktemp("csv") / "c.tsv"
    path.write_text(out.getvalue(), encoding="utf-8")
    assert [(d.text, d.title) for d in corpus_at(path).read()] == texts


@pytest.mark.parametrize("header", ["document_id\tdocument_text", "chunk_id\tchunk", "para_no\ttext", "uuid\ttext", "id\tsentence", "title\tpassage_text\tpassage_id"])  # fmt: skip
def test_other_words_for_id_and_text_make_a_header_of_a_corpus(write, header):
    cells = {"title": "A title", "passage_id": "d1"}
    order = header.split("\t")
    line = "\t".join(cells.get(name, "d1" if place == 0 else "a text") for place, name in enumerate(order))
    (document,) = corpus_at(write("c.tsv", f"{header}\n{line}\n")).read()
    assert (document.docid, document.text) == ("d1", "a text")


@pytest.mark.parametrize("header", ["claim_id\tclaim", "turn_id\tutterance", "qnum\ttitle", "qid\tkeywords", "identifier\tquery"])  # fmt: skip
def test_other_words_for_id_and_query_make_a_header_of_topics(write, header):
    (topic,) = read_topics(write("t.tsv", f"{header}\nq1\ta question of mine\n"))
    assert (topic.qid, topic.title) == ("q1", "a question of mine")


@pytest.mark.parametrize("header", ["doc\ttext", "identifier\tstuff", "d_id\td_text"])
def test_a_header_without_an_id_or_a_text_is_refused(write, header):
    with pytest.raises(FormatError, match=r"line 1: the header .* names no column of the (id|text)"):
        list(corpus_at(write("c.tsv", f"{header}\nd1\ta text\n")).read())


@pytest.mark.parametrize("line", ["d1\ttext", "key\tvalue", "q_9\tquery", "the_id9\tbody"])
def test_a_record_of_single_words_is_no_header(write, line):
    assert len(list(corpus_at(write("c.tsv", f"{line}\nd2\ta text\n")).read())) == 2
