"""Checkpoints that are not whole, of another shape, or hold an adapter; texts beyond the table of positions; devices that are not there."""

from __future__ import annotations

import dataclasses
import json
import shutil

import numpy as np
import pytest
import torch

from expandr_repro.data.specs import EncoderSpec
from expandr_repro.encoders.encoder import Encoder
from expandr_repro.encoders.loading import load_encoder
from expandr_repro.encoders.options import EncoderOptions
from expandr_repro.errors import (
    ExpandrError,
    FormatError,
    MismatchError,
    NotAvailableError,
    NotFiniteError,
    SetupError,
    UnknownNameError,
)
from tests.tiny_bert import save_tiny_bert

POOLED = EncoderOptions(device="cpu", pooling="mean", normalize=True)
FLAGS = ("--pooling", "mean", "--normalize", "--device", "cpu")
TEXTS = ["a bird", "kiwi", "the bird of the night"]

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    return save_tiny_bert(tmp_path_factory.mktemp("bert"), dim=16)


@pytest.fixture
def changed(bert, tmp_path):
    """Copy the tiny BERT with other weights: a function of all of them, by name."""

    def call(change, **config):
        from safetensors.torch import load_file, save_file

        folder = tmp_path / "model"
        shutil.copytree(bert, folder)
        weights = change(load_file(folder / "model.safetensors"))
        save_file(
            {k: v.contiguous().clone() for k, v in weights.items()}, folder / "model.safetensors", {"format": "pt"}
        )
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | config))
        return folder

    return call


def vectors(folder, options=POOLED):
    return load_encoder(str(folder), options).encode(TEXTS, "document")


@pytest.mark.parametrize("prefix", ["0.auto_model.", "encoder.model.", "module."])
def test_weights_under_another_prefix_are_refused_and_the_prefix_is_named(changed, prefix):
    folder = changed(lambda w: {prefix + k: v for k, v in w.items()})
    with pytest.raises(MismatchError) as caught:
        load_encoder(str(folder), POOLED)
    assert "weights of a BertModel are missing (such as embeddings." in str(caught.value)
    assert f"under the prefix {prefix!r}" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_weights_under_the_architectures_own_prefix_are_the_same_model(changed, bert):
    folder = changed(lambda w: {f"bert.{k}": v for k, v in w.items()} | {"cls.predictions.bias": torch.zeros(3)})
    assert np.array_equal(vectors(folder), vectors(bert))


def test_a_missing_layer_is_refused(changed, command, tmp_path):
    folder = changed(lambda w: {k: v for k, v in w.items() if ".layer.1." not in k})
    result = command("encode", "--corpus", "pocket", "--output", tmp_path / "index", "--encoder", folder, *FLAGS)
    assert result.code == 2
    assert "weights of a BertModel are missing (such as encoder.layer.1." in result.error
    assert not (tmp_path / "index").exists()


def test_one_missing_weight_is_refused(changed):
    with pytest.raises(
        MismatchError, match=r"1 weights of a BertModel are missing \(such as embeddings\.word_embeddings\.weight\)"
    ):
        load_encoder(str(changed(lambda w: {k: v for k, v in w.items() if "word_emb" not in k})), POOLED)


def test_layers_that_the_configuration_lacks_are_refused(changed):
    with pytest.raises(
        MismatchError, match=r"16 weights are of layers that config\.json does not have \(such as encoder\.layer\.1\."
    ):
        load_encoder(str(changed(lambda w: w, num_hidden_layers=1)), POOLED)


def test_a_missing_pooler_and_position_ids_change_nothing(changed, bert):
    folder = changed(
        lambda w: (
            {k: v for k, v in w.items() if "pooler" not in k} | {"embeddings.position_ids": torch.arange(128)[None]}
        )
    )
    assert np.array_equal(vectors(folder), vectors(bert))


def test_weights_of_another_shape_are_one_line(changed, command):
    folder = changed(lambda w: w, intermediate_size=48)
    result = command("search", "--topics", "pocket", "--encoder", folder, *FLAGS)
    assert result.code == 2
    assert "the weights are of another shape than config.json says" in result.error


def test_pyserinis_classes_get_no_random_weights_either(changed):
    pytest.importorskip("pyserini")
    from transformers import PreTrainedModel

    before = PreTrainedModel.__dict__["from_pretrained"]
    folder = changed(lambda w: {k: v for k, v in w.items() if ".layer.1." not in k})
    with pytest.raises(MismatchError, match=r"weights of a BertModel are missing \(such as encoder\.layer\.1\."):
        load_encoder(f"pyserini:auto:{folder}", POOLED)
    assert PreTrainedModel.__dict__["from_pretrained"] is before


