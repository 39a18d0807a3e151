"""The quickstart notebook: it runs in a real kernel, and what is in git is what it gives, without this machine in it."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOK = ROOT / "examples" / "quickstart.ipynb"
NUMBER = re.compile(r"(\d+\.\d+)")


def stored() -> list[dict[str, Any]]:
    return [c for c in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"] if c["cell_type"] == "code"]


def joined(value: Any) -> Any:
    """Undo the splitting of texts into lines that a notebook's file has."""
    if isinstance(value, dict):
        return {k: joined(v) for k, v in value.items()}
    if isinstance(value, list):
        return "".join(value) if value and all(isinstance(v, str) for v in value) else [joined(v) for v in value]
    return value


def test_the_notebook_gives_in_a_kernel_what_is_in_git(cache, monkeypatch):
    for name in ("nbclient", "nbformat", "ipykernel"):
        pytest.importorskip(name)
    monkeypatch.setenv("EXPANDR_CACHE", str(cache))
    spec = importlib.util.spec_from_file_location("run_notebook", ROOT / "scripts" / "run_notebook.py")
    run_notebook = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(run_notebook)
    outputs = json.loads(json.dumps(run_notebook.outputs_of(run_notebook.executed(NOTEBOOK))))
    for cell, made in zip(stored(), outputs, strict=True):
        ours, theirs = (NUMBER.split(json.dumps(joined(o), sort_keys=True)) for o in (cell["outputs"], made))
        assert ours[::2] == theirs[::2]
        assert [float(n) for n in ours[1::2]] == pytest.approx([float(n) for n in theirs[1::2]], abs=0.002)


def test_the_notebook_shows_results_and_nothing_of_the_machine_that_ran_it():
    text = NOTEBOOK.read_text(encoding="utf-8")
    assert "0.7922" in text
    assert not re.search(
        r"/(home|root|opt|tmp|Users|work|var)/|127\.0\.0\.1:\d|\d{4}-\d\d-\d\d|execution\"|iframe", text
    )
    assert all(cell["execution_count"] for cell in stored())
    assert max(len(json.dumps(cell["outputs"])) for cell in stored()) < 10_000
