"""Encoders of every pooling against transformers by hand, on tiny random models; and the default against its own description."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from expandr_repro.data.specs import EncoderSpec, datasets, encoders
from expandr_repro.data.trec import read_run
from expandr_repro.encoders.checkpoints.checkpoint import locate, spec_of_folder
from expandr_repro.encoders.encoder import Encoder
from expandr_repro.encoders.loading import load_encoder
from expandr_repro.encoders.options import EncoderOptions
from expandr_repro.errors import ExpandrError, NotAvailableError

TEXTS = [
    "kiwi",
    "the flightless bird of New Zealand that lives at night",
    "a fruit",
    "one two three four five six seven eight nine ten",
]


def tokenizer(folder):
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = sorted({w for t in TEXTS for w in t.split()})
    vocabulary = {w: i for i, w in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *words])}
    raw = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    raw.pre_tokenizer = pre_tokenizers.Whitespace()
    raw.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    made = PreTrainedTokenizerFast(
        tokenizer_object=raw, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    )
    made.save_pretrained(folder)
    return made, len(vocabulary)


POOLED = EncoderOptions(device="cpu", pooling="mean", normalize=True)


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    from transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("bert")
    tokens, size = tokenizer(folder)
    torch.manual_seed(0)
    model = BertModel(
        BertConfig(vocab_size=size, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32)
    ).eval()
    model.save_pretrained(folder)
    return folder, model, tokens


@pytest.fixture(scope="module")
def t5(tmp_path_factory):
    from transformers import T5Config, T5Model

    folder = tmp_path_factory.mktemp("t5")
    tokens, size = tokenizer(folder)
    torch.manual_seed(0)
    config = T5Config(vocab_size=size, d_model=16, d_kv=8, d_ff=32, num_layers=2, num_heads=2, decoder_start_token_id=0)
    model = T5Model(config).eval()
    model.save_pretrained(folder)
    return folder, model, tokens


def by_hand(model, tokens, text, pooling):
    """One text at a time, no batching, no padding."""
    inputs = tokens(text, return_tensors="pt", return_token_type_ids=False)
    with torch.no_grad():
        if pooling == "first-decoder":
            return model(**inputs, decoder_input_ids=torch.tensor([[0]])).last_hidden_state[0, 0].numpy()
        states = model(**inputs).last_hidden_state[0]
    return {"cls": states[0], "mean": states.mean(0), "last": states[-1]}[pooling].numpy()


@pytest.mark.parametrize("pooling", ["cls", "mean", "last"])
@pytest.mark.parametrize("normalize", [True, False])
def test_a_batch_gives_the_vectors_of_single_texts(bert, pooling, normalize):
    folder, model, tokens = bert
    encoder = Encoder(EncoderSpec(model=str(folder), pooling=pooling, normalize=normalize), folder, device="cpu")
    expected = np.stack([by_hand(model, tokens, t, pooling) for t in TEXTS])
    if normalize:
        expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    assert np.abs(encoder.encode(TEXTS, "document") - expected).max() < 1e-5


def test_a_t5_gives_the_state_of_its_first_decoder_position(t5):
    folder, model, tokens = t5
    encoder = Encoder(EncoderSpec(model=str(folder), pooling="first-decoder", normalize=False), folder, device="cpu")
    expected = np.stack([by_hand(model, tokens, t, "first-decoder") for t in TEXTS])
    assert np.abs(encoder.encode(TEXTS, "query") - expected).max() < 1e-5


def test_a_pooling_that_does_not_fit_the_architecture_is_refused(bert, t5):
    with pytest.raises(ExpandrError, match="does not fit a bert model"):
        Encoder(EncoderSpec(model="x", pooling="first-decoder"), bert[0], device="cpu")
    with pytest.raises(ExpandrError, match="does not fit a t5 model"):
        Encoder(EncoderSpec(model="x", pooling="mean"), t5[0], device="cpu")


def test_texts_cut_at_the_maximum_length_are_counted_by_role(bert):
    folder = bert[0]
    encoder = Encoder(EncoderSpec(model=str(folder), query_max_length=5, document_max_length=12), folder, device="cpu")
    encoder.encode(TEXTS, "query")
    encoder.encode(TEXTS, "document")
    assert encoder.truncated == {"query": 2, "expansion": 0, "document": 0}


def test_prefixes_stand_before_queries_documents_and_expansions(bert):
    folder = bert[0]
    plain = Encoder(EncoderSpec(model=str(folder)), folder, device="cpu")
    prefixed = Encoder(
        EncoderSpec(model=str(folder), query_prefix="kiwi ", document_prefix="fruit ", expansion_prefix="night "),
        folder,
        device="cpu",
    )
    for role, prefix in (("query", "kiwi "), ("document", "fruit "), ("expansion", "night ")):
        assert np.abs(prefixed.encode(["a bird"], role) - plain.encode([prefix + "a bird"], role)).max() < 1e-6


def test_results_do_not_depend_on_the_token_budget(bert):
    folder = bert[0]
    small = Encoder(EncoderSpec(model=str(folder)), folder, device="cpu", batch_tokens=1)
    large = Encoder(EncoderSpec(model=str(folder)), folder, device="cpu", batch_tokens=10_000)
    assert np.abs(small.encode(TEXTS, "document") - large.encode(TEXTS, "document")).max() < 1e-5


def test_bfloat16_is_near_the_exact_vectors(bert):
    folder = bert[0]
    exact = Encoder(EncoderSpec(model=str(folder)), folder, device="cpu").encode(TEXTS, "document")
    rough = Encoder(EncoderSpec(model=str(folder)), folder, device="cpu", precision="bf16").encode(TEXTS, "document")
    assert 0 < np.abs(exact - rough).max() < 0.02
    assert ((exact * rough).sum(1) > 0.999).all()


def test_gradients_flow_through_the_forward_pass(bert):
    encoder = Encoder(EncoderSpec(model=str(bert[0])), bert[0], device="cpu")
    encoder.forward(encoder.tokenize(TEXTS, "query")).sum().backward()
    assert all(p.grad is not None for n, p in encoder.model.named_parameters() if "pooler" not in n)


def test_equal_texts_have_equal_vectors_whatever_else_is_encoded_and_are_counted_each(bert):
    encoder = load_encoder(str(bert[0]), dataclasses.replace(POOLED, batch_tokens=16))
    texts = [TEXTS[0], *TEXTS, TEXTS[1], TEXTS[0]]
    counted = []
    vectors = encoder.launch(encoder.tokenize(texts, "document"), counted.append).fetch()
    assert sum(counted) == len(texts) == len(vectors)
    np.testing.assert_array_equal(vectors[0], vectors[1])
    np.testing.assert_array_equal(vectors[0], vectors[-1])
    np.testing.assert_array_equal(vectors[2], vectors[-2])
    np.testing.assert_array_equal(vectors[1:-2], encoder.encode(TEXTS, "document"))


def test_a_frozen_encoder_gives_the_same_vectors_and_refuses_gradients(bert):
    plain, frozen = (Encoder(EncoderSpec(model=str(bert[0])), bert[0], device="cpu", frozen=f) for f in (False, True))
    expected = plain.encode(TEXTS, "document")
    assert np.abs(frozen.encode(TEXTS, "document") - expected).max() < 1e-6
    assert np.abs(load_encoder(str(bert[0]), POOLED).encode(TEXTS, "document") - expected).max() < 1e-6
    with pytest.raises(ExpandrError, match="not to be trained"):
        frozen.forward(frozen.tokenize(TEXTS, "query"))


def test_an_encoder_loaded_for_training_keeps_weights_with_gradients(bert):
    encoder = load_encoder(str(bert[0]), POOLED, training=True)
    encoder.forward(encoder.tokenize(TEXTS, "query")).sum().backward()
    assert all(p.grad is not None for n, p in encoder.model.named_parameters() if "pooler" not in n)


def test_no_texts_give_no_vectors(bert):
    encoder = Encoder(EncoderSpec(model=str(bert[0])), bert[0], device="cpu")
    assert encoder.encode([], "query").shape == (0, 16)


def test_the_default_encoders_entry_is_what_its_own_folder_says():
    spec = encoders()["all-MiniLM-L6-v2"]
    own = spec_of_folder(locate(spec.model))
    for key in ("pooling", "normalize", "query_prefix", "document_prefix", "query_max_length", "document_max_length"):
        assert getattr(own, key) == getattr(spec, key), key


def test_a_saved_sentence_transformers_model_is_read_by_its_own_configuration(bert, tmp_path):
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer

    word = Transformer(str(bert[0]), max_seq_length=7)
    saved = SentenceTransformer(
        modules=[word, Pooling(16, pooling_mode="cls"), Normalize()], prompts={"query": "kiwi "}, device="cpu"
    )
    saved.save_pretrained(str(tmp_path / "st"))
    spec = spec_of_folder(tmp_path / "st")
    assert (spec.pooling, spec.normalize, spec.document_max_length, spec.query_prefix) == ("cls", True, 7, "kiwi ")
    ours = Encoder(spec, tmp_path / "st", device="cpu")
    assert np.abs(ours.encode(TEXTS, "document") - saved.encode(TEXTS)).max() < 1e-5
    assert np.abs(ours.encode(TEXTS, "query") - saved.encode(TEXTS, prompt_name="query")).max() < 1e-5


def test_a_hub_model_that_cannot_be_fetched_says_so(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(NotAvailableError, match="not in the local hub cache and not fetched"):
        locate("facebook/contriever-that-is-nowhere")


def test_every_name_of_every_collection_resolves_in_the_installed_toolkits():
    import ir_datasets

    from expandr_repro.pyserini import registry

    ours = set(encoders()) | {"bm25"}
    for name, spec in datasets().items():
        for index in spec.indexes.values():
            assert index in registry.lucene_indexes() | registry.faiss_indexes(), (name, index)
        assert set(spec.indexes) <= ours, name
        assert set(spec.members) <= set(datasets()), name
        for ident in [spec.irds, *(s.irds for s in spec.splits.values())]:
            assert ident is None or ident in ir_datasets.registry, (name, ident)
        for split in spec.splits.values():
            assert split.pyserini_topics is None or split.pyserini_topics in registry.topics_names(), name
            assert split.pyserini_qrels is None or split.pyserini_qrels in registry.qrels_names(), name


def test_compiling_is_refused_where_it_does_not_pay(bert):
    with pytest.raises(
        ExpandrError, match=r"--compile: for bert, .* models in bf16 or fp16 on a GPU; this is bert in fp32 on cpu"
    ):
        Encoder(EncoderSpec(model=str(bert[0])), bert[0], device="cpu", compiled=True)


def test_pyserinis_encoders_are_not_compiled(bert):
    with pytest.raises(ExpandrError, match="is run by Pyserini, which has no such option"):
        load_encoder(f"pyserini:AutoQueryEncoder:{bert[0]}", EncoderOptions(compile=True))


IMPORTED = """
import sys
from expandr_repro.encoders.loading import load_encoder

