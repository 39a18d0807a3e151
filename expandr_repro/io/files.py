"""Read text files with errors that name the line, and write files atomically."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import json
import math
import os
import secrets
import shutil
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, BinaryIO, Protocol, cast

from expandr_repro.errors import FormatError, NotAvailableError, SetupError, shown
from expandr_repro.io.replacing import OWNER, clear_leftovers, guarded, replace_folder, sync_folder, sync_tree

About = Mapping[Path, Callable[[], object] | None]
"""See `atomic_text`."""


class Replaceable(Protocol):
    """What may be replaced; the kinds are in `io/outputs.py`."""

    def check(self, path: Path, /) -> None:
        """Raise `SetupError` where something else is there."""


MAX_LINE = 16 * 1024 * 1024
"""Longest line read, in bytes: a longer one is not a record but an accident or an attack. Parsed, JSON takes up to 25 times its length."""

MAX_TEXT = 64 * 1024 * 1024
"""Most that is read of a file that is parsed as a whole, in bytes."""

MAX_PACKING = 250
"""By how much a gzip file may be smaller than what it holds; texts and runs come to 20, texts made up of one sentence to 130, a bomb to 1,000."""

UNCHECKED = 1024 * 1024
"""Bytes unpacked before the packing is looked at, and from one look to the next."""

MAX_LEVELS = 50
"""How deeply what is kept of a record may be nested, so that it can be written wherever it is written."""

BYTE_ORDER_MARK = "\ufeff"


def open_bytes(path: Path) -> BinaryIO:
    """Open a file for reading, unpacking gzip by its first bytes, whatever the name says.

    Raises:
        NotAvailableError: the file is not there or may not be read.
    """
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)  # refuses a pipe, which cannot be read again
        # buffered, since the lines of a GzipFile by itself are read in Python
        return cast(BinaryIO, io.BufferedReader(gzip.GzipFile(path, "rb"), 1 << 17)) if packed else path.open("rb")
    except OSError as error:
        raise NotAvailableError(f"{path}: cannot be read: {error.strerror or error}") from error


def read_lines(path: str | Path) -> Iterator[tuple[int, str]]:
    """Yield (line number from 1, line without its line end) of a UTF-8 text file, plain or gzipped, without a byte order mark at its start.

    Raises:
        FormatError: not UTF-8, a NUL byte, a damaged gzip file, one packed too tightly or a line longer than `MAX_LINE`.
        NotAvailableError: the file cannot be read.
    """
    path = Path(path)
    number, size, unchecked = 0, 0, UNCHECKED
    with open_bytes(path) as file:
        try:
            while raw := file.readline(MAX_LINE + 1):
                number += 1
                size += len(raw)
                if size > unchecked:
                    unchecked = size + UNCHECKED
                    _refuse_bomb(path, number, file, size)
                if len(raw) > MAX_LINE:
                    raise FormatError(path, number, f"a line longer than {MAX_LINE >> 20} MiB; is this a text file?")
                if number == 1:
                    raw = raw.removeprefix(b"\xef\xbb\xbf")
                if b"\x00" in raw:
                    raise FormatError(
                        path, number, "contains a NUL byte; wanted UTF-8 text (is this a binary or UTF-16 file?)"
                    )
                yield number, raw.decode("utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise FormatError(
                path,
                number,
                f"not UTF-8 (byte 0x{error.object[error.start]:02x}); convert it, e.g. with `iconv -t UTF-8`",
            ) from error
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise FormatError(
                path, number + 1, f"the gzip file is damaged ({error}); fetch or make it again"
            ) from error


def _refuse_bomb(path: Path, number: int, file: BinaryIO, size: int) -> None:
    """Refuse a gzip file that contains a thousand times its size; reading it out would take hours."""
    unpacking = getattr(file, "raw", None)
    source: Any = unpacking.fileobj if isinstance(unpacking, gzip.GzipFile) else None
    packed = source.tell() if source else size
    if size > MAX_PACKING * packed:
        raise FormatError(
            path,
            number,
            f"the gzip file holds {size // packed} times its size, as no text does; unpack it if it is what you want",
        )


def read_text(path: str | Path, most: int | None = None) -> str:
    """Return a whole UTF-8 text file, with the errors of `read_lines`.

    Args:
        path: the file.
        most: bytes that it may have; None for any number. Each line counts for a few more.

    Raises:
        FormatError: it has more.
    """
    lines, left = [], most
    for number, line in read_lines(path):
        lines.append(line)
        if left is not None:
            left -= len(line) + 8
            if left < 0:
                raise FormatError(path, number, f"more than {most} bytes up to here, too many to be read as a whole")
    return "\n".join(lines)


def read_objects(path: str | Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (line number from 1, object) of a file with one JSON object per line, with the errors of `read_lines` and `parse_object`."""
    for number, line in read_lines(path):
        if line.strip():
            yield number, parse_object(path, number, line)


