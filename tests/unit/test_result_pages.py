"""The pages of results show what the runs left, and nothing else."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def script(folder, name, monkeypatch):
    """Load a script of the examples, which import one another by name."""
    for part in ("loop", "methods"):
        monkeypatch.syspath_prepend(str(ROOT / "examples" / part))
    spec = importlib.util.spec_from_file_location(f"example_{name}", ROOT / "examples" / folder / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def llm_tables(monkeypatch):
    return script("loop", "llm_tables", monkeypatch)


@pytest.fixture
def study(monkeypatch):
    return script("methods", "study", monkeypatch)


def test_the_tables_of_the_real_llm_are_the_generated_ones(llm_tables):
    page = llm_tables.PAGE.read_text(encoding="utf-8")
    assert llm_tables.filled(page) == page


def test_the_tables_of_the_methods_are_the_generated_ones(study):
    page = study.PAGE.read_text(encoding="utf-8")
    assert study.pages.filled(page, study.tables(ROOT / "runs" / "methods", list(study.RETRIEVERS))) == page


@pytest.mark.parametrize(("collection", "retriever", "pinned"), [("scifact", "minilm", 0.6451), ("scifact", "bm25", 0.6789), ("nfcorpus", "minilm", 0.3167), ("nfcorpus", "bm25", 0.3218), ("cacm", "minilm", 0.4275), ("cacm", "bm25", 0.4928)])  # fmt: skip
def test_the_query_alone_has_the_pinned_score(llm_tables, collection, retriever, pinned):
    found = llm_tables.scores(llm_tables.rows(llm_tables.RUNS), collection, retriever)
    assert round(llm_tables.mean(found["none"][0], "nDCG@10"), 4) == pytest.approx(pinned, abs=1e-4)


def test_the_untrained_model_and_dpo_have_five_seeds(llm_tables):
    found = llm_tables.scores(llm_tables.rows(llm_tables.RUNS), "scifact", "minilm")
    assert sorted(found["untrained"]) == sorted(found["dpo.i"]) == [1, 2, 3, 4, 5]


def test_what_is_kept_names_no_folder_of_a_machine(llm_tables):
    for folder in (llm_tables.RUNS, ROOT / "runs" / "methods"):
        for row in llm_tables.rows(folder).values():
            assert not [word for word in row["command"].split() if word.startswith("/")]
            assert "err" not in row


def test_a_step_that_is_recorded_is_not_done_again_and_one_that_failed_is(monkeypatch, tmp_path):
    protocol = script("loop", "protocol", monkeypatch)
    record = tmp_path / "steps.jsonl"
    record.write_text('{"name": "a", "code": 0}\n{"name": "b", "code": 1}\n', encoding="utf-8")
    done = {name for name, row in protocol.rows(tmp_path).items() if row["code"] == 0}
    assert done == {"a"}
