"""A dry run refuses at once what the command refuses at once."""

from __future__ import annotations

import pytest

from expandr_repro.encode import __main__ as encode
from expandr_repro.search import __main__ as search


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--output", "FOLDER"], "is a folder; wanted a file name"),
        (["--output", "FOLDER/thesis"], "is there and is not a TREC run"),
        (["--metrics", "nDGC@10"], "unknown metric 'nDGC@10'"),
    ],
)
def test_a_dry_run_of_a_search_checks_what_would_be_written(words, message, tmp_path, capsys):
    (tmp_path / "thesis").write_text("mine\n")
    words = [word.replace("FOLDER", str(tmp_path)) for word in words]
    assert search.main(["--topics", "pocket", "--fusion", "none", "--dry-run", *words]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--output", "FOLDER"], "contains something else than a Faiss index"),
        (["--output", "FOLDER/new", "--num-shards", "3", "--shard-id", "7"], "--shard-id goes from 0 to"),
        (["--output", "FOLDER/new", "--num-shards", "3"], "--shard-id and --num-shards go together"),
    ],
)
def test_a_dry_run_of_an_encoding_checks_what_would_be_written(words, message, tmp_path, capsys):
    (tmp_path / "thesis").write_text("mine\n")
    words = [word.replace("FOLDER", str(tmp_path)) for word in words]
    assert encode.main(["--corpus", "pocket", "--dry-run", *words]) == 2
    assert message in capsys.readouterr().err