def parse_object(path: str | Path, number: int, line: str) -> dict[str, Any]:
    """Parse one line as a JSON object.

    Raises:
        FormatError: not JSON, or not an object.
    """
    try:
        value = json.loads(line)
    except (json.JSONDecodeError, RecursionError, ValueError) as error:
        reason = (
            error.msg if isinstance(error, json.JSONDecodeError) else "nested too deeply or with too large a number"
        )
        raise FormatError(path, number, f"not JSON ({reason}); wanted one JSON object per line") from error
    if not isinstance(value, dict):
        raise FormatError(path, number, f"found a JSON {type(value).__name__}, wanted an object")
    return value


def read_id(path: str | Path, number: int, value: object, what: str) -> str:
    """Return an id as the string it is; ids go into TREC files, so white space cannot be part of one.

    Raises:
        FormatError: missing, empty, not a string or a whole number, or with white space, a NUL or half a character in it.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise FormatError(path, number, f"{what} is {shown(value)}; wanted a string")
    if not value or value.split(None, 1) != [value]:
        raise FormatError(
            path, number, f"{what} {value!r} is empty or contains white space, which a TREC run cannot carry; rename it"
        )
    if "\x00" in value or not is_surrogate_free(value):
        raise FormatError(
            path,
            number,
            f"{what} {value!r} contains a NUL or half a surrogate pair, which no text file can carry; rename it",
        )
    if value.startswith(BYTE_ORDER_MARK):
        raise FormatError(
            path, number, f"{what} {value!r} begins with a byte order mark, which tools take off or leave; take it out"
        )
    return value


def read_facts(path: str | Path, number: int, value: object, what: str) -> dict[str, Any]:
    """Return an object that is kept as it is, if it can be written again.

    Raises:
        FormatError: no object, or one that JSON or UTF-8 cannot carry.
    """
    if not isinstance(value, dict):
        raise FormatError(path, number, f"`{what}` must be an object")
    if not is_writable(value):
        raise FormatError(
            path,
            number,
            f"`{what}` contains NaN, an infinite number, half a surrogate pair or more than {MAX_LEVELS} levels, which cannot be written again; fix it",
        )
    return value


def is_writable(value: object, levels: int = MAX_LEVELS) -> bool:
    """Return whether a parsed JSON value can be written and read by everyone."""
    if isinstance(value, str):
        return value.isascii() or is_surrogate_free(value)
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        return levels > 0 and all(is_writable(k) and is_writable(v, levels - 1) for k, v in value.items())
    return not isinstance(value, list) or (levels > 0 and all(is_writable(v, levels - 1) for v in value))


def is_surrogate_free(text: str) -> bool:
    """Return whether a text can be written as UTF-8 (JSON may smuggle in lone surrogates)."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _temporary(target: Path) -> Path:
    """Return a name next to a target that no other process uses, and clear what killed ones left of theirs.

    Raises:
        SetupError: the target is not a name, such as `/` or `.`.
    """
    if target.name in ("", ".."):
        raise SetupError(f"{target}: is a folder that is there already; wanted a name of its own")
    clear_leftovers(target)
    return target.with_name(f".{target.name}.{OWNER}-{os.getpid()}-{secrets.token_hex(4)}.tmp")


