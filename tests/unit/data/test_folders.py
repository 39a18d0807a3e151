"""A collection in a folder: with splits, without qrels, with its corpus as TSV; whatever is missing is named, and nothing that is there is called unknown."""

from __future__ import annotations

import pytest

from expandr_repro.data.collections import find_corpus, find_qrels, find_topics, qrels_of
from expandr_repro.errors import ExpandrError, NotAvailableError


@pytest.fixture
def mine(tmp_path):
    folder = tmp_path / "my-collection"
    (folder / "qrels").mkdir(parents=True)
    (folder / "corpus.jsonl").write_text('{"_id": "a", "text": "x"}\n')
    (folder / "queries.jsonl").write_text('{"_id": "1", "text": "x"}\n{"_id": "2", "text": "y"}\n')
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n1\ta\t1\n")
    return folder


@pytest.mark.parametrize("find", [find_topics, find_qrels, find_corpus])
def test_a_split_that_a_folder_does_not_have_is_answered_with_those_it_has(mine, find, monkeypatch):
    (mine / "qrels" / "dev.tsv").write_text("1 0 a 1\n")
    for place in (mine, "my-collection"):
        monkeypatch.chdir(mine.parent)
        with pytest.raises(NotAvailableError, match=r"my-collection/tset: my-collection has the splits: test, dev; did you mean 'test'\?"):  # fmt: skip
            find(f"{place}/tset")
        with pytest.raises(NotAvailableError, match=r"my-collection has the splits: test, dev$"):
            find(f"{place}/validation")


def test_a_folder_without_qrels_has_topics_and_documents_and_no_scores(mine):
    (mine / "qrels" / "test.tsv").unlink()
    for _ in range(2):
        topics = find_topics(str(mine))
        assert [t.qid for t in topics.topics] == ["1", "2"]
        assert (topics.label, topics.documents, qrels_of(topics)) == ("my-collection", str(mine), None)
        for name in (mine, mine / "test"):
            with pytest.raises(NotAvailableError, match=r"has no qrels .*can be searched and expanded, and not scored"):
                find_qrels(str(name))
        if (mine / "qrels").is_dir():
            (mine / "qrels").rmdir()


def test_topics_with_qrels_are_those_that_are_judged(mine):
    assert [t.qid for t in find_topics(str(mine)).topics] == ["1"]
    assert qrels_of(find_topics(f"{mine}/test")) == {"1": {"a": 1}}


@pytest.mark.parametrize("name", ["corpus.tsv", "corpus.tsv.gz"])
def test_a_corpus_and_queries_may_be_tab_separated(mine, write, name):
    (mine / "corpus.jsonl").unlink()
    (mine / "queries.jsonl").unlink()
    write(f"my-collection/{name}", "id\ttext\ttitle\na\tx\ty\n")
    write("my-collection/queries.tsv", "1\tx\n2\ty\n")
    assert [(d.docid, d.title) for d in find_corpus(str(mine)).read()] == [("a", "y")]
    assert [t.qid for t in find_topics(str(mine)).topics] == ["1"]


def test_missing_files_are_named_with_what_is_there(mine):
    (mine / "queries.jsonl").rename(mine / "questions.jsonl")
    with pytest.raises(NotAvailableError, match=r"no queries.jsonl or queries.tsv there, .*it holds corpus.jsonl, qrels/, questions.jsonl"):  # fmt: skip
        find_topics(str(mine))
    (mine / "qrels" / "test.tsv").unlink()
    (mine / "qrels").rmdir()
    for find, what in ((find_topics, "topics"), (find_qrels, "qrels")):
        with pytest.raises(NotAvailableError, match=rf"my-collection: no {what} there; it holds corpus.jsonl, questions.jsonl; wanted"):  # fmt: skip
            find(str(mine))
    (mine / "corpus.jsonl").rename(mine / "corpus.parquet")
    (mine / "questions.jsonl").unlink()
    with pytest.raises(NotAvailableError, match=r"no corpus there; .*it holds corpus.parquet"):
        find_corpus(str(mine))


def test_names_that_lead_nowhere_are_answered_with_the_nearest_and_never_with_all(mine):
    for find in (find_topics, find_qrels, find_corpus):
        with pytest.raises(NotAvailableError, match=r"no such file or folder, .*did you mean '.*/my-collection'\?"):
            find(f"{mine.parent}/my-colection")
        with pytest.raises(NotAvailableError) as raised:
            find("nowhere/at/all.jsonl")
        assert "msmarco" not in str(raised.value)
        with pytest.raises(ExpandrError, match="did you mean 'scifact'"):
            find("scifct")
