"""What a command may replace: what the same command wrote before, an empty file or folder, and nothing else."""

from __future__ import annotations

import gzip
import json
import os

import pytest

from expandr_repro.errors import SetupError
from expandr_repro.io import outputs
from expandr_repro.io.files import atomic_bytes, atomic_folder
from expandr_repro.io.manifest import write_manifest
from expandr_repro.io.outputs import FAISS_INDEX, LUCENE_INDEX, RUN, TRAINED_ENCODER, check_output, files_of

OURS = {
    "RUN": "1 Q0 d1 1 0.5 tag\n",
    "EXPANDED": '{"qid": "1", "title": "a", "expansions": [{"text": "b"}]}\n',
    "FAILURES": '{"qid": "1", "sample": 0, "reason": "refused"}\n',
    "PAIRS": '{"qid": "1", "prompt": "a", "chosen": "b", "rejected": "c"}\n',
    "PAGE": '<!doctype html>\n<meta name="generator" content="expandr_repro 0.1.0">\n',
    "JSON_REPORT": '{"counts": {}, "conditions": []}\n',
    "JUNIT_REPORT": '<testsuite name="expandr_repro.regress" tests="1" />',
}


@pytest.mark.parametrize("kind", OURS)
@pytest.mark.parametrize(
    "content", [*OURS.values(), "a thesis\n", '{"qid": "1", "title": "a"}\n', "1 0 d1 1\n", b"\x00\x01"]
)
def test_a_file_is_replaced_by_another_of_its_kind_alone(tmp_path, kind, content):
    path = tmp_path / "file"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    if content == OURS[kind]:
        check_output("--output", path, getattr(outputs, kind))
        return
    with pytest.raises(SetupError, match=f"^--output {path}: is there and is not .*; choose another name"):
        check_output("--output", path, getattr(outputs, kind))
    with pytest.raises(SetupError), atomic_bytes(path, kind=getattr(outputs, kind)):
        pytest.fail("nothing is to be written")


def test_an_empty_file_a_packed_run_and_a_new_name_are_free(tmp_path):
    (tmp_path / "empty").touch()
    (tmp_path / "packed").write_bytes(gzip.compress(OURS["RUN"].encode()))
    for name in ("empty", "packed", "new", "new/below/run.trec"):
        check_output("--output", tmp_path / name, RUN)
    assert not (tmp_path / "new").exists()


def faiss(folder, *more):
    folder.mkdir()
    for name in ("index", "docid", *more):
        (folder / name).touch()
    return folder


def test_an_index_is_replaced_by_one_of_its_kind_alone_and_only_with_nothing_of_anyone_else_in_it(tmp_path):
    faiss(tmp_path / "index")
    check_output("--output", tmp_path / "index", FAISS_INDEX)
    with pytest.raises(SetupError, match="something else than a Lucene index"):
        check_output("--output", tmp_path / "index", LUCENE_INDEX)
    faiss(tmp_path / "more", "notes.txt")
    with pytest.raises(SetupError, match=r"contains notes.txt, which is not part of a Faiss index"):
        check_output("--output", tmp_path / "more", FAISS_INDEX)
    with pytest.raises(SetupError), atomic_folder(tmp_path / "more", FAISS_INDEX):
        pytest.fail("nothing is to be written")


def test_what_came_while_a_folder_was_made_is_not_replaced(tmp_path):
    with pytest.raises(SetupError, match=r"notes.txt"), atomic_folder(tmp_path / "index", FAISS_INDEX) as made:  # noqa: PT012
        (made / "index").touch()
        faiss(tmp_path / "index", "notes.txt")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["index"]
    assert (tmp_path / "index" / "notes.txt").exists()


def test_a_lucene_index_is_known_by_its_segments(tmp_path):
    for name in ("segments_1", "_0.cfs", "_0_Lucene912_0.doc", "write.lock", "manifest.json"):
        (tmp_path / name).write_text("{}")
    LUCENE_INDEX.check(tmp_path)


def test_a_trained_folder_is_replaced_as_long_as_its_manifest_lists_all_that_is_in_it(tmp_path):
    folder = tmp_path / "trained"
    (folder / "1_Pooling").mkdir(parents=True)
    (folder / "1_Pooling" / "config.json").touch()
    write_manifest(folder / "manifest.json", "encoder", {"files": files_of(folder)})
    check_output("--output", folder, TRAINED_ENCODER)
    (folder / "1_Pooling" / "notes.txt").touch()
    with pytest.raises(SetupError, match=r"contains 1_Pooling/notes.txt"):
        check_output("--output", folder, TRAINED_ENCODER)


@pytest.mark.parametrize("place", [".", "..", "/", ""])
@pytest.mark.parametrize("kind", [RUN, FAISS_INDEX])
def test_the_current_folder_and_those_above_it_are_no_output(place, kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SetupError, match=r"^--output .*(is the current folder|is a folder; wanted a file name)"):
        check_output("--output", outputs.Path(place), kind)


def test_what_is_read_is_not_replaced_nor_a_folder_that_holds_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").write_text(OURS["RUN"])
    (tmp_path / "link").symlink_to("run")
    for path in ("run", "link", "./run"):
        with pytest.raises(SetupError, match=r"would replace .*run, which is read"):
            check_output("--output", outputs.Path(path), RUN, [tmp_path / "run"])
    faiss(tmp_path / "index")
    with pytest.raises(SetupError, match="which is read"):
        check_output("--output", tmp_path / "index", FAISS_INDEX, [None, "scifact", tmp_path / "index" / "docid"])


def test_files_where_folders_are_wanted_and_names_that_no_system_takes_are_one_line(tmp_path):
    (tmp_path / "file").write_text("a")
    for path, kind, words in (
        (tmp_path / "file", FAISS_INDEX, "is a file; wanted a folder's name"),
        (tmp_path / "file" / "below", RUN, "is not a folder that can be written to"),
        (tmp_path, RUN, "is a folder; wanted a file name"),
        (tmp_path / ("x" * 300), RUN, "name too long"),
        (outputs.Path(os.devnull), RUN, "is a device or a pipe"),
    ):
        with pytest.raises(SetupError, match=words):
            check_output("--output", path, kind)
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(SetupError):
        check_output("--output", tmp_path / "loop", RUN)


def test_a_link_is_replaced_and_what_it_leads_to_stays(tmp_path):
    (tmp_path / "run").write_text("a thesis")
    (tmp_path / "link").symlink_to("run")
    check_output("--output", tmp_path / "link", RUN)
    with atomic_bytes(tmp_path / "link", kind=RUN) as file:
        file.write(b"new")
    assert ((tmp_path / "link").read_text(), (tmp_path / "run").read_text()) == ("new", "a thesis")
    faiss(tmp_path / "index", "notes.txt")
    (tmp_path / "to").symlink_to("index")
    with atomic_folder(tmp_path / "to", FAISS_INDEX) as made:
        (made / "docid").write_text("new")
    assert ((tmp_path / "to" / "docid").read_text(), (tmp_path / "index" / "notes.txt").exists()) == ("new", True)


def test_a_manifest_of_something_else_is_not_replaced(tmp_path):
    path = tmp_path / "run.trec.manifest.json"
    path.write_text(json.dumps({"kind": "web app"}))
    with pytest.raises(SetupError, match="is not the manifest of a run"):
        check_output("--output", path, outputs.manifest_kind("run"))
    write_manifest(path, "run", {})
    check_output("--output", path, outputs.manifest_kind("run"))