def _cannot_write(target: Path, error: OSError) -> SetupError:
    return SetupError(f"{target}: cannot be written: {error.strerror or error}; choose another place or make room")


@contextlib.contextmanager
def atomic_text(target: str | Path, about: About | None = None, kind: Replaceable | None = None) -> Iterator[IO[str]]:
    """Write a text file whole or not at all: a temporary file next to the target is renamed at the end.

    A target that ends in .gz is compressed, with no timestamp, so that equal content gives equal bytes.

    Args:
        target: the file.
        about: files that speak of the target, such as its manifest -> what writes each again, or None: they go as the new content comes and are
            written after it, while no other process does the same in that folder, so that none ever speaks of another content.
        kind: what alone may be replaced; None for a file that nobody but this package knows.

    Raises:
        SetupError: the place cannot be written, or something else is there.
    """
    with atomic_bytes(target, about, kind) as raw, contextlib.ExitStack() as stack:
        if str(target).endswith(".gz"):
            raw = cast(BinaryIO, stack.enter_context(gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0)))
        text = io.TextIOWrapper(raw, encoding="utf-8", newline="\n", write_through=False)
        yield text
        text.flush()
        text.detach()


@contextlib.contextmanager
def atomic_bytes(target: str | Path, about: About | None = None, kind: Replaceable | None = None) -> Iterator[BinaryIO]:
    """Write a binary file atomically; see `atomic_text`."""
    target = Path(target)
    temporary = _temporary(target)
    try:
        if kind:
            kind.check(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.is_dir():
            raise SetupError(f"{target}: is a folder; wanted a file name")
        if target.exists() and not target.is_file():  # a rename would put a file in the place of, say, /dev/null
            raise SetupError(f"{target}: is a device or a pipe; wanted the name of a file")
        try:
            with temporary.open("xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            with guarded(target.parent) if about else contextlib.nullcontext():
                for other in about or ():
                    other.unlink(missing_ok=True)
                temporary.replace(target)
                sync_folder(target.parent)
                for write in (about or {}).values():
                    if write:
                        write()
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise _cannot_write(target, error) from error


@contextlib.contextmanager
def atomic_folder(target: str | Path, kind: Replaceable | None = None) -> Iterator[Path]:
    """Yield a temporary folder next to the target; on success it takes the target's place.

    Args:
        target: the folder.
        kind: what alone may be replaced; None for a folder that nobody but this package knows.

    Raises:
        SetupError: the place cannot be written, or something else is there.
    """
    target = Path(target)
    temporary = _temporary(target)
    try:
        if target.exists() and not target.is_dir():
            raise SetupError(f"{target}: is a file; wanted a folder's name")
        if kind:
            kind.check(target)
        temporary.mkdir(parents=True)
        try:
            yield temporary
            sync_tree(temporary)
            if kind:
                kind.check(target)  # hours may have passed
            replace_folder(temporary, target)
            sync_folder(target.parent)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        raise _cannot_write(target, error) from error


def write_json(target: str | Path, value: Mapping[str, Any], kind: Replaceable | None = None) -> None:
    """Write a JSON object, indented, keys in the order given, one final line end; `kind` is `atomic_text`'s."""
    with atomic_text(target, kind=kind) as file:
        json.dump(value, file, indent=2, ensure_ascii=False)
        file.write("\n")


def sha256_file(path: str | Path) -> str:
    """Return the SHA-256 of a file's bytes in hex."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_text(text: str) -> str:
    """Return the SHA-256 of a text's UTF-8 bytes in hex."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
