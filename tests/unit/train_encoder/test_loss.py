"""The retriever's loss against InfoNCE written out by hand, and its fusion against the one that `search` uses."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from expandr_repro.errors import UnknownNameError
from expandr_repro.search.fusion import fuse_vectors
from expandr_repro.train_encoder.loss import contrastive_loss, fuse, info_nce

OWNERS = [0, 0, 2]


def vectors(rows, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(rows, 5)).astype(np.float32))


@pytest.mark.parametrize(("name", "alpha"), [("mean", None), ("mean", 0.3), ("hyde", None), ("expansion", None)])
def test_training_fuses_as_search_does(name, alpha):
    queries, expansions = vectors(3), vectors(3, seed=1)
    ours = fuse(name, queries, expansions, OWNERS, alpha).numpy()
    np.testing.assert_allclose(ours, fuse_vectors(name, queries.numpy(), expansions.numpy(), OWNERS, alpha), atol=1e-6)


def test_a_fusion_that_is_none_of_vectors_is_refused():
    with pytest.raises(UnknownNameError, match="did you mean 'mean'"):
        fuse("means", vectors(1), vectors(1), [0])


def by_hand(queries, documents, targets, masked, temperature):
    losses = []
    for row, (query, target) in enumerate(zip(queries.tolist(), targets, strict=True)):
        scores = [math.fsum(a * b for a, b in zip(query, d, strict=True)) / temperature for d in documents.tolist()]
        kept = [math.exp(s) for column, s in enumerate(scores) if (row, column) not in masked]
        losses.append(-math.log(math.exp(scores[target]) / math.fsum(kept)))
    return losses


@given(st.integers(0, 100), st.sampled_from([0.5, 1.0, 2.0]))
def test_the_loss_equals_info_nce_by_hand_with_fused_queries(seed, temperature):
    queries, expansions, documents = vectors(3, seed), vectors(3, seed + 1), vectors(6, seed + 2)
    targets, masked = [0, 1, 2], [(0, 4), (2, 1)]
    loss, parts = contrastive_loss(
        queries, expansions, OWNERS, documents, targets, masked, fusion="mean", views={"fused": 1.0}, temperature=temperature
    )  # fmt: skip
    units = [v / np.linalg.norm(v, axis=1, keepdims=True) for v in (queries.numpy().astype(np.float64), expansions.numpy().astype(np.float64))]  # fmt: skip
    fused = np.stack(
        [(units[0][0] + units[1][0] + units[1][1]) / 3, queries[1].numpy(), (units[0][2] + units[1][2]) / 2]
    )
    expected = by_hand(fused, documents.double(), targets, masked, temperature)
    assert float(loss) == pytest.approx(math.fsum(expected) / 3, abs=1e-6, rel=1e-6)
    assert float(parts["fused"]) == float(loss)


def test_a_masked_document_counts_neither_for_nor_against_a_query():
    query, documents = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.5, 0.0], [0.9, 0.0], [0.1, 0.0]])
    assert float(info_nce(query, documents, [0], [(0, 1)], 1.0)) == pytest.approx(
        float(info_nce(query, documents[[0, 2]], [0], [], 1.0))
    )


def test_views_are_averaged_by_their_weights_and_share_the_documents():
    queries, expansions, documents = vectors(3), vectors(3, 1), vectors(5, 2)

    def loss(views):
        return contrastive_loss(
            queries, expansions, OWNERS, documents, [0, 1, 2], [], fusion="mean", views=views, temperature=1.0
        )  # fmt: skip

    fused, _ = loss({"fused": 1.0})
    query, _ = loss({"query": 1.0})
    both, parts = loss({"fused": 1.0, "query": 3.0})
    assert float(both) == pytest.approx((float(fused) + 3 * float(query)) / 4, abs=1e-6)
    assert float(parts["query"]) == float(query)


def test_a_query_without_an_expansion_is_not_in_the_expansion_view():
    queries, expansions, documents = vectors(3), vectors(3, 1), vectors(5, 2)
    loss, _ = contrastive_loss(
        queries, expansions, OWNERS, documents, [0, 1, 2], [], fusion="mean", views={"expansion": 1.0}, temperature=1.0
    )  # fmt: skip
    two = fuse("expansion", queries, expansions, OWNERS)[[0, 2]]
    assert float(loss) == pytest.approx(float(info_nce(two, documents, [0, 2], [], 1.0).mean()), abs=1e-6)


def test_the_loss_falls_when_the_query_comes_nearer_to_its_document():
    documents = torch.eye(3)
    far, near = torch.tensor([[0.5, 0.5, 0.0]]), torch.tensor([[0.9, 0.1, 0.0]])
    assert float(info_nce(near, documents, [0], [], 0.02)) < float(info_nce(far, documents, [0], [], 0.02))
