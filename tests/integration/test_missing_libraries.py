"""Commands where a library is not installed or does not load: one line that names it and what to install."""

from __future__ import annotations

import json

import pytest

from expandr_repro.data.topics import read_topics
from expandr_repro.errors import missing_library
from tests.tiny_bert import save_tiny_bert
from tests.tiny_llama import save_tiny_llama

HOOK = """
import os, sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == os.environ["MISSING"]:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
"""

INSTALL = {
    "torch": "torch", "transformers": "transformers", "faiss": "faiss-cpu", "peft": "expandr-repro[train]", "trl": "expandr-repro[train]",
    "sentence_transformers": "expandr-repro[train]", "ranx": "ranx",
}  # fmt: skip


@pytest.fixture(scope="module")
def files(tmp_path_factory, root):
    folder = tmp_path_factory.mktemp("files")
    (folder / "sitecustomize.py").write_text(HOOK)
    save_tiny_bert(folder / "bert")
    save_tiny_llama(folder / "llama")
    topics = read_topics(root / "expandr_repro/resources/pocket/queries.jsonl")
    with (folder / "candidates.jsonl").open("w") as file:
        for topic in topics:
            texts = [{"text": text, "sampling": {}} for text in ("a bird of the night", "some fruit in a cake")]
            file.write(
                json.dumps({"qid": topic.qid, "title": topic.title, "expansions": texts, "provenance": {}}) + "\n"
            )
    with (folder / "pairs.jsonl").open("w") as file:
        for topic in topics:
            pair = {
                "prompt": topic.title,
                "chosen": "a bird",
                "rejected": "a cake",
                "chosen_reward": 1.0,
                "rejected_reward": 0.5,
            }
            file.write(json.dumps({"qid": topic.qid, **pair}) + "\n")
    return folder


ENCODER = "--encoder {folder}/bert --pooling mean --normalize --device cpu"

COMMANDS = {
    "search": f"--topics pocket {ENCODER} --no-vector-cache --index pocket",
    "encode": f"--corpus pocket --output {{folder}}/index {ENCODER}",
    "expand": "--topics pocket --backend transformers --model {folder}/llama --output {folder}/o.jsonl --max-tokens 2",
    "prefer": f"--candidates {{folder}}/candidates.jsonl --gold pocket/test --reward retriever=1 --output {{folder}}/p.jsonl {ENCODER}",
    "train_encoder": f"--train pocket/test --output {{folder}}/e --set epochs=1 --set hard_negatives=0 {ENCODER}",
    "train_generator": "--pairs {folder}/pairs.jsonl --model {folder}/llama --output {folder}/g --device cpu",
}


@pytest.mark.parametrize(
    ("command", "missing"),
    [
        *((command, "torch") for command in COMMANDS),
        ("search", "transformers"), ("expand", "transformers"), ("train_generator", "transformers"),
        ("search", "faiss"), ("encode", "faiss"), ("search", "ranx"),
        ("train_generator", "peft"), ("train_generator", "trl"), ("train_encoder", "sentence_transformers"),
    ],
)  # fmt: skip
def test_a_library_that_is_not_installed_is_one_line_with_what_to_install(process, files, command, missing, root):
    if command == "train_encoder":
        pytest.importorskip("sentence_transformers")
    if command == "train_generator":
        pytest.importorskip("trl")
    environment = {"PYTHONPATH": f"{files}:{root}", "MISSING": missing, "PYTHONWARNINGS": "ignore"}
    environment["EXPANDR_CACHE"] = str(files / "cache")  # an index that is there would be taken, without faiss
    result = process(f"expandr_repro.{command}", *COMMANDS[command].format(folder=files).split(), env=environment)
    assert result.code == 2
    assert f"needs {missing}" in result.error
    assert f"`pip install {INSTALL[missing]}`" in result.error


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ModuleNotFoundError("No module named 'faiss.swigfaiss'", name="faiss.swigfaiss"), "this needs faiss, which is not installed; run `pip install faiss-cpu`"),
        (ImportError("libcudart.so.12: cannot open shared object file", name="torch._C"), "torch is installed and does not load (libcudart.so.12: cannot open shared object file)"),
        (ImportError("\nAutoModel requires the PyTorch library but it was not found"), "this needs torch, which is not installed; run `pip install torch`"),
    ],
)  # fmt: skip
def test_each_way_a_library_can_be_missing_is_said(error, said):
    assert missing_library(error).startswith(said)


def test_what_is_no_librarys_fault_is_not_called_one():
    assert missing_library(ValueError("torch")) is None
    assert missing_library(ImportError("cannot import name 'x'", name="expandr_repro.cli")) is None
