from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expandr_repro.console.tables import FORMATS, Table

RESULTS = Table(
    ["run", "nDCG@10", "Δ nDCG@10", "p", "topics"],
    [["bm25", 0.31254, None, None, 50], ["dense_mean", 0.4, 0.08746, 0.00001, 50], ["x", 0.3, -0.01, 0.5, math.nan]],
)


def test_text_has_aligned_columns_with_the_first_to_the_left():
    assert RESULTS.render("text").splitlines() == [
        "run         nDCG@10  Δ nDCG@10         p  topics",
        "bm25         0.3125          -         -      50",
        "dense_mean   0.4000    +0.0875  1.00e-05      50",
        "x            0.3000    -0.0100    0.5000       -",
    ]


def test_markdown_has_a_rule_under_its_header():
    assert Table(["run", "R@100"], [["a", 0.5]]).render("markdown").splitlines() == [
        "| run | R@100 |",
        "| --- | ---: |",
        "| a | 0.5000 |",
    ]


def test_a_bar_in_markdown_is_escaped():
    assert Table(["a|b"], [["c|d"]]).render("markdown").splitlines() == ["| a\\|b |", "| --- |", "| c\\|d |"]


def test_latex_is_a_booktabs_tabular_with_special_characters_escaped():
    assert Table(["run", "Δ R@100"], [["a_b & 5%", 0.5]]).render("latex").splitlines() == [
        r"\begin{tabular}{lr}",
        r"\toprule",
        r"run & $\Delta$ R@100 \\",
        r"\midrule",
        r"a\_b \& 5\% & +0.5000 \\",
        r"\bottomrule",
        r"\end{tabular}",
    ]


def test_json_holds_the_values_unrounded():
    assert json.loads(Table(["run", "R@100"], [["é", 1 / 3]]).render("json")) == [{"run": "é", "R@100": 1 / 3}]


def test_json_has_null_where_there_is_no_number():
    rendered = Table(["run", "p"], [["a", math.nan], ["b", None]]).render("json")

    assert "NaN" not in rendered
    assert json.loads(rendered) == [{"run": "a", "p": None}, {"run": "b", "p": None}]


def test_a_p_of_zero_is_printed_plainly():
    assert Table(["p"], [[0.0]]).render("text") == "p\n0.0000"


@pytest.mark.parametrize("form", FORMATS)
def test_a_table_without_rows_can_be_rendered(form):
    assert Table(["run"], []).render(form)


@pytest.mark.parametrize("form", FORMATS)
def test_a_row_of_another_length_is_an_error(form):
    with pytest.raises(ValueError, match="zip"):
        Table(["a", "b"], [["only one"]]).render(form)


@given(st.lists(st.tuples(st.text("abc", min_size=1), st.floats(0, 1), st.integers(0, 10**6)), max_size=5))
def test_lines_of_text_are_as_wide_as_the_widest(rows):
    lines = Table(["run", "MAP", "n"], rows).render("text").splitlines()

    assert len(lines) == len(rows) + 1
    assert len({len(line) for line in lines}) == 1


@given(st.lists(st.tuples(st.text(), st.floats(allow_nan=False, allow_infinity=False), st.none()), max_size=5))
def test_json_gives_back_what_it_was_given(rows):
    assert json.loads(Table(["a", "b", "c"], rows).render("json")) == [
        dict(zip("abc", row, strict=True)) for row in rows
    ]
