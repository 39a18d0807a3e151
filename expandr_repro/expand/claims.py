"""Claim texts before asking for them, so that processes that share a store do not pay for one twice.

A process claims keys before it asks for their texts. It holds a lock on a file of its own next to the store; the system
lets go of that lock when the process ends, however it ends, and its claims are then free to be taken.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from expandr_repro.errors import SetupError
from expandr_repro.io.database import Database

if TYPE_CHECKING:
    from filelock import FileLock


class Claims:
    """This process's claims in a store.

    Args:
        database: the store's file.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._owner = secrets.token_hex(6)
        self._lock: FileLock | None = None

    def take(self, keys: Sequence[bytes]) -> set[bytes]:
        """Claim keys; return those that are now ours: no text is there, and no living process asks for it.

        Raises:
            SetupError: the lock file cannot be made.
        """
        self._enter()
        raw, alive = self._database.raw, {self._owner: True}
        ours = set()
        with self._database.transaction():
            for key in keys:
                if raw.execute("SELECT 1 FROM generations WHERE key = ?", (key,)).fetchone():
                    continue
                row = raw.execute("SELECT owner FROM claims WHERE key = ?", (key,)).fetchone()
                owner = row[0] if row else None
                if owner and owner not in alive:
                    alive[owner] = self._is_alive(owner)
                if owner is None or owner == self._owner or not alive[owner]:
                    raw.execute("INSERT OR REPLACE INTO claims VALUES (?, ?)", (key, self._owner))
                    ours.add(key)
        return ours

    def release(self, keys: Iterable[bytes]) -> None:
        """Give back the keys of texts that could not be generated."""
        with self._database.transaction():
            self._database.raw.executemany("DELETE FROM claims WHERE key = ?", ((key,) for key in keys))

    def _enter(self) -> None:
        """Show that this process lives, and clear away after those that do not."""
        from filelock import FileLock

        if self._lock is not None:
            return
        lock = FileLock(self._path(self._owner), thread_local=False)
        try:
            lock.acquire()
        except OSError as error:
            raise SetupError(
                f"{lock.lock_file}: cannot be made: {error.strerror or error}; name another --store"
            ) from error
        self._lock = lock
        for (owner,) in self._database.rows("SELECT DISTINCT owner FROM claims"):
            if not self._is_alive(owner):
                with self._database.transaction():
                    self._database.raw.execute("DELETE FROM claims WHERE owner = ?", (owner,))
                self._path(owner).unlink(missing_ok=True)

    def _is_alive(self, owner: str) -> bool:
        from filelock import FileLock, Timeout

        lock = FileLock(self._path(owner))
        try:
            with lock.acquire(timeout=0):
                return False
        except Timeout:
            return True

    def _path(self, owner: str) -> Path:
        return self._database.path.with_name(f"{self._database.path.name}.{owner}.lock")

    def close(self) -> None:
        """Give all back."""
        if self._lock is not None:
            with self._database.transaction():
                self._database.raw.execute("DELETE FROM claims WHERE owner = ?", (self._owner,))
            self._lock.release()
            self._path(self._owner).unlink(missing_ok=True)
            self._lock = None
