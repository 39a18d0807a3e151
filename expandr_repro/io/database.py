"""Open the SQLite file of a store: created if missing, checked, shared by several processes."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from expandr_repro.errors import ExpandrError, FormatError, SetupError

SCHEMA = 1
"""Version of the tables; a file with a higher one is left alone."""

APPLICATION = 0x45585052
"""SQLite's application id of a store ("EXPR"), by which other databases are distinguished."""

TABLES = """
CREATE TABLE conditions (
  id INTEGER PRIMARY KEY, sha256 TEXT NOT NULL UNIQUE, facts TEXT NOT NULL, prompt TEXT NOT NULL
);
CREATE TABLE generations (
  key BLOB PRIMARY KEY, condition INTEGER NOT NULL REFERENCES conditions, sampling TEXT NOT NULL, seed INTEGER NOT NULL,
  query_sha256 TEXT NOT NULL, sample INTEGER NOT NULL,
  text TEXT NOT NULL, finish TEXT NOT NULL, tokens_in INTEGER NOT NULL, tokens_out INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE claims (key BLOB PRIMARY KEY, owner TEXT NOT NULL) WITHOUT ROWID;
"""


class Database:
    """A store's file, in WAL mode.

    Args:
        path: the file.

    Raises:
        ExpandrError: a newer version of this package wrote it.
        FormatError: the file is something else.
        SetupError: it cannot be opened or made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SetupError(f"--store {path}: {error.strerror or error}; name another place") from error
        with self._errors():
            # in a notebook, a thread works with it while the one that made it waits; never two at a time
            self.raw = sqlite3.connect(path, timeout=60, isolation_level=None, check_same_thread=False)
        try:
            with self._errors():
                self._set_up()
        except BaseException:
            self.raw.close()
            raise

    def _set_up(self) -> None:
        with self.transaction():  # of two processes that find no store, one makes it
            version = self.raw.execute("PRAGMA user_version").fetchone()[0]
            application = self.raw.execute("PRAGMA application_id").fetchone()[0]
            if application != APPLICATION:
                self._make()
            elif version > SCHEMA:
                raise ExpandrError(
                    f"{self.path}: a store of version {version}, written by a newer expandr_repro; this one knows version {SCHEMA}. "
                    "Upgrade, or name another with --store; nothing was changed"
                )
        self.raw.execute("PRAGMA journal_mode = WAL")
        self.raw.execute("PRAGMA synchronous = NORMAL")

    def _make(self) -> None:
        if self.raw.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            raise FormatError(self.path, None, "a database, but no store of generations; name another with --store")
        for statement in TABLES.split(";"):
            self.raw.execute(statement)
        self.raw.execute(f"PRAGMA application_id = {APPLICATION}")
        self.raw.execute(f"PRAGMA user_version = {SCHEMA}")

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Run a transaction: all of it or nothing, while no other process writes."""
        with self._errors():
            self.raw.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                if self.raw.in_transaction:  # a full disk makes SQLite roll back by itself
                    self.raw.execute("ROLLBACK")
                raise
            self.raw.execute("COMMIT")

    def rows(self, statement: str, values: Iterable[Any] = ()) -> list[tuple[Any, ...]]:
        """Run a statement and return its rows."""
        with self._errors():
            return self.raw.execute(statement, tuple(values)).fetchall()

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            reason = str(error)
            if "full" in reason:
                raise SetupError(
                    f"{self.path}: the disk is full; every text up to now is kept: make room and run the same command again"
                ) from error
            if "not a database" in reason or "malformed" in reason:
                raise FormatError(
                    self.path, None, f"no store of generations ({reason}); name another with --store"
                ) from error
            raise SetupError(
                f"{self.path}: the store cannot be used ({reason}); fix that or name another with --store"
            ) from error

    def close(self) -> None:
        """Close the file."""
        self.raw.close()
