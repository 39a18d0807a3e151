"""Folders that the installed sentence-transformers saves: the vectors of its encode_query and encode_document, or a refusal by name."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch

from expandr_repro.encoders.checkpoints.checkpoint import spec_of_folder
from expandr_repro.encoders.encoder import Encoder
from expandr_repro.encoders.loading import load_encoder
from expandr_repro.encoders.options import EncoderOptions
from expandr_repro.errors import FormatError, MismatchError, NotAvailableError
from tests.tiny_bert import save_tiny_bert

st = pytest.importorskip("sentence_transformers")
from sentence_transformers.base.modules import Dense, Normalize, Router, Transformer  # noqa: E402
from sentence_transformers.sentence_transformer.modules import (  # noqa: E402
    CNN,
    LSTM,
    BoW,
    Dropout,
    LayerNorm,
    Pooling,
    StaticEmbedding,
    WeightedLayerPooling,
)

TEXTS = ["kiwi", "The flightless bird of New Zealand that lives at NIGHT", "a bird " * 40, "", "bird bird bird"]
MODES = ["cls", "mean", "max", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"]

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    return save_tiny_bert(tmp_path_factory.mktemp("bert"), dim=16)


@pytest.fixture
def save(bert, tmp_path):
    """Save a model of the modules after the Transformer, and return its folder."""

    def call(*modules, transformer=None, **options):
        torch.manual_seed(1)
        made = [module() for module in modules]
        for module in made:
            for parameter in module.parameters():
                torch.nn.init.normal_(parameter)
        whole = st.SentenceTransformer(
            modules=[Transformer(str(bert), **(transformer or {})), *made], device="cpu", **options
        )
        whole.save_pretrained(str(tmp_path / "saved"))
        return tmp_path / "saved"

    return call


def edit(path, **changes):
    content = json.loads(path.read_text()) if path.is_file() else {}
    path.write_text(json.dumps(content | changes))


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def assert_equal(folder, texts=TEXTS):
    """Compare with what sentence-transformers makes of the folder as it is there; where cosine ranks, unit vectors."""
    theirs = st.SentenceTransformer(str(folder), device="cpu")
    saved = json.loads((folder / "config_sentence_transformers.json").read_text())
    same = unit if saved.get("similarity_fn_name") == "cosine" else lambda vectors: vectors
    ours = load_encoder(str(folder), EncoderOptions(device="cpu"))
    assert ours.dimension == theirs.get_embedding_dimension()
    for role, encode in (("query", theirs.encode_query), ("document", theirs.encode_document)):
        wanted = same(encode(texts))
        assert np.abs(ours.encode(texts, role) - wanted).max() < 1e-5, role


@pytest.mark.parametrize("mode", [*MODES, ["cls", "mean"], ["max", "lasttoken", "weightedmean"]])
def test_every_pooling_gives_its_vectors(save, mode):
    assert_equal(save(lambda: Pooling(16, mode), Normalize))


@pytest.mark.parametrize(
    "modes", [["pooling_mode_max_tokens"], ["pooling_mode_mean_tokens", "pooling_mode_cls_token"], []]
)
def test_poolings_in_their_old_form_give_its_vectors(save, modes):
    folder = save(lambda: Pooling(16), Normalize)
    (folder / "1_Pooling/config.json").write_text(
        json.dumps({"word_embedding_dimension": 16, **dict.fromkeys(modes, True)})
    )
    assert_equal(folder)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("prompts", [{}, {"query": "a kiwi bird ", "document": "a fruit: "}, {"query": "bird"}])
def test_prompts_that_are_not_pooled_give_its_vectors(save, mode, prompts):
    folder = save(lambda: Pooling(16, mode, include_prompt=False), Normalize, prompts=prompts)
    assert_equal(folder)


DENSE = {
    "plain": {"out_features": 8},
    "without bias": {"out_features": 8, "bias": False},
    "linear": {"out_features": 24, "activation_function": torch.nn.Identity()},
    "none": {"out_features": 24, "activation_function": None},
    "gelu": {"out_features": 8, "activation_function": torch.nn.GELU()},
    "relu": {"out_features": 16, "activation_function": torch.nn.ReLU()},
    "residual": {"out_features": 16, "use_residual": True},
    "projected residual": {"out_features": 8, "use_residual": True},
}


@pytest.mark.parametrize("kind", DENSE)
@pytest.mark.parametrize("similarity", ["cosine", "dot"])
def test_every_dense_layer_gives_its_vectors(save, kind, similarity):
    assert_equal(save(lambda: Pooling(16), lambda: Dense(16, **DENSE[kind]), similarity_fn_name=similarity))


@pytest.mark.parametrize("similarity", ["cosine", "dot"])
@pytest.mark.parametrize("truncate", [None, 5, 100])
def test_layers_in_any_order_give_its_vectors(save, similarity, truncate):
    folder = save(
        lambda: Pooling(16, ["mean", "max"]), Normalize, lambda: Dense(32, 12), Dropout, lambda: LayerNorm(12), Normalize,
        similarity_fn_name=similarity, truncate_dim=truncate,
    )  # fmt: skip
    assert load_encoder(str(folder), EncoderOptions(device="cpu")).dimension == min(12, truncate or 12)
    theirs = st.SentenceTransformer(str(folder), device="cpu").encode_query(TEXTS)
    ours = load_encoder(str(folder), EncoderOptions(device="cpu")).encode(TEXTS, "query")
    assert np.abs(ours - (unit(theirs) if similarity == "cosine" else theirs)).max() < 1e-5


def test_cosine_without_a_normalize_module_is_ranked_as_cosine(save):
    folder = save(lambda: Pooling(16, "mean_sqrt_len_tokens"), similarity_fn_name="cosine")
    assert_equal(folder)
    assert spec_of_folder(folder).normalize is True
    edit(folder / "config_sentence_transformers.json", similarity_fn_name="dot")
    assert_equal(folder)
    assert spec_of_folder(folder).normalize is False


@pytest.mark.parametrize("similarity", ["euclidean", "manhattan"])
def test_a_similarity_that_inner_products_do_not_rank_is_refused_by_name(save, similarity):
    folder = save(lambda: Pooling(16), similarity_fn_name=similarity)
    with pytest.raises(FormatError, match=f"similarity_fn_name is '{similarity}', which is not supported here"):
        load_encoder(str(folder))


@pytest.mark.parametrize(
    ("prompts", "default"),
    [
        ({"query": "a bird: ", "document": "kiwi: "}, None),
        ({"query": "a bird: ", "passage": "kiwi: "}, None),
        ({"query": "a bird: ", "corpus": "kiwi: "}, "query"),
        ({"fruit": "kiwi: "}, "fruit"),
        ({"query": "", "fruit": "kiwi: "}, "fruit"),
    ],
)
def test_prompts_and_the_default_one_give_its_vectors(save, prompts, default):
    folder = save(lambda: Pooling(16), Normalize)
    edit(folder / "config_sentence_transformers.json", prompts=prompts, default_prompt_name=default)
    assert_equal(folder)


def test_a_default_prompt_that_is_not_there_is_refused(save):
    folder = save(lambda: Pooling(16))
    edit(folder / "config_sentence_transformers.json", default_prompt_name="none")
    with pytest.raises(FormatError, match="default_prompt_name is 'none', wanted one of"):
        load_encoder(str(folder))


def test_lower_case_gives_its_vectors(save, bert, tmp_path):
    plain = tmp_path / "cased"
    shutil.copytree(bert, plain)
    path = plain / "tokenizer.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"normalizer": None}))
    cased = st.SentenceTransformer(modules=[Transformer(str(plain)), Pooling(16), Normalize()], device="cpu")
    cased.save_pretrained(str(tmp_path / "saved"))
    before = load_encoder(str(tmp_path / "saved"), EncoderOptions(device="cpu")).encode(TEXTS, "query")
    assert_equal(tmp_path / "saved")
    edit(tmp_path / "saved/sentence_bert_config.json", do_lower_case=True)
    assert_equal(tmp_path / "saved")
    after = load_encoder(str(tmp_path / "saved"), EncoderOptions(device="cpu")).encode(TEXTS, "query")
    assert np.abs(after - before).max() > 0.01


@pytest.mark.parametrize(
    "settings",
    [
        {"max_seq_length": 7},
        {"max_seq_length": 7, "do_lower_case": False},
        {"query_length": 4, "document_length": 9},
        {"max_seq_length": 20, "query_length": 4},
        {"processor_kwargs": {"model_max_length": 6}, "max_seq_length": 9},
        {"tokenizer_args": {"model_max_length": 6}},
        {"model_args": {"attn_implementation": "eager"}},
        {"unpad_inputs": False},
    ],
)
def test_lengths_and_harmless_settings_give_its_vectors(save, settings):
    folder = save(lambda: Pooling(16), Normalize)
    edit(folder / "sentence_bert_config.json", **settings)
    assert_equal(folder)


def test_without_any_limit_the_table_of_positions_is_one(save):
    folder = save(lambda: Pooling(16), Normalize)
    edit(folder / "tokenizer_config.json", model_max_length=int(1e30))
    assert_equal(folder, ["bird " * 500, "kiwi"])


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"transformer_task": "fill-mask"}, "transformer_task is 'fill-mask'"),
        ({"transformer_task": "text-generation"}, "transformer_task is 'text-generation'"),
        ({"module_output_name": "sentence_embedding"}, "module_output_name is 'sentence_embedding'"),
        (
            {"modality_config": {"text": {"method": "forward", "method_output_name": "pooler_output"}}},
            "modality_config is",
        ),
        ({"processing_kwargs": {"text": {"max_length": 5}}}, "processing_kwargs is"),
        ({"query_expansion": {"strategy": "fixed", "length": 8}}, "query_expansion is"),
        ({"tokenizer_name_or_path": "elsewhere"}, "tokenizer_name_or_path is 'elsewhere'"),
        ({"config_args": {"num_hidden_layers": 1}}, "config_args sets num_hidden_layers to 1"),
        ({"tokenizer_args": {"truncation_side": "left"}}, "tokenizer_args sets truncation_side to 'left'"),
        ({"model_args": {"torch_dtype": "float16"}}, "model_args sets torch_dtype to 'float16'"),
        ({"max_seq_length": 0}, "max_seq_length is 0"),
        ({"what_comes_next": 1}, "it sets what_comes_next"),
    ],
)
def test_other_settings_of_the_transformer_are_refused_by_name(save, settings, named):
    folder = save(lambda: Pooling(16))
    edit(folder / "sentence_bert_config.json", **settings)
    with pytest.raises(FormatError, match=rf"sentence_bert_config\.json: {named}"):
        load_encoder(str(folder))


OTHERS = {
    "WeightedLayerPooling": lambda: WeightedLayerPooling(16, 2, 1),
    "CNN": lambda: CNN(16),
    "LSTM": lambda: LSTM(16, 8),
}


@pytest.mark.parametrize("name", OTHERS)
def test_modules_between_transformer_and_pooling_are_refused_by_name(save, name):
    folder = save(OTHERS[name], lambda: Pooling(16))
    with pytest.raises(FormatError, match=rf"modules\.json: its module [\w.]*\.{name}, which is not supported here"):
        load_encoder(str(folder))


def test_a_dense_layer_over_tokens_is_refused(save):
    folder = save(lambda: Dense(16, 16, module_input_name="token_embeddings", module_output_name="token_embeddings"), lambda: Pooling(16))  # fmt: skip
    with pytest.raises(FormatError, match=r"modules\.json: it begins with Transformer and Dense"):
        load_encoder(str(folder))


def test_a_transformer_without_pooling_is_refused(save):
    with pytest.raises(FormatError, match=r"modules\.json: it begins with Transformer, which is not supported here"):
        load_encoder(str(save()))


def test_modules_of_other_inputs_are_refused_by_name(bert, tmp_path):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(bert)
    route = [Transformer(str(bert)), Pooling(16)]
    others = {
        "Router": Router.for_query_document(route, [Transformer(str(bert)), Pooling(16)]),
        "StaticEmbedding": StaticEmbedding(tokenizer, embedding_dim=8),
        "BoW": BoW(["bird", "kiwi"]),
    }
    for name, module in others.items():
        st.SentenceTransformer(modules=[module], device="cpu").save_pretrained(str(tmp_path / name))
        with pytest.raises(
            FormatError, match=rf"modules\.json: its module [\w.]*\.{name}, which is not supported here"
        ):
            load_encoder(str(tmp_path / name))


def test_a_module_that_is_not_sentence_transformers_own_is_refused(save):
    folder = save(lambda: Pooling(16))
    path = folder / "modules.json"
    path.write_text(
        path.read_text().replace("sentence_transformers.sentence_transformer.modules.pooling.Pooling", "mine.Pooling")
    )
    with pytest.raises(FormatError, match=r"modules\.json: its module mine\.Pooling, which is not supported here"):
        load_encoder(str(folder))


def test_arguments_of_a_module_at_each_call_are_refused(save):
    folder = save(lambda: Pooling(16))
    modules = json.loads((folder / "modules.json").read_text())
    modules[0]["kwargs"] = ["task"]
    (folder / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(FormatError, match=r"its module Transformer takes arguments at each call \(\['task'\]\)"):
        load_encoder(str(folder))


def test_sparse_and_cross_encoders_are_refused_by_name(bert, tmp_path):
    from transformers import BertConfig, BertForMaskedLM

    st.CrossEncoder(str(bert), num_labels=1, device="cpu").save_pretrained(str(tmp_path / "cross"))
    masked = tmp_path / "masked"
    shutil.copytree(bert, masked)
    BertForMaskedLM(BertConfig.from_pretrained(bert)).save_pretrained(masked)
    st.SparseEncoder(str(masked), device="cpu").save_pretrained(str(tmp_path / "sparse"))
    options = EncoderOptions(pooling="mean", normalize=True)
    with pytest.raises(FormatError, match="the model is a 'SparseEncoder'"):
        load_encoder(str(tmp_path / "sparse"), options)
    with pytest.raises(FormatError, match="the model is a 'CrossEncoder'"):
        load_encoder(str(tmp_path / "cross"), options)
    for name in ("modules.json", "config_sentence_transformers.json"):  # as older versions saved one
        (tmp_path / "cross" / name).unlink(missing_ok=True)
    with pytest.raises(FormatError, match="the model is a CrossEncoder or a classifier"):
        load_encoder(str(tmp_path / "cross"), options)


def test_weights_of_another_format_are_named(save):
    folder = save(lambda: Pooling(16), lambda: Dense(16, 8))
    (folder / "onnx").mkdir()
    (folder / "onnx/model.onnx").write_bytes(b"onnx")
    dense = folder / "2_Dense/model.safetensors"
    kept = dense.read_bytes()
    dense.unlink()
    with pytest.raises(NotAvailableError, match=r"2_Dense: no model\.safetensors there"):
        load_encoder(str(folder))
    (folder / "model.safetensors").unlink()
    with pytest.raises(NotAvailableError, match="its weights are in the format of ONNX, which is not supported"):
        load_encoder(str(folder))
    assert kept


def test_a_dense_layer_of_another_model_is_refused(save):
    folder = save(lambda: Pooling(16), lambda: Dense(16, 8))
    edit(folder / "2_Dense/config.json", in_features=12)
    with pytest.raises(MismatchError, match="2_Dense: Dense takes 12 numbers, and 16 come to it"):
        load_encoder(str(folder))
    edit(folder / "2_Dense/config.json", in_features=16, out_features=9)
    with pytest.raises(MismatchError, match=r"model\.safetensors: the weights do not fit the settings next to them"):
        load_encoder(str(folder))
    edit(folder / "2_Dense/config.json", out_features=8, activation_function="os.system")
    with pytest.raises(FormatError, match=r"the activation function 'os\.system' is not supported"):
        load_encoder(str(folder))


def test_a_settings_file_is_laid_over_what_the_folder_says(save, tmp_path):
    folder = save(lambda: Pooling(16, "cls"), lambda: Dense(16, 8), prompts={"query": "a bird "})
    path = tmp_path / "mine.yaml"
    path.write_text(f"model: {folder}\nquery_prefix: 'kiwi '\n")
    theirs = st.SentenceTransformer(str(folder), device="cpu").encode(TEXTS, prompt="kiwi ")
    ours = load_encoder(str(path), EncoderOptions(device="cpu")).encode(TEXTS, "query")
    assert np.abs(ours - unit(theirs)).max() < 1e-5


def test_all_settings_that_decide_vectors_are_in_the_encoders_identity(save):
    folder = save(lambda: Pooling(16, include_prompt=False), lambda: Dense(16, 8), truncate_dim=4)
    identity = Encoder(spec_of_folder(folder), folder, device="cpu").identity
    assert {k: identity[k] for k in ("modules", "truncate_dim", "include_prompt", "dimension")} == {
        "modules": ["Dense:2_Dense"], "truncate_dim": 4, "include_prompt": False, "dimension": 4,
    }  # fmt: skip
