from __future__ import annotations

from dataclasses import replace

import pytest

from expandr_repro.regress import reuse
from expandr_repro.regress.inputs import Counted
from expandr_repro.regress.stages import Places

COUNTED = Counted(719, "a", 72, "b", 987, "d", 72, "c")


@pytest.fixture
def run(tmp_path):
    path = tmp_path / "x.trec"
    path.write_text("1 Q0 d 1 0.5 t\n")
    reuse.remember(path, "key")
    return path


def test_a_whole_run_of_the_same_key_serves(run):
    assert reuse.serves(run, "key")


def test_a_run_made_by_something_else_does_not_serve(run):
    assert not reuse.serves(run, "other")


def test_a_run_that_was_cut_or_changed_does_not_serve(run):
    run.write_text("1 Q0 d 1 0.5")
    assert not reuse.serves(run, "key")


def test_a_run_without_a_note_or_with_a_damaged_one_does_not_serve(run, tmp_path):
    (tmp_path / "x.trec.made-by.json").write_text("{")
    assert not reuse.serves(run, "key")
    (tmp_path / "x.trec.made-by.json").unlink()
    assert not reuse.serves(run, "key")
    assert not reuse.serves(tmp_path / "none.trec", "key")


def test_whatever_moves_a_figure_is_part_of_the_key(tmp_path, monkeypatch):
    places = Places(tmp_path / "index", tmp_path / "x.trec", tmp_path / "x.jsonl")
    places.index.mkdir()
    keys = [reuse.key(["search"], COUNTED, places)]
    assert reuse.key(["search"], COUNTED, places) == keys[0]
    keys.append(reuse.key(["search --alpha 1"], COUNTED, places))
    keys.append(reuse.key(["search"], replace(COUNTED, topics_sha256="x"), places))
    keys.append(reuse.key(["search"], replace(COUNTED, expansions_sha256="x"), places))
    for path in (places.index / "manifest.json", places.expansions):
        for content in ("{}", '{"documents": 1}'):
            path.write_text(content)
            keys.append(reuse.key(["search"], COUNTED, places))
    monkeypatch.setattr(reuse, "code_hash", lambda: "other code")
    keys.append(reuse.key(["search"], COUNTED, places))
    monkeypatch.setattr(reuse, "versions", lambda: {"torch": "0"})
    keys.append(reuse.key(["search"], COUNTED, places))
    assert len(set(keys)) == len(keys) == 10
