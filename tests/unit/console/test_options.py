"""Options declared once, as fields: read from a command line and from keywords, shown in the help, refused where idle."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from expandr_repro.console.arguments import Parser
from expandr_repro.console.options import Options, When, declared, included, option, positive, to_path
from expandr_repro.console.parsing import add_options, given_options, read_options, with_options
from expandr_repro.errors import ExpandrError, UnknownNameError

NAMED = When("with --model m", lambda model: model.name == "m")
FAST = When("without --slow", lambda options: not options.slow)


@dataclass(frozen=True)
class Model:
    name: str = option("none", "--model", metavar="M", help="its name")
    device: str = option("auto", help="cpu or cuda", applies=NAMED)


@dataclass(frozen=True)
class Sample(Options):
    files: tuple[str, ...] = option((), argument=True, metavar="FILE", help="files")
    hits: int | None = option(None, metavar="K", group="how", parse=positive, help="documents (default: all)")
    share: float = option(0.5, group="how", help="100% of it")
    kind: str = option("a", choices=("a", "b"), group="how", help="{default} is the first")
    many: tuple[str, ...] = option((), help="values")
    text: tuple[str, ...] = option((), "--text-of", again=True, help="a value, again")
    baseline: bool = option(True, "--no-baseline", help="without it")
    unit: bool | None = option(None, help="unit vectors")
    slow: bool = option(False, "-s", "--slow", help="slowly")
    model: Model = included(Model, "model", applies=FAST)
    store: Path | None = option(None, parse=to_path, help="a file")
    extra: dict[str, int] | None = option(None, help="more")
    one: str | None = option(None, one_of="either", help="this")
    two: str | None = option(None, one_of="either", help="or that")
    output: str = option("", required=True, help="where to")


def parser_of(shape: type[Options] = Sample) -> Parser:
    made = Parser(prog="sample", allow_abbrev=False)
    add_options(made, shape)
    return made


def read(*words: str) -> Sample:
    typed = ["--output", "o", *words]
    return read_options(Sample, parser_of().parse_args(typed), given_options(parser_of(), typed))


def test_what_is_not_given_has_the_default_of_its_field():
    assert read() == Sample(output="o")
    assert read().given == {"--output": "--output"}


@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        (["a", "b"], "files", ("a", "b")),
        (["--hits", "3"], "hits", 3),
        (["--share=2"], "share", 2.0),
        (["--kind", "b"], "kind", "b"),
        (["--many", "x", "y", "--many", "z"], "many", ("x", "y", "z")),
        (["--text-of", "x", "--text-of", "y"], "text", ("x", "y")),
        (["--no-baseline"], "baseline", False),
        (["--unit"], "unit", True),
        (["--no-unit"], "unit", False),
        (["-s"], "slow", True),
        (["--device", "cpu"], "model", Model(device="cpu")),
        (["--store", "f"], "store", Path("f")),
    ],
)
def test_an_option_is_read_by_the_type_of_its_field(words, name, value):
    assert getattr(read(*words), name) == value


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--output", "o", "--hits", "0"], "--hits: 0 is not 1 or more"),
        (["--output", "o", "--share", "x"], "--share: 'x' is not a number"),
        (["--output", "o", "--kind", "c"], "--kind: 'c' is none of its values"),
        (["--output", "o", "--one", "1", "--two", "2"], "--two: not allowed with argument --one"),
        ([], "--output is required"),
    ],
)
def test_a_value_that_is_none_is_refused(capsys, words, problem):
    with pytest.raises(SystemExit):
        parser_of().parse_args(words)
    assert problem in capsys.readouterr().err


def test_the_help_has_groups_and_defaults():
    text = " ".join(parser_of().format_help().split())
    assert "how: --hits K documents (default: all) --share SHARE 100% of it (default: 0.5)" in text
    assert "a is the first (default: a)" in text
    assert "model: --model M its name (default: none)" in text
    assert "default: True" not in text
    assert "where to (default" not in text


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--device", "cpu"], "^--device: applies only with --model m; leave it out$"),
        (["--device=auto"], "^--device: applies only with --model m"),
        (["--slow", "--model", "m"], "^--model: applies only without --slow"),
        (["-s", "--device", "cpu"], "^--device: applies only without --slow"),
    ],
)
def test_an_option_given_by_hand_that_does_not_apply_is_refused(words, problem):
    with pytest.raises(ExpandrError, match=problem):
        read(*words).refuse_idle()


def test_an_option_that_applies_or_is_left_out_passes():
    read("--device", "cpu", "--model", "m").refuse_idle()
    read("--slow").refuse_idle()
    Sample(slow=True, model=Model("m")).refuse_idle()


def test_an_error_may_say_something_else():
    @dataclass(frozen=True)
    class Worded(Options):
        factory: str | None = option(None, applies=When("", lambda _: False, lambda _: " is for Faiss"))

    with pytest.raises(ExpandrError, match=r"^factory is for Faiss$"):
        with_options(Worded, {"factory": "x"}).refuse_idle()


def test_keywords_make_the_same_as_a_command_line():
    made = with_options(Sample, {"hits": 3, "device": "cpu", "many": "x", "text": ["y"], "kind": "b", "share": 1}, output="o")  # fmt: skip
    assert made == read("--hits", "3", "--device", "cpu", "--many", "x", "--text-of", "y", "--kind", "b", "--share", "1")  # fmt: skip
    assert made.given == {"--hits": "hits", "--device": "device", "--many": "many", "--text-of": "text", "--kind": "kind", "--share": "share"}  # fmt: skip
    with pytest.raises(ExpandrError, match=r"^device: applies only with --model m"):
        made.refuse_idle()


def test_a_keyword_that_is_none_is_not_given():
    assert with_options(Sample, {"hits": None, "device": None}).given == {}


@pytest.mark.parametrize(
    ("keywords", "problem"),
    [
        ({"hit": 3}, "unknown keyword 'hit': did you mean 'hits'"),
        ({"kind": "c"}, "unknown kind 'c'"),
        ({"hits": 0}, "hits 0: wanted a whole number from 1"),
        ({"hits": True}, "hits True: wanted a whole number from 1"),
        ({"hits": 2.5}, "hits 2.5: wanted a whole number from 1"),
        ({"share": "x"}, "share 'x': wanted a number"),
        ({"share": True}, "share True: wanted a number"),
        ({"slow": 1}, "slow 1: wanted True or False"),
        ({"extra": "x"}, "extra 'x': wanted a dict of settings"),
        ({"many": [1]}, "many 1: wanted a string"),
        ({"device": 1}, "device 1: wanted a string"),
    ],
)
def test_a_keyword_is_checked_by_the_type_of_its_field(keywords, problem):
    with pytest.raises(ExpandrError, match=problem):
        with_options(Sample, keywords)


def test_a_path_will_do_for_a_string_and_a_string_for_a_path():
    made = with_options(Sample, {"device": Path("x"), "store": "y"})
    assert (made.model.device, made.store) == ("x", Path("y"))


def test_a_number_of_numpy_will_do():
    made = with_options(Sample, {"hits": np.int64(3), "share": np.float32(0.5), "slow": True})
    assert (made.hits, made.share) == (3, 0.5)
    assert (type(made.hits), type(made.share)) == (int, float)
    with pytest.raises(ExpandrError, match="wanted a whole number from 1"):
        with_options(Sample, {"hits": np.int64(0)})


def test_every_option_has_its_own_flag():
    flags = [flag for one in declared(Sample) for flag in one.flags]
    assert sorted(flags) == sorted(set(flags))
    assert {"--text-of", "--no-baseline", "-s", "--model", "files"} <= set(flags)


def test_one_of_a_set_must_be_given_where_its_name_says_so(capsys):
    @dataclass(frozen=True)
    class Strict(Options):
        one: str | None = option(None, one_of="source!", help="this")
        two: str | None = option(None, one_of="source!", help="or that")

    with pytest.raises(SystemExit):
        parser_of(Strict).parse_args([])
    assert "--one --two" in capsys.readouterr().err


def test_an_unknown_keyword_is_an_unknown_name():
    with pytest.raises(UnknownNameError):
        with_options(Sample, {"nothing": 1})


def test_a_plain_parser_of_argparse_will_do():
    made = argparse.ArgumentParser()
    add_options(made, Sample)
    assert made.parse_args(["--output", "o"]).hits is None
