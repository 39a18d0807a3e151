"""The package itself: cheap to import, its names known to editors and offered where one is misspelt."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import expandr_repro as ex

HEAVY = ("torch", "numpy", "pandas", "faiss", "transformers", "pyserini", "ranx", "openai", "aiohttp", "yaml", "tqdm")


def in_a_new_process(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_importing_the_package_takes_less_than_a_tenth_of_a_second_and_nothing_heavy():
    code = (
        "import sys, time; begin = time.process_time(); import expandr_repro; "
        f"print(time.process_time() - begin, [m for m in {HEAVY} if m in sys.modules])"
    )
    seconds, loaded = in_a_new_process(code).split(" ", 1)
    assert float(seconds) < 0.1
    assert loaded == "[]"


def test_the_names_of_the_api_are_listed_before_any_is_imported():
    listed = in_a_new_process("import expandr_repro; print(*dir(expandr_repro))").split()
    assert {"load_topics", "Topics", "load_encoder", "open_index", "retrieve", "Run", "score", "significance", "generate"} <= set(listed)  # fmt: skip


def test_the_names_that_are_imported_lazily_are_those_that_type_checkers_see():
    tree = ast.parse(Path(ex.__file__).read_text(encoding="utf-8"))
    block = next(n for n in tree.body if isinstance(n, ast.If))
    seen = {
        alias.name: n.module.removeprefix("expandr_repro.")
        for n in block.body
        if isinstance(n, ast.ImportFrom)
        for alias in n.names
    }
    assert seen == ex._HOMES
    assert set(ex.__all__) == {*seen, "__version__"}


def test_a_misspelt_name_of_the_package_is_answered_with_the_nearest():
    with pytest.raises(AttributeError, match="'retreive'; did you mean 'retrieve'"):
        ex.retreive  # noqa: B018


def test_what_the_package_lacks_is_no_attribute():
    assert not hasattr(ex, "__wrapped__")


@pytest.mark.parametrize(
    ("call", "nearest"),
    [
        (lambda: ex.retrieve({"1": "a"}, "pocket", fussion="mean"), "fusion"),
        (lambda: ex.load_topics("pocket", expansion="claude.q2d"), "expansions"),
        (lambda: ex.score({}, {}, metric="P@1"), "metrics"),
        (lambda: ex.generate({"1": "a"}, model="m", temprature=1), "temperature"),
        (lambda: ex.open_index("pocket", factry="Flat"), "factory"),
        (lambda: ex.load_encoder(devise="cpu"), "device"),
        (lambda: ex.Topics({"1": "a"}, qrel={}), "qrels"),
        (lambda: ex.load_topics("pockt"), "pocket"),
        (lambda: ex.load_encoder("all-MiniLM-L6-v3"), "all-MiniLM-L6-v2"),
        (lambda: ex.open_index("pockett"), "pocket"),
        (lambda: ex.score({"1": {"d": 1.0}}, {"1": {"d": 1}}, ["nDGC@10"]), "nDCG@10"),
        (lambda: ex.significance({"a": {"1": {"d": 1.0}}, "b": {"1": {"d": 1.0}}}, {"1": {"d": 1}}, "P@1", test="studnet"), "student"),
        (lambda: ex.Topics([{"qid": "1", "titel": "a"}]), "title"),
        (lambda: ex.Topics([{"qid": "1", "title": "a", "expansion": ["b"]}]), "expansions"),
        (lambda: ex.load_topics("pocket", expansions="claude.q2f"), "claude.q2d"),
    ],
)  # fmt: skip
def test_a_misspelt_keyword_or_name_is_answered_with_the_nearest(call, nearest):
    with pytest.raises(ex.UnknownNameError, match=f"did you mean '{nearest}'"):
        call()


def test_errors_name_keywords_where_the_commands_have_options():
    with pytest.raises(ex.ExpandrError) as caught:
        ex.load_topics("pocket", qids=",")
    assert str(caught.value).startswith("qids ','")
