"""The cache of vectors: what it keeps, how it forgets, and that nothing wrong with it is an error."""

from __future__ import annotations

import multiprocessing
import sqlite3

import numpy as np
import pytest

from expandr_repro.encoders.vector_cache import VectorStore, limit
from expandr_repro.errors import SetupError

KEYS = [bytes([n]) * 32 for n in range(40)]


def made(keys, dimension=8):
    rng = np.random.default_rng(1)
    return {key: (rng.standard_normal(dimension).astype(np.float32), bool(n % 2)) for n, key in enumerate(keys)}


def same(a, b):
    assert a.keys() == b.keys()
    assert all(a[k][0].tobytes() == b[k][0].tobytes() and a[k][1] == b[k][1] for k in a)


def test_what_was_kept_comes_back_to_the_byte(tmp_path):
    path, kept = tmp_path / "v.sqlite", made(KEYS)
    VectorStore(path).put(kept)
    same(VectorStore(path).get(KEYS, 8), kept)


def test_what_was_not_kept_is_not_there(tmp_path):
    store = VectorStore(tmp_path / "v.sqlite")
    assert store.get(KEYS, 8) == {}
    assert store.facts("encoder") is None
    store.put(made(KEYS[:3]))
    assert set(store.get(KEYS, 8)) == set(KEYS[:3])


def test_a_vector_of_another_dimension_is_not_there(tmp_path):
    store = VectorStore(tmp_path / "v.sqlite")
    store.put(made(KEYS))
    assert store.get(KEYS, 9) == {}


def test_facts_come_back(tmp_path):
    store = VectorStore(tmp_path / "v.sqlite")
    store.note("encoder", {"separator": "[SEP]"})
    assert store.facts("encoder") == {"separator": "[SEP]"}


def test_a_damaged_row_is_not_there_and_is_replaced(tmp_path):
    path, kept = tmp_path / "v.sqlite", made(KEYS[:2])
    VectorStore(path).put(kept)
    with sqlite3.connect(path) as raw:
        sealed = bytearray(raw.execute("SELECT sealed FROM vectors WHERE key = ?", (KEYS[0],)).fetchone()[0])
        sealed[10] ^= 1
        raw.execute("UPDATE vectors SET sealed = ? WHERE key = ?", (bytes(sealed), KEYS[0]))
        raw.execute("INSERT INTO facts VALUES ('encoder', x'00')")
    store = VectorStore(path)
    assert set(store.get(KEYS, 8)) == {KEYS[1]}
    assert store.facts("encoder") is None
    store.put(kept)
    same(store.get(KEYS, 8), kept)


@pytest.mark.parametrize("keep", [0, 1, 50, 1000, 4096, 6000])
def test_a_truncated_file_is_no_error_and_the_cache_works_again_for_the_next(tmp_path, keep):
    path, kept = tmp_path / "v.sqlite", made(KEYS, 200)
    VectorStore(path).put(kept)
    path.write_bytes(path.read_bytes()[:keep])
    for _ in range(3):
        store = VectorStore(path)
        assert store.get(KEYS, 200).keys() <= kept.keys()
        store.put(kept)
    same(VectorStore(path).get(KEYS, 200), kept)


@pytest.mark.parametrize("content", [b"no database", b"\x00" * 5000, b"SQLite format 3\x00" + b"\xff" * 5000])
def test_a_foreign_file_is_said_once_and_replaced(tmp_path, content, caplog):
    path = tmp_path / "v.sqlite"
    path.write_bytes(content)
    store = VectorStore(path)
    assert store.get(KEYS, 8) == {}
    store.put(made(KEYS))
    store.get(KEYS, 8)
    assert len(caplog.records) <= 1
    VectorStore(path).put(made(KEYS))
    same(VectorStore(path).get(KEYS, 8), made(KEYS))


def test_a_folder_that_cannot_be_made_is_no_error(tmp_path):
    (tmp_path / "file").write_text("")
    store = VectorStore(tmp_path / "file" / "v.sqlite")
    store.put(made(KEYS))
    store.note("encoder", {})
    assert store.get(KEYS, 8) == {}


def test_a_cache_that_may_only_be_read_is_read(tmp_path, monkeypatch):
    path = tmp_path / "v.sqlite"
    VectorStore(path).put(made(KEYS))
    store = VectorStore(path)
    monkeypatch.setattr(sqlite3, "connect", _read_only(sqlite3.connect))
    same(store.get(KEYS, 8), made(KEYS))
    store.put(made([b"new" + b"\0" * 29]))


def _read_only(connect):
    def opened(path, **options):
        if not options.get("uri"):
            raise sqlite3.OperationalError("attempt to write a readonly database")
        return connect(path, **options)

    return opened


def test_the_oldest_go_when_it_grows_too_large(tmp_path):
    path = tmp_path / "v.sqlite"
    keys = [n.to_bytes(32, "big") for n in range(1500)]
    for begin in range(0, 1500, 100):
        VectorStore(path, megabytes=1).put(made(keys[begin : begin + 100], 384))
    there = VectorStore(path, megabytes=1).get(keys, 384)
    assert set(keys[-100:]) <= there.keys()
    assert keys[0] not in there
    assert path.stat().st_size < 1_500_000


def test_the_limit_is_a_number_and_0_keeps_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("EXPANDR_VECTORS_MB", "0")
    store = VectorStore(tmp_path / "v.sqlite")
    store.put(made(KEYS))
    assert not (tmp_path / "v.sqlite").exists()
    monkeypatch.setenv("EXPANDR_VECTORS_MB", "much")
    with pytest.raises(SetupError, match="EXPANDR_VECTORS_MB=much: wanted a whole number"):
        limit()


def _fill(path, number):
    store = VectorStore(path)
    for round_ in range(10):
        key = bytes([number, round_]) * 16
        store.put(made([key]))
        assert key in store.get([key], 8)


def test_several_processes_fill_it_together(tmp_path):
    path = tmp_path / "v.sqlite"
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_fill, args=(path, n)) for n in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    assert len(VectorStore(path).get([bytes([n, r]) * 16 for n in range(3) for r in range(10)], 8)) == 30
