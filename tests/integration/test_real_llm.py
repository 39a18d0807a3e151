"""A real LLM of 135 million parameters: as a GGUF file, as a folder, behind a server, and three steps of each training.

The file is assembled by the tool beside the data (`$EXPANDR_DATA/../tools/real_models.py`) and kept in `$EXPANDR_TEST_CACHE`.
"""

from __future__ import annotations

import importlib.util
import json
import math
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from expandr_repro.data.topics import read_topics
from expandr_repro.io.paths import resource
from expandr_repro.llm.prompts import find_prompt, prepare
from expandr_repro.prefer.pairs import PreferencePair, write_pairs
from expandr_repro.training.metrics_log import read_metrics

FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
TOPICS, TOKENS = 20, 16

TRAINING = ["--device", "cpu", "--set", "precision=fp32", "--set", "max_steps=3", "--set", "logging_steps=1", "--set", "gradient_accumulation=1",
            "--set", "max_prompt_length=120", "--set", "learning_rate=1e-3", "--set", "keep_best=false"]  # fmt: skip


def have(*packages):
    """Skip, by name, where a package is missing."""
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} is not installed")


@pytest.fixture(scope="module")
def gguf(data, cache):
    """The model's file; fetched once."""
    have("gguf")
    kept, tool = cache / "models" / FILE, data.parent / "tools" / "real_models.py"
    if kept.is_file():
        return kept
    if not tool.is_file():
        pytest.skip("tools/real_models.py is not beside the data: SmolLM2-135M-Instruct cannot be had")
    fresh = kept.parent / "fetching"
    try:
        subprocess.run(
            [sys.executable, tool, "get", "smollm2-135m", fresh], check=True, capture_output=True, timeout=120
        )
        (fresh / FILE).replace(kept)
    except (subprocess.SubprocessError, OSError) as error:
        pytest.skip(f"SmolLM2-135M-Instruct cannot be fetched: {type(error).__name__}")
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return kept


@pytest.fixture(scope="module")
def folder(gguf, tmp_path_factory):
    """The same model as a folder of safetensors."""
    from expandr_repro.llm.local.gguf import converted

    made = tmp_path_factory.mktemp("real") / "smollm2-135m"
    shutil.copytree(converted(gguf)[0], made)
    return made


def expand(command, model, output, *more, topics=TOPICS):
    made = command(
        "expand",
        "--topics",
        "pocket/test",
        "--limit",
        topics,
        "--model",
        model,
        "--max-tokens",
        TOKENS,
        "--output",
        output,
        *more,
    )
    assert made.code == 0, made.err
    return read_topics(output)


LOCAL = ("--backend", "transformers", "--device", "cpu", "--batch-size", TOPICS)


def check_search(command, output, pocket_index, tmp_path):
    """Count the texts, and search with them."""
    stats = command("expand", "stats", output)
    assert stats.code == 0, stats.err
    assert "words of an expansion" in stats.out
    words = ["--topics", "pocket/test", "--index", pocket_index, "--expansions", output, "--limit", TOPICS]
    made = command("search", *words, "--output", tmp_path / "run.trec", "--metrics", "nDCG@10", "--format", "json")
    assert made.code == 0, made.err
    lines = (tmp_path / "run.trec").read_text().splitlines()
    assert len({line.split()[0] for line in lines}) == TOPICS


def test_a_gguf_file_writes_texts_that_are_counted_and_searched_with(command, gguf, pocket_index, tmp_path):
    topics = expand(command, gguf, tmp_path / "x.jsonl", *LOCAL)
    assert sum(bool(t.texts) for t in topics) >= TOPICS - 2
    assert all(t.provenance["model"] == FILE for t in topics if t.provenance)
    check_search(command, tmp_path / "x.jsonl", pocket_index, tmp_path)


def test_a_gguf_file_and_its_folder_give_the_same_logits_and_the_same_greedy_texts(command, gguf, folder, tmp_path):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from expandr_repro.llm.local.chat import prompt_ids

    tokenizer = AutoTokenizer.from_pretrained(folder)
    ids = torch.tensor(prompt_ids(tokenizer, ["What makes a cat drink a lot of water?"]))
    with torch.inference_mode():
        direct = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.bfloat16).eval()
        wanted = direct(input_ids=ids).logits.float()
        del direct
        found = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).eval()(input_ids=ids).logits.float()
    assert (wanted - found).abs().max() <= 1e-3
    greedy = [*LOCAL, "--temperature", "0", "--precision", "bf16"]
    texts = [
        [t.texts for t in expand(command, model, tmp_path / f"{n}.jsonl", *greedy, topics=4)]
        for n, model in enumerate((gguf, folder))
    ]
    assert texts[0] == texts[1]
    assert sum(map(len, texts[0])) >= 3


