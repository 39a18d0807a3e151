from __future__ import annotations

from pathlib import Path

import pytest

from expandr_repro.errors import SetupError
from expandr_repro.io.paths import cache_dir, data_dir


def test_the_cache_is_where_the_user_says(monkeypatch, tmp_path):
    monkeypatch.setenv("EXPANDR_CACHE", str(tmp_path))

    assert cache_dir() == tmp_path


def test_a_tilde_in_the_cache_is_the_home(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("EXPANDR_CACHE", "~/cache")

    assert cache_dir() == tmp_path / "cache"


def test_the_cache_lies_in_the_users_cache_folder_otherwise(monkeypatch, tmp_path):
    monkeypatch.delenv("EXPANDR_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    assert cache_dir() == tmp_path / "expandr_repro"


def test_the_cache_lies_below_the_home_when_nothing_is_said(monkeypatch, tmp_path):
    monkeypatch.setenv("EXPANDR_CACHE", "")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))

    assert cache_dir() == tmp_path / ".cache" / "expandr_repro"


def test_asking_for_the_cache_makes_no_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("EXPANDR_CACHE", str(tmp_path / "new"))

    assert not cache_dir().exists()


@pytest.mark.parametrize("value", [None, ""])
def test_there_is_no_data_folder_unless_one_is_named(monkeypatch, value):
    monkeypatch.delenv("EXPANDR_DATA", raising=False)
    if value is not None:
        monkeypatch.setenv("EXPANDR_DATA", value)

    assert data_dir() is None


def test_the_data_folder_is_the_one_named(monkeypatch, tmp_path):
    monkeypatch.setenv("EXPANDR_DATA", str(tmp_path))

    assert data_dir() == Path(tmp_path)


def test_a_data_folder_that_is_none_is_an_error_with_the_cure(monkeypatch, tmp_path):
    monkeypatch.setenv("EXPANDR_DATA", str(tmp_path / "none"))

    with pytest.raises(SetupError, match=r"^EXPANDR_DATA=.*none: no such folder; unset it, or point it"):
        data_dir()
