import copy

import pytest
import torch

from expandr_repro.encoders.compute import onednn
from expandr_repro.encoders.compute.onednn import ARCHITECTURES, can_lay_out, lay_out

pytestmark = pytest.mark.skipif(
    not hasattr(torch.ops.mkldnn, "_linear_pointwise") or not torch.backends.mkldnn.is_available(),
    reason="a torch without oneDNN",
)

IDS = torch.tensor([[5, 9, 11, 3, 7, 2], [5, 8, 2, 0, 0, 0]])


BERT = {"vocab_size": 20, "hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 80}
SHAPES = {
    "bert": BERT,
    "distilbert": {"vocab_size": 20, "dim": 48, "n_layers": 2, "n_heads": 3, "hidden_dim": 80},
    "electra": BERT | {"embedding_size": 24},
    "mpnet": BERT,
    "roberta": BERT,
    "t5": {"vocab_size": 20, "d_model": 48, "d_kv": 16, "d_ff": 80, "num_layers": 2, "num_heads": 3},
    "xlm-roberta": BERT,
}


def made(kind):
    from transformers import AutoConfig, AutoModel

    torch.manual_seed(0)
    return AutoModel.from_config(AutoConfig.for_model(kind, **SHAPES[kind])).eval()


def states(model, rows):
    more = {"decoder_input_ids": rows[:, :1]} if model.config.is_encoder_decoder else {}
    with torch.inference_mode():
        return model(input_ids=rows, attention_mask=(rows > 0).long(), **more).last_hidden_state


def test_every_architecture_is_tried():
    assert SHAPES.keys() == ARCHITECTURES


@pytest.mark.parametrize("kind", sorted(SHAPES))
def test_layers_in_another_layout_give_the_same_states(kind):
    plain = made(kind)
    model = copy.deepcopy(plain)
    layers = sum(type(m) is torch.nn.Linear for m in plain.modules())
    assert lay_out(model) == layers > 10
    for rows in (IDS, IDS[:1], IDS[1:, :3]):
        torch.testing.assert_close(states(model, rows), states(plain, rows), rtol=0, atol=2e-6)


def test_only_known_models_in_fp32_on_the_cpu_are_wanted(monkeypatch):
    from transformers import AutoConfig

    monkeypatch.setattr(onednn, "can_lay_out", lambda: True)
    bert, other = AutoConfig.for_model("bert"), AutoConfig.for_model("deberta")
    assert onednn.wanted(bert, "cpu", "fp32", own_code=False)
    assert not onednn.wanted(bert, "cuda", "fp32", own_code=False)
    assert not onednn.wanted(bert, "cpu", "bf16", own_code=False)
    assert not onednn.wanted(bert, "cpu", "fp32", own_code=True)
    assert not onednn.wanted(other, "cpu", "fp32", own_code=False)


def test_the_plain_weights_are_given_up_and_their_shape_stays():
    model = made("bert")
    before = {name: tuple(p.shape) for name, p in model.named_parameters() if "dense.weight" in name}
    lay_out(model)
    assert before
    assert not before.keys() & dict(model.named_parameters()).keys()
    for name, shape in before.items():
        weight = model.get_submodule(name.removesuffix(".weight")).weight
        assert (tuple(weight.shape), weight.dtype, weight.device.type) == (shape, torch.float32, "meta")


def test_a_layer_of_a_kind_of_its_own_is_left_alone():
    class Doubled(torch.nn.Linear):
        def forward(self, states):
            return 2 * super().forward(states)

    model = torch.nn.Sequential(Doubled(4, 4), torch.nn.Linear(4, 4))
    assert lay_out(model) == 1
    assert isinstance(model[0].weight, torch.nn.Parameter)


@pytest.mark.parametrize(
    ("vendor", "capability", "wanted"),
    [
        ("AuthenticAMD", "AVX512", True),
        ("GenuineIntel", "AVX512", False),
        ("AuthenticAMD", "AVX2", False),
        ("", "DEFAULT", False),
    ],
)
def test_it_is_for_processors_with_avx_512_of_other_makers_than_intel(
    tmp_path, monkeypatch, vendor, capability, wanted
):
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\nvendor_id\t: {vendor}\n")
    monkeypatch.setattr(onednn, "CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    assert can_lay_out() is wanted


def test_without_linux_platform_names_the_maker(tmp_path, monkeypatch):
    monkeypatch.setattr(onednn, "CPUINFO", tmp_path / "none")
    monkeypatch.setattr(onednn.platform, "processor", lambda: "Intel64 Family 6, GenuineIntel")
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    assert not can_lay_out()
