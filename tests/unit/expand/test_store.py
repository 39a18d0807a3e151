"""The store: what is put is found, by what asked for it; what is no store is left alone."""

from __future__ import annotations

import multiprocessing
import sqlite3

import pytest

from expandr_repro.errors import ExpandrError, FormatError, SetupError
from expandr_repro.expand.store import Address, Store, Stored
from expandr_repro.io.database import SCHEMA
from expandr_repro.llm.sampling import Sampling

FACTS = {"prompt_sha256": "ab", "model": "m", "revision": None, "adapter_sha256": None, "backend": "openai"}
HERE = Address(Sampling(), 7, "cd", 0)
TEXT = Stored("a passage — ünïcode\n", "stop", 12, 34)


def put(condition, address, stored):
    condition.put(condition.key(address), address, stored)


def get(condition, address):
    return condition.get(condition.key(address))


def test_what_is_put_is_found_again_in_another_process_s_store(tmp_path):
    with Store(tmp_path / "s") as store:
        put(store.condition(FACTS, "template"), HERE, TEXT)
    with Store(tmp_path / "s") as store:
        assert get(store.condition(FACTS, "template"), HERE) == TEXT


@pytest.mark.parametrize(
    "other",
    [
        Address(Sampling(temperature=0.9), 7, "cd", 0),
        Address(Sampling(top_p=0.8), 7, "cd", 0),
        Address(Sampling(max_tokens=64), 7, "cd", 0),
        Address(Sampling(extra={"top_k": 5}), 7, "cd", 0),
        Address(Sampling(), 8, "cd", 0),
        Address(Sampling(), 7, "ce", 0),
        Address(Sampling(), 7, "cd", 1),
    ],
)
def test_another_sampling_seed_query_or_sample_is_another_text(tmp_path, other):
    with Store(tmp_path / "s") as store:
        condition = store.condition(FACTS, "t")
        put(condition, HERE, TEXT)

        assert get(condition, other) is None


@pytest.mark.parametrize("name", FACTS)
def test_another_prompt_model_revision_adapter_or_backend_is_another_text(tmp_path, name):
    with Store(tmp_path / "s") as store:
        put(store.condition(FACTS, "t"), HERE, TEXT)

        assert get(store.condition(FACTS | {name: "other"}, "t"), HERE) is None


def test_what_is_there_first_stays(tmp_path):
    with Store(tmp_path / "s") as store:
        condition = store.condition(FACTS, "t")
        put(condition, HERE, TEXT)
        put(condition, HERE, Stored("another", "stop", 1, 1))

        assert get(condition, HERE) == TEXT


def test_half_a_surrogate_pair_can_be_kept(tmp_path):
    with Store(tmp_path / "s") as store:
        condition = store.condition(FACTS, "t")
        put(condition, HERE, Stored("a\ud800b", "stop", 1, 1))

        assert get(condition, HERE).text == "a?b"


def test_a_prompt_s_template_is_found_by_its_hash(tmp_path):
    with Store(tmp_path / "s") as store:
        store.condition(FACTS, "Explain {query}.")

        assert store.template("ab") == "Explain {query}."
        assert store.template("zz") is None


def test_the_mean_length_is_of_one_condition(tmp_path):
    with Store(tmp_path / "s") as store:
        condition = store.condition(FACTS, "t")
        assert condition.mean_tokens_out() is None
        for n in (1, 2, 3):
            put(condition, Address(Sampling(), n, "cd", 0), Stored("x", "stop", 1, 10 * n))

        assert condition.mean_tokens_out() == 20.0
        assert store.condition(FACTS | {"model": "n"}, "t").mean_tokens_out() is None


def test_a_store_of_a_newer_version_is_left_alone(tmp_path):
    path = tmp_path / "s"
    Store(path).close()
    with sqlite3.connect(path) as raw:
        raw.execute(f"PRAGMA user_version = {SCHEMA + 1}")

    before = path.read_bytes()
    with pytest.raises(
        ExpandrError, match=r"a store of version 2, written by a newer expandr_repro; .* nothing was changed"
    ):
        Store(path)
    assert path.read_bytes() == before


def test_another_program_s_database_is_left_alone(tmp_path):
    with sqlite3.connect(tmp_path / "other") as raw:
        raw.execute("CREATE TABLE t (x)")
    raw.close()

    with pytest.raises(FormatError, match="a database, but no store of generations; name another with --store"):
        Store(tmp_path / "other")


def test_a_file_that_is_no_database_is_left_alone(tmp_path):
    (tmp_path / "notes").write_text("these are my notes, " * 100)

    with pytest.raises(FormatError, match="no store of generations"):
        Store(tmp_path / "notes")
    assert (tmp_path / "notes").read_text().startswith("these are my notes")


def test_a_place_where_nothing_can_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("x")

    with pytest.raises(SetupError, match=r"--store .*file/s: .*; name another place"):
        Store(tmp_path / "file" / "s")


def test_a_full_disk_is_one_line_and_loses_nothing(tmp_path):
    with Store(tmp_path / "s") as store:
        condition = store.condition(FACTS, "t")
        put(condition, HERE, TEXT)
        pages = store.database.raw.execute("PRAGMA page_count").fetchone()[0]
        store.database.raw.execute(f"PRAGMA max_page_count = {pages}")  # SQLite then says what it says on a full disk

        with pytest.raises(
            SetupError, match="the disk is full; every text up to now is kept: make room and run the same command again"
        ):
            put(condition, Address(Sampling(), 8, "cd", 0), Stored("x" * 100_000, "stop", 1, 1))
        assert get(condition, HERE) == TEXT


def _write(path, first, last, start):
    start.wait()
    with Store(path) as store:
        condition = store.condition(FACTS, "t")
        for n in range(first, last):
            put(condition, Address(Sampling(), n, "cd", 0), Stored(f"text {n} " * 20, "stop", 1, 1))


def test_several_processes_make_and_write_one_store_together(tmp_path):
    context = multiprocessing.get_context("spawn")
    start = context.Event()
    writers = [context.Process(target=_write, args=(tmp_path / "s", 50 * i, 50 * i + 100, start)) for i in range(4)]
    for writer in writers:
        writer.start()
    start.set()
    for writer in writers:
        writer.join()

    assert [w.exitcode for w in writers] == [0, 0, 0, 0]
    with Store(tmp_path / "s") as store:
        condition = store.condition(FACTS, "t")
        assert all(get(condition, Address(Sampling(), n, "cd", 0)) for n in range(250))
