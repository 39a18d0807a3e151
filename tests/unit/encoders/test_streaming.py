"""Part after part gives what all at once gives, whoever's the encoder."""

import numpy as np
import pytest

pytest.importorskip("torch")

from tiny_bert import save_tiny_bert

from expandr_repro.data.specs import EncoderSpec
from expandr_repro.encoders import streaming
from expandr_repro.encoders.encoder import Encoder
from expandr_repro.encoders.streaming import encode_stream

TEXTS = [
    "a kiwi is a bird",
    "night",
    "the kiwi sleeps by day, and hunts worms at night",
    "",
    "a fruit of the same name",
]


class Lengths:
    """Another toolkit's encoder: a text's vector is its length."""

    name, dimension, identity, separator = "lengths", 1, {}, ""

    def __init__(self):
        self.truncated, self.calls = {}, []

    def encode(self, texts, role):
        self.calls.append(len(texts))
        return np.array([[len(t)] for t in texts], dtype=np.float32)


def parts_of(texts, size, role="document"):
    return [(role, texts[i : i + size]) for i in range(0, len(texts), size)]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    folder = save_tiny_bert(tmp_path_factory.mktemp("model"))
    return Encoder(EncoderSpec(model=str(folder), document_max_length=100), folder, device="cpu")


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
def test_a_stream_of_parts_gives_the_vectors_of_all_texts_at_once(encoder, size):
    texts = [f"{a} {b}" for a in TEXTS for b in TEXTS][:20]
    done = []
    found = list(encode_stream(encoder, parts_of(texts, size), done.append))
    assert [len(f) for f in found] == [len(p) for _, p in parts_of(texts, size)]
    assert np.allclose(np.concatenate(found), encoder.encode(texts, "document"), atol=1e-6)
    assert sum(done) == len(texts)


def test_a_part_without_texts_gives_no_vectors(encoder):
    (found,) = encode_stream(encoder, [("query", [])])
    assert found.shape == (0, encoder.dimension)


def test_no_more_than_a_few_parts_are_read_ahead(encoder):
    read = []

    def parts():
        for number in range(20):
            read.append(number)
            yield "document", [TEXTS[0]]

    stream = encode_stream(encoder, parts())
    next(stream)
    assert len(read) <= streaming.AHEAD + 1
    stream.close()


def test_an_error_while_reading_reaches_the_caller(encoder):
    def parts():
        yield "document", [TEXTS[0]]
        raise ValueError("a broken line")

    with pytest.raises(ValueError, match="a broken line"):
        list(encode_stream(encoder, parts()))


def test_texts_that_are_cut_are_counted_in_threads_too(encoder):
    before = encoder.truncated["document"]
    long = " ".join(["kiwi"] * 2000)
    list(encode_stream(encoder, [("document", [long])] * 5))
    assert encoder.truncated["document"] == before + 5


def test_another_toolkits_encoder_gets_slices_longest_text_first():
    other, done = Lengths(), []
    texts = ["x" * (i % 97) for i in range(600)]
    (found,) = encode_stream(other, [("document", texts)], done.append)
    assert found[:, 0].tolist() == [len(t) for t in texts]
    assert other.calls == done == [256, 256, 88]
