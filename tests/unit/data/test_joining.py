from __future__ import annotations

import json

import pytest

from expandr_repro.data.joining import join_expansions, read_expansions, title_digest
from expandr_repro.data.topics import Expansion, Topic
from expandr_repro.errors import FormatError, MismatchError


def test_expansions_may_know_their_title_by_its_hash(write):
    digest = title_digest("a b")
    path = write("e.jsonl", json.dumps({"qid": "1", "title_sha256": digest, "expansions": ["x"]}))

    assert read_expansions(path) == {"1": (Topic("1", "", (Expansion("x"),)), digest)}


@pytest.mark.parametrize("key", ["title", "text", "query"])
def test_expansions_keep_the_title_under_any_of_its_names(write, key):
    found = read_expansions(write("e.jsonl", json.dumps({"qid": "1", key: "a b", "expansions": ["x"]})))

    assert found["1"][0].title == "a b"


def test_a_title_hash_that_is_no_string_is_refused(write):
    with pytest.raises(FormatError, match="line 1: `title_sha256` must be a string"):
        read_expansions(write("e.jsonl", '{"qid": "1", "title_sha256": 5}'))


def test_expansions_with_a_duplicate_id_are_refused(write):
    with pytest.raises(FormatError, match=r"e\.jsonl, line 2: the id '1' was there before"):
        read_expansions(write("e.jsonl", '{"qid": "1"}\n{"qid": "1"}\n'))


def test_expansions_with_half_a_surrogate_pair_are_refused(write):
    for record in ('{"qid": "1", "expansions": ["\\ud800"]}', '{"qid": "1", "title": "\\ud800", "expansions": ["x"]}'):
        with pytest.raises(FormatError, match="line 1: topic '1' has half a surrogate pair"):
            read_expansions(write("e.jsonl", record))


def test_an_expansions_file_without_lines_is_refused(write):
    with pytest.raises(FormatError, match=r"e\.jsonl: contains no expansions"):
        read_expansions(write("e.jsonl", ""))


def test_a_title_digest_does_not_mind_white_space():
    assert title_digest(" a\n b ") == title_digest("a b") != title_digest("a c")
    assert len(title_digest("a")) == 16


def test_expansions_are_joined_by_id_with_their_provenance():
    topics = [Topic("1", "a", (Expansion("old"),), {"model": "old"}), Topic("2", "b")]
    other = Topic("2", "b", (Expansion("new"),), {"model": "new"})

    assert join_expansions(topics, {"2": (other, None)}, "e.jsonl") == [Topic("1", "a"), other]


def test_expansions_known_by_hash_are_joined():
    other = Topic("1", "", (Expansion("new"),))

    assert join_expansions([Topic("1", "a")], {"1": (other, title_digest("a"))}, "e")[0].texts == ("new",)


def test_expansions_of_unknown_topics_are_counted_and_named():
    with pytest.raises(
        MismatchError, match=r"^e\.jsonl: 2 of 2 ids are not among the topics \(first: '8'\); these exp"
    ):
        join_expansions([Topic("1", "a")], {"8": (Topic("8", "a"), None), "9": (Topic("9", "z"), None)}, "e.jsonl")


@pytest.mark.parametrize("known", [(Topic("1", "a", (Expansion("x"),)), None), (Topic("1", "", (Expansion("x"),)), title_digest("a"))])  # fmt: skip
def test_a_file_for_more_topics_than_are_asked_for_is_fine_where_titles_or_hashes_agree(known):
    joined = join_expansions([Topic("1", "a")], {"1": known, "9": (Topic("9", "z"), None)}, "e.jsonl")

    assert [t.texts for t in joined] == [("x",)]


def test_a_file_with_further_topics_and_no_title_to_tell_them_by_is_refused():
    with pytest.raises(MismatchError, match=r"1 of 2 ids are not among the topics .* carry no title to tell them by"):
        join_expansions([Topic("1", "a")], {"1": (Topic("1", ""), None), "9": (Topic("9", ""), None)}, "e.jsonl")


@pytest.mark.parametrize("other", [(Topic("1", "other"), None), (Topic("1", ""), title_digest("other"))])
def test_expansions_made_for_another_title_are_refused(other):
    with pytest.raises(MismatchError, match=r"e\.jsonl: topic '1' has another title there than in the topics \('a'\)"):
        join_expansions([Topic("1", "a")], {"1": other}, "e.jsonl")
