"""Commands and what is in their way: only what a command wrote itself is replaced, and several processes that make one index end well."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time

import pytest
from tiny_bert import save_tiny_bert

from expandr_repro.indexes.faiss_index import FaissIndex
from expandr_repro.io.paths import resource

POCKET = resource("pocket")
POOLED = ("--pooling", "mean", "--normalize", "--max-length", "64")

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    return save_tiny_bert(tmp_path_factory.mktemp("bert"))


@pytest.fixture(scope="module")
def other_bert(tmp_path_factory):
    return save_tiny_bert(tmp_path_factory.mktemp("other"), seed=1)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    lines = (POCKET / "corpus.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)[:40]
    (folder / "corpus.jsonl").write_text("".join(lines), encoding="utf-8")
    return folder / "corpus.jsonl"


@pytest.fixture
def thesis(tmp_path):
    """A folder of somebody's, and what must be in it afterwards."""
    folder = tmp_path / "thesis"
    folder.mkdir()
    (folder / "chapter.txt").write_text("years of work")
    yield folder
    assert [p.name for p in folder.iterdir()] == ["chapter.txt"]
    assert (folder / "chapter.txt").read_text() == "years of work"


@pytest.fixture
def parts(command, bert, corpus, tmp_path):
    for n in range(2):
        words = ("--shard-id", n, "--num-shards", 2, "--encoder", bert, *POOLED, "--output", tmp_path / f"part{n}")
        assert command("encode", "--corpus", corpus, *words).code == 0
    return [tmp_path / "part0", tmp_path / "part1"]


@pytest.mark.parametrize("overwrite", [(), ("--overwrite",)])
def test_shards_are_merged_into_no_folder_of_somebody_elses(command, parts, thesis, overwrite):
    result = command("encode", "--merge", *parts, "--output", thesis, *overwrite)
    assert result.code == 2
    assert "contains something else than a Faiss index" in result.error


def test_a_merged_index_is_replaced_by_another_one_only_when_asked_for_and_made_once(command, parts, tmp_path):
    words = ("encode", "--merge", *parts, "--output", tmp_path / "index")
    assert command(*words).code == 0
    before = (tmp_path / "index" / "index").stat().st_ino
    assert command(*words).code == 0
    assert (tmp_path / "index" / "index").stat().st_ino == before
    assert "--overwrite" in command(*words, "--factory", "SQ8").error
    assert command(*words, "--factory", "SQ8", "--overwrite").code == 0
    result = command("encode", "--merge", *parts, "--output", parts[0], "--overwrite")
    assert "would replace" in result.error
    assert all((part / "index").is_file() for part in parts)


@pytest.mark.parametrize("kind", ["dense", "shard", "bm25"])
def test_overwrite_replaces_an_index_and_nothing_else(command, bert, corpus, thesis, kind):
    dense = ("--encoder", bert, *POOLED)
    more = {"dense": dense, "shard": (*dense, "--shard-id", 0, "--num-shards", 2), "bm25": ("--retriever", "bm25")}
    result = command("encode", "--corpus", corpus, *more[kind], "--output", thesis, "--overwrite")
    assert result.code == 2
    assert "so it is not replaced, with or without --overwrite" in result.error


def test_an_index_with_somebodys_notes_in_it_is_left_alone(command, bert, corpus, parts):
    (parts[0] / "notes.txt").write_text("mine")
    result = command("encode", "--corpus", corpus, "--encoder", bert, *POOLED, "--output", parts[0], "--overwrite")
    assert result.code == 2
    assert "contains notes.txt" in result.error
    assert (parts[0] / "notes.txt").read_text() == "mine"


def test_the_corpus_is_not_replaced_by_its_index(command, bert, corpus, tmp_path):
    shutil.copytree(corpus.parent, tmp_path / "mine")
    for place in (tmp_path / "mine", tmp_path / "mine" / "corpus.jsonl", tmp_path):
        result = command("encode", "--corpus", tmp_path / "mine", "--encoder", bert, "--output", place, "--overwrite")
        assert result.code == 2
        assert result.error.startswith("error: --output ")
    assert (tmp_path / "mine" / "corpus.jsonl").read_bytes() == corpus.read_bytes()


