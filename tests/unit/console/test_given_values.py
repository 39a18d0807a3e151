"""Values that are given by hand: numbers within their bounds, and texts that are not empty, on the command line and in Python."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import pytest

from expandr_repro.console.arguments import Parser
from expandr_repro.console.options import Bounded, Options, natural, option, positive, to_path
from expandr_repro.console.parsing import add_options, given_options, read_options, with_options
from expandr_repro.encode.options import EncodeRequest
from expandr_repro.encoders.options import EncoderOptions
from expandr_repro.errors import ExpandrError
from expandr_repro.fuse.options import FuseRequest
from expandr_repro.gate.options import FitRequest
from expandr_repro.prefer.options import PreferRequest
from expandr_repro.registry import Within
from expandr_repro.search.options import SearchRequest


@dataclass(frozen=True)
class Sample(Options):
    files: tuple[str, ...] = option((), argument=True, metavar="FILE")
    output: str | None = option(None)
    several: tuple[str, ...] = option(())
    prefix: str | None = option(None, parse=str)
    folder: Path | None = option(None)
    place: Path | None = option(None, parse=to_path)
    share: float = option(0.5, parse=Bounded(float, Within(0, 1)))
    count: int = option(0, parse=natural)
    hits: int = option(3, parse=positive)


def read(shape, *words):
    parser = Parser(prog="sample", allow_abbrev=False)
    add_options(parser, shape)
    options = read_options(shape, parser.parse_args(words), given_options(parser, words))
    options.refuse_idle()
    return options


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--share", "1.5"], "--share: 1.5 is outside 0 to 1"),
        (["--share", "nan"], "--share: nan is outside 0 to 1"),
        (["--share", "much"], "--share: 'much' is not a number"),
        (["--count", "-1"], "--count: -1 is not 0 or more"),
        (["--count", "1.5"], "--count: '1.5' is not a whole number"),
        (["--hits", "0"], "--hits: 0 is not 1 or more"),
        (["--place", ""], "--place: is empty; give a value, or leave it out"),
        (["--folder", ""], "--folder: is empty"),
    ],
)
def test_a_number_outside_its_bounds_or_an_empty_path_is_a_usage_error(words, message, capsys):
    with pytest.raises(SystemExit) as exit_code:
        read(Sample, *words)
    assert exit_code.value.code == 2
    assert capsys.readouterr().err.startswith(f"error: {message}")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--output", ""], "--output: is empty; give a value, or leave it out"),
        (["--output="], "--output: is empty"),
        (["--several", "a", ""], "--several: is empty"),
        (["a", ""], "FILE: is empty"),
    ],
)
def test_an_empty_text_is_refused_since_a_shells_variable_that_is_not_set_gives_it(words, message):
    with pytest.raises(ExpandrError, match=message):
        read(Sample, *words)


def test_a_text_that_may_be_empty_is_taken_as_it_is():
    assert read(Sample, "--prefix", "").prefix == ""
    assert read(Sample).output is None
    for words in (["--query-prefix", ""], ["--document-prefix", ""]):
        read(EncoderOptions, *words)


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"share": 2}, "^share 2: wanted a number from 0 to 1$"),
        ({"share": math.nan}, "^share nan: wanted a number from 0 to 1$"),
        ({"count": -1}, "^count -1: wanted a whole number from 0$"),
        ({"hits": 0}, "^hits 0: wanted a whole number from 1$"),
    ],
)
def test_python_is_held_to_the_same_bounds(keywords, message):
    with pytest.raises(ExpandrError, match=message):
        with_options(Sample, keywords)


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        (shape, [flag, value])
        for shape, flag, values in [
            (SearchRequest, "--k1", ("-1", "nan", "inf")),
            (SearchRequest, "--b", ("-0.1", "7", "nan")),
            (SearchRequest, "--threads", ("-1",)),
            (FuseRequest, "--k1", ("-1",)),
            (FuseRequest, "--b", ("1.1",)),
            (PreferRequest, "--threads", ("-2",)),
            (PreferRequest, "--seed", ("-1",)),
            (EncodeRequest, "--threads", ("-1",)),
            (FitRequest, "--seed", ("-1",)),
            (EncoderOptions, "--batch-tokens", ("-5",)),
        ]
        for value in values
    ],
)
def test_a_number_that_lucene_faiss_or_numpy_would_refuse_is_refused_first(shape, words, capsys):
    required = [["--train", "t", "--output", "o.json"], []][shape is not FitRequest]
    with pytest.raises(SystemExit):
        read(shape, *required, *words)
    assert f"{words[0]}: " in capsys.readouterr().err
