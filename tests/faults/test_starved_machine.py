"""A machine without memory, room or network, as real processes meet it."""

from __future__ import annotations

import http.server
import os
import resource
import subprocess
import sys
import threading

import numpy as np
import pytest

from expandr_repro.io.paths import resource as packaged
from tests.faults.harness import ROOT, snapshot

AREA = "Starved"

CORPUS = packaged("pocket") / "corpus.jsonl"


class Trouble(http.server.BaseHTTPRequestHandler):
    """A hub in trouble: 500 whatever is asked for."""

    def do_GET(self) -> None:
        self.send_error(500)

    do_HEAD = do_POST = do_GET  # noqa: N815

    def log_message(self, *arguments) -> None:
        pass


@pytest.fixture(scope="module")
def hub():
    """The address of a hub that answers 500."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Trouble)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


NOWHERE = "http://127.0.0.1:9"

FETCHED = {
    "an encoder": ("search", "--topics", "pocket", "--encoder", "nobody/nothing", "--output", "run.trec"),
    "a generator": ("expand", "--backend", "transformers", "--topics", "pocket", "--model", "nobody/nothing", "--store", "s.sqlite", "--output", "t.jsonl"),
    "a model to train": ("train_generator", "--sft", "pocket/test", "--model", "nobody/nothing", "--output", "adapter"),
    "a dataset": ("search", "--topics", "irds:beir/scifact/test", "--output", "run.trec"),
    "a prebuilt index": ("search", "--topics", "pocket", "--index", "beir-v1.0.0-nfcorpus.bge-base-en-v1.5", "--output", "run.trec"),
}  # fmt: skip


@pytest.mark.parametrize("answer", ["500", "nothing"])
@pytest.mark.parametrize("what", FETCHED)
def test_what_cannot_be_fetched_is_one_line_and_leaves_nothing(process, hub, tmp_path, what, answer):
    address = hub if answer == "500" else NOWHERE
    env = {
        "HF_HUB_OFFLINE": None, "HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "hf"), "https_proxy": address, "http_proxy": None,
        "HTTPS_PROXY": address, "NO_PROXY": "127.0.0.1", "IR_DATASETS_HOME": str(tmp_path / "irds"), "EXPANDR_DATA": None,
        "PYSERINI_CACHE": str(tmp_path / "pyserini"), "PYTHONPATH": str(ROOT),
    }  # fmt: skip
    (tmp_path / "here").mkdir()
    command, *arguments = FETCHED[what]
    result = process(f"expandr_repro.{command}", *arguments, env=env, cwd=tmp_path / "here")
    assert result.code == 2, result.err
    assert len(result.error) < 800
    assert [p.name for p in (tmp_path / "here").iterdir() if not p.name.startswith("s.sqlite")] == []


@pytest.mark.parametrize("name", ["encode", "encode to HNSW", "prefer", "search", "train_encoder", "train_generator"])
def test_a_limit_on_the_size_of_files_is_one_line_and_leaves_nothing(all_stages, tmp_path, name):
    """A real limit of the system: of what is larger than 3 kB, no more than that can be written."""
    stage = all_stages[name]
    ended = subprocess.run(
        [sys.executable, "-m", f"expandr_repro.{stage.command}", *map(str, stage.arguments)], cwd=tmp_path, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "EXPANDR_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1", **stage.env},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000)), timeout=300, check=False,
    )  # fmt: skip
    assert ended.returncode == 2, ended.stderr
    assert [line[:7] for line in ended.stderr.splitlines() if not line.startswith(("note: ", "warning: "))] == [
        "error: "
    ], ended.stderr
    assert snapshot(tmp_path, stage.finals) == {}
    assert [p.name for p in tmp_path.iterdir() if p.name.endswith(".tmp")] == []


def test_a_gpu_without_room_for_a_batch_gets_half_of_it_and_says_so(command, monkeypatch, tmp_path):
    import torch

    from expandr_repro.encoders.encoder import Encoder

    monkeypatch.setattr("expandr_repro.encoders.encoder.load_onnx", lambda *_: None)  # torch, as on a GPU
    embed, most = Encoder._vectors, 3

    def little(self, ids):
        if len(ids) > most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return embed(self, ids)

    corpus = tmp_path / "corpus.jsonl"
    corpus.write_text("".join(CORPUS.read_text(encoding="utf-8").splitlines(keepends=True)[:24]), encoding="utf-8")
    assert command("encode", "--corpus", corpus, "--output", tmp_path / "whole").code == 0
    monkeypatch.setattr(Encoder, "_vectors", little)
    halved = command("encode", "--corpus", corpus, "--output", tmp_path / "halved")
    assert halved.code == 0
    assert "out of memory" in halved.err
    assert "going on with half" in halved.err
    vectors = [np.fromfile(tmp_path / name / "index", dtype="<f4", offset=45) for name in ("whole", "halved")]
    np.testing.assert_allclose(*vectors, atol=1e-6)


def test_a_gpu_without_room_for_one_text_is_one_line(command, monkeypatch, tmp_path):
    import torch

    from expandr_repro.encoders.encoder import Encoder

    monkeypatch.setattr("expandr_repro.encoders.encoder.load_onnx", lambda *_: None)  # torch, as on a GPU

    def none(self, ids):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    monkeypatch.setattr(Encoder, "_vectors", none)
    (tmp_path / "corpus.jsonl").write_text('{"_id": "d", "text": "a corpus that no test before has encoded"}\n')
    result = command("encode", "--corpus", tmp_path / "corpus.jsonl", "--output", tmp_path / "index")
    assert result.code == 2
    assert "lower the maximum length or use --device cpu" in result.error
    assert not (tmp_path / "index").exists()
