"""Usage errors: one line, the option, what was found, the nearest name."""

from __future__ import annotations

import importlib

import pytest

from expandr_repro.__main__ import COMMANDS
from expandr_repro.console.arguments import Parser


def parser() -> Parser:
    made = Parser(prog="python -m expandr_repro.test", allow_abbrev=False)
    made.add_argument("-q", "--quiet", action="store_true")
    made.add_argument("-v", "--verbose", action="store_true")
    made.add_argument("--topics", required=True)
    made.add_argument("--hits", type=int)
    made.add_argument("--alpha", type=float)
    made.add_argument("--encoder")
    made.add_argument("--retriever", choices=("dense", "bm25"))
    made.add_argument("--normalize", action="store_true")
    made.add_argument("--pair", nargs=2)
    return made


def error_of(capsys: pytest.CaptureFixture[str], made: Parser, *words: str) -> str:
    with pytest.raises(SystemExit) as stop:
        made.parse_args(list(words))
    out, err = capsys.readouterr()
    assert (stop.value.code, out) == (2, "")
    assert err.startswith("error: ")
    assert err.endswith("; see python -m expandr_repro.test --help\n")
    assert err.count("\n") == 1
    return err.removeprefix("error: ").removesuffix("; see python -m expandr_repro.test --help\n")


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ([], "--topics is required"),
        (["--topcs", "pocket"], "unknown option '--topcs': did you mean --topics?"),
        (["--topics", "pocket", "--model", "x"], "unknown option '--model': did you mean --encoder?"),
        (["--topics", "pocket", "--k", "10"], "unknown option '--k': did you mean --hits?"),
        (["--topics", "pocket", "--k=10"], "unknown option '--k': did you mean --hits?"),
        (["--topics", "pocket", "-k", "10"], "unknown option '-k'"),
        (["--topics", "pocket", "--norm"], "unknown option '--norm': did you mean --normalize?"),
        (["--topics", "pocket", "--xyzzy"], "unknown option '--xyzzy'"),
        (["--topics", "pocket", "--hits", "ten"], "--hits: 'ten' is not a whole number"),
        (["--topics", "pocket", "--alpha", "half"], "--alpha: 'half' is not a number"),
        (["--topics", "pocket", "--hits"], "--hits: needs a value"),
        (["--topics", "pocket", "--pair", "1"], "--pair: needs 2 values"),
        (["--topics", "pocket", "--quiet=yes"], "--quiet takes no value (found 'yes')"),
        (["--topics", "pocket", "extra"], "unexpected argument 'extra'"),
        (
            ["--topics", "pocket", "--retriever", "bm52"],
            "--retriever: 'bm52' is none of its values: did you mean 'bm25'?",
        ),
        (["--topics", "pocket", "--retriever", "x"], "--retriever: 'x' is none of its values: dense, bm25"),
        (["--topics", "pocket", "--x\ny"], "unknown option '--x\\ny'"),
    ],
)
def test_a_usage_error_is_one_line_that_names_the_option(capsys, words, wanted):
    assert error_of(capsys, parser(), *words) == wanted


def test_short_flags_may_stand_together():
    assert parser().parse_args(["-qv", "--topics", "pocket"]).quiet is True


def test_negative_numbers_and_words_after_two_dashes_are_values():
    made = parser()
    made.add_argument("rest", nargs="*")

    assert made.parse_args(["--topics", "pocket", "--alpha", "-1", "--", "--not-an-option"]).rest == ["--not-an-option"]
    assert made.parse_args(["--topics", "pocket", "--alpha", "-.5"]).alpha == -0.5


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_refuses_an_unknown_option_in_one_line(capsys, name):
    module = importlib.import_module(f"expandr_repro.{name}.__main__")
    with pytest.raises(SystemExit) as stop:
        module.main(["--no-such-option-at-all"])

    out, err = capsys.readouterr()
    assert (stop.value.code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("error: unknown option '--no-such-option-at-all'")


@pytest.mark.parametrize(
    ("command", "given", "nearest"),
    [
        ("search", "--model", "--encoder"),
        ("search", "--k", "--hits"),
        ("search", "--queries", "--topics"),
        ("search", "--max_length", "--max-length"),
        ("encode", "--model", "--encoder"),
        ("encode", "--data", "--corpus"),
        ("expand", "--max-new-tokens", "--max-tokens"),
        ("expand", "--url", "--base-url"),
        ("train_generator", "--lr", "--set"),
        ("evaluate", "--measures", "--metrics"),
    ],
)
def test_names_of_other_tools_lead_to_the_option_here(capsys, command, given, nearest):
    with pytest.raises(SystemExit):
        importlib.import_module(f"expandr_repro.{command}.__main__").main([given, "1"])

    assert f"unknown option '{given}': did you mean {nearest}?" in capsys.readouterr().err
