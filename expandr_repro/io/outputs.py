"""Check output paths: a command replaces only what the same command wrote."""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from expandr_repro.errors import ExpandrError, SetupError
from expandr_repro.io.files import open_bytes, parse_object, read_lines, read_text
from expandr_repro.io.manifest import NAME, RUN_HASH, read_manifest

HEAD = 1 << 16
"""Bytes at the start of a file that show what it is."""


@dataclass(frozen=True)
class FileKind:
    """A kind of file.

    Attributes:
        what: for messages ("a TREC run").
        recognise: whether a file that is not empty is one; whatever it raises means that it is not.
    """

    what: str
    recognise: Callable[[Path], bool]

    def check(self, path: Path) -> None:
        """Refuse to replace anything but a file of this kind, or an empty one.

        Raises:
            SetupError: something else is there.
        """
        if not path.exists():
            return
        if path.is_dir():
            raise SetupError(f"{path}: is a folder; wanted a file name")
        if path.is_symlink() and path.is_file():
            return  # the link is replaced, and what it leads to stays
        if not path.is_file():  # a rename would put a file in the place of, say, /dev/null
            raise SetupError(f"{path}: is a device or a pipe; wanted the name of a file")
        try:
            ours = path.stat().st_size == 0 or self.recognise(path)
        except (ExpandrError, ValueError, LookupError, TypeError, StopIteration):
            ours = False
        if not ours:
            raise SetupError(f"{path}: is there and is not {self.what}, so it is not replaced; choose another name")


@dataclass(frozen=True)
class FolderKind:
    """A kind of folder.

    Attributes:
        what: for messages ("a Faiss index").
        manifests: the kinds that its manifest may state.
        names: what its files are called; None where the manifest lists them under `files`.
        layout: the files by which one of another toolkit is known; none where the manifest is needed.
    """

    what: str
    manifests: tuple[str, ...]
    names: re.Pattern[str] | None
    layout: tuple[str, ...] = ()

    def check(self, folder: Path) -> None:
        """Refuse to replace anything but a folder of this kind, with nothing else in it, or an empty one.

        Raises:
            SetupError: something else is there.
        """
        if not folder.exists():
            return
        if not folder.is_dir():
            raise SetupError(f"{folder}: is a file; wanted a folder's name")
        if _holds_working_folder(folder):
            raise SetupError(f"{folder}: is the current folder, or one above it; wanted the name of a folder to write")
        if folder.is_symlink():
            return  # the link is replaced, and what it leads to stays
        if not any(folder.iterdir()):
            return
        try:
            manifest = read_manifest(folder / NAME) or {}
        except ExpandrError:
            manifest = {}
        known = manifest.get("kind") in self.manifests or (
            bool(self.layout) and all(any(folder.glob(name)) for name in self.layout)
        )
        strange = _stranger(folder, self.names, manifest) if known else None
        if not known or strange:
            holds = f"contains {strange}, which is not part of" if strange else "contains something else than"
            raise SetupError(
                f"{folder}: {holds} {self.what}, so it is not replaced, with or without --overwrite; choose another folder"
            )


def _stranger(folder: Path, names: re.Pattern[str] | None, manifest: dict[str, Any]) -> str | None:
    listed = manifest.get("files")
    for path in files_of(folder):
        ours = names.fullmatch(path) is not None if names else isinstance(listed, list) and path in listed
        if not ours and path != NAME:
            return path
    return None


def files_of(folder: Path) -> list[str]:
    """List all files below a folder, and its empty folders, for the manifest of a kind without fixed names."""
    files = [p for p in folder.rglob("*") if not p.is_dir() or p.is_symlink() or not any(p.iterdir())]
    return sorted(p.relative_to(folder).as_posix() for p in files)


def _holds_working_folder(folder: Path) -> bool:
    try:
        here = Path.cwd().resolve()
    except OSError:
        return False
    return folder.resolve() in (here, *here.parents)


def check_output(
    option: str,
    path: Path,
    kind: FileKind | FolderKind,
    reads: Iterable[str | Path | None] = (),
    writes: Mapping[str, str | Path | None] | None = None,
) -> None:
    """Find out before any work whether a place can be written, and whether that would replace something else.

    Args:
        option: names the place in the message ("--output").
        path: what the user gave.
        kind: what is to be written there.
        reads: what the same command reads: names of collections among them do no harm.
        writes: what else it writes, by the option that names it.

    Raises:
        SetupError: the place cannot be written, or something else is there.
    """
    try:
        target = path.resolve()
        if any(
            p.is_symlink() for p in (target, *target.parents)
        ):  # a link without end; before Python 3.13 `resolve` says so
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        if isinstance(kind, FolderKind) and _holds_working_folder(path):
            raise SetupError(f"{path}: is the current folder, or one above it; wanted the name of a folder to write")
        for other in reads:
            if not other:
                continue
            if path.is_dir() == isinstance(kind, FolderKind) and _is_within(Path(other), target):
                raise SetupError(f"{path}: would replace {other}, which is read; choose another name")
        for named, other in (writes or {}).items():
            if other and Path(other).resolve() == target:
                raise SetupError(f"{path}: is what {named} names, too; choose another name for one of them")
        kind.check(path)
        there = next(p for p in target.parents if p.exists())
        if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
            raise SetupError(
                f"{path}: cannot be written: {there} is not a folder that can be written to; choose another place"
            )
    except SetupError as error:
        raise SetupError(f"{option} {error}") from error
    except (OSError, RuntimeError) as error:  # a name too long, links without end
        raise SetupError(
            f"{option} {path}: {getattr(error, 'strerror', None) or error}; choose another name"
        ) from error


