"""The examples in the docstrings of the Python API, run as they stand."""

from __future__ import annotations

import doctest
import importlib
import inspect
import types

import pytest
from openai_server import openai_server

import expandr_repro as ex

MODULES = sorted({home for home in ex._HOMES.values() if home.startswith("api.")} | {"api.calls", "api.tables"})


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_the_api_give_what_they_show(name, cache, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(f"expandr_repro.{name}")
    with openai_server() as server:
        found = doctest.testmod(module, extraglobs={"ex": ex, "URL": server.url}, optionflags=doctest.ELLIPSIS)
    assert found.attempted
    assert found.failed == 0


def test_every_function_of_the_api_has_an_example():
    public = [getattr(ex, name) for name in ex.__all__ if name != "__version__"]
    lacking = [f.__name__ for f in public if isinstance(f, types.FunctionType) and ">>>" not in inspect.getdoc(f)]
    assert lacking == []
