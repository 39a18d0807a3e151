"""Which split a training takes where none is named: train, never silently test."""

from __future__ import annotations

import pytest

from expandr_repro.data.splits import DEV, with_split
from expandr_repro.errors import ExpandrError


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.delenv("EXPANDR_DATA", raising=False)

    def make(*splits, name="mine"):
        for split in splits:
            path = tmp_path / name / "qrels" / f"{split}.tsv"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("q\td\t1\n")
        return tmp_path / name

    return make


def test_a_folder_means_its_train_split_and_a_split_is_what_it_says(folder):
    made = folder("test", "dev", "train")
    assert with_split(str(made), "--train") == f"{made}/train"
    assert with_split(f"{made}/", "--train") == f"{made}/train"
    assert with_split(str(made), "--dev-topics", DEV) == f"{made}/dev"
    for split in ("test", "dev", "train"):
        assert with_split(f"{made}/{split}", "--train") == f"{made}/{split}"


def test_a_folder_without_a_train_split_is_an_error_that_names_those_there_are(folder):
    made = folder("test", "dev")
    with pytest.raises(
        ExpandrError, match=r"--sft .*: which split\? There is no 'train'; the splits are: test, dev\. Name one, e\.g\."
    ):
        with_split(str(made), "--sft")


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("scifact", "scifact/train"),
        ("irds:beir/scifact", "scifact/train"),
        ("beir-v1.0.0-scifact.flat", "scifact/train"),
        ("msmarco", "msmarco/train"),
        ("scifact/test", "scifact/test"),
        ("irds:beir/scifact/test", "irds:beir/scifact/test"),
        ("beir-v1.0.0-scifact-test", "beir-v1.0.0-scifact-test"),
        ("no-such-thing", "no-such-thing"),
        ("topics.jsonl", "topics.jsonl"),
    ],
)
def test_a_known_collection_means_its_train_split_by_any_of_its_names(name, wanted, monkeypatch):
    monkeypatch.delenv("EXPANDR_DATA", raising=False)
    assert with_split(name, "--train") == wanted


@pytest.mark.parametrize("name", ["pocket", "cacm", "dl19-passage"])
def test_a_known_collection_without_a_train_split_is_an_error(name, monkeypatch):
    monkeypatch.delenv("EXPANDR_DATA", raising=False)
    with pytest.raises(ExpandrError, match=rf"--train {name}: which split\? .* e\.g\. --train {name}/test"):
        with_split(name, "--train")


def test_of_a_known_collection_only_the_splits_that_are_there_count(folder, tmp_path, monkeypatch):
    folder("test", name="scifact")
    monkeypatch.setenv("EXPANDR_DATA", str(tmp_path))
    with pytest.raises(ExpandrError, match="the splits are: test"):
        with_split("scifact", "--gold")
