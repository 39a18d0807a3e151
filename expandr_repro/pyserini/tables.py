"""Read Pyserini's tables of prebuilt indexes, topics and qrels from its source, without importing it.

Up to 2.3 the tables are literals in Pyserini's source (some entries refer to a table in Anserini's jar). 2.4 has addresses of JSON files
in their place, each at a fixed commit, and reads them over the network, some of them while it is imported. Such a file is fetched
once and kept in the cache; where it can't be fetched, the tables of 2.3, which ship with this toolkit, answer for it.
"""

from __future__ import annotations

import ast
import functools
import gzip
import importlib.metadata
import importlib.util
import io
import json
import os
import re
import urllib.request
import zipfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import Any

from expandr_repro.errors import ExpandrError, SetupError
from expandr_repro.io.files import atomic_text
from expandr_repro.io.paths import cache_dir, resource

SUPPORTED = "1.6 to 2.4"
"""The versions of Pyserini that this toolkit was run with."""

BOUNDS = ">=1.6,<2.5"
"""The same as pip writes it; as in pyproject.toml."""

KINDS = {"faiss": "FAISS_INDEX_INFO", "lucene": "TF_INDEX_INFO"}
"""Which of Pyserini's tables hold the indexes that this toolkit searches: the beginning of their names."""

TIMEOUT = 5.0
"""Seconds to wait for one of the tables that Pyserini 2.4 keeps on the network."""

_silent: list[str] = []  # why the network does not answer; asked once in a process


@dataclass(frozen=True)
class Table:
    """Names and what Pyserini states for each: a prebuilt index's facts, the file of topics or qrels.

    Attributes:
        entries: by name.
        origin: where they were read, for people.
        own: whether they are those of the installed Pyserini itself.
    """

    entries: Mapping[str, Any]
    origin: str
    own: bool = True


def package() -> Path | None:
    """Return the folder of the installed Pyserini, or None where there is none."""
    spec = importlib.util.find_spec("pyserini")
    return Path(spec.origin).parent if spec and spec.origin else None


def version() -> str:
    """Return the version of the installed Pyserini."""
    try:
        return importlib.metadata.version("pyserini")
    except importlib.metadata.PackageNotFoundError:
        return "of an unknown version"


def indexes(kind: str, fetch: bool = True) -> Table:
    """Return Pyserini's table of prebuilt indexes.

    Args:
        kind: `faiss`, or `lucene` for BM25.
        fetch: whether a table that is on the network may be fetched.

    Raises:
        SetupError: there is no table where this version of Pyserini should have one.
    """
    return _checked(f"prebuilt {kind.capitalize()} indexes", _indexes(KINDS[kind], package(), fetch))


def topics(fetch: bool = True) -> Table:
    """Return Pyserini's table of topics: by name, Anserini's constant or the file and its reader; with the errors of `indexes`."""
    return _checked("topics", _evaluation("topics", package(), fetch))


def qrels(fetch: bool = True) -> Table:
    """Return Pyserini's table of qrels; like `topics`."""
    return _checked("qrels", _evaluation("qrels", package(), fetch))


def _checked(what: str, table: Table) -> Table:
    if not table.entries and package() is not None:
        raise SetupError(
            f"Pyserini {version()} has no names of {what} where this toolkit looks for them; it was run with Pyserini {SUPPORTED}: "
            f'pip install "pyserini{BOUNDS}"'
        )
    return table


# --- what the source says


@dataclass
class _Source:
    """Top-level assignments of a module of Pyserini."""

    root: Path
    values: dict[str, ast.expr] = field(default_factory=dict)
    addresses: dict[str, ast.JoinedStr] = field(default_factory=dict)

    def text(self, name: str, **known: str) -> str:
        """Return a string constant, or an f-string of such."""
        return self._render(self.values[name], known)

    def _render(self, node: ast.expr, known: Mapping[str, str]) -> str:
        if isinstance(node, ast.Constant):
            return str(node.value)
        if isinstance(node, ast.JoinedStr):
            return "".join(self._render(v, known) for v in node.values)
        if isinstance(node, ast.FormattedValue):
            return self._render(node.value, known)
        if isinstance(node, ast.Name):
            return known[node.id] if node.id in known else self._render(self.values[node.id], known)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in self.addresses:
            return self._render(self.addresses[node.func.id], {"path": self._render(node.args[0], known)})
        raise KeyError(ast.unparse(node))

    def locations(self, call: ast.Call) -> list[str]:
        """Return the addresses or paths that a lazily loaded table is given."""
        return [self._render(argument, {}) for argument in call.args]


