"""Names of topics, qrels and documents lead to one place, for whoever reads and for a dry run."""

from __future__ import annotations

import gzip

import pytest

from expandr_repro.data.collections import Place, find_corpus, find_qrels, find_topics, has_topics, place_of
from expandr_repro.errors import ExpandrError, NotAvailableError


@pytest.fixture
def mine(tmp_path):
    folder = tmp_path / "mine"
    (folder / "qrels").mkdir(parents=True)
    (folder / "queries.jsonl").write_text('{"_id": "1", "text": "a query"}\n')
    (folder / "corpus.jsonl").write_text('{"_id": "d1", "text": "a text"}\n')
    with gzip.open(folder / "qrels" / "dev.tsv.gz", "wt") as file:
        file.write("1\td1\t1\n")
    return folder


def test_what_is_here_is_where_the_readers_read(mine):
    assert place_of("topics", str(mine)).here == mine / "queries.jsonl"
    assert place_of("qrels", str(mine)).here == mine / "qrels" / "dev.tsv.gz"
    assert place_of("qrels", str(mine / "dev")).split == "dev"
    assert place_of("documents", str(mine)).here == mine
    assert place_of("documents", str(mine / "dev")).here == mine
    assert place_of("topics", str(mine / "queries.jsonl")).here == mine / "queries.jsonl"
    assert [t.qid for t in find_topics(str(mine)).topics] == ["1"]
    assert find_qrels(str(mine / "dev")) == {"1": {"d1": 1}}
    assert [d.docid for d in find_corpus(str(mine)).read()] == ["d1"]


def test_a_name_of_another_toolkit_is_no_place_here():
    assert place_of("topics", "irds:beir/scifact/none") == Place("topics", "irds:beir/scifact/none", irds="beir/scifact/none")  # fmt: skip
    assert place_of("qrels", "some-name").pyserini == "some-name"
    assert place_of("documents", "some-name").pyserini is None
    assert place_of("topics", "some-name").here is None


def test_a_folder_that_lacks_what_is_asked_for_says_what_it_holds(mine):
    (mine / "queries.jsonl").unlink()
    with pytest.raises(NotAvailableError, match=r"no queries\.jsonl or queries\.tsv there.*it holds corpus\.jsonl, qrels/"):  # fmt: skip
        _ = place_of("topics", str(mine)).here
    with pytest.raises(NotAvailableError, match="has the splits: dev"):
        find_qrels(str(mine / "devv"))


def test_a_known_collection_is_a_place_by_each_of_its_names():
    names = {place_of("topics", name).known for name in ("pocket", "pocket/test")}
    assert len(names) == 1
    assert place_of("qrels", "pocket").here is not None
    with pytest.raises(ExpandrError, match="has no split 'tset'"):
        place_of("topics", "pocket/tset")


def test_qrels_of_a_collection_or_a_folder_come_with_topics_and_those_of_a_file_do_not(mine):
    assert has_topics("pocket")
    assert has_topics(str(mine))
    assert not has_topics(str(mine / "qrels" / "dev.tsv.gz"))
