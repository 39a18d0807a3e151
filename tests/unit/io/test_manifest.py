from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expandr_repro import __version__
from expandr_repro.errors import FormatError
from expandr_repro.io.manifest import key_of, read_manifest, run_manifest_path, write_manifest
from unit.strategies import texts

facts = st.dictionaries(texts, st.recursive(st.integers() | texts | st.none(), st.lists, max_leaves=3), max_size=3)


@given(facts)
def test_a_manifest_is_read_as_it_was_written(tmp_path_factory, known):
    path = tmp_path_factory.getbasetemp() / "manifest.json"
    write_manifest(path, "faiss-index", known)

    assert read_manifest(path) == {"kind": "faiss-index", "made_by": f"expandr_repro {__version__}", **known}


@given(facts)
def test_equal_facts_have_an_equal_key_in_any_order(known):
    assert key_of(known) == key_of(dict(reversed(known.items())))


@given(facts, facts)
def test_other_facts_have_another_key(one, other):
    assert (key_of(one) == key_of(other)) == (json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True))


def test_a_key_is_short_hex():
    assert len(key_of({"a": 1})) == 20
    int(key_of({"a": 1}), 16)


def test_an_artefact_without_a_manifest_has_none(tmp_path):
    assert read_manifest(tmp_path / "manifest.json") is None


@pytest.mark.parametrize("content", ["{", "[" * 100_000])
def test_a_damaged_manifest_names_its_file_and_the_cure(write, content):
    with pytest.raises(FormatError, match=r"manifest\.json: the manifest is damaged \(.*\); build the artefact again"):
        read_manifest(write("manifest.json", content))


def test_a_manifest_that_is_no_object_is_refused(write):
    with pytest.raises(FormatError, match=r"manifest\.json: the manifest is not a JSON object"):
        read_manifest(write("manifest.json", "[1]"))


def test_a_runs_manifest_lies_beside_it():
    assert run_manifest_path(Path("runs/a.b.txt")) == Path("runs/a.b.txt.manifest.json")


@pytest.mark.parametrize("content", ['{"a": NaN}', '{"a": "\\ud800"}', '{"a": [-1e999]}'])
def test_a_manifest_of_what_no_file_can_carry_is_refused(write, content):
    with pytest.raises(FormatError, match="the manifest contains a value that JSON cannot hold"):
        read_manifest(write("manifest.json", content))