def _is_within(path: Path, target: Path) -> bool:
    """Return whether a path is a file or folder that is replaced, or is in one."""
    try:
        return path.exists() and target in (path.resolve(), *path.resolve().parents)
    except (OSError, RuntimeError):  # a name of something else
        return False


def _first_record(path: Path) -> dict[str, Any]:
    number, line = next((n, text) for n, text in read_lines(path) if text.strip())
    return parse_object(path, number, line)


def _head(path: Path) -> bytes:
    with open_bytes(path) as file:
        try:
            return file.read(HEAD)
        except (EOFError, OSError) as error:
            raise ValueError(path) from error


def _tail(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(-min(HEAD, path.stat().st_size), os.SEEK_END)
        return file.read()


def _is_run(path: Path) -> bool:
    _, line = next((n, text) for n, text in read_lines(path) if text.strip())
    _, _, _, rank, score, _ = line.split()
    return float(rank) >= 0 and float(score) == float(score)


def marked(*marks: str) -> Callable[[Path], bool]:
    """Return what looks for any of some texts at the start of a file."""
    return lambda path: any(mark.encode() in _head(path) for mark in marks)


def _is_plot(path: Path) -> bool:
    """Look for the mark that `save_figure` sets in a PNG, SVG or PDF file."""
    content = path.read_bytes()[: 1 << 24]
    signature, mark = next((s, m) for s, m in PLOT_MARKS.items() if content.startswith(s))
    return mark in content[len(signature) :]


PLOT_MARKS = {
    b"\x89PNG\r\n": b"Software\0expandr_repro",
    b"<?xml": b"<dc:title>expandr_repro</dc:title>",
    b"%PDF": b"/Creator (expandr_repro)",
}
"""How a plot begins, and what it holds where this toolkit drew it."""


def _is_json_with(*keys: str) -> Callable[[Path], bool]:
    return lambda path: set(keys) <= set(json.loads(read_text(path)))


def manifest_kind(kind: str) -> FileKind:
    """Return the kind of a manifest next to a file."""
    return FileKind(f"the manifest of a {kind}", lambda path: (read_manifest(path) or {}).get("kind") == kind)


RUN = FileKind("a TREC run", _is_run)
EXPANDED = FileKind(
    "a file of expansions that `expand` wrote", lambda p: bool({"expansions", "provenance"} & set(_first_record(p)))
)
TOPICS = FileKind(
    "a file of topics that this toolkit wrote",
    lambda p: {"qid", "title"} <= set(_first_record(p)) <= {"qid", "title", "expansions", "provenance"},
)
FAILURES = FileKind("a list of failures", lambda p: set(_first_record(p)) == {"qid", "sample", "reason"})
RECORD = FileKind("a record of training data", _is_json_with("version", "trained_on"))
COSTS = FileKind("a record of costs", _is_json_with("expansions_sha256", "texts"))
GATED = FileKind("the list of what a gate chose", marked("qid\tchosen\tvalue\twhy\n"))
LEARNED = FileKind("a learned gate", _is_json_with("kind", "features", "calibration"))
SEEN = FileKind("the lists of seen topics of a run", _is_json_with(RUN_HASH))
PAIRS = FileKind("a file of preference pairs", lambda p: {"prompt", "chosen", "rejected"} <= set(_first_record(p)))
PAGE = FileKind("a page that `report` wrote", marked('<meta name="generator" content="expandr_repro '))
PLOT = FileKind("a plot that this toolkit drew", _is_plot)
JSON_REPORT = FileKind("a JSON report of `regress`", _is_json_with("counts", "conditions"))
JUNIT_REPORT = FileKind("a JUnit report of `regress`", marked('name="expandr_repro.regress"'))

VECTORS = FileKind("a Parquet file that `encode --export` wrote", lambda path: b"expandr_repro" in _tail(path))

FAISS_INDEX = FolderKind("a Faiss index", ("faiss-index",), re.compile("index|docid"), ("index", "docid"))
LUCENE_INDEX = FolderKind(
    "a Lucene index", ("lucene-index",), re.compile(r"segments_\w+|_\w+\.\w+|write\.lock"), ("segments_*",)
)
ENCODED_QUERIES = FolderKind("encoded queries", ("encoded-queries",), re.compile(r"embedding\.pkl"))
TRAINED_ENCODER = FolderKind("a trained encoder", ("encoder",), None)
TRAINED_GENERATOR = FolderKind("a trained generator", ("generator",), None)