@functools.lru_cache(maxsize=8)
def _source(root: Path, module: str) -> _Source:
    source = _Source(root)
    try:
        tree = ast.parse((root / module).read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError):
        return source
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            source.values.setdefault(node.targets[0].id, node.value)
        elif (
            isinstance(node, ast.FunctionDef)
            and isinstance(last := node.body[-1], ast.Return)
            and isinstance(last.value, ast.JoinedStr)
        ):
            source.addresses[node.name] = last.value
    return source


def _lazy(value: ast.expr) -> bool:
    return isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id.startswith("_Lazy")


def is_remote() -> bool:
    """Return whether the installed Pyserini has its tables on the network, as 2.4 does."""
    root = package()
    try:
        if (
            root is None or b"urlopen" not in (root / "prebuilt_index_info.py").read_bytes()
        ):  # parsing 400 KB takes a while
            return False
    except OSError:
        return False
    return any(_lazy(v) for v in _source(root, "prebuilt_index_info.py").values.values())


# --- indexes


def _indexes(prefix: str, root: Path | None, fetch: bool) -> Table:
    if root is None:
        return Table({}, "Pyserini is not installed")
    source = _source(root, "prebuilt_index_info.py")
    groups = {name: value for name, value in source.values.items() if name.startswith(prefix)}
    entries: dict[str, Any] = {}
    own = True
    wanted = {name: source.locations(v) for name, v in groups.items() if _lazy(v) and isinstance(v, ast.Call)}
    read = _read_all([path for places in wanted.values() for path in places], root, fetch)
    for name, value in groups.items():
        if isinstance(value, ast.Dict):
            entries |= dict(_literal(value, root, entries))
        elif name in wanted:
            contents = [read[path] for path in wanted[name]]
            if any(c is None for c in contents):
                own = False
                contents = [_shipped()["indexes"].get(name, {})]
            for content in contents:
                entries |= _records(content)
    return Table(entries, f"Pyserini {version()}" if own else _shipped_name(), own)


def _records(content: Any) -> dict[str, Any]:
    """Read a JSON table of Pyserini 2.4: a list of records for Lucene, a mapping for Faiss."""
    if isinstance(content, list):
        return {record["name"]: record for record in content}
    return dict(content)


