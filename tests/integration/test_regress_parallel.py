"""Many conditions at a time: every result has its line, whatever the readers of other threads keep off standard output."""

from __future__ import annotations

import json
import sys
import time

import pytest

from expandr_repro.pyserini import resources
from expandr_repro.pyserini.jvm import start
from expandr_repro.regress import inputs

pytestmark = pytest.mark.jvm

CONDITION = """
title: T
tier: manual
collection: {{name: {base}, documents: 2}}
topics: {{name: {base}, count: 1}}
qrels: {{name: {base}, judgements: 1}}
stages:
  search: cp {base}/run.trec $run
  evaluate: cat {base}/said.json $run
metrics:
  nDCG@10: {{value: 0.5, tolerance: 0}}
"""


def test_no_line_of_many_fast_conditions_is_lost(command, tmp_path, monkeypatch):
    start()
    base = tmp_path / "toy"
    (base / "qrels").mkdir(parents=True)
    (base / "corpus.jsonl").write_text('{"_id": "a", "text": "x"}\n{"_id": "b", "text": "y"}\n')
    (base / "queries.jsonl").write_text('{"_id": "1", "text": "x"}\n')
    (base / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n1\ta\t1\n")
    (base / "run.trec").write_text("")
    (base / "said.json").write_text(json.dumps([{"run": "r", "nDCG@10": 0.5}]))
    (tmp_path / "regressions").mkdir()
    names = [f"toy.minilm.n{number}" for number in range(60)]
    for name in names:
        (tmp_path / "regressions" / f"{name}.yaml").write_text(CONDITION.format(base=base))
    read = inputs.find_qrels

    def through_pyserini(name):
        with resources._fetching("qrels", name):
            time.sleep(0.01)
            return read(name)

    monkeypatch.setattr(inputs, "find_qrels", through_pyserini)
    stdout = sys.stdout
    result = command(
        "regress", "--tier", "manual", "--regressions", tmp_path / "regressions", "--output", tmp_path / "runs", "--jobs", 8
    )  # fmt: skip
    assert sys.stdout is stdout
    assert result.code == 0, result.out
    lines = result.out.splitlines()
    assert [line.split()[1] for line in lines if line.startswith("OK")] == sorted(names)
    assert lines[-1].startswith("60 conditions: 60 OK")


def test_what_pyserini_prints_is_kept_off_standard_output_and_what_others_print_is_not(capsys):
    start()
    import pyserini.util

    with resources._fetching("topics", "x"):
        pyserini.util.print("Downloading ...")
        print("a result")
    assert capsys.readouterr().out == "a result\n"
    assert "print" not in vars(pyserini.util)