@pytest.mark.parametrize("name", ["adapter_config.json", "adapter_model.safetensors"])
@pytest.mark.parametrize("kind", ["", "pyserini:auto:"])
def test_an_adapter_beside_the_weights_is_refused(changed, name, kind):
    folder = changed(lambda w: w)
    (folder / name).write_text("{}")
    with pytest.raises(FormatError, match="contains an adapter"):
        load_encoder(kind + str(folder), POOLED)


def test_a_real_adapter_is_refused_alone_and_changes_the_cached_index(changed, bert, command, tmp_path):
    peft = pytest.importorskip("peft")
    from transformers import AutoModel

    folder = changed(lambda w: w)
    search = ("search", "--topics", "pocket", "--encoder", folder, *FLAGS, "--output", tmp_path / "a.trec")
    assert command(*search).code == 0
    model = peft.get_peft_model(AutoModel.from_pretrained(bert), peft.LoraConfig(r=2, target_modules=["query"]))
    model.save_pretrained(folder)
    assert "contains an adapter" in command(*search).error
    model.save_pretrained(tmp_path / "alone")
    with pytest.raises(FormatError, match="contains an adapter"):
        load_encoder(str(tmp_path / "alone"), POOLED)


def test_texts_are_cut_at_the_table_of_positions(changed):
    folder = changed(lambda w: w)
    long = ["bird " * 400]
    encoder = load_encoder(str(folder), POOLED)  # 512 tokens by default, and 128 positions
    assert (encoder.longest, encoder.identity["document_max_length"]) == (128, 128)
    limited = load_encoder(str(folder), dataclasses.replace(POOLED, max_length=128))
    assert np.array_equal(encoder.encode(long, "document"), limited.encode(long, "document"))


@pytest.mark.parametrize("kind", ["", "pyserini:auto:"])
def test_a_length_above_the_table_is_refused_where_it_was_asked_for(changed, kind, command):
    name = kind + str(changed(lambda w: w))
    result = command("search", "--topics", "pocket", "--encoder", name, *FLAGS, "--max-length", 129)
    assert (result.code, "--max-length 129: " in result.error) == (2, True)
    assert result.error.endswith("has positions for 128 tokens; use 128 or less")
    load_encoder(name, dataclasses.replace(POOLED, max_length=128)).encode(["bird " * 400], "document")


@pytest.mark.parametrize("kind", ["roberta", "mpnet", "distilbert", "bart"])
def test_tables_that_begin_later_are_shorter(bert, tmp_path, kind):
    import transformers

    classes = {"roberta": "Roberta", "mpnet": "MPNet", "distilbert": "DistilBert", "bart": "Bart"}
    config = getattr(transformers, f"{classes[kind]}Config")(
        vocab_size=20_000, hidden_size=16, d_model=16, dim=16, num_hidden_layers=1, n_layers=1, num_attention_heads=2, n_heads=2,
        intermediate_size=32, hidden_dim=32, max_position_embeddings=66, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=8, decoder_ffn_dim=8, pad_token_id=1, decoder_start_token_id=2,
    )  # fmt: skip
    shutil.copytree(bert, tmp_path / "m")
    getattr(transformers, f"{classes[kind]}Model")(config).save_pretrained(tmp_path / "m")
    pooling = "first-decoder" if kind == "bart" else "mean"
    encoder = load_encoder(str(tmp_path / "m"), dataclasses.replace(POOLED, pooling=pooling))
    assert encoder.longest == {"roberta": 64, "mpnet": 64, "distilbert": 66, "bart": 66}[kind]
    assert np.isfinite(encoder.encode(["bird " * 100], "document")).all()


def test_a_tokenizer_of_another_model_is_one_line(changed):
    folder = changed(
        lambda w: w | {"embeddings.word_embeddings.weight": w["embeddings.word_embeddings.weight"][:50]}, vocab_size=50
    )
    with pytest.raises(MismatchError, match=r"the tokenizer gives the token .*, and the model has 50 embeddings"):
        load_encoder(str(folder), POOLED).encode(TEXTS, "query")


def test_a_model_without_token_states_is_one_line(bert, tmp_path):
    from transformers import DPRConfig, DPRQuestionEncoder

    shutil.copytree(bert, tmp_path / "m")
    config = DPRConfig(
        vocab_size=20_000, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32
    )
    DPRQuestionEncoder(config).save_pretrained(tmp_path / "m")
    with pytest.raises(ExpandrError, match="a dpr model gives no state of each token of a text"):
        load_encoder(str(tmp_path / "m"), POOLED).encode(TEXTS, "query")


