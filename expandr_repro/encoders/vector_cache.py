"""Cache vectors in one SQLite file, keyed by content and bounded in size; a search never fails because of it.

What cannot be read is not there: a damaged row, a damaged file, a newer or foreign one, a folder without permission. What cannot be
written is not kept. Either is reported once.
"""

from __future__ import annotations

import json
import logging
import os
import sqlite3
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from expandr_repro.errors import SetupError
from expandr_repro.io.paths import cache_dir

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

log = logging.getLogger(__name__)

T = TypeVar("T")

NAME = "vectors-1.sqlite"
"""The file in the cache folder; another layout gets another number."""

LIMIT = "EXPANDR_VECTORS_MB"
DEFAULT_LIMIT = 1000

TABLES = """
CREATE TABLE IF NOT EXISTS vectors (id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, sealed BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS facts (key TEXT PRIMARY KEY, sealed BLOB NOT NULL);
"""


def limit() -> int:
    """Return how large the cache may grow, in MB: `$EXPANDR_VECTORS_MB`, else 1,000; 0 for no cache.

    Raises:
        SetupError: the variable is not a whole number.
    """
    written = os.environ.get(LIMIT, "")
    if not written:
        return DEFAULT_LIMIT
    if not written.isascii() or not written.isdigit():
        raise SetupError(f"{LIMIT}={written}: wanted a whole number of megabytes, 0 for no cache of vectors")
    return int(written)


def _seal(content: bytes) -> bytes:
    return zlib.crc32(content).to_bytes(4, "little") + content


def _opened(sealed: object) -> bytes | None:
    """Return what was sealed, or None where it is not what it was."""
    if not isinstance(sealed, bytes) or len(sealed) < 4:
        return None
    content = sealed[4:]
    return content if zlib.crc32(content).to_bytes(4, "little") == sealed[:4] else None


class VectorStore:
    """The file, opened for each read and each write; several processes may use it together.

    Args:
        path: the file; None for the one in the cache folder.
        megabytes: how large it may grow; the oldest vectors go.
    """

    def __init__(self, path: Path | None = None, megabytes: int | None = None) -> None:
        self.path = path or cache_dir() / NAME
        self.megabytes = limit() if megabytes is None else megabytes
        self._off = not self.megabytes

    def facts(self, key: str) -> dict[str, Any] | None:
        """Return what was noted under a key, or None."""
        rows = self._do(lambda c: c.execute("SELECT sealed FROM facts WHERE key = ?", (key,)).fetchall(), write=False)
        content = _opened(rows[0][0]) if rows else None
        try:
            facts = json.loads(content) if content else None
        except (ValueError, RecursionError):
            return None
        return facts if isinstance(facts, dict) else None

    def note(self, key: str, facts: Mapping[str, Any]) -> None:
        """Keep facts under a key."""
        sealed = _seal(json.dumps(dict(facts), ensure_ascii=True).encode())
        self._do(lambda c: c.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (key, sealed)), write=True)

    def get(self, keys: Sequence[bytes], dimension: int) -> dict[bytes, tuple[NDArray[np.float32], bool]]:
        """Return key -> (its vector, whether its text had been cut), for the keys that are there."""
        import numpy as np

        def read(connection: sqlite3.Connection) -> list[tuple[bytes, Any]]:
            rows: list[tuple[bytes, Any]] = []
            for begin in range(0, len(keys), 500):
                part = keys[begin : begin + 500]
                marks = ",".join("?" * len(part))
                rows += connection.execute(f"SELECT key, sealed FROM vectors WHERE key IN ({marks})", part)  # noqa: S608
            return rows

        vectors = {}
        for key, sealed in self._do(read, write=False) or ():
            content = _opened(sealed)
            if content is not None and len(content) == 1 + 4 * dimension:
                vectors[key] = (np.frombuffer(content, dtype="<f4", offset=1).astype(np.float32), content[0] == 1)
        return vectors

    def put(self, vectors: Mapping[bytes, tuple[NDArray[np.float32], bool]]) -> None:
        """Keep vectors under their keys, all or none, and let the oldest go where the file grows too large."""
        rows = [(key, _seal(bytes([cut]) + v.astype("<f4").tobytes())) for key, (v, cut) in vectors.items()]

        def write(connection: sqlite3.Connection) -> None:
            connection.executemany("INSERT OR REPLACE INTO vectors (key, sealed) VALUES (?, ?)", rows)
            while _size(connection) > self.megabytes * 1_000_000:
                middle = "SELECT id FROM vectors ORDER BY id LIMIT 1 OFFSET (SELECT count(*) / 4 FROM vectors)"
                if connection.execute(f"DELETE FROM vectors WHERE id <= ({middle})").rowcount < 1:  # noqa: S608
                    break

        self._do(write, write=True)

    def _do(self, work: Callable[[sqlite3.Connection], T], *, write: bool) -> T | None:
        """Run a function on the database in one transaction; return None where the file cannot be used."""
        if self._off or not (write or self.path.is_file()):
            return None
        try:
            with closing(self._connection(write)) as connection, connection:
                return work(connection)
        except (OSError, sqlite3.Error, ValueError) as error:
            if write or "no such table" not in str(error):  # an empty file is filled by the first write
                self._give_up(error, write)
        return None

    def _connection(self, write: bool) -> sqlite3.Connection:
        if not write:  # a folder that may only be read is good enough
            return sqlite3.connect(f"{self.path.absolute().as_uri()}?mode=ro", uri=True, timeout=10)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self.path, timeout=10)
        try:
            connection.executescript(TABLES)
        except BaseException:
            connection.close()
            raise
        return connection

    def _give_up(self, error: Exception, write: bool) -> None:
        """Continue without the file; one that is damaged, or none of ours, is taken away, so that the next search starts over."""
        self._off = True
        reason = str(error)
        if isinstance(error, sqlite3.DatabaseError) and ("not a database" in reason or "malformed" in reason):
            log.warning("%s: the cache of vectors is damaged (%s); encoding again", self.path, reason)
            try:
                self.path.unlink(missing_ok=True)
            except OSError as other:
                log.debug("not taken away: %s", other)
        else:
            log.info("%s: vectors are not %s (%s)", self.path, "kept" if write else "taken from there", reason)


def _size(connection: sqlite3.Connection) -> int:
    pages, unused, size = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - unused) * size)
