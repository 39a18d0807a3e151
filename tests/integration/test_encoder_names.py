"""Hub names of known encoders, families that want prefixes, and what a query joined with its expansions is encoded as."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from expandr_repro.data.specs import EncoderSpec, encoders
from expandr_repro.data.topics import Expansion, Topic
from expandr_repro.encoders.encoder import Encoder
from expandr_repro.encoders.loading import load_encoder
from expandr_repro.encoders.options import EncoderOptions
from expandr_repro.errors import NotAvailableError
from expandr_repro.search.dense import DenseSearch
from expandr_repro.search.fusion import concat_text, unit
from tests.tiny_bert import save_tiny_bert

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = EncoderOptions(device="cpu")


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    return save_tiny_bert(tmp_path_factory.mktemp("bert"), dim=16)


@pytest.fixture
def hub(bert, monkeypatch):
    """Let any hub name be the tiny BERT, and keep those that are asked for."""
    asked = []

    def fetch(model, revision=None, remote_code=False):
        asked.append(model)
        return bert

    monkeypatch.setattr("expandr_repro.encoders.checkpoints.checkpoint._from_hub", fetch)
    return asked


@pytest.mark.parametrize("known", [name for name, spec in encoders().items() if spec.model.count("/") == 1 and spec.pooling != "first-decoder" and ":" not in spec.model])  # fmt: skip
@pytest.mark.parametrize("written", [str, str.upper, str.lower])
def test_the_hub_name_of_a_known_encoder_has_its_settings_and_says_so(hub, caplog, known, written):
    caplog.set_level("INFO", "expandr_repro")
    spec = encoders()[known]
    found = load_encoder(written(spec.model), CPU).identity
    keys = ("query_prefix", "document_prefix", "expansion_prefix", "pooling", "normalize")
    named = load_encoder(known, CPU).identity
    assert {k: found.get(k) for k in keys} == {k: named.get(k) for k in keys}
    assert found["query_prefix"] == spec.query_prefix
    assert hub == [spec.model, spec.model]
    assert f"taken with the settings of the encoder {known}" in caplog.text


def test_flags_lie_over_the_settings_of_a_known_encoders_hub_name(hub):
    options = EncoderOptions(device="cpu", query_prefix="find: ", pooling="cls")
    identity = load_encoder("intfloat/e5-base-v2", options).identity
    assert (identity["query_prefix"], identity["document_prefix"], identity["pooling"]) == (
        "find: ",
        "passage: ",
        "cls",
    )


def test_a_folder_that_is_called_like_a_known_encoder_has_its_settings(bert, tmp_path, monkeypatch):
    shutil.copytree(bert, tmp_path / "intfloat/e5-base-v2")
    monkeypatch.chdir(tmp_path)
    identity = load_encoder("intfloat/e5-base-v2", CPU).identity
    assert (identity["query_prefix"], identity["document_prefix"]) == ("query: ", "passage: ")


def test_a_known_encoder_that_cannot_be_fetched_says_so():
    with pytest.raises(NotAvailableError, match=r"intfloat/e5-base-v2: not in the local hub cache and not fetched"):
        load_encoder("intfloat/e5-base-v2", CPU)


@pytest.mark.parametrize(
    ("name", "prefix"),
    [
        ("intfloat/e5-large-v2", "query: "),
        ("intfloat/multilingual-e5-small", "query: "),
        ("BAAI/bge-large-en-v1.5", "Represent this sentence"),
        ("BAAI/bge-small-en", "Represent this sentence"),
        ("nomic-ai/nomic-embed-text-v1.5", "search_query: "),
        ("mixedbread-ai/mxbai-embed-large-v1", "Represent this sentence"),
    ],
)
def test_a_model_of_a_family_with_prefixes_is_warned_of_where_nothing_sets_any(hub, caplog, name, prefix):
    options = EncoderOptions(device="cpu", pooling="mean", normalize=True)
    load_encoder(name, options)
    (warning,) = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert warning.startswith(f"{name}: models of this name were trained with prefixes")
    assert f"--query-prefix '{prefix}" in warning
    caplog.clear()
    load_encoder(name, EncoderOptions(device="cpu", pooling="mean", normalize=True, query_prefix=""))
    assert not caplog.records


@pytest.mark.parametrize(
    "name", ["sentence-transformers/all-mpnet-base-v2", "me/bge-reranker", "me/file5-base", "BAAI/bge-m3"]
)
def test_other_models_are_not_warned_of(hub, caplog, name):
    load_encoder(name, EncoderOptions(device="cpu", pooling="mean", normalize=True))
    assert not [r for r in caplog.records if r.levelname == "WARNING"]


def test_a_local_folder_of_such_a_name_is_warned_of(bert, tmp_path, caplog):
    shutil.copytree(bert, tmp_path / "e5-large-v2")
    load_encoder(str(tmp_path / "e5-large-v2"), EncoderOptions(device="cpu", pooling="mean", normalize=True))
    assert "--query-prefix 'query: ' --document-prefix 'passage: '" in caplog.text


def test_a_query_joined_with_its_expansions_has_the_querys_prefix_and_a_documents_length(bert):
    spec = EncoderSpec(
        str(bert), query_prefix="a bird: ", document_prefix="fruit ", expansion_prefix="", query_max_length=5, document_max_length=20,
    )  # fmt: skip
    encoder = Encoder(spec, bert, device="cpu")
    topics = [Topic("1", "kiwi", (Expansion("the bird of the night " * 3, {}),)), Topic("2", "new zealand")]
    found = DenseSearch(encoder, None).vectors(topics, "concat")

    plain = Encoder(EncoderSpec(str(bert), document_max_length=20, query_max_length=5), bert, device="cpu")
    joined = "a bird: " + concat_text("kiwi", topics[0].texts, "[SEP]")
    assert np.abs(found[0] - unit(plain.encode([joined], "document"))[0]).max() < 1e-6
    assert np.abs(found[1] - plain.encode(["a bird: new zealand"], "query")[0]).max() < 1e-6
    assert encoder.tokenize([concat_text("kiwi", topics[0].texts, "[SEP]")], "joined") == plain.tokenize(
        [joined], "document"
    )
    assert encoder.truncated["joined"] == 2


def test_a_cached_encoder_counts_joined_texts_too(bert, command, tmp_path):
    (tmp_path / "spec.yaml").write_text(
        f"model: {bert}\nquery_prefix: 'a bird '\nexpansion_prefix: ''\ndocument_max_length: 9\n"
    )
    topics = tmp_path / "topics.jsonl"
    topics.write_text(
        '{"qid": "q1", "title": "kiwi", "expansions": [{"text": "the bird of the night that lives in new zealand"}]}\n'
    )
    base = ("search", "--topics", topics, "--expansions", topics, "--index", "pocket", "--encoder", tmp_path / "spec.yaml", "--device", "cpu")  # fmt: skip
    for _ in range(2):
        result = command(*base, "--fusion", "concat", "--output", tmp_path / "a.trec")
        assert result.code == 0, result.err
        assert "1 joined texts" in result.err
