"""The page of the loop's real run shows what the runs left, and nothing else."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def tables():
    spec = importlib.util.spec_from_file_location("loop_tables", ROOT / "examples" / "loop" / "tables.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_tables_of_the_page_are_the_generated_ones(tables):
    page = tables.PAGE.read_text(encoding="utf-8")
    assert tables.filled(page) == page


def test_the_untrained_encoder_has_the_figures_that_are_pinned(tables):
    untrained = {c: next(iter(found.values())) for c, found in tables.figures()["base"].items()}
    pinned = {"scifact.none": 0.6451, "scifact.gpt-4.1": 0.6922, "scifact.gpt-4.1-nano": 0.6968, "scifact.Qwen2.5-7B-Instruct": 0.6938,
              "scifact.claude": 0.7506, "nfcorpus.none": 0.3167, "nfcorpus.claude": 0.4080}  # fmt: skip
    assert {c: round(v, 4) for c, v in untrained.items()} == pinned


def test_an_interval_is_students(tables):
    assert tables.interval([1.0, 2.0, 3.0]) == "2.0000 ± 2.4841"  # t(0.975, 2) = 4.3027, times 1 / sqrt(3)
