from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expandr_repro.data.corpus import Corpus, Document, corpus_at, corpus_files, survey
from expandr_repro.errors import FormatError, NotAvailableError
from unit.strategies import ids, texts

documents = st.lists(
    st.builds(Document, ids, texts.map(str.strip), texts.map(str.strip)),
    min_size=1,
    max_size=6,
    unique_by=lambda d: d.docid,
)


def corpus_of(*listed: Document) -> Corpus:
    return Corpus("here", lambda: iter(listed))


@given(documents)
def test_a_beir_corpus_is_read_as_it_was_written(tmp_path_factory, listed):
    path = tmp_path_factory.getbasetemp() / "corpus.jsonl"
    path.write_text(
        "".join(json.dumps({"_id": d.docid, "title": d.title, "text": d.text}) + "\n" for d in listed), encoding="utf-8"
    )

    assert list(corpus_at(path).read()) == listed


@given(documents)
def test_the_facts_are_the_same_wherever_the_documents_lie(tmp_path_factory, listed):
    path = tmp_path_factory.getbasetemp() / "other.jsonl"
    path.write_text("".join(json.dumps({"id": d.docid, "title": d.title, "contents": d.text}) + "\n" for d in listed))

    assert survey(corpus_at(path)) == survey(corpus_of(*listed))


def test_a_dense_encoder_reads_title_space_text():
    assert Document("1", "A title", "a text").dense_text == "A title a text"


def test_a_document_without_title_or_text_has_no_stray_space():
    assert Document("1", "", "a text").dense_text == "a text"
    assert Document("1", "A title", "").dense_text == "A title"


def test_lucene_reads_title_line_end_text():
    assert Document("1", "A title", "a text").lucene_text == "A title\na text"
    assert Document("1", "", "a text").lucene_text == "a text"


@pytest.mark.parametrize("name", ["corpus.jsonl", "corpus.jsonl.gz"])
def test_a_beir_folder_is_read_from_its_corpus_file(write, tmp_path, name):
    write(f"beir/{name}", '{"_id": "d1", "title": "T", "text": "x"}\n')
    write("beir/queries.jsonl", '{"_id": "q1", "text": "not a document"}\n')

    assert list(corpus_at(tmp_path / "beir").read()) == [Document("d1", "T", "x")]


def test_a_pyserini_folder_is_read_in_the_order_of_names(write, tmp_path):
    write("folder/b.jsonl", '{"id": "2", "contents": "b"}\n')
    write("folder/a.jsonl.gz", '{"id": 1, "contents": "a"}\n\n')

    assert list(corpus_at(tmp_path / "folder").read()) == [Document("1", "", "a"), Document("2", "", "b")]


def test_topics_manifests_and_hidden_files_are_no_part_of_a_corpus(write, tmp_path):
    for name in ("docs.jsonl", "topics.test.jsonl", "queries.jsonl", "manifest.json", ".docs.tmp.jsonl", "notes.md"):
        write(f"folder/{name}", "")

    assert [p.name for p in corpus_files(tmp_path / "folder")] == ["docs.jsonl"]


def test_a_corpus_can_be_read_again(write):
    corpus = corpus_at(write("c.jsonl", '{"id": "1", "text": "a"}\n'))

    assert list(corpus.read()) == list(corpus.read()) == [Document("1", "", "a")]


@pytest.mark.parametrize("name", ["c.tsv", "c.txt", "c.tsv.gz"])
def test_a_tsv_corpus_has_docids_and_texts(write, name):
    assert list(corpus_at(write(name, "007\ta\tb \n\n8\t\n")).read()) == [
        Document("007", "", "a\tb"),
        Document("8", "", ""),
    ]


@pytest.mark.parametrize("key", ["_id", "id", "docid", "doc_id"])
def test_a_docid_may_have_any_of_its_names(write, key):
    assert [d.docid for d in corpus_at(write("c.jsonl", json.dumps({key: "d1", "text": "x"}))).read()] == ["d1"]


@pytest.mark.parametrize("missing", ["nowhere", "."])
def test_a_place_without_a_corpus_says_what_was_wanted(tmp_path, missing):
    with pytest.raises(NotAvailableError, match=r"no corpus there; wanted corpus\.jsonl \(BEIR\)"):
        corpus_at(tmp_path / missing)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('{"text": "x"}', "no docid; wanted one of the keys _id, id, docid, doc_id"),
        ('{"id": "a b", "text": "x"}', "the docid 'a b' is empty or contains white space"),
        ('{"id": "\\ud800", "text": "x"}', "the docid '\\ud800' contains a NUL or half a surrogate pair"),
        ('{"id": "1"}', "document '1' has no string under `text` or `contents`"),
        ('{"id": "1", "text": "x", "title": 5}', "document '1' has no string under `text` or `contents`"),
        ('{"id": "1", "text": "\\ud800"}', "document '1' has half a surrogate pair"),
        ("[]", "found a JSON list, wanted an object"),
    ],
)
def test_a_broken_document_names_its_file_and_line(write, line, problem):
    path = write("c.jsonl", '{"id": "0", "text": "ok"}\n' + line)

    with pytest.raises(FormatError) as caught:
        list(corpus_at(path).read())
    assert str(caught.value).startswith(f"{path}, line 2: {problem}")


def test_a_tsv_line_without_a_tab_names_its_line(write):
    with pytest.raises(FormatError, match=r"c\.tsv, line 2: no tab; wanted `docid<TAB>text`"):
        list(corpus_at(write("c.tsv", "1\ta\n2\n")).read())


def test_a_title_of_null_is_no_title(write):
    assert list(corpus_at(write("c.jsonl", '{"id": "1", "title": null, "text": "x"}')).read()) == [
        Document("1", "", "x")
    ]


def test_a_survey_counts_the_documents():
    assert survey(corpus_of(Document("1", "", "a"), Document("2", "", "b"))).documents == 2


def test_documents_in_another_order_are_another_corpus():
    one, two = Document("1", "", "a"), Document("2", "", "b")

    assert survey(corpus_of(one, two)).sha256 != survey(corpus_of(two, one)).sha256


@pytest.mark.parametrize("other", [Document("2", "t", "x"), Document("1", "u", "x"), Document("1", "t", "y")])
def test_any_changed_part_of_a_document_changes_the_hash(other):
    assert survey(corpus_of(Document("1", "t", "x"))).sha256 != survey(corpus_of(other)).sha256


def test_an_empty_corpus_is_refused():
    with pytest.raises(FormatError, match=r"^here: the corpus is empty"):
        survey(corpus_of())


def test_a_docid_twice_names_both_documents():
    listed = [Document("1", "", "a"), Document("2", "", "b"), Document("3", "", "c"), Document("2", "", "d")]

    with pytest.raises(FormatError, match=r"the docid '2' occurs twice \(documents 2 and 4\)"):
        survey(corpus_of(*listed))