def test_queries_are_exported_over_an_export_alone(command, bert, pocket_index, thesis, tmp_path):
    words = [
        "search",
        "--topics",
        "pocket",
        "--no-baseline",
        "--hits",
        5,
        "--index",
        POCKET,
        "--encoder",
        bert,
        *POOLED,
    ]
    result = command(*words, "--export-queries", thesis)
    assert result.code == 2
    assert "--export-queries" in result.error
    for _ in range(2):
        assert command(*words, "--export-queries", tmp_path / "queries").code == 0
    assert sorted(p.name for p in (tmp_path / "queries").iterdir()) == ["embedding.pkl", "manifest.json"]


@pytest.fixture
def runs(command, bert, tmp_path):
    for name in ("none", "mean"):
        words = ("--fusion", name, "--hits", 20, "--index", POCKET, "--encoder", bert, *POOLED)
        assert command("search", "--topics", "pocket", *words, "--output", tmp_path / f"{name}.trec").code == 0
    return [tmp_path / "none.trec", tmp_path / "mean.trec"]


def test_files_of_somebody_else_are_not_replaced_by_any_command(command, bert, runs, tmp_path):
    mine = tmp_path / "mine"
    mine.write_text("years of work\n")
    topics = tmp_path / "topics.jsonl"
    topics.write_text('{"qid": "1", "title": "a bird"}\n')
    search = ("--topics", "pocket", "--index", POCKET, "--encoder", bert, *POOLED)
    calls = [
        ("search", *search, "--output"),
        ("report", *runs, "--qrels", "pocket", "--output"),
        ("compare", *runs, "--qrels", "pocket", "--plot"),
        ("expand", "--topics", topics, "--model", "m", "--base-url", "http://127.0.0.1:9", "--output"),
        ("prefer", "--candidates", topics, "--gold", "pocket", "--encoder", bert, "--output"),
        ("regress", "pocket.minilm.none", "--json"),
        ("regress", "pocket.minilm.none", "--junit"),
        ("regress", "--document"),
    ]
    for call in calls:
        result = command(*call, mine)
        assert result.code == 2, call
        assert "so it is not replaced" in result.error, call
        for folder in (tmp_path, tmp_path / "..", ".", "/"):
            result = command(*call, folder)
            assert (result.code, "is a folder" in result.error) == (2, True), call
    assert mine.read_text() == "years of work\n"
    result = command("expand", "--topics", topics, "--model", "m", "--output", topics)
    assert "would replace" in result.error


def test_what_lies_beside_an_output_is_not_replaced_either(command, bert, runs, tmp_path):
    beside = tmp_path / "run.trec.manifest.json"
    beside.write_text('{"name": "a web app"}')
    result = command(
        "search", "--topics", "pocket", "--index", POCKET, "--encoder", bert, *POOLED, "--output", tmp_path / "run.trec"
    )
    assert result.code == 2
    assert str(beside) in result.error
    assert beside.read_text() == '{"name": "a web app"}'


def test_the_same_command_again_replaces_its_own_output(command, bert, runs, tmp_path):
    for _ in range(2):
        assert command("search", "--topics", "pocket", "--hits", 20, "--index", POCKET, "--encoder", bert, *POOLED, "--output", runs[0]).code == 0  # fmt: skip
        assert command("report", *runs, "--qrels", "pocket", "--output", tmp_path / "page.html").code == 0
        for kind in ("png", "svg", "pdf"):
            assert command("compare", *runs, "--qrels", "pocket", "--plot", tmp_path / f"plot.{kind}").code == 0


def torchrun(processes, *words):
    return subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(processes), "-m", "expandr_repro.encode", *map(str, words)],
        capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}, check=False, timeout=240,
    )  # fmt: skip


