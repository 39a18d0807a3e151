"""MPNet's attention through torch's fused kernels gives the vectors of transformers' own."""

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from tiny_bert import pocket_words, save_tiny_bert  # noqa: E402
from torch.nn.attention import SDPBackend, sdpa_kernel  # noqa: E402

from expandr_repro.data.specs import EncoderSpec  # noqa: E402
from expandr_repro.encoders import encoder as encoders  # noqa: E402
from expandr_repro.encoders.batching import padded  # noqa: E402
from expandr_repro.encoders.compute import relative  # noqa: E402

UNEVEN = [[5, 6, 7], [8] * 300, [9], [11, 12, 13, 14], list(range(5, 63))]
EVEN = [[5] * 16, list(range(6, 22))]
TEXTS = [" ".join(pocket_words()[n : n + length]) for n, length in enumerate((3, 60, 1, 200, 15, 14, 0))]


def model_of(**settings):
    """Return an MPNet whose every weight is random, and whose biases of distances decide where it attends."""
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    config = transformers.MPNetConfig(**{"vocab_size": 100, "max_position_embeddings": 400, **shape, **settings})
    model = transformers.MPNetModel(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
        model.encoder.relative_attention_bias.weight.normal_(0, 3.0)
    return model


def states_of(model, ids, multiple=1):
    """Return the states of the tokens of all texts, without those of padding."""
    tokens, mask = padded(ids, 1, multiple)
    assert tokens.shape[1] % multiple == 0
    with torch.inference_mode():
        return model(input_ids=tokens, attention_mask=mask).last_hidden_state[mask.bool()]


@pytest.fixture
def fused():
    """No attention but that of the CPU's fused kernel, which is an error where it cannot compute what it is given."""
    with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
        yield


@pytest.mark.parametrize("multiple", [1, relative.MULTIPLE])
@pytest.mark.parametrize("ids", [UNEVEN, EVEN], ids=["uneven", "even"])
def test_states_are_those_of_transformers_own_attention(ids, multiple, fused):
    model = model_of()
    plain = states_of(model, ids)
    relative.lay_over(model)
    assert torch.allclose(states_of(model, ids, multiple), plain, atol=1e-5)


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("ids", [UNEVEN, EVEN], ids=["uneven", "even"])
def test_in_half_precision_states_are_as_near_to_the_exact_ones_as_transformers_own(ids, precision, fused):
    model = model_of()
    exact = states_of(model, ids)
    model.to(precision)
    plain = states_of(model, ids)
    relative.lay_over(model)
    made = states_of(model, ids, relative.MULTIPLE)
    assert made.dtype == precision
    far, plainly = ((states.float() - exact).pow(2).mean().sqrt() for states in (made, plain))
    assert far < 1.1 * plainly
    assert plainly < 0.03


def test_the_bias_decides_the_states():
    model = model_of()
    relative.lay_over(model)
    with_bias = states_of(model, UNEVEN)
    torch.nn.init.zeros_(model.encoder.relative_attention_bias.weight)
    assert not torch.allclose(states_of(model, UNEVEN), with_bias, atol=0.1)


def saved(folder, positions):
    """Save an MPNet with a tokenizer whose padding token is not the one by which MPNet knows padding."""
    save_tiny_bert(folder)
    model_of(vocab_size=len(pocket_words()) + 4, max_position_embeddings=positions).save_pretrained(folder)
    return folder


def load(folder, monkeypatch, precision, fuse, frozen=True):
    monkeypatch.setattr(encoders, "load_onnx", lambda *_: None)
    monkeypatch.setattr(relative, "can_fuse", lambda *_: fuse)
    spec = EncoderSpec(model=str(folder), document_max_length=256)
    return encoders.Encoder(spec, folder, "cpu", precision, frozen=frozen)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize(("positions", "multiple"), [(258, 16), (246, 4), (101, 1)])
def test_an_encoder_gives_the_same_vectors_and_pads_no_further_than_it_has_positions(
    tmp_path, monkeypatch, precision, positions, multiple, fused
):
    folder = saved(tmp_path, positions)
    plain, made = (load(folder, monkeypatch, precision, fuse) for fuse in (False, True))
    widths = []
    made.model.register_forward_pre_hook(lambda _, __, named: widths.append(named["input_ids"].shape[1]), with_kwargs=True)  # fmt: skip
    assert made.encode(TEXTS, "document") == pytest.approx(
        plain.encode(TEXTS, "document"), abs=1e-6 if precision == "fp32" else 5e-3
    )
    assert widths
    assert max(widths) <= positions - 2
    assert {width % multiple for width in widths} == {0}


def test_an_encoder_to_be_trained_keeps_transformers_own_attention(tmp_path, monkeypatch):
    made = load(saved(tmp_path, 258), monkeypatch, "fp32", True, frozen=False)
    assert "forward" not in vars(made.model.encoder.layer[0].attention.attn)
    made.forward(made.tokenize(TEXTS, "document")).sum().backward()
    assert made.model.encoder.relative_attention_bias.weight.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ("device", "precision", "can"),
    [("cuda", "bf16", True), ("cuda:1", "fp16", True), ("cuda", "fp32", False), ("cpu", "bf16", False)],
)
def test_it_is_for_half_precision_on_a_gpu(device, precision, can):
    assert relative.can_fuse(model_of(), device, precision) is can


def test_it_is_for_transformers_own_mpnet_alone():
    class Other(transformers.MPNetModel):
        """Code of a model's own."""

    small = transformers.BertConfig(vocab_size=10, hidden_size=8, num_hidden_layers=1, num_attention_heads=1)
    masked = model_of()
    masked.config._attn_implementation = "sdpa"  # whose padding is yes and no, to be added to nothing
    for model in (Other(model_of().config), transformers.BertModel(small), masked):
        assert not relative.can_fuse(model, "cuda", "bf16")
