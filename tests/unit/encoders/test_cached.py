"""An encoder behind the cache of vectors: loaded only when needed, counted rightly, never stale."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from expandr_repro.data.specs import EncoderSpec
from expandr_repro.encoders import cached as cached_encoder
from expandr_repro.encoders.cached import CachedEncoder, behind, cached, encoder_key
from expandr_repro.encoders.vector_cache import VectorStore


class Words:
    """A stand-in: a vector of a text's length and its batch's size; texts of more than three words are cut."""

    name, dimension, separator = "words", 2, "[SEP]"

    def __init__(self):
        self.truncated = {"query": 0, "expansion": 0, "document": 0}
        self.encoded = []

    @property
    def identity(self):
        return {"name": self.name, "dimension": 2, "fingerprint": "f"}

    def tokenize(self, texts, role):
        self.truncated[role] += sum(len(t.split()) > 3 for t in texts)
        return [t.split()[:3] for t in texts]

    def encode(self, texts, role):
        self.tokenize(texts, role)
        self.encoded.append((role, list(texts)))
        return np.array([[len(t), len(texts)] for t in texts], dtype=np.float32).reshape(-1, 2)


@pytest.fixture
def opened(tmp_path):
    def make(key="k"):
        loaded = []

        def load():
            loaded.append(Words())
            return loaded[-1]

        return CachedEncoder("mine", key, load, VectorStore(tmp_path / "v.sqlite")), loaded

    return make


TEXTS = ["one", "one two three four", "two words"]


def test_a_second_search_gets_the_same_bytes_and_loads_no_model(opened):
    first, _ = opened()
    vectors = first.encode(TEXTS, "query")
    second, loaded = opened()
    assert second.encode(TEXTS, "query").tobytes() == vectors.tobytes()
    assert second.dimension == 2
    assert second.separator == "[SEP]"
    assert second.identity == {**Words().identity, "name": "mine"}
    assert loaded == []


def test_only_new_texts_are_encoded_and_all_come_in_the_order_given(opened):
    opened()[0].encode(TEXTS, "query")
    again, loaded = opened()
    vectors = again.encode(["new", *reversed(TEXTS), "newer one"], "query")
    assert loaded[0].encoded == [("query", ["new", "newer one"])]
    assert vectors[:, 0].tolist() == [3, 9, 18, 3, 9]


def test_texts_that_were_cut_are_counted_whether_kept_or_fresh(opened):
    first, _ = opened()
    first.encode(TEXTS, "expansion")
    assert first.truncated == {"query": 0, "expansion": 1, "document": 0}
    second, _ = opened()
    second.encode([*TEXTS, "a b c d e"], "expansion")
    assert second.truncated == {"query": 0, "expansion": 2, "document": 0}


def test_roles_and_encoders_do_not_share_vectors(opened):
    opened()[0].encode(TEXTS, "query")
    for key, role in (("k", "expansion"), ("other", "query")):
        encoder, loaded = opened(key)
        encoder.encode(TEXTS, role)
        assert loaded[0].encoded == [(role, TEXTS)]


def test_documents_are_not_kept(opened):
    encoder, loaded = opened()
    encoder.encode(TEXTS, "document")
    encoder.encode(TEXTS, "document")
    assert len(loaded[0].encoded) == 2


def test_no_texts_are_no_vectors(opened):
    assert opened()[0].encode([], "query").shape == (0, 2)


def test_the_key_changes_with_all_that_decides_a_vector(tmp_path, monkeypatch):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "config.json").write_text('{"a": 1}')
    spec = EncoderSpec(model="m")
    others = {
        "pooling": "cls",
        "normalize": False,
        "query_prefix": "q: ",
        "document_prefix": "d: ",
        "query_max_length": 9,
    }
    others |= {"expansion_prefix": "e: ", "document_max_length": 9}
    keys = [encoder_key(dataclasses.replace(spec, **{k: v}), tmp_path, "cpu", "fp32") for k, v in others.items()]
    keys += [encoder_key(spec, tmp_path, d, p) for d, p in (("cpu", "fp32"), ("cuda", "fp32"), ("cpu", "bf16"))]
    keys.append(encoder_key(spec, tmp_path / "other", "cpu", "fp32"))
    for name in ("_version", "_code"):
        with monkeypatch.context() as patch:
            patch.setattr(cached_encoder, name, lambda *_: "changed")
            keys.append(encoder_key(spec, tmp_path, "cpu", "fp32"))
    assert len(set(keys)) == len(keys)
    assert encoder_key(dataclasses.replace(spec, source="elsewhere"), tmp_path, "cpu", "fp32") in keys


def test_a_model_with_code_of_its_own_is_not_cached(tmp_path):
    plain = Words()
    assert cached("m", EncoderSpec(model="m", trust_remote_code=True), tmp_path, "cpu", "fp32", lambda: plain) is plain


def test_an_index_is_built_with_the_encoder_behind_the_cache(opened):
    encoder, loaded = opened()
    assert behind(encoder) is loaded[0]
    assert behind(loaded[0]) is loaded[0]
