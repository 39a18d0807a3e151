"""The record next to a file, and what further training takes over from what it starts from."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from expandr_repro.data.overlap.trained_on import (
    NAME,
    TRAINED_ON_HASH,
    TrainedOn,
    carried_on,
    read_record,
    record_beside,
    record_hash,
    write_record,
    write_trained_on,
)
from expandr_repro.errors import FormatError
from expandr_repro.io.files import sha256_file
from expandr_repro.io.manifest import write_manifest

ONE = TrainedOn("scifact", None, {"1": "a"}, frozenset({"7"}), ("scifact/test",))


@pytest.fixture
def said(caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("expandr_repro"), "propagate", True)
    return caplog


def test_a_files_record_bears_its_name_and_its_hash_is_known_before_it_is_written(tmp_path: Path):
    beside = record_beside(tmp_path / "pairs.jsonl")
    assert beside.name == "pairs.jsonl.trained_on.json.gz"
    assert write_record(beside, [ONE]) == record_hash([ONE]) == sha256_file(beside)
    assert read_record(beside) == [ONE]


@pytest.mark.parametrize("kind", ["encoder", "generator"])
def test_a_trained_folder_without_its_record_is_warned_of(tmp_path, said, kind):
    write_manifest(tmp_path / "manifest.json", kind, {})
    assert carried_on(tmp_path) == []
    assert "the record of what it was trained on (trained_on.json.gz) is missing" in said.text


def test_an_untrained_folder_and_a_file_of_someone_else_have_no_record_and_no_warning(tmp_path, said):
    write_manifest(tmp_path / "manifest.json", "faiss-index", {})
    (tmp_path / "x.jsonl").write_text("{}")
    assert carried_on(tmp_path) == carried_on(tmp_path / "x.jsonl") == []
    assert not said.text


def test_a_strangers_manifest_of_another_form_is_none_of_ours(tmp_path, said):
    (tmp_path / "manifest.json").write_text("[1]")
    assert carried_on(tmp_path) == []
    assert not said.text


def test_pairs_that_lost_their_record_are_warned_of(tmp_path, said):
    (tmp_path / "pairs.jsonl").write_text("{}")
    write_manifest(tmp_path / "pairs.jsonl.manifest.json", "preference-pairs", {TRAINED_ON_HASH: "0" * 64})
    assert carried_on(tmp_path / "pairs.jsonl") == []
    assert "pairs.jsonl.trained_on.json.gz" in said.text


def test_a_record_of_something_else_is_warned_of_and_used(tmp_path, said):
    write_manifest(tmp_path / "manifest.json", "encoder", {TRAINED_ON_HASH: "0" * 64})
    write_trained_on(tmp_path, [ONE])
    assert carried_on(tmp_path) == [ONE]
    assert "is not the record that the manifest next to it names" in said.text


@pytest.mark.parametrize(
    "entry",
    [
        {"docids": "abc"},
        {"held_out": "scifact/test"},
        {"corpus": 5},
        {"topics": ["1"]},
    ],
)
def test_a_value_of_another_type_is_a_damaged_record(tmp_path, entry):
    whole = {"collection": "a", "corpus": None, "topics": {}, "docids": [], "held_out": []} | entry
    (tmp_path / NAME).write_text(json.dumps({"version": 1, "trained_on": [whole]}))
    with pytest.raises(FormatError, match="the record of training data is damaged"):
        read_record(tmp_path / NAME)
