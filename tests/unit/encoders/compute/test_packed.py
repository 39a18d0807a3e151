"""Texts end to end give the vectors of padded ones."""

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from expandr_repro.encoders.batching import padded  # noqa: E402
from expandr_repro.encoders.compute import packed  # noqa: E402
from expandr_repro.encoders.pooling import pool  # noqa: E402
from expandr_repro.errors import UnknownNameError  # noqa: E402

IDS = [[5, 6, 7], [8] * 70, [9], [11, 12, 13, 14], list(range(5, 63))]
SMALL = {"vocab_size": 100, "max_position_embeddings": 80}
SHAPE = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
DISTIL = {"dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 64}


def model_of(kind: str):
    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model(kind, **SMALL, **(DISTIL if kind == "distilbert" else SHAPE))
    return transformers.AutoModel.from_config(config).eval()


@pytest.mark.parametrize("pooling", ["cls", "mean", "last"])
@pytest.mark.parametrize("kind", packed.FIRST_POSITION)
def test_texts_end_to_end_have_the_vectors_of_padded_texts(kind, pooling):
    model = model_of(kind)
    pad = model.config.pad_token_id or 0
    tokens, mask = padded(IDS, pad)
    with torch.inference_mode():
        plain = pool(model(input_ids=tokens, attention_mask=mask).last_hidden_state, mask, pooling)
        packed.register()
        model.set_attn_implementation(packed.ATTENTION)
        end_to_end = packed.forward(model, IDS, pooling, pad, "cpu")
        with_a_mask = pool(model(input_ids=tokens, attention_mask=mask).last_hidden_state, mask, pooling)
    assert torch.allclose(end_to_end, plain, atol=1e-5)
    assert torch.equal(with_a_mask, plain), "padded texts go transformers' own way"


def test_a_row_that_is_full_needs_no_filler():
    model = model_of("bert")
    packed.register()
    model.set_attn_implementation(packed.ATTENTION)
    ids = [[5] * 40, [6] * 24]
    with torch.inference_mode():
        whole = packed.forward(model, ids, "mean", 0, "cpu")
        alone = packed.forward(model, ids[1:], "mean", 0, "cpu")
    assert whole.shape == (2, 32)
    assert torch.allclose(whole[1:], alone, atol=1e-6)


def test_a_pooling_that_nobody_knows_is_refused():
    model = model_of("bert")
    packed.register()
    model.set_attn_implementation(packed.ATTENTION)
    with pytest.raises(UnknownNameError, match="first-decoder"):
        packed.forward(model, IDS, "first-decoder", 0, "cpu")


@pytest.mark.parametrize(
    ("kind", "device", "precision", "can"),
    [
        ("bert", "cuda", "bf16", True),
        ("xlm-roberta", "cuda:1", "fp16", True),
        ("bert", "cuda", "fp32", False),
        ("bert", "cpu", "bf16", False),
        ("mpnet", "cuda", "bf16", False),
    ],
)
def test_only_known_architectures_in_half_precision_on_a_gpu_are_packed(kind, device, precision, can):
    assert packed.can_pack(transformers.AutoConfig.for_model(kind), device, precision) is can
