"""The Dockerfiles, as far as they can be checked without an engine: what they copy is there, what they set is read, what they call exists."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest

from expandr_repro.__main__ import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "docker").glob("*.Dockerfile"))
KNOWN = {"FROM", "ARG", "WORKDIR", "COPY", "RUN", "ENV", "USER", "ENTRYPOINT", "CMD"}


def instructions(path):
    lines = [line for line in path.read_text().splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n", " ", "\n".join(lines))
    return [tuple(line.split(None, 1)) for line in joined.splitlines() if line.strip()]


def of(path, name):
    return [rest for word, rest in instructions(path) if word == name]


@pytest.fixture(params=FILES, ids=lambda p: p.name)
def dockerfile(request):
    return request.param


def test_there_is_one_for_the_processor_and_one_for_gpus():
    assert [p.name for p in FILES] == ["cpu.Dockerfile", "gpu.Dockerfile"]


def test_every_instruction_is_one(dockerfile):
    assert {word for word, _ in instructions(dockerfile)} <= KNOWN


def test_what_is_copied_is_there_and_not_ignored(dockerfile):
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for rest in of(dockerfile, "COPY"):
        if not rest.startswith("--from"):
            for source in rest.split()[:-1]:
                assert (ROOT / source).exists()
                assert source in kept


def test_it_runs_a_python_that_the_project_supports_and_the_wheels_own_script(dockerfile):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for base in of(dockerfile, "FROM"):
        version = re.match(r"python:(3\.\d+)-slim", base)[1]
        assert f"Programming Language :: Python :: {version}" in project["classifiers"]
    assert json.loads(of(dockerfile, "ENTRYPOINT")[0])[0] in project["scripts"]
    assert json.loads(of(dockerfile, "CMD")[0])[0] in COMMANDS


def test_the_extras_it_installs_are_the_projects(dockerfile):
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for default in re.findall(r'EXTRAS="([\w,]*)"', dockerfile.read_text()):
        assert set(default.split(",")) <= set(extras)


def test_caches_lie_on_the_volume(dockerfile):
    (variables,) = of(dockerfile, "ENV")
    values = dict(pair.split("=") for pair in variables.split())
    for name in ("EXPANDR_CACHE", "HF_HOME", "IR_DATASETS_HOME", "PYSERINI_CACHE"):
        assert values[name].startswith("/cache/")


def test_nothing_runs_as_root(dockerfile):
    assert of(dockerfile, "USER") == ["1000"]
