"""One part of a corpus that is searched alone is no whole index and is not taken for one."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import pytest

from expandr_repro.indexes.find import dense_index
from unit.indexes.test_parted import ENCODER, cut, made, write


@pytest.fixture
def warned(caplog, monkeypatch):
    """Whether an index is opened with a warning, and which."""
    monkeypatch.setattr(logging.getLogger("expandr_repro"), "propagate", True)
    encoder = SimpleNamespace(dimension=8, identity=ENCODER)

    def opened(folder):
        caplog.clear()
        dense_index(str(folder), encoder)
        return [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]

    return opened


def test_one_part_alone_is_searched_with_a_warning_that_names_the_ways_out(tmp_path, warned):
    first, second = cut(tmp_path, made(20), [f"d{n}" for n in range(20)], [10])
    for number, part in enumerate((first, second)):
        (message,) = warned(part)
        assert f"is part {number} of 2 of its corpus" in message
        assert "name all parts, or merge them with `encode --merge`" in message


@pytest.mark.parametrize("shard", [(0, 1), None])
def test_a_whole_index_is_opened_without_one(tmp_path, warned, shard):
    assert warned(write(tmp_path / "whole", made(20), [f"d{n}" for n in range(20)], shard=shard)) == []
