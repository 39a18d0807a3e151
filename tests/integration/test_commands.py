"""What every command owes its user: a quick help that loads nothing, exit codes, one line for each fault."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest

from expandr_repro.__main__ import COMMANDS

HEAVY = ("torch", "transformers", "faiss", "pyserini", "jnius", "ranx", "ir_datasets", "scipy", "pandas", "trl", "peft")

PROBE = f"""
import sys
from expandr_repro.{{name}} import __main__ as command
try:
    command.main(["--help"])
except SystemExit as stop:
    assert stop.code == 0
print("loaded:", [m for m in {HEAVY!r} if m in sys.modules])
"""


@pytest.mark.parametrize("name", COMMANDS)
def test_help_loads_no_heavy_library(name):
    done = subprocess.run([sys.executable, "-c", PROBE.format(name=name)], capture_output=True, text=True, check=True)
    assert "usage: python -m expandr_repro." + name in done.stdout
    assert "examples:" in done.stdout
    assert done.stdout.endswith("loaded: []\n")


def test_help_of_every_command_takes_less_than_half_a_second(process):
    def seconds(name):
        """Of the processor: on a busy machine the clock says nothing of the command."""
        start = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert process(f"expandr_repro.{name}", "--help").code == 0
        end = resource.getrusage(resource.RUSAGE_CHILDREN)
        return end.ru_utime + end.ru_stime - start.ru_utime - start.ru_stime

    best = {name: min(seconds(name) for _ in range(5)) for name in COMMANDS}
    assert all(t < 0.5 for t in best.values()), best


def test_the_package_lists_its_commands(process):
    result = process("expandr_repro")
    assert result.code == 0
    assert all(name in result.out for name in COMMANDS)


def test_an_unknown_command_offers_the_nearest(process):
    result = process("expandr_repro", "serach")
    assert result.code == 2
    assert "did you mean 'search'?" in result.error


def test_doctor_finds_this_machine_fit(command):
    result = command("doctor")
    assert result.code == 0, result.out + result.err
    assert "ok    encoder" in result.out
    assert "FAIL" not in result.out


def test_doctor_fails_where_the_cache_cannot_be_written(command, monkeypatch, tmp_path):
    blocker = tmp_path / "file"
    blocker.write_text("")
    monkeypatch.setenv("EXPANDR_CACHE", str(blocker / "cache"))
    result = command("doctor")
    assert result.code == 1
    assert "FAIL  cache" in result.out
    assert "set EXPANDR_CACHE" in result.out
    assert "cache" in result.error
