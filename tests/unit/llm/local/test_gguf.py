"""GGUF files by name and path, and what is no GGUF file."""

from __future__ import annotations

import pytest

from expandr_repro.errors import ExpandrError, FormatError, NotAvailableError
from expandr_repro.llm.local.gguf import converted, find_gguf, gguf_identity, is_gguf, require_local


@pytest.mark.parametrize(
    ("model", "known"),
    [("m.gguf", True), ("a/b/M.GGUF", True), ("org/repo:file.gguf", True), ("org/repo", False), ("gguf", False)],
)
def test_a_gguf_model_is_known_by_its_ending(model, known):
    assert is_gguf(model) is known


def test_a_folder_with_that_ending_is_a_model_folder(tmp_path):
    (tmp_path / "m.gguf").mkdir()
    assert not is_gguf(str(tmp_path / "m.gguf"))


def test_a_file_that_is_not_there_says_how_one_on_the_hub_is_named():
    with pytest.raises(NotAvailableError, match=r"org/repo:file\.gguf"):
        find_gguf("missing.gguf")


def test_a_file_that_is_none_is_one_error_that_names_it(tmp_path, monkeypatch):
    pytest.importorskip("gguf")
    monkeypatch.setenv("EXPANDR_CACHE", str(tmp_path / "cache"))
    (tmp_path / "m.gguf").write_bytes(b"not one")
    with pytest.raises(FormatError, match=r"m\.gguf: does not begin like a GGUF file"):
        converted(tmp_path / "m.gguf")


def test_its_name_and_hash_are_the_same_on_every_machine(tmp_path):
    (tmp_path / "m.gguf").write_bytes(b"GGUF")
    assert gguf_identity(str(tmp_path / "m.gguf"), "ab" * 32) == ("m.gguf", f"gguf-sha256:{'ab' * 16}.1")


def test_vllm_is_not_given_one():
    with pytest.raises(ExpandrError, match="--backend transformers"):
        require_local("vllm")
