from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from expandr_repro.encoders.pooling import POOLINGS, pool
from expandr_repro.errors import UnknownNameError

STATES = torch.tensor([[[1.0, 2.0], [3.0, 4.0], [100.0, 100.0]], [[5.0, 6.0], [7.0, 8.0], [9.0, 1.0]]])
MASK = torch.tensor([[1, 1, 0], [1, 1, 1]])


@pytest.mark.parametrize("pooling", ["cls", "first-decoder"])
def test_the_first_state_is_the_vector(pooling):
    assert pool(STATES, MASK, pooling).tolist() == [[1.0, 2.0], [5.0, 6.0]]


def test_the_mean_is_over_tokens_and_not_over_padding():
    assert pool(STATES, MASK, "mean").tolist() == [[2.0, 3.0], [7.0, 5.0]]


def test_the_last_state_is_the_last_tokens_and_not_the_paddings():
    assert pool(STATES, MASK, "last").tolist() == [[3.0, 4.0], [9.0, 1.0]]


@pytest.mark.parametrize("pooling", POOLINGS)
def test_a_text_without_tokens_has_a_finite_vector(pooling):
    assert torch.isfinite(pool(STATES, torch.zeros_like(MASK), pooling)).all()


def test_half_precision_stays_half_precision():
    assert pool(STATES.bfloat16(), MASK, "mean").dtype == torch.bfloat16


def test_gradients_flow_to_the_tokens_alone():
    states = STATES.clone().requires_grad_()
    pool(states, MASK, "mean").sum().backward()

    assert states.grad[0].tolist() == [[0.5, 0.5], [0.5, 0.5], [0.0, 0.0]]


def test_an_unknown_pooling_offers_the_nearest():
    with pytest.raises(UnknownNameError, match="unknown pooling 'meen': did you mean 'mean'"):
        pool(STATES, MASK, "meen")


@given(st.lists(st.integers(1, 5), min_size=1, max_size=4), st.integers(0, 3), st.sampled_from(list(POOLINGS)))
def test_more_padding_changes_no_vector(lengths, more, pooling):
    width = max(lengths)
    states = torch.arange(len(lengths) * width * 3, dtype=torch.float32).reshape(len(lengths), width, 3)
    mask = torch.tensor([[int(i < n) for i in range(width)] for n in lengths])
    padded = torch.nn.functional.pad(states, (0, 0, 0, more), value=1e6)

    wanted = pool(states, mask, pooling)
    assert torch.allclose(pool(padded, torch.nn.functional.pad(mask, (0, more)), pooling), wanted)