encoder = load_encoder("all-MiniLM-L6-v2")
print(encoder.encode(["kiwi", "a bird"], "query").shape, encoder.computed_by, *({"torch", "transformers"} & set(sys.modules)))
"""


def test_the_default_encoder_imports_neither_torch_nor_transformers_on_a_processor():
    from expandr_repro.encoders.protocol import surely_without_gpu

    if not surely_without_gpu():
        pytest.skip("torch has to look for a GPU here")
    done = subprocess.run([sys.executable, "-c", IMPORTED], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[0] == "(2, 384) onnxruntime"


def test_a_search_has_the_same_scores_with_onnx_runtime_and_without_it(process, pocket_index, tmp_path, root):
    (tmp_path / "onnxruntime.py").write_text("raise ImportError\n")
    runs, manifests = {}, {}
    for by, path in (("onnxruntime", str(root)), ("torch", f"{tmp_path}{os.pathsep}{root}")):
        output = tmp_path / f"{by}.trec"
        words = f"--topics pocket --limit 12 --index {pocket_index} --no-vector-cache --device cpu --output {output}"
        result = process("expandr_repro.search", *words.split(), env={"PYTHONPATH": path})
        assert result.code == 0, result.err
        runs[by] = read_run(output)
        manifests[by] = json.loads((tmp_path / f"{by}.trec.manifest.json").read_text())
        assert manifests[by].pop("computed_by") == by
    assert manifests["torch"]["encoder"] == manifests["onnxruntime"]["encoder"]
    assert len(runs["torch"]) == 12
    for qid, ranked in runs["torch"].items():
        assert ranked == pytest.approx(runs["onnxruntime"][qid], abs=2e-6)
