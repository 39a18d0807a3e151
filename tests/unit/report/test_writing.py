"""The page: what data holds cannot become markup, equal data gives equal bytes, and only its own script may run."""

from __future__ import annotations

import base64
import hashlib
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expandr_repro.board.site import BOARD_SCRIPTS, PLAIN_SCRIPTS
from expandr_repro.io.paths import resource
from expandr_repro.report.gathering import Sheet
from expandr_repro.report.writing import SCRIPTS, embedded, page
from unit.strategies import texts

NASTY = "</script><script>alert(1)</script><!-- <!--<script> ]]> \" ' & \u2028\u2029 {{data}} {{script}}"

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner) | st.dictionaries(texts, inner),
    max_leaves=8,
)


@given(values)
def test_embedded_json_is_the_value_again_and_holds_nothing_that_html_reads(value):
    written = embedded(value)
    assert json.loads(written) == value
    assert not set(written) & set("<>&\u2028\u2029")


def test_a_number_that_json_does_not_know_is_refused():
    with pytest.raises(ValueError, match="JSON"):
        embedded([float("nan")])


def elements(written: str) -> list[tuple[str, str]]:
    return re.findall(r"<script([^>]*)>(.*?)</script>", written, re.DOTALL)


def test_data_stays_in_its_element_whatever_it_holds():
    sheet = Sheet({"qids": [NASTY]}, {"t0.0": [NASTY], "d0.0": [[NASTY, NASTY]]})
    written = page(sheet, NASTY)
    found = elements(written)
    assert [attributes for attributes, _ in found] == [
        ' type="application/json" id="data"',
        ' type="application/json" id="t0.0"',
        ' type="application/json" id="d0.0"',
        "",
    ]
    assert json.loads(found[0][1]) == {"title": NASTY, "qids": [NASTY]}
    assert "alert(1)</script>" not in written
    assert "&lt;/script&gt;&lt;script&gt;alert(1)" in re.search(r"<title>(.*?)</title>", written)[1]


def test_the_policy_allows_the_pages_own_style_and_script_and_nothing_else():
    written = page(Sheet({}), "x")
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', written)[1]
    style = re.search(r"<style>(.*?)</style>", written, re.DOTALL)[1]
    (script,) = (content for attributes, content in elements(written) if not attributes)
    hashes = [base64.b64encode(hashlib.sha256(part.encode()).digest()).decode() for part in (script, style)]
    assert policy == (
        f"default-src 'none'; script-src 'sha256-{hashes[0]}'; style-src 'sha256-{hashes[1]}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def test_the_page_asks_nothing_of_a_network():
    written = page(Sheet({}), "x")
    assert not re.search(r"https?:|//[a-z]+\.|@import|url\(", written)


def test_the_script_never_turns_text_into_markup():
    parts = [resource("report", "script", name).read_text() for name in SCRIPTS]
    for way in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function", "</"):
        assert not any(way in part for part in parts), way


def test_every_part_of_the_script_is_joined():
    assert {*SCRIPTS, *BOARD_SCRIPTS, *PLAIN_SCRIPTS} == {p.name for p in resource("report", "script").iterdir()}


def test_a_list_is_cut_into_pieces_of_one_size():
    sheet = Sheet({})
    sheet.add("d0", range(5), 2)
    assert sheet.pieces == {"d0.0": [0, 1], "d0.1": [2, 3], "d0.2": [4]}


def test_equal_sheets_give_equal_pages():
    sheet = Sheet({"a": "é"}, {"t0.0": [1]})
    assert page(sheet, "x") == page(sheet, "x")