@pytest.fixture
def served(folder, tmp_path):
    """The folder behind `transformers serve`, on a free port."""
    have("fastapi", "uvicorn")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [
        "serve",
        folder,
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--device",
        "cpu",
        "--dtype",
        "float32",
        "--continuous-batching",
    ]
    with (tmp_path / "server.log").open("w") as log:
        process = subprocess.Popen(
            [Path(sys.executable).with_name("transformers"), *words],
            stdout=log,
            stderr=log,
            env=os.environ | {"HF_HUB_OFFLINE": "1"},
        )
    end = time.monotonic() + 90
    try:
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
                    break
            except (urllib.error.URLError, OSError):
                if process.poll() is not None or time.monotonic() > end:
                    pytest.fail("transformers serve does not come up: " + (tmp_path / "server.log").read_text()[-500:])
                time.sleep(0.2)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def test_a_real_server_is_an_endpoint_like_any_other(command, served, folder, pocket_index, tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    topics = expand(command, folder, tmp_path / "x.jsonl", "--base-url", served, "--concurrency", TOPICS)
    assert sum(bool(t.texts) for t in topics) >= TOPICS - 2
    check_search(command, tmp_path / "x.jsonl", pocket_index, tmp_path)


def test_dpo_takes_three_steps_on_a_gguf_file_and_the_adapter_writes(command, gguf, tmp_path):
    name, spec = find_prompt("q2d", None)
    prompt = prepare(name, spec)
    topics = [t for t in read_topics(resource("pocket") / "queries.jsonl") if len(t.title) < 40][:5]
    pairs = [PreferencePair(t.qid, prompt.render(t.title), t.texts[0], "I like trains.", 2.0, 0.5) for t in topics]
    write_pairs(tmp_path / "pairs.jsonl", pairs[:3])
    write_pairs(tmp_path / "dev.jsonl", pairs[3:])
    files = [
        "--pairs",
        tmp_path / "pairs.jsonl",
        "--dev-pairs",
        tmp_path / "dev.jsonl",
        "--model",
        gguf,
        "--output",
        tmp_path / "dpo",
    ]
    made = command(
        "train_generator", *files, *TRAINING, "--set", "batch_size=1", "--set", "max_length=144", "--format", "json"
    )
    assert made.code == 0, made.err
    report = json.loads(made.out)
    assert report["steps"] == 3
    assert report["texts"] == 2
    losses = [r["loss"] for r in read_metrics(tmp_path / "dpo" / "metrics.jsonl") if "loss" in r]
    assert len(losses) == 3
    assert losses[0] == pytest.approx(math.log(2), abs=0.01)
    assert losses[2] < losses[0]
    assert json.loads((tmp_path / "dpo" / "manifest.json").read_text())["base"]["model"] == FILE
    assert expand(command, gguf, tmp_path / "x.jsonl", *LOCAL, "--adapter", tmp_path / "dpo", topics=2)


def test_grpo_takes_three_steps_on_a_gguf_file_with_real_searches(command, gguf, pocket_index, tmp_path):
    words = [
        "--grpo",
        "--topics",
        "pocket/test",
        "--dev",
        "3",
        "--index",
        pocket_index,
        "--model",
        gguf,
        "--output",
        tmp_path / "grpo",
    ]
    settings = [
        "reward=retriever=1,delta-ndcg=1",
        "batch_size=4",
        "group_size=4",
        f"max_completion_length={TOKENS}",
        "eval_steps=null",
    ]
    made = command(
        "train_generator", *words, *TRAINING, *(x for s in settings for x in ("--set", s)), "--format", "json"
    )
    assert made.code == 0, made.err
    records = read_metrics(tmp_path / "grpo" / "metrics.jsonl")
    assert [r["step"] for r in records if "reward" in r] == [1, 2, 3]
    assert [r["step"] for r in records if "eval_nDCG@10" in r] == [0, 3]
    assert next(r["kl"] for r in records if "kl" in r) == pytest.approx(0, abs=1e-4)
    assert {row[""] for row in json.loads(made.out)["measures"]} >= {"validation nDCG@10", "words per text", "refusals"}
