"""Scores of 0 that say nothing of a run, and queries of other topics."""

from __future__ import annotations

from pathlib import Path

import pytest

from expandr_repro.compare import __main__ as compare
from expandr_repro.evaluate import __main__ as evaluate

RUN = "q Q0 d1 1 2.0 t\nq Q0 d2 2 1.0 t\n"


@pytest.fixture
def files(tmp_path):
    """Two runs and the place of their qrels."""
    paths = [tmp_path / name for name in ("a.trec", "b.trec", "qrels.txt")]
    for path in paths[:2]:
        path.write_text(RUN)
    return [str(path) for path in paths]


@pytest.mark.parametrize(
    ("grade", "metric", "needed"),
    [(0, "nDCG@2", 1), (0, "MRR", 1), (-1, "R@2", 1), (1, "R(rel=2)@2", 2), (2, "MAP(rel=99)", 99)],
)
def test_a_metric_by_which_nothing_is_relevant_is_reported(files, grade, metric, needed, capsys):
    a, _, qrels = files
    Path(qrels).write_text(f"q 0 d1 {grade}\n")
    assert evaluate.main(["--qrels", qrels, "--metrics", metric, a]) == 0
    warning = f"no document of the qrels has a grade of {needed} or more, so that every run scores 0 by {metric}"
    assert warning in capsys.readouterr().err


@pytest.mark.parametrize(("grade", "metric"), [(1, "nDCG@2"), (2, "R(rel=2)@2"), (0, "Judged@2")])
def test_a_metric_that_can_be_more_than_0_is_not(files, grade, metric, capsys):
    a, _, qrels = files
    Path(qrels).write_text(f"q 0 d1 {grade}\n")
    assert evaluate.main(["--qrels", qrels, "--metrics", metric, a]) == 0
    assert capsys.readouterr().err == ""


def test_queries_are_not_looked_for_in_other_topics(files, tmp_path, capsys):
    a, b, qrels = files
    Path(qrels).write_text("q 0 d1 1\n")
    (tmp_path / "topics.tsv").write_text("r\tanother query\n")
    words = ["--qrels", qrels, "--metrics", "MRR", "--largest", "1", "--topics", str(tmp_path / "topics.tsv"), a, b]
    assert compare.main(words) == 2
    assert "has none of the 1 topics that are compared (first: 'q')" in capsys.readouterr().err
