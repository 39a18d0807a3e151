"""The documents of a page: numbered once, cut at a word, read until all are found."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expandr_repro.data.corpus import Corpus, Document
from expandr_repro.errors import MismatchError
from expandr_repro.report.documents import Numbers, cut, fetch, record
from unit.strategies import texts

CORPUS = Corpus("three", lambda: iter([Document(d, f"title {d}", "a b c d") for d in ("x", "y", "z")]))


@given(texts, st.integers(1, 5))
def test_a_cut_text_is_the_beginning_as_it_stands_and_the_count_says_what_it_was(text, words):
    kept, total = cut(text, words)
    assert text.startswith(kept)
    if total:
        assert total == len(text.split())
        assert len(kept.split()) == words < total
    else:
        assert kept == text
        assert len(text.split()) <= words


def test_a_document_is_numbered_once_in_the_order_of_asking():
    numbers = Numbers()
    assert [numbers.of(d) for d in ("b", "a", "b")] == [0, 1, 0]
    assert numbers.docids == ["b", "a"]


def test_a_corpus_is_read_until_all_are_found():
    def read():
        yield from (Document("x", "", "text"), Document("y", "", "text"))
        raise AssertionError("read on")

    assert set(fetch(Corpus("c", read), ["y", "x"])) == {"x", "y"}


def test_a_document_that_the_corpus_lacks_goes_without_text_and_is_warned_of(caplog):
    found = fetch(CORPUS, ["x", "gone"])
    assert "lacks 1 of the 2 documents shown (e.g. 'gone')" in caplog.text
    assert record("gone", found, 3) == ["gone", "", "", 0]
    assert record("x", found, 3) == ["x", "title x", "a b c", 4]


def test_a_corpus_with_none_of_the_documents_is_the_wrong_one():
    with pytest.raises(MismatchError, match=r"three: contains none of the 1 documents .*\(e.g. 'gone'\)"):
        fetch(CORPUS, ["gone"])
