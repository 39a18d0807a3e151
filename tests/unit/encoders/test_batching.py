from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from expandr_repro.encoders.batching import batches

lengths = st.lists(st.integers(0, 50), max_size=40)


@given(lengths, st.integers(1, 200), st.integers(1, 10))
def test_every_text_is_in_one_batch(lengths, tokens, rows):
    assert sorted(i for batch in batches(lengths, tokens, rows) for i in batch) == list(range(len(lengths)))


@given(lengths, st.integers(1, 200), st.integers(1, 10))
def test_no_batch_has_more_rows_or_tokens_than_allowed(lengths, tokens, rows):
    for batch in batches(lengths, tokens, rows):
        assert 1 <= len(batch) <= rows
        assert len(batch) == 1 or len(batch) * max(lengths[i] for i in batch) <= tokens


@given(lengths, st.integers(1, 200), st.integers(1, 10))
def test_texts_come_longest_first_and_equal_ones_in_the_order_given(lengths, tokens, rows):
    order = [i for batch in batches(lengths, tokens, rows) for i in batch]

    assert order == sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))


@given(lengths, st.integers(1, 200), st.integers(1, 10))
def test_a_batch_is_ended_only_when_another_text_would_not_fit(lengths, tokens, rows):
    made = list(batches(lengths, tokens, rows))

    for batch in made[:-1]:
        width = max(1, *(lengths[i] for i in batch))
        assert len(batch) == rows or (len(batch) + 1) * width > tokens


def test_padding_counts_towards_the_budget():
    assert list(batches([2, 8, 2, 2], tokens=16, rows=10)) == [[1, 0], [2, 3]]


def test_a_text_longer_than_the_budget_goes_alone():
    assert list(batches([100, 3, 3], tokens=10, rows=10)) == [[0], [1, 2]]


def test_empty_texts_are_limited_by_rows():
    assert list(batches([0, 0, 0], tokens=100, rows=2)) == [[0, 1], [2]]


def test_no_texts_make_no_batches():
    assert list(batches([], tokens=10, rows=10)) == []