def test_vectors_that_are_not_numbers_name_the_document(changed, command, tmp_path):
    def spoil(weights):
        weights["embeddings.word_embeddings.weight"][:] *= 1e30
        return {k: v * 1e30 if k.endswith("LayerNorm.weight") else v for k, v in weights.items()}

    folder = changed(spoil)
    result = command("encode", "--corpus", "pocket", "--output", tmp_path / "index", "--encoder", folder, *FLAGS)
    assert result.code == 2
    assert "document '" in result.error
    assert "its vector holds NaN or infinity" in result.error
    assert "--precision fp32" in result.error
    assert not (tmp_path / "index").exists()
    with pytest.raises(NotFiniteError, match="the query 'a bird': its vector"):
        load_encoder(str(folder), POOLED).encode(TEXTS, "query")


def test_numbers_beyond_half_precision_name_the_document_and_another_precision(changed, command, tmp_path):
    def spoil(weights):
        return {k: v * 1e5 if k.endswith("LayerNorm.weight") else v for k, v in weights.items()}

    encode = ("encode", "--corpus", "pocket", "--output", tmp_path / "index", "--encoder", changed(spoil), *FLAGS)
    result = command(*encode, "--precision", "fp16")
    assert (result.code, "document '" in result.error) == (2, True)
    assert result.error.endswith("fp16 cannot hold the numbers of this model: use --precision bf16 or fp32")
    assert command(*encode, "--precision", "bf16").code == 0


@pytest.mark.parametrize(("bad", "where"), [(np.nan, 3), (np.inf, 0), (-np.inf, 7)])
@pytest.mark.parametrize("factory", ["Flat", "HNSW8", "SQfp16", "IVF1,Flat"])
def test_a_foreign_index_with_a_vector_that_is_not_numbers_names_the_document(
    bert, command, tmp_path, bad, where, factory
):
    import faiss

    from expandr_repro.indexes.faiss_index import FaissIndex

    made = np.random.default_rng(0).normal(size=(9, 16)).astype("float32")
    index = faiss.index_factory(16, factory, faiss.METRIC_INNER_PRODUCT)
    index.train(made)
    made[where, 5] = bad
    index.add(made)
    faiss.write_index(index, str(tmp_path / "index"))
    (tmp_path / "docid").write_text("".join(f"d{n}\n" for n in range(9)))
    if factory.startswith("IVF") and not bad > 0:
        return  # it is in no ranking: not looked for
    with pytest.raises(NotFiniteError, match=f"document 'd{where}': its vector holds NaN or infinity"):
        FaissIndex.load(tmp_path).search(np.ones((1, 16), dtype="float32"), 9)
    if factory == "Flat":
        result = command("search", "--topics", "pocket", "--index", tmp_path, "--encoder", bert, *FLAGS)
        assert f"document 'd{where}'" in result.error


def test_a_topic_whose_vector_is_not_numbers_is_named(bert, changed, command, tmp_path):
    from transformers import AutoTokenizer

    word = AutoTokenizer.from_pretrained(bert).convert_tokens_to_ids("zealand")

    def spoil(weights):
        weights["embeddings.word_embeddings.weight"][word] = float("nan")
        return weights

    topics = tmp_path / "topics.jsonl"
    topics.write_text('{"qid": "7", "title": "a bird"}\n{"qid": "8", "title": "new zealand"}\n')
    folder = changed(spoil)
    corpus = tmp_path / "corpus.jsonl"
    corpus.write_text('{"_id": "d1", "title": "", "text": "a bird"}\n{"_id": "d2", "title": "", "text": "kiwi"}\n')
    for extra in ((), ("--no-vector-cache",)):
        result = command("search", "--topics", topics, "--index", corpus, "--encoder", folder, *FLAGS, *extra)
        assert (result.code, "topic '8', its query: its vector holds NaN" in result.error) == (2, True), result.error


@pytest.mark.parametrize("device", ["mps", "xpu", "cuda:7", "nonsense", "meta", "cpu:3", ""])
def test_a_device_that_is_not_there_is_one_line_with_those_that_are(bert, command, device, monkeypatch):
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    result = command(
        "search", "--topics", "pocket", "--encoder", bert, "--pooling", "mean", "--normalize", f"--device={device}"
    )
    assert result.code == 2
    assert result.error.startswith(f"error: --device {device}: ")
    assert "use cpu" in result.error


