"""Names that the installed Pyserini knows, read from its source without importing it (an import starts the JVM and takes seconds)."""

from __future__ import annotations

import ast
import functools
import importlib.util
import re
from pathlib import Path


def _source(*parts: str) -> ast.Module | None:
    found = importlib.util.find_spec("pyserini")
    if found is None or found.origin is None:
        return None
    return ast.parse(Path(found.origin).parent.joinpath(*parts).read_text(encoding="utf-8"))


def _keys(tree: ast.Module | None, name: re.Pattern[str]) -> frozenset[str]:
    keys: set[str] = set()
    for node in tree.body if tree else ():
        if (
            isinstance(node, ast.Assign)
            and isinstance(node.targets[0], ast.Name)
            and name.fullmatch(node.targets[0].id)
            and isinstance(node.value, ast.Dict)
        ):
            keys.update(k.value for k in node.value.keys if isinstance(k, ast.Constant) and isinstance(k.value, str))
    return frozenset(keys)


@functools.cache
def faiss_indexes() -> frozenset[str]:
    """Return the names of Pyserini's prebuilt Faiss indexes."""
    return _keys(_source("prebuilt_index_info.py"), re.compile(r"FAISS_INDEX_INFO\w*"))


@functools.cache
def lucene_indexes() -> frozenset[str]:
    """Return the names of Pyserini's prebuilt inverted indexes for BM25."""
    return _keys(_source("prebuilt_index_info.py"), re.compile(r"TF_INDEX_INFO\w*"))


@functools.cache
def topics_names() -> frozenset[str]:
    """Return the names of Pyserini's topics; `cacm` is in Anserini's jar alone."""
    return _keys(_source("search", "_base.py"), re.compile(r"topics_mapping")) | {"cacm"}


@functools.cache
def qrels_names() -> frozenset[str]:
    """Return the names of Pyserini's judgements; `cacm` is in Anserini's jar alone."""
    return _keys(_source("search", "_base.py"), re.compile(r"qrels_mapping")) | {"cacm"}


@functools.cache
def _documents() -> dict[str, int]:
    """Map the names of prebuilt indexes to the number of documents that Pyserini states for them."""
    stated: dict[str, int] = {}
    tree = _source("prebuilt_index_info.py")
    for node in tree.body if tree else ():
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict):
            for key, entry in zip(node.value.keys, node.value.values, strict=True):
                if isinstance(key, ast.Constant) and isinstance(entry, ast.Dict):
                    stated |= {str(key.value): n for n in _numbers(entry, "documents")}
    return stated


def _numbers(entry: ast.Dict, name: str) -> list[int]:
    return [
        value.value
        for key, value in zip(entry.keys, entry.values, strict=True)
        if isinstance(key, ast.Constant)
        and key.value == name
        and isinstance(value, ast.Constant)
        and isinstance(value.value, int)
    ]


def index_documents(name: str) -> int | None:
    """Return how many documents Pyserini states for a prebuilt index, or None where it states none."""
    return _documents().get(name)
