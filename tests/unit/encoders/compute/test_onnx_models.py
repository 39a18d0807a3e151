"""Models in ONNX Runtime give the vectors of the same models in torch; what is not known is left to torch."""

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnxruntime")

from expandr_repro.data.specs import EncoderSpec  # noqa: E402
from expandr_repro.encoders.compute.onnx_models import ARCHITECTURES, POOLINGS, load_onnx  # noqa: E402
from expandr_repro.encoders.pooling import pool  # noqa: E402

BERT = {"vocab_size": 40, "hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 80, "max_position_embeddings": 300}  # fmt: skip
T5 = {"vocab_size": 40, "d_model": 48, "d_kv": 12, "d_ff": 80, "num_layers": 2, "num_decoder_layers": 3, "num_heads": 3, "decoder_start_token_id": 0}  # fmt: skip
SHAPES = {
    "bert": BERT,
    "distilbert": {"vocab_size": 40, "dim": 48, "n_layers": 2, "n_heads": 3, "hidden_dim": 80, "max_position_embeddings": 300},
    "mpnet": BERT,
    "roberta": BERT,
    "t5": T5,
    "xlm-roberta": BERT,
}  # fmt: skip
OTHERS = {"t5": [T5 | {"feed_forward_proj": "gated-gelu"}]}

LENGTHS = (7, 150, 1, 64, 33)


def save(folder, kind, settings, seed=0):
    """Save a model whose every weight is random: norms of one and biases of zero would hide what is left out."""
    from transformers import AutoConfig, AutoModel

    torch.manual_seed(seed)
    model = AutoModel.from_config(AutoConfig.for_model(kind, **settings)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    model.save_pretrained(folder)
    return model


def rows(seed=0):
    ids = np.random.default_rng(seed)
    return [[2, *ids.integers(5, 40, size=length), 3] for length in LENGTHS]


def in_torch(model, ids, pooling):
    """One text at a time, without padding, as transformers runs it."""
    vectors = []
    for row in ids:
        tokens = torch.tensor([row])
        more = {"decoder_input_ids": torch.tensor([[0]])} if model.config.is_encoder_decoder else {}
        with torch.inference_mode():
            states = model(input_ids=tokens, attention_mask=torch.ones_like(tokens), **more).last_hidden_state
            vectors.append(pool(states, torch.ones_like(tokens), pooling)[0].numpy())
    return np.stack(vectors)


def spec(pooling="mean", **settings):
    return EncoderSpec(model="x", pooling=pooling, **settings)


def usual(kind):
    return "first-decoder" if kind == "t5" else "mean"


def test_every_architecture_is_tried():
    assert set(SHAPES) == set(ARCHITECTURES)


@pytest.mark.parametrize(
    ("kind", "settings"), [(k, s) for k in sorted(SHAPES) for s in [SHAPES[k], *OTHERS.get(k, ())]]
)
def test_every_architecture_gives_the_vectors_of_transformers(tmp_path, kind, settings):
    model = save(tmp_path, kind, settings)
    ids = rows()
    expected = in_torch(model, ids, usual(kind))
    fast = load_onnx(tmp_path, spec(usual(kind)))
    assert fast is not None
    np.testing.assert_allclose(fast.pooled(ids, usual(kind)), expected, atol=1e-5, rtol=1e-5)
    np.testing.assert_allclose(fast.pooled(ids[2:3], usual(kind)), expected[2:3], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("pooling", [*POOLINGS, "cls+mean+last"])
def test_every_pooling_gives_the_vectors_of_torch(tmp_path, pooling):
    model = save(tmp_path, "bert", BERT)
    fast = load_onnx(tmp_path, spec(pooling))
    np.testing.assert_allclose(fast.pooled(rows(), pooling), in_torch(model, rows(), pooling), atol=1e-5, rtol=1e-5)


def test_a_text_with_the_padding_tokens_name_in_it_is_placed_as_transformers_places_it(tmp_path):
    model = save(tmp_path, "roberta", BERT)
    ids = [[2, 7, 1, 9, 1, 1, 8, 3]]
    np.testing.assert_allclose(load_onnx(tmp_path, spec()).pooled(ids, "mean"), in_torch(model, ids, "mean"), atol=1e-5)


def test_a_model_saved_with_a_tasks_layers_on_top_is_read_without_them(tmp_path):
    from transformers import BertConfig, BertForMaskedLM

    torch.manual_seed(0)
    model = BertForMaskedLM(BertConfig(**BERT)).eval()
    model.save_pretrained(tmp_path)
    fast = load_onnx(tmp_path, spec())
    np.testing.assert_allclose(fast.pooled(rows(), "mean"), in_torch(model.bert, rows(), "mean"), atol=1e-5)


def test_half_precision_weights_are_computed_in_fp32(tmp_path):
    model = save(tmp_path, "bert", BERT).half()
    model.save_pretrained(tmp_path)
    np.testing.assert_allclose(
        load_onnx(tmp_path, spec()).pooled(rows(), "mean"), in_torch(model.float(), rows(), "mean"), atol=1e-5
    )


def _config(**changes):
    def change(folder):
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return change


def _weights(edit):
    def change(folder):
        from safetensors.numpy import load_file, save_file

        weights = load_file(folder / "model.safetensors")
        edit(weights)
        save_file(weights, folder / "model.safetensors")

    return change


def _cut_short(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize(
    "change",
    [
        _config(model_type="deberta"),
        _config(hidden_act="relu"),
        _config(position_embedding_type="relative_key"),
        _config(is_decoder=True),
        _config(quantization_config={"quant_method": "x"}),
        _config(auto_map={"AutoModel": "own.Model"}),
        _config(num_hidden_layers=1),
        _config(num_hidden_layers=3),
        _config(hidden_act=None),
        _weights(lambda weights: weights.pop("encoder.layer.1.output.dense.bias")),
        _weights(lambda weights: weights.update({"embeddings.LayerNorm.weight": np.ones(5, dtype=np.float32)})),
        _weights(lambda weights: weights.update({"encoder.layer.0.output.dense.bias": np.ones(48, dtype=np.int32)})),
        _weights(lambda weights: weights.update({"encoder.layer.0.output.dense.weight": np.ones((48, 81), dtype=np.float32)})),
        _weights(lambda weights: weights.update({"encoder.layer.0.adapter.weight": np.ones((4, 4), dtype=np.float32)})),
        _cut_short,
    ],
)  # fmt: skip
def test_what_is_not_known_is_left_to_torch(tmp_path, change):
    save(tmp_path, "bert", BERT)
    assert load_onnx(tmp_path, spec()) is not None
    change(tmp_path)
    assert load_onnx(tmp_path, spec()) is None


@pytest.mark.parametrize(
    "other", [spec("max"), spec("first-decoder"), spec(modules=["Normalize"]), spec(include_prompt=False)]
)
def test_what_comes_after_the_model_is_left_to_torch_where_it_is_not_known(tmp_path, other):
    save(tmp_path, "bert", BERT)
    assert load_onnx(tmp_path, other) is None
