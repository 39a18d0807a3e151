"""What a contrastive step is made of: every topic once an epoch, one right document each, the same draws for equal seeds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expandr_repro.errors import ExpandrError
from expandr_repro.train_encoder.batches import Example, epoch_batches, held_out


def examples(count=7, positives=2, negatives=3, sets=2):
    return [
        Example(
            f"q{n}", f"query {n}", tuple((f"expansion {n}.{s}",) for s in range(sets)),
            tuple(f"p{n}.{i}" for i in range(positives)), tuple(f"n{n}.{i}" for i in range(negatives)),
        )
        for n in range(count)
    ]  # fmt: skip


@given(st.integers(1, 20), st.integers(1, 8), st.integers(0, 3), st.integers(0, 5))
def test_an_epoch_has_every_query_once_with_a_target_that_is_relevant(count, size, hard, epoch):
    made = examples(count)
    batches = list(epoch_batches(made, size, hard, seed=1, epoch=epoch))
    assert sorted(q for b in batches for q in b.queries) == sorted(e.query for e in made)
    assert all(len(b.queries) == size for b in batches[:-1])
    for batch in batches:
        for query, target in zip(batch.queries, batch.targets, strict=True):
            assert batch.documents[target].startswith(f"p{query.split()[1]}.")
        assert len(set(batch.documents)) == len(batch.documents)
        assert len(batch.documents) == len(batch.queries) * (1 + hard)


def test_equal_seeds_draw_the_same_and_other_epochs_draw_anew():
    def texts(seed, epoch):
        return [(b.queries, b.expansions, b.documents) for b in epoch_batches(examples(), 3, 2, seed, epoch)]

    assert texts(1, 0) == texts(1, 0)
    assert texts(1, 0) != texts(1, 1)
    assert texts(1, 0) != texts(2, 0)


def test_a_step_uses_one_of_a_topics_sets_of_expansions():
    drawn = {b.expansions[0] for e in range(20) for b in epoch_batches(examples(1), 1, 0, 1, e)}
    assert drawn == {"expansion 0.0", "expansion 0.1"}


def test_all_texts_of_the_drawn_set_are_used_and_a_topic_without_one_has_none():
    made = [Example("1", "a", (("x", "y"),), ("p",)), Example("2", "b", (), ("r",))]
    (batch,) = epoch_batches(made, 2, 0, 1, 0)
    row = batch.queries.index("a")
    assert batch.expansions == ["x", "y"]
    assert batch.owners == [row, row]


def test_another_relevant_document_of_a_query_is_masked_and_an_equal_target_is_shared():
    made = [
        Example("1", "a", (), ("shared",)),
        Example("2", "b", (), ("shared",)),
        Example("3", "c", (), ("shared", "own")),
    ]
    for epoch in range(10):
        (batch,) = epoch_batches(made, 3, 0, 1, epoch)
        third = batch.queries.index("c")
        other = {"own": "shared", "shared": "own"}[batch.documents[batch.targets[third]]]
        expected = [(third, batch.documents.index(other))] if other in batch.documents else []
        assert batch.masked == expected
        assert batch.documents.count("shared") == 1


def test_without_masking_relevant_documents_count_as_negatives():
    made = [Example("1", "a", (), ("x",)), Example("2", "b", (), ("x", "y"))]
    assert all(not b.masked for e in range(10) for b in epoch_batches(made, 2, 0, 1, e, mask_relevant=False))


def test_topics_held_out_do_not_depend_on_the_order_of_the_topics():
    names = [f"q{n}" for n in range(50)]
    assert held_out(names, 10, 42) == held_out(names[::-1], 10, 42)
    assert len(held_out(names, 10, 42)) == 10
    assert held_out(names, 10, 42) != held_out(names, 10, 43)


def test_holding_out_all_topics_is_refused():
    with pytest.raises(ExpandrError, match="leave some for training"):
        held_out(["1", "2"], 2, 42)