def _literal(table: ast.Dict, root: Path, before: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in zip(table.keys, table.values, strict=True):
        if not (isinstance(key, ast.Constant) and isinstance(key.value, str)):
            continue
        if isinstance(value, ast.Dict):
            yield key.value, ast.literal_eval(value)
        elif isinstance(value, ast.Constant):  # 2.4: an alias
            yield key.value, before.get(str(value.value), {})
        elif isinstance(value, ast.Subscript) and isinstance(value.slice, ast.Constant):  # up to 2.3: an alias
            yield key.value, before.get(str(value.slice.value), {})
        else:  # import_from_inverted_lucene(JPrebuiltInvertedIndex.get(NAME))
            names = [c.value for c in ast.walk(value) if isinstance(c, ast.Constant)]
            yield key.value, _in_jar(root).get(str(names[-1]) if names else key.value, {})


@functools.lru_cache(maxsize=4)
def _in_jar(root: Path) -> dict[str, Any]:
    """Return the prebuilt indexes that Anserini's jar describes."""
    records: dict[str, Any] = {}
    for jar in sorted(root.glob("resources/jars/anserini-*-fatjar.jar")):
        with zipfile.ZipFile(jar) as archive:
            for name in archive.namelist():
                if name.startswith("prebuilt-indexes/") and name.endswith(".json"):
                    records |= _records(json.loads(archive.read(name)))
    return records


# --- topics and qrels


def _evaluation(kind: str, root: Path | None, fetch: bool) -> Table:
    if root is None:
        return Table({}, "Pyserini is not installed")
    source = _source(root, "search/_base.py")
    if isinstance(value := source.values.get(f"{kind}_mapping"), ast.Dict):
        return Table(dict(_constants(value)), f"Pyserini {version()}")
    try:
        files = [
            source.text("EVAL_BASE_URL") + source.text(f"{kind.upper()}{part}_METADATA_FILE")
            for part in ("", "_ALIASES")
        ]
        local = root / "resources" / source.text(f"LOCAL_{kind.upper()}_ALIASES_METADATA_FILE")
    except KeyError:
        return Table({}, f"Pyserini {version()}")
    read = _read_all(files, root, fetch)
    if any(content is None for content in read.values()):
        return Table(dict.fromkeys(_shipped()[kind]), _shipped_name(), own=False)
    table: dict[str, Any] = dict(read[files[0]])
    for aliases in (read[files[1]], json.loads(local.read_text(encoding="utf-8")) if local.is_file() else {}):
        for name, others in aliases.items():
            if name in table:
                table |= dict.fromkeys(others, table[name])
    return Table(table, f"Pyserini {version()}")


def _constants(table: ast.Dict) -> Iterator[tuple[str, Any]]:
    for key, value in zip(table.keys, table.values, strict=True):
        if isinstance(key, ast.Constant) and isinstance(value, ast.Constant):
            yield str(key.value), value.value


def evaluation_address(kind: str) -> str:
    """Return where Pyserini 2.4 fetches topics or qrels from; empty for other versions."""
    root = package()
    try:
        return _source(root, "search/_base.py").text(f"{kind.upper()}_BASE_URL") if root else ""
    except KeyError:
        return ""


def jar_address() -> str:
    """Return where Anserini's jar fetches topics and qrels from, up to Pyserini 2.3."""
    root = package()
    for jar in sorted(root.glob("resources/jars/anserini-*-fatjar.jar")) if root else ():
        with zipfile.ZipFile(jar) as archive:
            code = archive.read("io/anserini/search/topicreader/TopicReader.class")
        if match := re.search(rb"https://[!-~]+/topics-and-qrels/", code):
            return match[0].decode()
    return ""


def home() -> Path:
    """Return the folder in which Pyserini keeps what it fetched."""
    if chosen := os.environ.get("PYSERINI_CACHE"):
        return Path(chosen)
    if is_remote() and Path(".cache").is_dir():  # since 2.4
        return Path.cwd() / ".cache" / "pyserini"
    return Path.home() / ".cache" / "pyserini"


# --- files that Pyserini 2.4 keeps on the network


def _read_all(places: list[str], root: Path, fetch: bool) -> dict[str, Any]:
    """Return the JSON content of each address or path; None where it can't be had."""
    with ThreadPoolExecutor(8) as pool:
        contents = list(pool.map(lambda path: _read(path, root, fetch), places))
    return dict(zip(places, contents, strict=True))


def _read(path: str, root: Path, fetch: bool) -> Any:
    if not path.startswith(("http://", "https://")):
        return json.loads((root / path).read_text(encoding="utf-8"))
    kept = _kept(path)
    try:
        return json.loads(kept.read_bytes())
    except (OSError, ValueError):
        pass
    if not fetch or _silent:
        return None
    try:
        with urllib.request.urlopen(path, timeout=TIMEOUT) as response:  # noqa: S310 - an address from Pyserini's source, http or https
            content = response.read()
        parsed = json.loads(content)
    except (OSError, HTTPException, ValueError) as error:
        _silent.append(str(error))
        return None
    try:
        with atomic_text(kept) as file:
            file.write(content.decode())
    except ExpandrError:
        pass  # fetched again next time
    return parsed


def _kept(address: str) -> Path:
    parts = re.sub(r"^https?://", "", address).split("/")
    return cache_dir().joinpath("pyserini", *[p for p in parts if p not in ("", ".", "..")])


@functools.cache
def _shipped() -> dict[str, Any]:
    with gzip.open(resource("pyserini-tables.json.gz"), "rt", encoding="utf-8") as file:
        content: dict[str, Any] = json.load(file)
    return content


def _shipped_name() -> str:
    return f"the tables of Pyserini {_shipped()['version']} that ship with this toolkit; those of {version()} are on the network"


@functools.cache
def import_tables() -> None:
    """Import Pyserini's table of indexes in such a way that 2.4, which reads it from the network, takes what this module has.

    Without this, importing nearly any part of Pyserini 2.4 fails on a machine without a network, and asks for each file again on others.
    Nothing is fetched by the import itself.
    """
    root = package()
    if root is None or not is_remote():
        return
    whole, importing = urllib.request.urlopen, [True]
    source = _source(root, "prebuilt_index_info.py")
    lazy = {name: source.locations(v) for name, v in source.values.items() if isinstance(v, ast.Call) and _lazy(v)}
    tables = {path: (name, number) for name, places in lazy.items() for number, path in enumerate(places)}

    def urlopen(url: Any, *rest: Any, **options: Any) -> Any:
        if url not in tables:
            return whole(url, *rest, **options)
        content = _read(url, root, fetch=not importing)
        if content is None:
            name, number = tables[url]
            content = _shipped()["indexes"].get(name, {})
            if "/lucene/" in url:
                content = [] if number else [{"name": key, **entry} for key, entry in content.items()]
        return io.BytesIO(json.dumps(content).encode())

    urllib.request.urlopen = urlopen
    try:
        from pyserini import prebuilt_index_info  # binds `urlopen`
    finally:
        urllib.request.urlopen = whole
        importing.clear()
    for name in lazy:
        table: Any = getattr(prebuilt_index_info, name, None)
        if hasattr(table, "_info"):
            table._info = None  # read again, from the network too, by whoever needs it
