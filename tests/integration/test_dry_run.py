"""`--dry-run` shows what would be read, fetched, built and run, by names of either Pyserini, without a network."""

from __future__ import annotations

import json
import socket

import pytest

PREBUILT = "beir-v1.0.0-scifact.bge-base-en-v1.5"


@pytest.fixture(autouse=True)
def alone(monkeypatch, tmp_path):
    """No network, no collection, nothing fetched before."""

    def refuse(*_, **__):
        raise AssertionError("a dry run asks no network")

    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.delenv("EXPANDR_DATA", raising=False)
    monkeypatch.setenv("EXPANDR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PYSERINI_CACHE", str(tmp_path / "pyserini"))
    monkeypatch.setenv("IR_DATASETS_HOME", str(tmp_path / "irds"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    monkeypatch.chdir(tmp_path)


def steps(result):
    assert result.code == 0, result.err
    return {(s["step"], s["what"]): s for s in json.loads(result.out)}


def test_a_prebuilt_index_is_shown_with_address_size_and_checksum(command):
    found = steps(
        command("search", "--topics", "beir-v1.0.0-scifact-test", "--index", PREBUILT, "--dry-run", "--format", "json")
    )
    index = found["fetch", "index"]

    assert index["name"] == PREBUILT
    assert index["place"].endswith("/faiss-flat.beir-v1.0.0-scifact.bge-base-en-v1.5.20240107.tar.gz")
    assert (index["size"], index["checksum"]) == (14807082, "md5 248b6db6e61d18f17674219aecd8b41d")
    assert "Pyserini" in index["by"]
    assert found["fetch", "topics"]["checksum"].startswith("md5 ")
    assert found["read", "encoder"]["name"] == "all-MiniLM-L6-v2"
    assert ("run", "search") in found


def test_what_was_fetched_before_is_read(command, tmp_path):
    name = "faiss-flat.beir-v1.0.0-scifact.bge-base-en-v1.5.20240107.248b6db6e61d18f17674219aecd8b41d"
    (tmp_path / "pyserini" / "indexes" / name).mkdir(parents=True)
    found = steps(command("search", "--topics", "scifact", "--index", PREBUILT, "--dry-run", "--format", "json"))

    assert found["read", "index"]["place"].endswith(name)


def test_text_says_what_is_fetched_and_that_nothing_was_done(command, tmp_path):
    result = command(
        "search", "--topics", "scifact", "--index", PREBUILT, "--encoder", "bge-base-en-v1.5", "--output", "r.trec",
        "--dry-run",
    )  # fmt: skip

    assert result.code == 0
    assert "fetch  index" in result.out
    assert "14.8 MB  md5 248b6db6e61d18f17674219aecd8b41d" in result.out
    assert "hub model BAAI/bge-base-en-v1.5" in result.out
    assert "write  output" in result.out
    assert "to fetch: 3, 17.6 MB and 1 of unknown size. This was a dry run: nothing was done." in result.out
    assert not (tmp_path / "r.trec").exists()


def test_an_index_of_another_encoder_is_warned_of(command):
    result = command("search", "--topics", "scifact", "--index", PREBUILT, "--dry-run")

    assert "add --encoder bge-base-en-v1.5" in result.err


@pytest.mark.jvm
def test_topics_and_qrels_by_a_name_of_pyserinis_are_shown_with_their_address(command):
    found = steps(
        command(
            "search", "--topics", "dl21", "--qrels", "dl21-passage", "--index", "msmarco-v2-passage", "--retriever", "bm25",
            "--dry-run", "--format", "json",
        )
    )  # fmt: skip

    assert found["fetch", "topics"]["place"].startswith("https://")
    assert found["fetch", "qrels"]["place"].startswith("https://")
    assert found["fetch", "index"]["size"] > 1e9


def test_a_collections_own_index_is_built_from_its_documents(command):
    found = steps(command("search", "--topics", "pocket", "--dry-run", "--format", "json"))

    assert {("read", "topics"), ("read", "qrels"), ("read", "documents"), ("build", "index")} <= set(found)
    assert found["read", "topics"]["size"] > 0


def test_a_group_shows_each_member(command):
    result = command("search", "--topics", "cqadupstack", "--retriever", "bm25", "--dry-run", "--format", "json")

    assert len({s["name"] for s in json.loads(result.out) if s["what"] == "topics"}) == 12


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--topics", "scifat"), "did you mean 'scifact'?"),
        (("--topics", "scifact", "--index", "beir-v1.0.0-scifact.flat"), "--retriever bm25"),
        (("--topics", "scifact", "--index", PREBUILT, "--retriever", "bm25"), "--retriever dense"),
        (("--topics", "scifact", "--encoder", "bge-bas-en-v1.5"), "did you mean 'bge-base-en-v1.5'?"),
        (("--topics", "dl21", "--qrels", "dl21-passage"), "give --index"),
        (("--topics", "scifact", "--fusion", "men"), "did you mean 'mean'?"),
        (("--topics", "irds:nothing/there"), "ir_datasets id"),
        (("--topics", "./absent.tsv"), "no such file"),
    ],
)
def test_a_wrong_name_is_the_same_error_as_without_a_dry_run(command, words, says):
    result = command("search", *words, "--dry-run")

    assert result.code == 2
    assert says in result.error


def test_one_query_needs_an_index_and_an_encoder_alone(command):
    found = steps(command("search", "--query", "kiwi", "--index", "pocket", "--dry-run", "--format", "json"))

    assert set(found) == {("read", "documents"), ("build", "index"), ("read", "encoder"), ("run", "search")}


def test_expansions_are_read(command):
    words = ("--topics", "scifact", "--dry-run", "--format", "json", "--expansions")

    assert ("read", "expansions") in steps(command("search", *words, "claude.q2d"))
    assert "did you mean 'claude.q2d'?" in command("search", *words, "claude.q2").error


def test_encode_shows_documents_and_encoder(command, tmp_path):
    result = command("encode", "--corpus", "scifact", "--output", "index", "--encoder", "BAAI/bge-m3", "--dry-run")

    assert result.code == 0
    assert "fetch  documents   scifact  2.8 MB  md5 5f7d1de60b170fc8027bb7898e2efca1" in result.out
    assert "hub model BAAI/bge-m3" in result.out
    assert not (tmp_path / "index").exists()


def test_expand_shows_topics_it_would_fetch_and_counts_requests_where_it_has_them(command):
    common = ("--model", "gpt-4.1-nano", "--base-url", "http://localhost:1/v1", "--dry-run")
    absent = command("expand", "--topics", "scifact", *common)
    here = command("expand", "--topics", "pocket", *common)

    assert (absent.code, here.code) == (0, 0), absent.err + here.err
    assert "fetch  topics      scifact" in absent.out
    assert "model gpt-4.1-nano at http://localhost:1/v1" in absent.out
    assert "read   topics      pocket" in here.out
    assert "72" in here.out
