"""`python -m expandr_repro.pyserini` names what it cannot hand over, before Java starts."""

from __future__ import annotations

import pytest

from expandr_repro.pyserini import __main__ as stock


@pytest.fixture
def called(monkeypatch, capsys):
    """Call it with some words: the exit code, standard output, standard error."""

    def call(*words):
        monkeypatch.setattr("sys.argv", ["pyserini", *words])
        monkeypatch.setattr(stock.jvm, "start", lambda: pytest.fail("Java was started"))
        with pytest.raises(SystemExit) as exit_code:
            stock.main()
        return exit_code.value.code, *capsys.readouterr()

    return call


@pytest.mark.parametrize("name", ["foo", "search.fais", "os", "../x", "search.", "-m"])
def test_a_module_that_pyserini_does_not_have_is_bad_input_in_one_line(called, name):
    code, out, err = called(name, "--topics", "t")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "no such module" in err or name == "-m"


def test_help_is_no_error_and_no_module_is_one(called):
    code, out, _ = called("--help")
    assert (code, out.split(":")[0]) == (0, "usage")
    code, _, err = called()
    assert (code, err.split(":")[0]) == (2, "usage")


@pytest.mark.parametrize("name", ["search.faiss", "pyserini.search.lucene", "encode", "eval.trec_eval"])
def test_pyserinis_own_modules_are_known_without_an_import(name):
    assert stock._is_there("pyserini." + name.removeprefix("pyserini."))
