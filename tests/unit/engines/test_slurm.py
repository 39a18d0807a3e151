"""The scripts for SLURM: shells read them, and the command lines in them are what was typed."""

from __future__ import annotations

import importlib
import re
import shlex
import subprocess

import pytest

from expandr_repro.engines.slurm import MARK


def printed(capsys, command, *words):
    module = importlib.import_module(f"expandr_repro.{command}.__main__")
    assert module.main([*words, "--engine", "slurm", "--print"]) == 0
    return capsys.readouterr().out


def files(text):
    """Return the scripts that a script writes: name -> text."""
    return dict(re.findall(rf"^cat > (\S+) <<'{MARK}'\n(.*?)^{MARK}$", text, re.M | re.S))


ENCODE = ["--corpus", "my corpus's.jsonl", "--output", "in dex", "--factory", "SQ8", "--precision", "bf16"]


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("encode", ENCODE),
        ("search", ["--topics", "t.jsonl", "--index", "part 0", "part1", "--search-params", "nprobe=4", "--output", "r"]),
        ("expand", ["--topics", "t", "--model", "m", "--temperature", "0.8,1.0", "--samples", "2", "--extra", '{"top_k": 5}', "--output", "o"]),
        ("prefer", ["--candidates", "c", "--gold", "scifact/train", "--output", "p.jsonl"]),
    ],
)  # fmt: skip
def test_bash_reads_what_is_printed_and_every_script_in_it(command, words, capsys, tmp_path):
    text = printed(capsys, command, *words, "--workers", "3")
    scripts = files(text)
    assert f"{command}.ray.sbatch" in scripts
    for script in (text, *scripts.values()):
        subprocess.run(["bash", "-n"], input=script, text=True, check=True, capture_output=True)
    ray = scripts[f"{command}.ray.sbatch"]
    assert "#SBATCH --nodes=3" in ray
    line = next(line for line in ray.splitlines() if line.startswith("srun ray symmetric-run"))
    assert "--min-nodes 3 --" in line
    # without either, the other machines never find the first (tried on SLURM with Ray 2.60)
    assert {"export RAY_AUTH_MODE=token", "export GRPC_DNS_RESOLVER=native"} <= set(ray.splitlines())
    typed = shlex.split(line.partition(f"expandr_repro.{command} ")[2])
    assert [w for w in words if w not in typed] == []
    assert typed[-6:] == ["--engine", "ray", "--gpus-per-worker", "1", "--address", "auto"]
    module = importlib.import_module(f"expandr_repro.{command}.__main__")
    module.build_parser().parse_args(typed)


def test_encode_prints_an_array_over_shards_whose_merge_waits_for_it(capsys):
    text = printed(capsys, "encode", *ENCODE, "--workers", "2", "--gpus-per-worker", "0")
    scripts = files(text)
    assert "gpus" not in scripts["encode.array.sbatch"]
    assert "#SBATCH --array=0-1" in scripts["encode.array.sbatch"]
    shard = next(line for line in scripts["encode.array.sbatch"].splitlines() if line.startswith("python"))
    ran = subprocess.run(["bash", "-c", f"python() {{ printf '%s\\n' \"$@\"; }}; {shard}"], env={"SLURM_ARRAY_TASK_ID": "1"}, text=True, check=True, capture_output=True)  # fmt: skip
    assert ran.stdout.splitlines()[2:] == ["--corpus", "my corpus's.jsonl", "--precision", "bf16", "--shard-id", "1", "--num-shards", "2", "--output", "in dex.parts/1"]  # fmt: skip
    merge = next(line for line in scripts["encode.merge.sbatch"].splitlines() if line.startswith("python"))
    assert shlex.split(merge)[3:] == ["--merge", "in dex.parts/0", "in dex.parts/1", "--output", "in dex", "--factory", "SQ8"]  # fmt: skip
    assert 'sbatch --dependency=afterok:"$array" encode.merge.sbatch' in text


def test_nothing_is_submitted_or_written_by_the_command_itself(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    printed(capsys, "encode", *ENCODE)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [["--num-shards", "2", "--shard-id", "0"], ["--num-shards", "2"]])
def test_a_shard_of_ones_own_is_refused_since_the_scripts_cut_the_corpus(capsys, words):
    encode = importlib.import_module("expandr_repro.encode.__main__")
    assert encode.main(["--corpus", "pocket", "--output", "x", "--engine", "slurm", "--print", *words]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "--workers N" in error
