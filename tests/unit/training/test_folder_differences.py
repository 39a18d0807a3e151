"""What an error says of two trainings, and which working folders stay behind."""

from __future__ import annotations

import pytest

from expandr_repro.errors import DivergedError, ExpandrError
from expandr_repro.io.manifest import write_manifest
from expandr_repro.io.outputs import TRAINED_GENERATOR
from expandr_repro.training.folder import finished, reserved

FACTS = {"data": {"sha256": "aa"}, "settings": {"seed": 1, "views": {"fused": 1.0}, "names": ("a", "b")}, "names": {"train": "a.jsonl"}}  # fmt: skip


def refused(tmp_path, facts):
    (tmp_path / "out").mkdir(exist_ok=True)
    write_manifest(tmp_path / "out" / "manifest.json", "generator", {**FACTS, "counts": {}, "result": {"steps": 3}})
    with pytest.raises(ExpandrError) as caught:
        finished(tmp_path / "out", facts, False, TRAINED_GENERATOR)
    return str(caught.value)


def test_settings_come_before_data_and_names_of_files_do_not_count(tmp_path):
    facts = {"data": {"sha256": "bb"}, "settings": {**FACTS["settings"], "seed": 2}, "names": {"train": "b.jsonl"}}

    assert refused(tmp_path, facts).endswith("(seed: 1 there, 2 here; data.sha256: 'aa' there, 'bb' here)")


def test_nested_added_and_missing_facts_are_named(tmp_path):
    facts = {"data": {"sha256": "aa"}, "settings": {"seed": 1, "views": {"query": 1.0}, "names": ["a", "b"]}}

    assert refused(tmp_path, facts).endswith("(views.query: nothing there, 1.0 here; views.fused: 1.0 there, nothing here)")  # fmt: skip


def test_a_long_list_is_cut(tmp_path):
    facts = {"settings": {"seed": 2, "views": {"a": 1, "b": 2}}, "more": 1}

    assert "; and 4 more)" in refused(tmp_path, facts)


@pytest.mark.parametrize(
    ("checkpoint", "error", "stays"),
    [
        (None, ExpandrError("bad"), False),
        (None, KeyboardInterrupt(), False),
        ("checkpoint", ExpandrError("bad"), True),
        ("checkpoint-3", KeyboardInterrupt(), True),
        ("checkpoint-3", DivergedError("no number"), False),
        ("checkpoint", DivergedError("no number"), False),
    ],
)
def test_a_folder_stays_where_there_is_a_checkpoint_worth_going_on_from(tmp_path, checkpoint, error, stays):
    with pytest.raises(type(error)):
        end(tmp_path / "work", checkpoint, error)
    assert (tmp_path / "work").exists() == stays


def end(work, checkpoint, error):
    """Train, keep a checkpoint, and end."""
    with reserved(work):
        (work / "metrics.jsonl").write_text("")
        if checkpoint:
            (work / checkpoint).mkdir()
        raise error
