from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from expandr_repro.errors import FormatError
from expandr_repro.regress.conditions.reading import conditions
from expandr_repro.regress.conditions.shapes import Condition
from expandr_repro.regress.page import BEGIN, END, current, page, results_table, write_page

ROOT = Path(__file__).parents[3]
KNOWN = conditions(ROOT / "regressions")


def test_the_results_page_in_git_is_the_generated_one():
    path = ROOT / "docs" / "results.md"
    assert path.read_text(encoding="utf-8") == current(path, KNOWN)


def test_the_readmes_table_of_results_is_the_generated_one():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert BEGIN in text
    assert text == current(ROOT / "README.md", KNOWN)


def test_the_table_has_a_row_for_each_collection_and_expansion_and_a_column_for_each_retriever_and_metric():
    header, rule, *rows = results_table(KNOWN).splitlines()
    assert header == "| collection | expansions | MiniLM nDCG@10 | MiniLM R@100 | BM25 nDCG@10 | BM25 R@100 |"
    assert rule == "| --- | ---: | ---: | ---: | ---: | ---: |".replace("---: |", "--- |", 1)
    assert "| SciFact test | none | 0.6451 | 0.9250 | 0.6789 | 0.9253 |" in rows
    assert "| SciFact test | Query2Doc, gpt-4.1 | 0.6922 | 0.9533 | 0.7203 | 0.9477 |" in rows
    assert not any(cell.strip() == "-" for row in rows for cell in row.split("|"))


def test_every_condition_is_on_the_page():
    text = page(KNOWN)
    for condition in KNOWN:
        regression = condition.regression
        for metric in ("nDCG@10", "R@100"):
            if metric in regression.metrics:
                assert f"{regression.metrics[metric].value:.4f}" in text
        if regression.tier != "manual" or not regression.metrics:
            assert f"`{condition.name}`" in text


def test_the_page_follows_the_files():
    changed = [
        replace(c, regression=replace(c.regression, title="Something else")) if c.name == "cacm.bm25.none" else c
        for c in KNOWN
    ]
    assert page(changed) != page(KNOWN)
    assert "Something else" in page(changed)


def test_a_file_that_cannot_be_read_has_no_page():
    with pytest.raises(FormatError, match=r"x\.yaml: nonsense"):
        page([*KNOWN, Condition("x", Path("x.yaml"), None, "x.yaml: nonsense")])


def test_a_file_with_marks_gets_the_table_between_them_and_keeps_the_rest(tmp_path):
    path = tmp_path / "README.md"
    path.write_text(f"# Title\n\n{BEGIN}\nold\n{END}\n\nMore.\n")
    write_page(path, KNOWN)
    text = path.read_text()
    assert text == f"# Title\n\n{BEGIN}\n{results_table(KNOWN)}\n{END}\n\nMore.\n"
    write_page(path, KNOWN)
    assert path.read_text() == text


def test_a_mark_that_does_not_end_is_refused(tmp_path):
    path = tmp_path / "README.md"
    path.write_text(f"{BEGIN}\nold\n")
    with pytest.raises(FormatError, match="no <!-- results: end --> after it"):
        write_page(path, KNOWN)
    assert path.read_text() == f"{BEGIN}\nold\n"
