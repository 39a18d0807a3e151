"""Two outputs of one command are never in one place."""

from __future__ import annotations

import pytest

from expandr_repro.errors import SetupError
from expandr_repro.expand import __main__ as expand
from expandr_repro.io.outputs import EXPANDED, check_output
from expandr_repro.search import __main__ as search


def test_a_place_that_another_option_names_is_refused_though_nothing_is_there_yet(tmp_path):
    path = tmp_path / "one"
    check_output("--output", path, EXPANDED, writes={"--store": tmp_path / "two", "--prices": None})
    with pytest.raises(SetupError, match=r"--output .*one: is what --store names, too"):
        check_output("--output", path, EXPANDED, writes={"--store": tmp_path / "." / "one"})


def test_the_output_of_expand_does_not_replace_its_store(tmp_path, capsys):
    path = str(tmp_path / "one")
    words = ["--topics", "pocket", "--model", "m", "--base-url", "http://127.0.0.1:9/v1"]
    assert expand.main([*words, "--output", path, "--store", path]) == 2
    assert "is what --store names, too" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_run_is_not_written_where_the_queries_go(tmp_path, capsys):
    path = str(tmp_path / "one")
    words = ["--topics", "pocket", "--fusion", "none", "--output", path, "--export-queries", path]
    assert search.main(words) == 2
    assert "--export-queries" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("word", "offered"), [("stat", "did you mean 'stats'?"), ("clean", "known: import, methods")])
def test_a_misspelt_word_after_expand_is_offered_the_nearest(word, offered, capsys):
    with pytest.raises(SystemExit) as exit_code:
        expand.main([word, "file.jsonl"])
    assert exit_code.value.code == 2
    assert f"unknown word after expand '{word}': {offered}" in capsys.readouterr().err
