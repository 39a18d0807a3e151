"""Every benchmark runs at its smallest size, compares its results, and keeps what its tables show. No time is tested."""

from __future__ import annotations

import json
import sys

import pytest

from benchmarks.__main__ import main
from benchmarks.registry import BENCHMARKS
from benchmarks.results import from_json
from expandr_repro.pyserini import tables

JAVA = [
    pytest.mark.jvm,
    pytest.mark.skipif(
        tables.is_remote(), reason="its peer, stock Pyserini 2.4, can't be started without a network: run it with 1.6"
    ),
]


@pytest.fixture(autouse=True)
def _made_up(monkeypatch):
    """The smallest size needs no real collection."""
    monkeypatch.delenv("EXPANDR_DATA", raising=False)


@pytest.mark.parametrize("name", [pytest.param(n, marks=JAVA) if n == "bm25" else n for n in BENCHMARKS])
def test_a_benchmark_runs_at_its_smallest_size(name, tmp_path, capfd):
    code = main([name, "--smallest", "--json", str(tmp_path / "kept"), "--work", str(tmp_path / "work")])
    out, err = capfd.readouterr()
    assert code == 0, err
    assert f"== {name}: " in out
    if BENCHMARKS[name].program:
        return
    kept = json.loads((tmp_path / "kept" / f"{name}.json").read_text(encoding="utf-8"))
    assert (kept["benchmark"], kept["size"]) == (name, "smallest")
    assert kept["command"] == f"python -m benchmarks {name} --smallest"
    assert str(tmp_path) not in json.dumps(kept)
    for sheet in from_json(kept):
        assert sheet.rows
        for row in sheet.rows:
            offline = "<urlopen error" in row.note  # Pyserini 2.4 reads its names over a network when it starts
            assert row.seconds or offline, (row.name, row.note)  # every peer is here, and agrees
        assert sheet.table().render("text") in out


def test_an_unknown_benchmark_offers_the_nearest(capfd):
    assert main(["encod"]) == 2
    assert "did you mean 'encode'?" in capfd.readouterr().err


def test_a_benchmark_without_a_gpu_side_is_refused_on_a_gpu(capfd):
    assert main(["bm25", "--gpu"]) == 2
    assert "has no side for a GPU" in capfd.readouterr().err


def test_pyserini_itself_can_be_imported_after_its_encoder_was_imported_alone():
    from benchmarks.peers.encoders import pyserini_auto

    before = {name for name in sys.modules if name.partition(".")[0] == "pyserini"}
    assert pyserini_auto().AutoDocumentEncoder
    assert {name for name in sys.modules if name.partition(".")[0] == "pyserini"} == before
