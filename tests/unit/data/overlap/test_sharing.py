"""Topics that share relevant documents: found, grouped, and drawn so that nothing held out is seen in training."""

from __future__ import annotations

import random

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from expandr_repro.data.overlap.sharing import count_shared, draw_apart, groups, relevant_documents, sharing
from expandr_repro.errors import ExpandrError
from expandr_repro.prefer.pairs import PreferencePair, draw
from expandr_repro.train_encoder.batches import draws, held_out

RELEVANT = st.dictionaries(
    st.sampled_from([f"q{i}" for i in range(12)]), st.sets(st.sampled_from("abcdefgh"), max_size=3)
)


@given(RELEVANT)
def test_no_document_is_relevant_for_topics_of_two_groups_and_each_group_holds_together(relevant):
    made = groups(relevant, relevant)
    assert sorted(q for group in made for q in group) == sorted(relevant)
    documents = [{d for q in group for d in relevant[q]} for group in made]
    assert sum(map(len, documents)) == len(set().union(*documents))
    for group in made:  # grown from one topic by shared documents, all of the group is reached
        reached, before = {group[0]}, 0
        while before < len(reached):
            before = len(reached)
            seen = {d for q in reached for d in relevant[q]}
            reached |= {q for q in group if relevant[q] & seen}
        assert reached == set(group)


@given(RELEVANT, st.integers(0, 11), st.randoms(use_true_random=False))
def test_what_is_drawn_apart_is_as_many_as_asked_for_and_shares_nothing_with_the_rest(relevant, wanted, shuffled):
    assume(wanted < len(relevant))
    order = sorted(relevant)
    shuffled.shuffle(order)
    sizes = [len(g) for g in groups(order, relevant)]
    possible = {0}
    for size in sizes:
        possible |= {n + size for n in possible}
    if wanted in possible:
        chosen = draw_apart(order, relevant, wanted, "dev")
        assert len(chosen) == wanted
        assert count_shared(chosen, set(order) - chosen, relevant) == 0
    else:
        most = max(n for n in possible if n <= wanted)
        with pytest.raises(ExpandrError, match=f"at most {most} topics can be held out"):
            draw_apart(order, relevant, wanted, "dev")


def test_an_id_that_is_a_topics_and_a_documents_does_not_tie_the_two():
    assert groups(["1", "2"], {"1": {"2"}, "2": {"3"}}) == [["1"], ["2"]]


def test_where_no_documents_are_shared_the_development_topics_are_those_drawn_without_a_look_at_them():
    names = [f"q{n}" for n in range(50)]
    alone = {name: {f"d{name}"} for name in names}
    assert held_out(names, 10, 42, alone) == held_out(names, 10, 42) == set(draws(42, "dev").sample(sorted(names), 10))


def test_development_topics_are_whole_groups_whatever_the_order_of_the_topics():
    names = [f"q{n:02}" for n in range(40)]
    pairs = {name: {f"d{n // 2}"} for n, name in enumerate(names)}
    chosen = held_out(names, 10, 42, pairs)
    assert chosen == held_out(names[::-1], 10, 42, pairs)
    assert len(chosen) == 10
    assert count_shared(chosen, set(names) - chosen, pairs) == 0
    assert chosen != held_out(names, 10, 43, pairs)


def test_one_large_group_is_an_error_that_says_how_many_can_be_had_and_what_to_do():
    names = [f"q{n}" for n in range(20)]
    relevant = {name: {"shared"} if n < 17 else {name} for n, name in enumerate(names)}
    with pytest.raises(
        ExpandrError,
        match=r"dev 5: at most 3 topics .*\(17 of 20 topics form one group\); set dev to 3, give other topics with --dev-topics, .*--allow-overlap",
    ):
        held_out(names, 5, 42, relevant)


def test_development_pairs_are_the_official_ones_where_no_passage_is_shared_and_whole_groups_otherwise():
    pairs = [PreferencePair(f"q{n}", "p", "a", "b", 1.0, 0.0) for n in range(30)]
    official = draw(pairs, None, 6, 42)
    assert draw(pairs, None, 6, 42, {p.qid: {p.qid} for p in pairs}) == official
    shuffled = list(pairs)
    random.Random(42).shuffle(shuffled)
    assert official == (shuffled[6:], shuffled[:6])
    twos = {p.qid: {f"d{n // 2}"} for n, p in enumerate(pairs)}
    train, dev = draw(pairs, None, 6, 42, twos)
    assert len(dev) == 6
    assert count_shared([p.qid for p in dev], [p.qid for p in train], twos) == 0


def test_topics_are_equal_by_id_or_title_and_share_documents_only_where_ids_mean_the_same():
    titles, relevant = {"1": "a  b", "2": "c", "3": "d", "4": "e"}, {"1": {"x"}, "2": {"y"}, "3": {"z"}, "4": {"w"}}
    others, theirs = {"9": "a b", "2": "other", "8": "f"}, {"8": {"z"}}
    assert sharing(titles, relevant, others, theirs) == ({"1", "2"}, {"3"})
    assert sharing(titles, relevant, others, theirs, same_ids=False) == ({"1"}, {"3"})
    assert sharing(titles, relevant, others, theirs, same_ids=False, same_documents=False) == ({"1"}, set())


def test_relevant_is_what_reaches_the_level():
    assert relevant_documents({"1": {"a": 1, "b": 2, "c": 0}}, ["1", "2"], 2) == {"1": {"b"}, "2": set()}
