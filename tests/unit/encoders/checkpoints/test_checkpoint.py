from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from expandr_repro.data.specs import EncoderSpec
from expandr_repro.encoders.checkpoints.checkpoint import fingerprint, is_sentence_transformers, locate, spec_of_folder
from expandr_repro.errors import FormatError, NotAvailableError

POOLING = "1_Pooling/config.json"


def modules(*names: str) -> str:
    paths = {"Transformer": "", "Pooling": "1_Pooling"}
    return json.dumps(
        [
            {"idx": i, "type": f"sentence_transformers.models.{n}", "path": paths.get(n, f"{i}_{n}")}
            for i, n in enumerate(names)
        ]
    )


@pytest.fixture
def folder(write, tmp_path) -> Path:
    """Lay out a sentence-transformers folder of mean pooling and unit vectors."""
    write("modules.json", modules("Transformer", "Pooling", "Normalize"))
    write(POOLING, json.dumps({"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}))
    write("sentence_bert_config.json", json.dumps({"max_seq_length": 128}))
    return tmp_path


def test_a_folder_is_located_where_it_is(tmp_path):
    assert locate(str(tmp_path)) == tmp_path


def test_a_packages_weights_are_located_in_the_package():
    import expandr_repro

    assert locate("package:expandr_repro/resources") == Path(expandr_repro.__file__).parent / "resources"


@pytest.mark.parametrize("package", ["no_such_package", "no_such.package", ""])
def test_a_package_that_is_not_installed_gets_its_install_command(package):
    with pytest.raises(NotAvailableError) as caught:
        locate(f"package:{package}/model")
    assert str(caught.value) == (
        f"package:{package}/model: the Python package {package} is not installed; "
        f"run `pip install {package.replace('_', '-')}`"
    )


@pytest.mark.parametrize("model", ["./none", "/none/at/all", "~/none", "bare-name", "a/b/c"])
def test_what_is_neither_a_folder_nor_a_hub_name_is_not_looked_up(model):
    with pytest.raises(NotAvailableError, match="no such model folder, and no hub name"):
        locate(model)


def test_a_fingerprint_is_the_same_in_another_place(write, tmp_path):
    for place in ("a", "b"):
        write(f"{place}/model.safetensors", "weights")
        write(f"{place}/sub/config.json", "{}")

    assert fingerprint(tmp_path / "a") == fingerprint(tmp_path / "b")
    assert len(fingerprint(tmp_path / "a")) == 32


@pytest.mark.parametrize(
    "name", ["model.safetensors", "config.json", "vocab.txt", "tokenizer.model", "1_Pooling/config.json"]
)
def test_a_file_that_decides_the_vectors_changes_the_fingerprint(write, tmp_path, name):
    write(name, "one")
    before = fingerprint(tmp_path)
    write(name, "two")

    assert fingerprint(tmp_path) != before


@pytest.mark.parametrize(
    "name", ["README.md", "manifest.json", "data_config.json", "log.csv", "checkpoint-10/model.safetensors"]
)
def test_a_file_that_does_not_leaves_the_fingerprint(write, tmp_path, name):
    write("model.safetensors", "weights")
    before = fingerprint(tmp_path)
    write(name, "more")

    assert fingerprint(tmp_path) == before


def test_a_renamed_file_changes_the_fingerprint(write, tmp_path):
    path = write("a.json", "{}")
    before = fingerprint(tmp_path)
    path.rename(tmp_path / "b.json")

    assert fingerprint(tmp_path) != before


def test_a_folder_with_modules_is_one_of_sentence_transformers(folder, tmp_path_factory):
    assert is_sentence_transformers(folder)
    assert not is_sentence_transformers(tmp_path_factory.mktemp("plain"))


@pytest.mark.parametrize("name", ["CNN", "LSTM", "Router", "WeightedLayerPooling", "SpladePooling"])
def test_modules_that_our_encoder_lacks_are_refused_by_name(write, folder, name):
    write("modules.json", modules("Transformer", "Pooling", name))
    with pytest.raises(
        FormatError, match=rf"modules\.json: its module sentence_transformers\.models\.{name}, which is not"
    ):
        spec_of_folder(folder)


def test_the_modules_after_pooling_are_kept_in_order(write, folder):
    write("modules.json", modules("Transformer", "Pooling", "Normalize", "Dense", "Dropout", "LayerNorm", "Normalize"))
    spec = spec_of_folder(folder)
    assert spec.modules == ["Normalize", "Dense:3_Dense", "LayerNorm:5_LayerNorm"]
    assert spec.normalize is True


def test_the_settings_of_a_folder_are_read(folder):
    assert spec_of_folder(folder) == EncoderSpec(
        model=str(folder),
        pooling="mean",
        normalize=True,
        query_max_length=128,
        document_max_length=128,
        source=f"modules.json of {folder.name}",
    )


def test_without_a_normalize_module_vectors_keep_their_length(write, folder):
    write("modules.json", modules("Transformer", "Pooling"))

    assert spec_of_folder(folder).normalize is False


@pytest.mark.parametrize(
    ("config", "pooling"),
    [
        ({"pooling_mode_cls_token": True}, "cls"),
        ({"pooling_mode_mean_tokens": True}, "mean"),
        ({"pooling_mode_lasttoken": True}, "last"),
        ({"pooling_mode": "cls"}, "cls"),
        ({"pooling_mode": "lasttoken"}, "last"),
        ({"pooling_mode": "mean", "pooling_mode_cls_token": True}, "mean"),
        ({}, "mean"),
        ({"pooling_mode_max_tokens": True}, "max"),
        ({"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": True}, "cls+mean"),
        ({"pooling_mode": ["weightedmean", "mean_sqrt_len_tokens"]}, "weighted-mean+mean-sqrt-len"),
    ],
)
def test_the_pooling_is_read_in_its_old_and_new_form(write, folder, config, pooling):
    write(POOLING, json.dumps(config))

    assert spec_of_folder(folder).pooling == pooling


@pytest.mark.parametrize("config", [{"pooling_mode": "median"}, {"pooling_mode": []}, {"pooling_mode": {}}])
def test_another_pooling_is_refused_with_its_file(write, folder, config):
    write(POOLING, json.dumps(config))

    with pytest.raises(FormatError, match=r"1_Pooling/config\.json: the pooling is .*, which is not supported here"):
        spec_of_folder(folder)


def test_the_prompts_become_prefixes(write, folder):
    write("config_sentence_transformers.json", json.dumps({"prompts": {"query": "query: ", "document": "passage: "}}))

    spec = spec_of_folder(folder)
    assert (spec.query_prefix, spec.document_prefix) == ("query: ", "passage: ")


def test_prompts_that_encode_document_does_not_use_are_warned_of(write, folder, caplog):
    write("config_sentence_transformers.json", json.dumps({"prompts": {"passage": "p: "}}))

    assert spec_of_folder(folder).document_prefix == ""
    assert "the prompt 'passage' ('p: ') is not used" in caplog.text


def test_what_a_folder_does_not_say_is_taken_from_the_base(write, folder):
    (folder / "sentence_bert_config.json").unlink()
    base = EncoderSpec("elsewhere", revision="r", query_prefix="q: ", document_prefix="d: ", document_max_length=99)

    spec = spec_of_folder(folder, base)
    assert (spec.model, spec.revision, spec.query_prefix, spec.document_prefix, spec.query_max_length) == (
        str(folder), "r", "q: ", "d: ", 99,
    )  # fmt: skip


def test_the_length_may_be_the_tokenizers(write, folder):
    (folder / "sentence_bert_config.json").unlink()
    write("tokenizer_config.json", json.dumps({"model_max_length": 256}))

    assert spec_of_folder(folder).document_max_length == 256


@pytest.mark.parametrize("unlimited", [int(1e30), 1e30, None])
def test_a_tokenizer_without_a_limit_says_nothing_of_the_length(write, folder, unlimited):
    (folder / "sentence_bert_config.json").unlink()
    write("tokenizer_config.json", json.dumps({"model_max_length": unlimited}))

    assert spec_of_folder(folder).document_max_length == 512


def test_a_plain_folder_keeps_the_base_with_its_own_place(tmp_path):
    assert spec_of_folder(tmp_path, EncoderSpec("elsewhere", pooling="last")) == EncoderSpec(
        str(tmp_path), pooling="last"
    )


def test_a_broken_settings_file_is_named(write, folder):
    write("modules.json", "{")

    with pytest.raises(FormatError, match=r"modules\.json: not JSON"):
        spec_of_folder(folder)


def test_a_remembered_fingerprint_is_that_of_the_files_as_they_are(tmp_path, monkeypatch):
    monkeypatch.setenv("EXPANDR_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "model"
    folder.mkdir()
    weights = folder / "model.safetensors"
    weights.write_bytes(b"a" * 100)
    assert not (tmp_path / "cache").exists()
    fresh = fingerprint(folder)
    assert not list(tmp_path.glob("cache/fingerprints/*"))  # it may change again within the same tick of the clock
    monkeypatch.setattr("expandr_repro.encoders.checkpoints.checkpoint.SETTLED_NS", -(10**12))
    assert fingerprint(folder) == fresh
    (memo,) = tmp_path.glob("cache/fingerprints/*")
    with monkeypatch.context() as patch:
        patch.setattr("expandr_repro.encoders.checkpoints.checkpoint.sha256_file", lambda _: pytest.fail("read again"))
        assert fingerprint(folder) == fresh
    memo.write_text("damaged")
    assert fingerprint(folder) == fresh
    stat = weights.stat()
    weights.write_bytes(b"b" * 100)
    os.utime(weights, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # the time of its inode still tells
    assert fingerprint(folder) != fresh


NO_OBJECTS = ["[1]", "5", "null", "[" * 100_000]
ODD_OBJECTS = ['{"prompts": 5, "pooling_mode": []}', '{"prompts": {"query": 5}, "pooling_mode": {}}']


@pytest.mark.parametrize(
    ("name", "content"),
    [(name, content) for name in (POOLING, "config_sentence_transformers.json") for content in NO_OBJECTS + ODD_OBJECTS]
    + [("sentence_bert_config.json", content) for content in NO_OBJECTS],
)
def test_a_settings_file_of_another_shape_is_named(write, folder, name, content):
    path = write(name, content)

    with pytest.raises(FormatError) as caught:
        spec_of_folder(folder)
    assert str(caught.value).startswith(str(path))
