from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from expandr_repro.regress import needs
from expandr_repro.regress.conditions.reading import conditions

ROOT = Path(__file__).parents[3]
KNOWN = {c.name: c.regression for c in conditions(ROOT / "regressions")}


def lacking(name, **changes):
    return needs.missing(replace(KNOWN[name], **changes))


def test_a_condition_without_needs_lacks_nothing():
    assert lacking("pocket.minilm.none") == []


def test_without_a_java_the_reason_is_given(monkeypatch):
    monkeypatch.setattr("expandr_repro.pyserini.java.candidates", lambda: iter(()))
    (reason,) = lacking("pocket.bm25.none")
    assert reason.startswith("needs jvm: no Java 21 or newer")


def test_a_machine_that_is_offline_by_choice_is_not_asked(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("socket.create_connection", lambda *_, **__: pytest.fail("asked"))
    assert "offline by choice" in lacking("scifact.contriever.none")[0]


def test_a_machine_without_a_network_is_found_out_once(monkeypatch):
    asked = []

    def refuse(*_, **__):
        asked.append(1)
        raise OSError(101, "Network is unreachable")

    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("socket.create_connection", refuse)
    needs._unreachable.cache_clear()
    try:
        for _ in range(2):
            assert lacking("scifact.contriever.none", needs=["network"]) == [
                "needs network: huggingface.co cannot be reached (Network is unreachable)"
            ]
    finally:
        needs._unreachable.cache_clear()
    assert asked == [1]


def test_data_that_is_not_there_is_named(monkeypatch, tmp_path):
    monkeypatch.delenv("EXPANDR_DATA", raising=False)
    assert "EXPANDR_DATA is not set" in lacking("scifact.minilm.none")[0]
    monkeypatch.setenv("EXPANDR_DATA", str(tmp_path / "none"))
    assert "no such folder" in lacking("scifact.minilm.none")[0]
    monkeypatch.setenv("EXPANDR_DATA", str(tmp_path))
    assert f"{tmp_path} has no scifact/" in lacking("scifact.minilm.none")[0]
    (tmp_path / "scifact").mkdir()
    assert lacking("scifact.minilm.none") == []
    (reason,) = lacking("scifact.minilm.query2doc-gpt-41")
    assert reason.endswith("expansions/scifact.test.query2doc-zs.gpt-4.1.jsonl: no such file")


def test_a_trained_encoder_that_is_not_there_is_named(monkeypatch, tmp_path):
    stages = KNOWN["scifact.expandr.expandr-llm"].stages
    monkeypatch.delenv("EXPANDR_MODELS", raising=False)
    assert "EXPANDR_MODELS is not set" in lacking("pocket.minilm.none", needs=["models"], stages=stages)[0]
    monkeypatch.setenv("EXPANDR_MODELS", str(tmp_path))
    (reason,) = lacking("pocket.minilm.none", needs=["models"], stages=stages)
    assert reason == f"needs models: {tmp_path} has no expandr-retriever"
    (tmp_path / "expandr-retriever").mkdir()
    assert lacking("pocket.minilm.none", needs=["models"], stages=stages) == []
