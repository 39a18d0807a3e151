"""Sampling with a seed for each row."""

from __future__ import annotations

import pytest

from expandr_repro.llm.sampling import Sampling

torch = pytest.importorskip("torch")

from expandr_repro.llm.local import seeded  # noqa: E402
from expandr_repro.llm.local.seeded import SeededSampling  # noqa: E402

LOGITS = torch.log(torch.tensor([[0.5, 0.25, 0.15, 0.06, 0.04]]))


def draw(settings, seeds, logits, steps=1):
    sampler = SeededSampling(settings, seeds, steps, "cpu")
    return torch.stack([sampler(None, logits).argmax(-1) for _ in range(steps)], dim=1)


def test_tokens_come_up_as_often_as_their_probabilities_within_the_nucleus():
    tokens = draw([Sampling(top_p=0.8)] * 1000, range(1000), LOGITS.expand(1000, -1), steps=20).flatten()
    shares = torch.bincount(tokens, minlength=5) / 20_000

    wanted = torch.tensor([0.5, 0.25, 0.15, 0.0, 0.0]) / 0.9  # 0.5 + 0.25 is below 0.8, so the third is in
    assert torch.allclose(shares, wanted, atol=0.01)


def test_a_lower_temperature_sharpens_the_distribution():
    tokens = draw(
        [Sampling(temperature=0.5, top_p=1.0)] * 1000, range(1000), LOGITS.expand(1000, -1), steps=20
    ).flatten()
    shares = torch.bincount(tokens, minlength=5) / 20_000

    squared = LOGITS.exp()[0] ** 2
    assert torch.allclose(shares, squared / squared.sum(), atol=0.01)


def test_temperature_0_takes_the_most_likely_token():
    assert draw([Sampling(temperature=0.0)], [1], LOGITS, steps=50).unique().tolist() == [0]


def test_a_row_s_tokens_do_not_depend_on_its_neighbours():
    logits = torch.randn(4, 50, generator=torch.Generator().manual_seed(0))
    settings = [Sampling(temperature=t) for t in (0.8, 1.0, 0.0, 1.1)]
    together = draw(settings, [1, 2, 3, 4], logits, steps=30)

    for row in range(4):
        alone = draw(settings[row : row + 1], [row + 1], logits[row : row + 1], steps=30)
        assert alone[0].tolist() == together[row].tolist()


def test_equal_seeds_repeat_and_others_differ():
    logits = torch.zeros(3, 50)
    tokens = draw([Sampling(top_p=1.0)] * 3, [5, 5, 6], logits, steps=30)

    assert tokens[0].tolist() == tokens[1].tolist()
    assert tokens[0].tolist() != tokens[2].tolist()


def test_a_nucleus_wider_than_what_is_sorted_first_is_found_all_the_same(monkeypatch):
    logits = torch.randn(3, 200, generator=torch.Generator().manual_seed(0)) * 0.1
    whole = draw([Sampling()] * 3, [1, 2, 3], logits, steps=40)
    monkeypatch.setattr(seeded, "LADDER", (4, 8))

    assert draw([Sampling()] * 3, [1, 2, 3], logits, steps=40).tolist() == whole.tolist()


def test_one_token_alone_keeps_a_finite_score():
    scores = SeededSampling([Sampling()], [1], 1, "cpu")(None, LOGITS)

    assert torch.isfinite(scores).sum() == 1
