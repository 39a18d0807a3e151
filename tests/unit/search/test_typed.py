"""Which expansions a retriever is given by their types, and the fusion that a method goes with."""

from __future__ import annotations

import logging

import pytest

from expandr_repro.data.topics import Expansion, Topic, read_topics, topic_record
from expandr_repro.errors import ExpandrError, FormatError, UnknownNameError
from expandr_repro.search.run import method_fusion
from expandr_repro.search.typed import select_types

ALL = tuple(Expansion(f"a {kind}", type=kind) for kind in ("passage", "keywords", "question", "rewrite"))


def texts(topics):
    return [t.texts for t in topics]


@pytest.mark.parametrize(
    ("retriever", "expected"),
    [("bm25", ("a keywords", "a question", "a rewrite")), ("dense", ("a passage", "a question", "a rewrite"))],
)
def test_keywords_go_to_bm25_passages_to_the_encoder_questions_and_rewrites_to_both(retriever, expected):
    kept, _ = select_types([Topic("q", "query", ALL)], retriever)

    assert texts(kept) == [expected]


def test_what_is_left_out_is_told_and_stands_in_the_manifest(caplog):
    with caplog.at_level(logging.INFO, "expandr_repro"):
        _, facts = select_types([Topic("q", "query", ALL[:2])], "dense")

    assert facts == {"expansion_types": {"used": ["passage"], "left_out": {"keywords": 1}}}
    assert "1 of 1 expansions of type keywords are not used" in caplog.text


@pytest.mark.parametrize("retriever", ["bm25", "dense"])
@pytest.mark.parametrize("types", [None, "passage"])
def test_passages_alone_are_searched_as_before_and_the_manifest_says_nothing(retriever, types):
    topics = [Topic("q", "query", ALL[:1]), Topic("r", "other")]

    assert select_types(topics, retriever, types) == (topics, {})


def test_a_topic_without_any_suitable_text_keeps_all_of_its_own():
    keywords, both = Topic("q", "query", ALL[1:2]), Topic("r", "other", ALL[:2])
    kept, facts = select_types([keywords, both], "dense")

    assert texts(kept) == [("a keywords",), ("a passage",)]
    assert facts["expansion_types"] == {"used": ["keywords", "passage"], "left_out": {"keywords": 1}}


def test_types_that_are_asked_for_are_used_whatever_suits():
    kept, facts = select_types([Topic("q", "query", ALL), Topic("r", "other", ALL[:1])], "dense", "keywords, passage")

    assert texts(kept) == [("a passage", "a keywords"), ("a passage",)]
    assert facts["expansion_types"] == {"used": ["keywords", "passage"], "left_out": {"question": 1, "rewrite": 1}}


def test_types_that_no_expansion_has_are_refused():
    with pytest.raises(ExpandrError, match="none of the 1 expansions is of such a type; there are: passage"):
        select_types([Topic("q", "query", ALL[:1])], "dense", "keywords")


def test_an_unknown_type_offers_the_nearest():
    with pytest.raises(UnknownNameError, match="did you mean 'keywords'"):
        select_types([Topic("q", "query", ALL)], "dense", "keyword")


def test_a_type_is_written_and_read_and_a_passage_needs_none(write):
    path = write("t.jsonl", '{"qid": "q", "title": "t", "expansions": [{"text": "a", "type": "passage"}, {"text": "b", "type": "keywords"}]}')  # fmt: skip
    (topic,) = read_topics(path)

    assert [e.type for e in topic.expansions] == ["passage", "keywords"]
    assert topic_record(topic)["expansions"] == [
        {"text": "a", "sampling": {}},
        {"text": "b", "sampling": {}, "type": "keywords"},
    ]


def test_a_wrong_type_in_a_file_names_the_line(write):
    path = write("t.jsonl", '{"qid": "q", "title": "t", "expansions": [{"text": "a", "type": "keyword"}]}')
    with pytest.raises(
        FormatError, match="line 1: an expansion's `type`: unknown type 'keyword': did you mean 'keywords'"
    ):
        read_topics(path)


def by(fusion, qid="q"):
    return Topic(qid, "query", ALL[:1], {"prompt": "lamer", **({"fusion": fusion} if fusion else {})})


def test_the_fusion_that_a_method_goes_with_is_found_for_each_retriever():
    topics = [by({"bm25": "interleave", "dense": "mean:alpha=0.3"})]

    assert str(method_fusion(topics, "bm25")) == "interleave"
    assert str(method_fusion(topics, "dense")) == "mean:alpha=0.3"
    assert method_fusion([by({"bm25": "interleave"})], "dense") is None
    assert method_fusion([by(None)], "bm25") is None


def test_expansions_of_several_methods_take_the_retrievers_own_fusion_and_a_warning(caplog):
    with caplog.at_level(logging.WARNING, "expandr_repro"):
        assert method_fusion([by({"bm25": "interleave"}), by({"bm25": "repeat"}, "r")], "bm25") is None
    assert "several methods" in caplog.text


def test_a_fusion_of_the_provenance_that_does_not_exist_says_where_it_stands():
    with pytest.raises(
        ExpandrError, match=r"the provenance of the expansions: unknown fusion 'interleaf'.*give --fusion"
    ):
        method_fusion([by({"bm25": "interleaf"})], "bm25")
