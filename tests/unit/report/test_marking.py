"""Marks: pieces of an expansion that stand in relevant documents, and nothing lost of the text."""

from __future__ import annotations

from hypothesis import given

from expandr_repro.report.marking import mark, marked_words, shares_run, stopwords
from unit.strategies import texts


def test_words_of_relevant_documents_are_marked_and_the_querys_own_apart():
    pieces = mark("Ageing of the Heart, a muscle.", "heart disease", marked_words("the heart is a muscle of"))
    assert pieces == [" Ageing of the ", "=Heart", " , a ", "+muscle", " ."]


def test_stopwords_and_single_characters_are_never_marked():
    assert marked_words("The b of it was in 7 cells") == {"cells"}
    assert "the" in stopwords()
    assert all(word == word.lower() for word in stopwords())


def test_another_form_of_a_word_is_another_word():
    assert mark("cell", "x", marked_words("cells")) == [" cell"]


def test_a_word_is_marked_whole_or_not_at_all():
    assert mark("heartless", "x", marked_words("heart")) == [" heartless"]


@given(texts, texts, texts)
def test_the_pieces_together_are_the_expansion(expansion, query, document):
    pieces = mark(expansion, query, marked_words(document))
    assert "".join(piece[1:] for piece in pieces) == expansion
    assert all(piece[0] in " +=" for piece in pieces)


@given(texts, texts)
def test_nothing_is_marked_where_nothing_is_relevant(expansion, query):
    assert all(piece[0] == " " for piece in mark(expansion, query, set()))


def test_six_words_in_a_row_are_a_run_and_five_are_not():
    document = "one two three four five six seven"
    assert shares_run("so TWO three\nfour five six seven", [document])
    assert not shares_run("so two three four five six eight", [document])
    assert not shares_run("two three", ["two three"])
