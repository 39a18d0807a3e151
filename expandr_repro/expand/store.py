"""Store generated texts as they arrive, keyed by what asked for them.

One SQLite file in WAL mode. Every generation is a transaction of its own, so that a kill loses only what was in
flight; several processes may read and write it together. The key of a generation is the SHA-256 over (prompt hash,
model, revision, adapter hash, backend, precision), sampling, seed, query hash and sample number.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from expandr_repro.expand.claims import Claims
from expandr_repro.io.database import Database
from expandr_repro.llm.sampling import Sampling

PASSAGES = "CREATE TABLE IF NOT EXISTS passages (key BLOB PRIMARY KEY, docids TEXT NOT NULL) WITHOUT ROWID"
"""A table that stores of before do not have; those who know nothing of it may use the file as ever."""


SECONDS = "CREATE TABLE IF NOT EXISTS seconds (key BLOB PRIMARY KEY, seconds REAL NOT NULL) WITHOUT ROWID"
"""How long generations took; of the same kind as `PASSAGES`."""


@dataclass(frozen=True)
class Stored:
    """A generation as it is kept: the raw text, why it ended, and what it cost in tokens and in seconds (0 where that is not known)."""

    text: str
    finish: str
    tokens_in: int
    tokens_out: int
    seconds: float = 0.0


@dataclass(frozen=True)
class Address:
    """What asked for a generation, beyond the condition.

    Attributes:
        sampling: its settings.
        seed: its own seed.
        query_sha256: over what the topic fills into the prompt.
        sample: its number, from 0.
    """

    sampling: Sampling
    seed: int
    query_sha256: str
    sample: int


class Store:
    """A store file, made where there is none.

    Args:
        path: the file.

    Raises:
        ExpandrError: a newer version of this package wrote it.
        FormatError: the file is something else.
        SetupError: it cannot be opened or made.
    """

    def __init__(self, path: str | Path) -> None:
        self.database = Database(Path(path))
        self.claims = Claims(self.database)

    def condition(self, facts: Mapping[str, Any], prompt: str) -> Condition:
        """Return the part of the store that holds the generations of one prompt by one model.

        Args:
            facts: prompt hash, model, revision, adapter hash, backend, precision.
            prompt: the template, kept so that it can be shown.
        """
        written = json.dumps(dict(facts), sort_keys=True, ensure_ascii=True)
        digest = hashlib.sha256(written.encode()).hexdigest()
        self.database.rows(SECONDS)
        insert = "INSERT OR IGNORE INTO conditions (sha256, facts, prompt) VALUES (?, ?, ?)"
        self.database.rows(insert, (digest, written, prompt))
        row = self.database.rows("SELECT id FROM conditions WHERE sha256 = ?", (digest,))[0]
        return Condition(self, int(row[0]), digest)

    def template(self, prompt_sha256: str) -> str | None:
        """Return the template of a prompt that was used with this store, or None."""
        rows = self.database.rows("SELECT facts, prompt FROM conditions")
        return next((prompt for facts, prompt in rows if json.loads(facts).get("prompt_sha256") == prompt_sha256), None)

    def passages(self, key: bytes) -> list[str] | None:
        """Return the docids that were once found for a prompt, or None: a search that is repeated need not find the same to the last tie."""
        self.database.rows(PASSAGES)
        rows = self.database.rows("SELECT docids FROM passages WHERE key = ?", (key,))
        return [str(docid) for docid in json.loads(rows[0][0])] if rows else None

    def keep_passages(self, passages: Mapping[bytes, Sequence[str]]) -> None:
        """Keep the docids that were found, by what was searched for; what is there already stays."""
        self.database.rows(PASSAGES)
        with self.database.transaction():
            rows = [(key, json.dumps(list(docids))) for key, docids in passages.items()]
            self.database.raw.executemany("INSERT OR IGNORE INTO passages VALUES (?, ?)", rows)

    def close(self) -> None:
        """Give back what is claimed and close the file."""
        try:
            self.claims.close()
        finally:
            self.database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Condition:
    """The generations of one prompt by one model."""

    def __init__(self, store: Store, ident: int, digest: str) -> None:
        self._database, self._ident = store.database, ident
        self._hash = hashlib.sha256(digest.encode())

    def key(self, address: Address) -> bytes:
        """Return the key of a generation."""
        whole = self._hash.copy()
        facts = [address.sampling.record(), address.seed, address.query_sha256, address.sample]
        whole.update(json.dumps(facts, sort_keys=True, ensure_ascii=True).encode())
        return whole.digest()

    def get(self, key: bytes) -> Stored | None:
        """Return the generation of a key, or None where there is none."""
        columns = "SELECT text, finish, tokens_in, tokens_out, coalesce(seconds, 0) FROM generations LEFT JOIN seconds USING (key) WHERE key = ?"
        rows = self._database.rows(columns, (key,))
        return Stored(*rows[0]) if rows else None

    def put(self, key: bytes, address: Address, stored: Stored) -> None:
        """Keep a generation under its key and give back the claim to it; one that is there already stays as it is."""
        sampling = json.dumps(address.sampling.record(), sort_keys=True)
        asked = (key, self._ident, sampling, address.seed, address.query_sha256, address.sample)
        came = (storable(stored.text), stored.finish, stored.tokens_in, stored.tokens_out)
        with self._database.transaction():
            self._database.raw.execute(
                "INSERT OR IGNORE INTO generations VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", asked + came
            )
            if stored.seconds:
                self._database.raw.execute("INSERT OR IGNORE INTO seconds VALUES (?, ?)", (key, stored.seconds))
            self._database.raw.execute("DELETE FROM claims WHERE key = ?", (key,))

    def mean_tokens_out(self) -> float | None:
        """Return the mean length of the generations in tokens, or None where there are none."""
        mean = "SELECT avg(tokens_out) FROM generations WHERE condition = ? AND tokens_out > 0"
        value = self._database.rows(mean, (self._ident,))[0][0]
        return None if value is None else float(value)


def storable(text: str) -> str:
    """Return a text as UTF-8 can hold it: half a surrogate pair becomes a question mark."""
    return text.encode("utf-8", "replace").decode("utf-8")