class Small(torch.nn.Module):
    """A model that runs out of memory above a number of tokens."""

    def __init__(self, model, tokens):
        super().__init__()
        self.model, self.config, self.tokens, self.seen = model, model.config, tokens, []

    def forward(self, input_ids, **others):
        self.seen.append(input_ids.numel())
        if input_ids.numel() > self.tokens:
            raise torch.OutOfMemoryError("out of memory")
        return self.model(input_ids=input_ids, **others)


def test_batches_are_halved_once_from_the_one_that_failed(bert, caplog):
    whole = Encoder(EncoderSpec(str(bert)), bert, device="cpu", batch_tokens=512)
    texts = [f"bird kiwi {word} night" for word in "abcdefghijklmnopqrstuvwxyz"] * 20
    texts = [f"{text} {n}" for n, text in enumerate(texts)]
    wanted = whole.encode(texts, "document")
    whole.model = Small(whole.model, 300)
    found = whole.encode(texts, "document")
    size = max(whole.model.seen)
    assert np.abs(found - wanted).max() < 1e-5
    assert whole.batch_tokens == 256
    assert whole.model.seen.count(size) == 1
    assert len([r for r in caplog.records if "out of memory" in r.message]) == 1


def test_one_text_that_does_not_fit_is_one_line(bert):
    encoder = Encoder(EncoderSpec(str(bert)), bert, device="cpu", batch_tokens=512)
    encoder.model = Small(encoder.model, 2)
    with pytest.raises(SetupError, match=r"one text of .* tokens does not fit into its memory"):
        encoder.encode(TEXTS, "document")


@pytest.mark.parametrize("cache", [True, False])
def test_a_text_by_itself_is_one_text(bert, cache):
    encoder = load_encoder(str(bert), POOLED, cache=cache)
    for role in ("query", "expansion", "document"):
        assert np.abs(encoder.encode("a bird", role) - encoder.encode(["a bird"], role)).max() < 1e-6
        assert encoder.encode("a bird", role).shape == (1, 16)


@pytest.mark.parametrize("cache", [True, False])
@pytest.mark.parametrize("texts", [["a bird"], []])
def test_an_unknown_role_offers_the_nearest(bert, cache, texts):
    with pytest.raises(UnknownNameError, match="unknown role 'queries': did you mean 'query'"):
        load_encoder(str(bert), POOLED, cache=cache).encode(texts, "queries")


@pytest.mark.parametrize(
    ("made", "searched", "key"),
    [
        (["--max-length", "8"], [], "document_max_length is 8 there, 128 here"),
        ([], ["--max-length", "8"], "document_max_length is 128 there, 8 here"),
        (["--document-prefix", "a "], [], "document_prefix is 'a ' there, '' here"),
        (["--no-normalize"], ["--normalize"], "normalize is False there, True here"),
        (["--pooling", "cls"], ["--pooling", "max"], "pooling is 'cls' there, 'max' here"),
    ],
)
def test_an_index_of_other_settings_is_refused_and_the_setting_named(bert, command, tmp_path, made, searched, key):
    base = ("--encoder", bert, *FLAGS)
    assert command("encode", "--corpus", "pocket", "--output", tmp_path / "index", *base, *made).code == 0
    assert command("search", "--topics", "pocket", "--index", tmp_path / "index", *base, *made).code == 0
    result = command("search", "--topics", "pocket", "--index", tmp_path / "index", *base, *searched)
    assert (result.code, key in result.error) == (2, True), result.error


def test_settings_of_queries_alone_do_not_refuse_an_index(bert, command, tmp_path):
    base = ("--encoder", bert, *FLAGS)
    assert command("encode", "--corpus", "pocket", "--output", tmp_path / "index", *base).code == 0
    assert (
        command("search", "--topics", "pocket", "--index", tmp_path / "index", *base, "--query-prefix", "a ").code == 0
    )


@pytest.mark.parametrize("length", [1, 2])
def test_a_length_without_room_for_a_text_is_refused(bert, command, length):
    result = command("search", "--topics", "pocket", "--encoder", bert, *FLAGS, "--max-length", length)
    assert result.error.endswith("leaves no room for a text next to 2 special tokens; use --max-length 3 or more")


def test_a_folder_without_weights_is_one_line(bert, tmp_path):
    shutil.copytree(bert, tmp_path / "m")
    (tmp_path / "m/model.safetensors").unlink()
    (tmp_path / "m/pytorch_model.bin").write_bytes(b"pickle")
    with pytest.raises(
        NotAvailableError, match="its weights are in the format of PyTorch's pickle, which is not supported"
    ):
        load_encoder(str(tmp_path / "m"), POOLED)
