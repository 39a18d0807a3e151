from __future__ import annotations

import logging
import os
import subprocess
import sys

import pytest

from expandr_repro import __main__ as program
from expandr_repro import __version__, cli
from expandr_repro.console import progress
from expandr_repro.console.options import positive
from expandr_repro.errors import CheckFailedError, ExpandrError, FormatError


@pytest.fixture(autouse=True)
def fresh_logging():
    """Let each test set up logging anew, on the standard error of the test."""
    logger = logging.getLogger("expandr_repro")
    kept = (logger.handlers[:], logger.level, logger.propagate)
    logger.handlers.clear()
    yield
    logger.handlers[:], logger.level, logger.propagate = kept
    progress.set_quiet(False)


def run_with(action, *argv: str) -> int:
    return cli.execute(cli.parser("test", "Tests.", "python -m x"), action, list(argv))


def raising(error: BaseException):
    def action(_):
        raise error

    return action


def test_what_a_command_returns_is_its_exit_code():
    assert run_with(lambda _: 0) == 0
    assert run_with(lambda _: 1) == 1


def test_bad_input_is_one_line_on_standard_error_and_exit_code_2(capsys):
    assert run_with(raising(FormatError("t.tsv", 3, "no tab;\n  wanted one"))) == 2
    assert capsys.readouterr() == ("", "error: t.tsv, line 3: no tab; wanted one\n")


def test_a_failed_check_exits_with_1(capsys):
    assert run_with(raising(CheckFailedError("nDCG@10 moved"))) == 1
    assert capsys.readouterr().err == "error: nDCG@10 moved\n"


def test_an_interruption_exits_with_130(capsys):
    assert run_with(raising(KeyboardInterrupt())) == 130
    assert capsys.readouterr().err == "error: interrupted\n"


def test_an_error_of_the_system_names_the_file(capsys):
    assert run_with(raising(PermissionError(13, "Permission denied", "a.txt"))) == 2
    assert capsys.readouterr().err == "error: a.txt: Permission denied\n"


def test_a_lack_of_memory_gets_a_cure(capsys):
    assert run_with(raising(MemoryError())) == 2
    assert capsys.readouterr().err.startswith("error: out of memory; lower --batch-size, --batch-tokens or --hits")


def test_an_unforeseen_error_is_one_line_that_says_what_and_where(capsys):
    assert run_with(lambda _: 1 // 0) == 2

    error = capsys.readouterr().err
    assert error.startswith("error: unforeseen ZeroDivisionError in cli.py, line ")
    assert "integer division or modulo by zero; --verbose shows where" in error
    assert len(error.splitlines()) == 1


def test_an_unforeseen_error_has_its_traceback_when_asked_for(capsys):
    assert run_with(lambda _: 1 // 0, "--verbose") == 2

    error = capsys.readouterr().err
    assert "Traceback" in error
    assert error.splitlines()[-1].startswith("error: unforeseen ZeroDivisionError")


def test_a_traceback_is_shown_when_asked_for(capsys):
    run_with(raising(ExpandrError("wrong")), "--verbose")

    error = capsys.readouterr().err
    assert "Traceback" in error
    assert error.endswith("error: wrong\n")


def test_a_reader_that_has_gone_is_no_failure():
    program_text = (
        "import sys; from expandr_repro import cli\n"
        "def run(args):\n    print('x' * 10_000_000, flush=True)\n    return 0\n"
        "sys.exit(cli.execute(cli.parser('test', 'Tests.', 'x'), run, []))"
    )
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([sys.executable, "-c", program_text], stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)

    assert (done.returncode, done.stderr) == (0, b"")


def test_help_shows_the_summary_the_examples_and_the_common_options(capsys):
    with pytest.raises(SystemExit) as caught:
        run_with(lambda _: 0, "--help")

    shown = capsys.readouterr().out
    assert caught.value.code == 0
    assert shown.startswith("usage: python -m expandr_repro.test")
    assert "Tests." in shown
    assert "examples:\n  python -m x" in shown
    assert all(option in shown for option in ("--quiet", "--verbose", "--version"))


def test_the_version_is_the_packages(capsys):
    with pytest.raises(SystemExit):
        run_with(lambda _: 0, "--version")

    assert capsys.readouterr().out == f"expandr_repro {__version__}\n"


def test_options_cannot_be_abbreviated(capsys):
    with pytest.raises(SystemExit) as caught:
        run_with(lambda _: 0, "--verb")

    assert caught.value.code == 2
    assert "unknown option '--verb': did you mean --verbose?" in capsys.readouterr().err


def log_both(_) -> int:
    logger = logging.getLogger("expandr_repro.anything")
    logger.debug("detail")
    logger.info("said")
    logger.warning("warned")
    return 0


def test_notes_and_warnings_go_to_standard_error(capsys):
    run_with(log_both)

    assert capsys.readouterr() == ("", "note: said\nwarning: warned\n")


def test_quiet_leaves_warnings_alone(capsys):
    run_with(log_both, "--quiet")

    assert capsys.readouterr().err == "warning: warned\n"


def test_verbose_says_more(capsys):
    run_with(log_both, "--verbose")

    assert capsys.readouterr().err == "note: detail\nnote: said\nwarning: warned\n"


def test_two_commands_in_one_process_say_everything_once(capsys):
    run_with(log_both)
    run_with(log_both)

    assert capsys.readouterr().err.count("said") == 2


def test_a_positive_number_is_parsed():
    assert positive("7") == 7


@pytest.mark.parametrize(
    ("value", "problem"),
    [("0", "0 is not 1 or more"), ("-3", "-3 is not 1 or more"), ("x", "'x' is not a whole number")],
)
def test_another_number_is_refused_with_its_option(capsys, value, problem):
    made = cli.parser("test", "Tests.", "x")
    made.add_argument("--hits", type=positive)

    with pytest.raises(SystemExit):
        made.parse_args([f"--hits={value}"])
    assert f"--hits: {problem}" in capsys.readouterr().err


def call_program(monkeypatch, *argv: str) -> int:
    monkeypatch.setattr(sys, "argv", ["expandr", *argv])
    return program.main()


@pytest.mark.parametrize("argv", [(), ("--help",), ("-h",)])
def test_the_program_lists_its_commands(monkeypatch, capsys, argv):
    assert call_program(monkeypatch, *argv) == 0

    shown = capsys.readouterr().out
    assert all(f"  {name} " in shown for name in program.COMMANDS)


def test_the_program_knows_its_version(monkeypatch, capsys):
    assert call_program(monkeypatch, "--version") == 0
    assert capsys.readouterr().out == f"expandr_repro {__version__}\n"


def test_an_unknown_command_offers_the_nearest(monkeypatch, capsys):
    assert call_program(monkeypatch, "serch") == 2
    assert capsys.readouterr().err == "error: unknown command 'serch': did you mean 'search'?\n"


def test_the_list_of_commands_names_each_once(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["expandr", "--help"])

    assert program.main() == 0

    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines if line.startswith("  ")] == list(program.COMMANDS)
