"""Trained weights mixed with untrained ones."""

import pytest

torch = pytest.importorskip("torch")

from expandr_repro.train_encoder.blending import Blend  # noqa: E402


def trained_by(amount: float, share: float):
    layer = torch.nn.Linear(3, 2)
    before = {n: p.detach().clone() for n, p in layer.named_parameters()}
    blend = Blend(dict(layer.named_parameters()), share)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(amount)
    return layer, before, blend


def test_the_mix_lies_on_the_line_between_untrained_and_trained_weights():
    layer, before, blend = trained_by(1.0, 0.25)
    blend.apply()
    for name, parameter in layer.named_parameters():
        assert torch.allclose(parameter, before[name] + 0.25)


def test_mixed_for_a_while_the_trained_weights_come_back_to_the_last_bit_even_after_an_error():
    layer, before, blend = trained_by(0.1, 0.3)
    trained = {n: p.detach().clone() for n, p in layer.named_parameters()}

    def search():
        with blend.applied():
            assert torch.allclose(layer.weight, before["weight"] + 0.03)
            raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        search()
    assert all(torch.equal(p, trained[n]) for n, p in layer.named_parameters())


def test_a_share_of_one_changes_nothing():
    layer, _, blend = trained_by(1.0, 1.0)
    trained = layer.weight.detach().clone()
    with blend.applied():
        assert torch.equal(layer.weight, trained)
    blend.apply()
    assert torch.equal(layer.weight, trained)
