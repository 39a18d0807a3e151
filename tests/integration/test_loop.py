"""The example that runs the whole loop, as its reader would: every step a command, on a tiny language model and a real encoder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from expandr_repro.data.topics import read_topics
from expandr_repro.data.trec import read_qrels, read_run

LOOP = Path(__file__).resolve().parents[2] / "examples" / "loop"


def bash(*arguments, **variables):
    env = {**os.environ, "PYTHON": sys.executable, "OMP_NUM_THREADS": "2", **variables}
    return subprocess.run(
        ["bash", *map(str, arguments)], capture_output=True, text=True, env=env, timeout=900, check=False
    )


@pytest.fixture(scope="module")
def loop(tmp_path_factory):
    out = tmp_path_factory.mktemp("loop")
    done = bash(LOOP / "loop.sh", "small", out)
    assert done.returncode == 0, done.stdout + done.stderr
    return out, done


def test_the_loop_runs_from_candidates_to_the_comparison_of_four_runs(loop):
    out, done = loop
    assert [f"=== {n}." for n in range(1, 11)] == [
        f"=== {line.split()[1]}" for line in done.stdout.splitlines() if line.startswith("=== ")
    ]
    assert all(len(t.texts) == 4 for t in read_topics(out / "candidates.jsonl"))
    for name in ("base.none", "base.mean", "trained.none", "trained.mean"):
        assert len(read_run(out / f"{name}.trec")) == 72
    assert "trained.mean - base.none" in done.stdout
    assert (out / "differences.png").is_file()


def test_each_part_of_the_loop_says_what_made_it(loop):
    out, _ = loop
    adapter, encoder = (json.loads((out / name / "manifest.json").read_text()) for name in ("generator", "encoder"))
    assert adapter["training"] == "dpo"
    assert encoder["fusion"] == "mean"
    passages = read_topics(out / "test.q2d.jsonl")
    assert {t.provenance["adapter"] for t in passages} == {"generator"}
    assert {t.provenance["prompt"] for t in passages} == {"q2d"}


def test_the_papers_settings_are_complete_and_every_command_of_the_loop_takes_them(tmp_path):
    """Each command line is parsed by its command, with the paper's settings, and not run."""
    recorder = tmp_path / "python"
    recorder.write_text(f'#!/bin/sh\nprintf "%s\\n" "$*" >> {tmp_path}/lines\n')
    recorder.chmod(0o755)
    for name in ("accelerate", "torchrun"):
        (tmp_path / name).write_text(
            f'#!/bin/sh\nwhile [ "$1" != "-m" ]; do shift; done\nprintf "%s\\n" "$*" >> {tmp_path}/lines\n'
        )
        (tmp_path / name).chmod(0o755)
    done = bash(LOOP / "loop.sh", "paper", tmp_path / "out", PYTHON=str(recorder), EXPANDR_DATA="/data", PATH=f"{tmp_path}:{os.environ['PATH']}")  # fmt: skip
    assert done.returncode == 0, done.stderr
    import importlib

    lines = (tmp_path / "lines").read_text().splitlines()
    assert len(lines) == 13  # the negatives are given
    for line in lines:
        _, module, *arguments = line.split()
        importlib.import_module(f"{module}.__main__").build_parser().parse_args(arguments)
    assert any(
        "--candidates-per-topic 32 --min-similarity 0.6 --sample 30000 --dev 3000 --seed 42" in line for line in lines
    )


def test_rows_of_query_positive_and_negative_become_a_collection_that_training_reads(tmp_path, command):
    rows = [
        {"query": "what is a kiwi", "positive": "a bird of New Zealand", "negative": "a fruit with green flesh"},
        {"query": "what is a kiwi", "positive": "the kiwi is flightless", "negative": "a fruit with green flesh"},
        {"query": "green fruit", "positive": "a fruit with green flesh", "negative": "a bird of New Zealand"},
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    done = subprocess.run([sys.executable, LOOP / "echo.py", tmp_path / "rows.jsonl", "--output", tmp_path / "echo"], capture_output=True, text=True, check=True)  # fmt: skip
    assert "2 queries, 3 documents" in done.stdout
    qrels = read_qrels(tmp_path / "echo" / "qrels" / "train.tsv")
    assert sorted(map(len, qrels.values())) == [1, 2]
    from tiny_bert import save_tiny_bert

    bert = save_tiny_bert(tmp_path / "bert")
    result = command(
        "train_encoder", "--train", tmp_path / "echo" / "train", "--fusion", "none", "--negatives", tmp_path / "echo" / "negatives.trec", "--encoder", bert,
        "--pooling", "mean", "--normalize", "--device", "cpu", "--output", tmp_path / "out", "--set", "epochs=1", "--format", "json",
    )  # fmt: skip
    assert result.code == 0, result.err
    assert json.loads(result.out)["counts"]["topics for training"] == 2
