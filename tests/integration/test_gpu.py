"""What only a GPU can show; skipped, by name, where there is none. Needs torch and transformers, not Java, Faiss or Pyserini."""

from __future__ import annotations

import pytest
import torch
from transformers import MPNetConfig, MPNetModel

from expandr_repro.data.specs import EncoderSpec
from expandr_repro.data.topics import read_topics
from expandr_repro.encoders.encoder import Encoder
from expandr_repro.encoders.streaming import encode_stream
from expandr_repro.io.paths import resource
from tests.tiny_bert import save_tiny_bert

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")

PARTS = 24


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    return save_tiny_bert(tmp_path_factory.mktemp("bert"), dim=256)


def encoder(bert, device, precision="fp32", batch_tokens=0):
    spec = EncoderSpec(model=str(bert), pooling="mean", normalize=True, query_max_length=128, document_max_length=128)
    return Encoder(spec, bert, device, precision, batch_tokens)


def texts():
    """Many parts of texts of many lengths."""
    words = " ".join(t.texts[0] for t in read_topics(resource("pocket") / "queries.jsonl")).split()
    return [[" ".join(words[n : n + 3 + (n * 7 + part) % 90]) for n in range(400)] for part in range(PARTS)]


def streamed(made, parts):
    return torch.cat([torch.from_numpy(v) for v in encode_stream(made, (("document", p) for p in parts))])


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_stream_of_parts_gives_the_vectors_of_the_cpu(bert, precision):
    parts = texts()
    made = streamed(encoder(bert, "cuda:0", precision), parts)
    plain = torch.from_numpy(encoder(bert, "cpu").encode([t for p in parts for t in p], "document"))
    assert (made * plain).sum(1).min() > (0.99999 if precision == "fp32" else 0.999)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_second_gpu_gives_the_vectors_of_the_first_whichever_is_current(bert, precision):
    if torch.cuda.device_count() < 2:
        pytest.skip("one GPU")
    parts = texts()
    first, second = (streamed(encoder(bert, f"cuda:{n}", precision), parts) for n in (0, 1))
    assert torch.cuda.current_device() == 0
    assert torch.equal(first, second)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_an_mpnet_gives_the_vectors_of_the_cpu_with_fused_kernels_as_without(tmp_path, precision):
    folder = save_tiny_bert(tmp_path)
    torch.manual_seed(0)
    shape = {"hidden_size": 256, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 512}
    model = MPNetModel(MPNetConfig(vocab_size=20_000, max_position_embeddings=130, **shape))
    torch.nn.init.normal_(model.encoder.relative_attention_bias.weight, std=3.0)  # without it vectors are 0.0025 away
    model.save_pretrained(folder)
    spec = EncoderSpec(model=str(folder), pooling="mean", normalize=True, document_max_length=128)
    parts = texts()
    exact = torch.from_numpy(Encoder(spec, folder, "cpu").encode([t for p in parts for t in p], "document"))
    fused, own = (Encoder(spec, folder, "cuda:0", precision, frozen=frozen) for frozen in (True, False))
    assert "forward" in vars(fused.model.encoder.layer[0].attention.attn)
    assert "forward" not in vars(own.model.encoder.layer[0].attention.attn)
    far, plainly = (1 - (streamed(made, parts) * exact).sum(1).min() for made in (fused, own))
    assert far < max(2 * plainly, 1e-4)
    assert plainly < 1e-3


def test_a_gpu_that_runs_out_of_memory_halves_its_batches_and_says_so(bert, caplog):
    parts = texts()
    whole = streamed(encoder(bert, "cuda:0"), parts)
    made = encoder(bert, "cuda:0", batch_tokens=131072)
    torch.cuda.empty_cache()
    free = torch.cuda.memory_reserved(0) + (200 << 20)
    torch.cuda.set_per_process_memory_fraction(free / torch.cuda.get_device_properties(0).total_memory, 0)
    try:
        with caplog.at_level("WARNING"):
            halved = streamed(made, parts)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, 0)
    assert "out of memory" in caplog.text
    assert (whole * halved).sum(1).min() > 0.99999
