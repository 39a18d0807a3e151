"""Claims: one text, one process that asks for it, and none that stays claimed by the dead."""

from __future__ import annotations

import subprocess
import sys

import pytest

from expandr_repro.errors import SetupError
from expandr_repro.expand.store import Address, Store, Stored
from expandr_repro.llm.sampling import Sampling

A, B = b"a" * 32, b"b" * 32


def put(condition, address, stored):
    condition.put(condition.key(address), address, stored)


def test_what_one_claims_another_does_not_get_until_it_is_given_back(tmp_path):
    with Store(tmp_path / "s") as one, Store(tmp_path / "s") as two:
        assert one.claims.take([A]) == {A}
        assert two.claims.take([A, B]) == {B}
        one.claims.release([A])

        assert two.claims.take([A]) == {A}


def test_a_process_may_claim_again_what_it_has_claimed(tmp_path):
    with Store(tmp_path / "s") as one:
        assert one.claims.take([A]) == {A}
        assert one.claims.take([A]) == {A}


def test_closing_gives_all_back_and_leaves_no_lock_file(tmp_path):
    with Store(tmp_path / "s") as one:
        one.claims.take([A, B])
    with Store(tmp_path / "s") as two:
        assert two.claims.take([A, B]) == {A, B}

    assert [p.name for p in tmp_path.iterdir()] == ["s"]


def test_a_text_that_is_there_is_not_claimed_and_its_claim_is_gone(tmp_path):
    with Store(tmp_path / "s") as one, Store(tmp_path / "s") as two:
        condition = one.condition({"model": "m"}, "t")
        address = Address(Sampling(), 1, "cd", 0)
        key = condition.key(address)
        one.claims.take([key])
        put(condition, address, Stored("x", "stop", 1, 1))

        assert two.claims.take([key]) == set()
        assert one.database.rows("SELECT * FROM claims") == []


def test_the_claims_of_a_killed_process_are_free_at_once(tmp_path):
    code = (
        "import os, sys, signal; from expandr_repro.expand.store import Store;"
        "Store(sys.argv[1]).claims.take([b'a' * 32]); os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(tmp_path / "s")], check=False)
    assert killed.returncode == -9
    assert len(list(tmp_path.glob("*.lock"))) == 1

    with Store(tmp_path / "s") as store:
        assert store.claims.take([A]) == {A}
    assert list(tmp_path.glob("*.lock")) == []


def test_a_death_while_others_go_on_frees_its_claims_too(tmp_path):
    with Store(tmp_path / "s") as one:
        one.claims.take([B])
        code = (
            "import os, sys, signal; from expandr_repro.expand.store import Store;"
            "Store(sys.argv[1]).claims.take([b'a' * 32]); os.kill(os.getpid(), signal.SIGKILL)"
        )
        subprocess.run([sys.executable, "-c", code, str(tmp_path / "s")], check=False)

        assert one.claims.take([A]) == {A}


def test_a_place_for_no_lock_file_is_an_error_of_one_line(tmp_path):
    with Store(tmp_path / "s") as store:
        (tmp_path / f"s.{store.claims._owner}.lock").mkdir()

        with pytest.raises(SetupError, match="cannot be made"):
            store.claims.take([A])
