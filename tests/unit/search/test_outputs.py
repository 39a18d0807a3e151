"""A run replaces nothing but what the commands wrote, next to it either."""

from __future__ import annotations

import pytest

import expandr_repro as ex
from expandr_repro.errors import SetupError
from expandr_repro.search.outputs import check_run

NEIGHBOURS = ["", ".manifest.json", ".seen.json.gz", ".gate.tsv"]


@pytest.mark.parametrize("ending", NEIGHBOURS)
def test_what_somebody_else_wrote_is_not_replaced(tmp_path, ending):
    run = tmp_path / "run.trec"
    (tmp_path / f"run.trec{ending}").write_text("notes of my own\n", encoding="utf-8")
    with pytest.raises(SetupError, match="so it is not replaced"):
        check_run(run)


@pytest.mark.parametrize("ending", NEIGHBOURS)
def test_python_does_not_replace_it_either(tmp_path, ending):
    there = tmp_path / f"run.trec{ending}"
    there.write_text("notes of my own\n", encoding="utf-8")
    with pytest.raises(SetupError, match="so it is not replaced"):
        ex.Run({"q1": {"d1": 1.0}}).save(tmp_path / "run.trec")
    assert there.read_text(encoding="utf-8") == "notes of my own\n"


def test_a_run_of_before_is_replaced_with_all_that_is_next_to_it(tmp_path):
    ex.Run({"q1": {"d1": 1.0}}).save(tmp_path / "run.trec")
    (tmp_path / "run.trec.gate.tsv").write_text("qid\tchosen\tvalue\twhy\n", encoding="utf-8")
    ex.Run({"q2": {"d1": 1.0}}).save(tmp_path / "run.trec")
    assert [p.name for p in tmp_path.iterdir()] == ["run.trec"]
