"""Which output is just this training, and where a training works."""

from __future__ import annotations

import pytest

from expandr_repro.errors import ExpandrError, SetupError
from expandr_repro.io.manifest import write_manifest
from expandr_repro.io.outputs import TRAINED_GENERATOR
from expandr_repro.training.folder import finished, reserved, working_folder

FACTS = {"training": "dpo", "settings": {"seed": 1}, "names": {"train": "a.jsonl"}, "versions": {"trl": "1"}}


def test_nothing_and_an_empty_folder_are_free(tmp_path):
    assert finished(tmp_path / "new", FACTS, False, TRAINED_GENERATOR) is None
    (tmp_path / "empty").mkdir()
    assert finished(tmp_path / "empty", FACTS, False, TRAINED_GENERATOR) is None


def test_the_same_facts_are_the_same_training_whatever_the_files_were_called_and_whatever_the_versions(tmp_path):
    (tmp_path / "out").mkdir()
    write_manifest(
        tmp_path / "out" / "manifest.json", "generator", {**FACTS, "counts": {}, "result": {"steps": 3}, "files": []}
    )

    assert finished(tmp_path / "out", FACTS | {"names": {}, "versions": {"trl": "2"}}, False, TRAINED_GENERATOR)[
        "result"
    ] == {"steps": 3}
    with pytest.raises(ExpandrError, match="another training is there; choose another name, or --overwrite it"):
        finished(tmp_path / "out", FACTS | {"settings": {"seed": 2}}, False, TRAINED_GENERATOR)
    assert finished(tmp_path / "out", FACTS | {"settings": {"seed": 2}}, True, TRAINED_GENERATOR) is None


def test_what_is_no_training_is_not_replaced_unasked(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").write_text("mine")

    with pytest.raises(ExpandrError, match="something else than a trained generator"):
        finished(tmp_path / "out", FACTS, False, TRAINED_GENERATOR)
    with pytest.raises(SetupError, match="is a file; wanted a folder's name"):
        finished(tmp_path / "out" / "notes.txt", FACTS, True, TRAINED_GENERATOR)
    with pytest.raises(SetupError, match="is not a folder that can be written to"):
        finished(tmp_path / "out" / "notes.txt" / "below", FACTS, True, TRAINED_GENERATOR)


def test_other_facts_or_other_versions_work_elsewhere(tmp_path):
    folders = {
        working_folder(tmp_path / "out", facts)
        for facts in (FACTS, FACTS | {"training": "sft"}, FACTS | {"versions": {"trl": "2"}})
    }

    assert len(folders) == 3
    assert working_folder(tmp_path / "out", FACTS | {"names": {}}) in folders
    assert all(f.parent == tmp_path and f.name.startswith(".out.") and f.name.endswith(".training") for f in folders)


def test_a_folder_is_for_one_process_at_a_time_and_goes_where_nothing_was_begun(tmp_path):
    with (
        reserved(tmp_path / "work"),
        pytest.raises(SetupError, match="another process trains in"),
        reserved(tmp_path / "work"),
    ):
        pass
    assert list(tmp_path.iterdir()) == []

    with reserved(tmp_path / "work"):
        (tmp_path / "work" / "metrics.jsonl").write_text("")
    assert [p.name for p in tmp_path.iterdir()] == ["work"]