def test_a_second_call_under_torchrun_encodes_nothing_and_no_stale_part_is_merged(
    command, bert, other_bert, corpus, tmp_path
):
    target = tmp_path / "index"
    words = ("--corpus", corpus, "--encoder", bert, *POOLED, "--output", target)
    # a part that an interrupted encoding with another encoder left
    stale = tmp_path / "index.shard-001-of-002"
    left = ("--shard-id", 1, "--num-shards", 2, "--encoder", other_bert, *POOLED, "--output", stale)
    assert command("encode", "--corpus", corpus, *left).code == 0
    done = torchrun(2, *words)
    assert "--overwrite" in done.stderr
    assert not target.exists()
    done = torchrun(2, *words, "--overwrite")
    assert done.returncode == 0, done.stderr
    assert command("encode", "--corpus", corpus, "--encoder", bert, *POOLED, "--output", tmp_path / "alone").code == 0
    index, alone = (FaissIndex.load(folder).index for folder in (target, tmp_path / "alone"))
    assert abs(index.reconstruct_n(0, 40) - alone.reconstruct_n(0, 40)).max() < 1e-5

    before = (target / "index").stat().st_ino
    again = torchrun(2, *words)
    assert again.returncode == 0, again.stderr
    assert again.stderr.count("nothing to do") == 2
    assert (target / "index").stat().st_ino == before
    assert sorted(p.name for p in tmp_path.iterdir() if not p.name.startswith(".")) == ["alone", "index"]
    assert not list(tmp_path.glob(".*.alive"))


def test_under_torchrun_a_folder_of_somebody_elses_is_not_replaced(bert, corpus, thesis):
    done = torchrun(2, "--corpus", corpus, "--encoder", bert, *POOLED, "--output", thesis, "--overwrite")
    assert done.returncode != 0
    assert "contains something else than a Faiss index" in done.stderr


def test_the_wait_for_a_process_that_is_dead_or_was_never_started_ends(command, bert, corpus, tmp_path, monkeypatch):
    from expandr_repro.indexes import together as encoding_together

    monkeypatch.setattr(encoding_together, "PATIENCE", 1.0)
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    words = ("--corpus", corpus, "--encoder", bert, *POOLED, "--output", tmp_path / "index")
    (tmp_path / ".index.shard-001-of-002.alive").touch()  # of one that was killed
    begin = time.monotonic()
    result = command("encode", *words)
    assert result.code == 2
    assert "process 1 of 2 shows no sign of life" in result.error
    assert time.monotonic() - begin < 60
    monkeypatch.setenv("RANK", "1")
    assert command("encode", *words).code == 0
    monkeypatch.setenv("RANK", "0")
    assert command("encode", *words).code == 0
    assert json.loads((tmp_path / "index" / "manifest.json").read_text())["documents"] == 40


@pytest.mark.parametrize("variables", [{"RANK": "x"}, {"RANK": "2"}, {"WORLD_SIZE": "two"}])
def test_a_launchers_variables_that_make_no_sense_are_one_line(command, corpus, tmp_path, monkeypatch, variables):
    for name, value in ({"RANK": "0", "WORLD_SIZE": "2"} | variables).items():
        monkeypatch.setenv(name, value)
    result = command("encode", "--corpus", corpus, "--output", tmp_path / "index")
    assert result.code == 2
    assert "make no sense together" in result.error


def test_a_folder_without_qrels_is_searched_and_expanded_and_has_no_scores(command, bert, corpus, tmp_path):
    shutil.copytree(corpus.parent, tmp_path / "mine")
    shutil.copyfile(POCKET / "queries.jsonl", tmp_path / "mine" / "queries.jsonl")
    words = ("--topics", tmp_path / "mine", "--encoder", bert, *POOLED, "--output", tmp_path / "run.trec")
    result = command("search", *words)
    assert result.code == 0, result.err
    assert "nDCG" not in result.out
    assert (tmp_path / "run.trec").stat().st_size
    result = command("expand", "--topics", tmp_path / "mine", "--model", "m", "--dry-run")
    assert result.code == 0, result.err
    assert "has no qrels" in command("evaluate", "--qrels", tmp_path / "mine", tmp_path / "run.trec").error


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes anywhere")
def test_a_folder_that_may_not_be_written_to_is_one_line_before_any_work(command, bert, corpus, tmp_path):
    (tmp_path / "locked").mkdir(mode=0o500)
    result = command("encode", "--corpus", corpus, "--encoder", bert, "--output", tmp_path / "locked" / "index")
    assert result.code == 2
    assert "cannot be written" in result.error
