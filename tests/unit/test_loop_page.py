"""The page of the loop's real run shows what the runs left, and nothing else."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "examples" / "loop"))  # the scripts there import one another by name


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


def test_the_page_and_the_readme_say_that_the_gain_was_memory_of_gold_documents(tables):
    for path in (tables.PAGE, tables.ROOT / "README.md"):
        text = path.read_text(encoding="utf-8")
        assert "Nothing general was learned" in text
        assert "memory of gold documents" in text
        assert "withdrawn" in text
        for number in ("0.6451", "0.8124", "0.6288", "0.896", "0.6758", "0.655", "0.657", "0.7723", "0.7718", "0.7605"):
            assert number in text
        assert "74 of its 2,590 training topics" in text


def test_the_scores_of_seen_and_unseen_topics_are_those_of_the_kept_runs(tables, data):
    spec = importlib.util.spec_from_file_location("loop_seen", ROOT / "examples" / "loop" / "seen.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert len(module.seen_in_training()) == 196
    assert module.scores() == tables.records("retriever.seen.jsonl")
