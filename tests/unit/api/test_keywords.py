"""Functions of the API that take options of a command have their names, types, defaults and help from there."""

from __future__ import annotations

import inspect

import pytest

import expandr_repro as ex
from expandr_repro.api.calls import api, takes
from expandr_repro.compare.options import CompareRequest
from expandr_repro.console.options import Options, declared
from expandr_repro.console.parsing import with_options
from expandr_repro.encode.options import EncodeRequest
from expandr_repro.encoders.options import EncoderOptions
from expandr_repro.expand.options import ExpandRequest
from expandr_repro.report.options import ReportRequest
from expandr_repro.search.options import SearchRequest

EACH = pytest.mark.parametrize(
    ("function", "shape"),
    [
        (ex.retrieve, SearchRequest),
        (ex.generate, ExpandRequest),
        (ex.load_encoder, EncoderOptions),
        (ex.open_index, EncodeRequest),
        (ex.significance, CompareRequest),
        (ex.report_page, ReportRequest),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)


@EACH
def test_its_keywords_have_the_defaults_and_the_help_of_the_command(function, shape):
    options = {one.path[-1]: one for one in declared(shape)}
    parameters = inspect.signature(function).parameters.values()
    taken = [p for p in parameters if p.kind is p.KEYWORD_ONLY and p.name in options and p.name != "metrics"]
    assert taken
    for parameter in taken:
        assert options[parameter.name].option.required or parameter.default == options[parameter.name].default
        assert f"\n    {parameter.name}: " in inspect.getdoc(function)
    assert "**options" not in function.__doc__


@EACH
def test_a_keyword_that_there_is_not_is_refused_by_name(function, shape):
    name = next(p.name for p in inspect.signature(function).parameters.values() if p.kind is p.KEYWORD_ONLY)
    with pytest.raises(ex.UnknownNameError, match=f"unknown keyword of {function.__name__} '{name}x'"):
        function(**{f"{name}x": 1})


@pytest.mark.parametrize("name", ["query", "output", "searcher", "dry_run", "format"])
def test_what_is_for_the_command_line_alone_is_no_keyword(name):
    with pytest.raises(ex.UnknownNameError, match="unknown keyword of retrieve"):
        ex.retrieve({"1": "q"}, "pocket", **{name: "x"})


@pytest.mark.parametrize(
    ("keywords", "problem"),
    [
        ({}, "^model is required: the endpoint's model, a hub name or a model folder$"),
        ({"model": "m", "api": "chats"}, "unknown api 'chats': did you mean 'chat'"),
        ({"model": "m", "extra": "x"}, "^extra 'x': wanted a dict of settings"),
        ({"model": "m", "samples": 0}, "^samples 0: wanted a whole number from 1"),
        ({"model": "m", "temperature": "hot"}, "^temperature 'hot': wanted a number"),
        ({"model": "m", "timeout": 0}, "^timeout is above 0, retries and backoff are 0 or more"),
        ({"model": "m", "backend": "opnai"}, "did you mean 'openai'"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused_by_its_keyword(keywords, problem):
    with pytest.raises(ex.ExpandrError, match=problem):
        ex.generate({"1": "why do cats purr"}, **keywords)


def test_a_function_of_ones_own_takes_options():
    @api
    @takes(SearchRequest, "hits", "alpha")
    def shown(name: str, **options) -> Options:
        """Show them.

        Args:
            name: first.
            **options: some.
        """
        return with_options(SearchRequest, options, topics=name)

    assert shown("t", hits=3) == SearchRequest("t", hits=3)
    assert list(inspect.signature(shown).parameters) == ["name", "hits", "alpha"]
    assert "hits: documents" in shown.__doc__
    with pytest.raises(ex.UnknownNameError, match="did you mean 'hits'"):
        shown("t", hit=3)
