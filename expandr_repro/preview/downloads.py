"""List what ir_datasets, Pyserini and the hub would download: from where, how large, with which checksum."""

from __future__ import annotations

import importlib.util
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from expandr_repro.errors import ExpandrError, UnknownNameError
from expandr_repro.pyserini import tables
from expandr_repro.pyserini.java import find_java


@dataclass(frozen=True)
class Download:
    """A file that another toolkit fetches.

    Attributes:
        source: its address, as far as it is known.
        target: where it is on this machine once it was fetched.
        size: in bytes, packed; None where nothing states it.
        checksum: `md5 ...`, or empty where nothing states it.
        by: whose table says so.
    """

    source: str
    target: Path
    size: int | None = None
    checksum: str = ""
    by: str = ""

    @property
    def is_here(self) -> bool:
        """Whether it was fetched before."""
        return self.target.exists()


def irds_download(ident: str, what: str) -> Download:
    """Return what ir_datasets fetches for `queries`, `qrels` or `docs` of an id.

    Raises:
        UnknownNameError: ir_datasets has no such collection.
    """
    top, _, rest = ident.partition("/")
    home = Path(os.environ.get("IR_DATASETS_HOME", "~/.ir_datasets")).expanduser()
    spec = importlib.util.find_spec("ir_datasets")
    files = json.loads((Path(spec.origin).parent / "etc/downloads.json").read_text()) if spec and spec.origin else {}
    if spec and top not in files:
        raise UnknownNameError("ir_datasets id", ident, [f"{top}/..." for top in files])
    names = [f"{rest}/{what}", rest]
    while "/" in names[-1]:
        names.append(names[-1].rpartition("/")[0])
    names += [what, "collectionandqueries", "source"]
    entry = next((file for name in names if (file := _file(files.get(top, {}), name))), None)
    if entry is None:
        return Download(f"ir_datasets {ident}", home / top / rest, by="ir_datasets")
    return Download(
        entry["url"],
        home / top / entry.get("cache_path", rest),
        entry.get("size_hint"),
        f"md5 {entry['expected_md5']}" if entry.get("expected_md5") else "",
        "ir_datasets",
    )


def _file(files: Mapping[str, Any], name: str) -> Mapping[str, Any] | None:
    entry = files.get(name)
    return entry if isinstance(entry, dict) and entry.get("url") else None


def pyserini_index(kind: str, name: str) -> Download | None:
    """Return what Pyserini fetches for a prebuilt index of a kind (`faiss` or `lucene`); None if it has no such index."""
    table = tables.indexes(kind, fetch=False)
    if name not in table.entries:
        return None
    entry = table.entries[name]
    size = next((entry[k] for k in ("size", "size compressed (bytes)", "compressed_size") if k in entry), None)
    address = entry["urls"][0]
    file = re.sub(r"\.tar(\.gz)?.*$", "", entry.get("filename") or address.rsplit("/", 1)[-1])
    folder = tables.home() / "indexes" / f"{file}.{entry['md5']}"
    return Download(address, folder, size, f"md5 {entry['md5']}", table.origin)


def pyserini_evaluation(kind: str, name: str) -> Download | None:
    """Return what Pyserini fetches for `topics` or `qrels` of a name, for which it states no sizes; None if it knows no such name."""
    table = (tables.topics if kind == "topics" else tables.qrels)(fetch=False)
    entry = table.entries.get(name, "CACM" if name == "cacm" else None)
    if entry is None and name not in table.entries:
        return None
    address = tables.evaluation_address(kind)
    if address:  # 2.4
        file = entry["path"] if isinstance(entry, dict) else entry if table.own else None
        folder = tables.home() / kind
        if not isinstance(file, str):
            return Download(f"{address}, by the list there", folder / name, by=table.origin)
        return Download(address + file, folder / Path(file).name, by=table.origin)
    file = _path_in_jar(kind, str(entry))
    folder = tables.home() / "topics-and-qrels"
    return Download(tables.jar_address() + (file or f"(Anserini's {entry})"), folder / (file or name), by=table.origin)


def _path_in_jar(kind: str, constant: str) -> str:
    """Ask Anserini's jar for the file behind a constant; empty without a Java."""
    from expandr_repro.pyserini.jvm import java_class

    try:
        find_java()
        enum = java_class("io.anserini.search.topicreader.Topics" if kind == "topics" else "io.anserini.eval.Qrels")
        return str(getattr(enum, constant).path)
    except (ExpandrError, AttributeError):
        return ""


def hub_download(model: str, revision: str | None) -> Download:
    """Return what the hub's client fetches for a model; the hub alone knows sizes and checksums."""
    home = Path(os.environ.get("HF_HOME", "~/.cache/huggingface")).expanduser() / "hub"
    folder = Path(os.environ.get("HF_HUB_CACHE", home)) / f"models--{model.replace('/', '--')}" / "snapshots"
    return Download(f"hub model {model}{f' at {revision}' if revision else ''}", folder, by="the hub")
