"""Benchmarks do distinct work, and a row that is faster than the machine can be is an error."""

from __future__ import annotations

import pytest

from benchmarks import __main__ as program
from benchmarks import bm25, expand_endpoint, gpu_profile
from benchmarks.results import Row, Sheet
from benchmarks.texts import all_different, differing, differing_in, distinct, made_up, passages, variants
from expandr_repro.data.topics import Topic
from expandr_repro.errors import CheckFailedError


def test_variants_of_passages_all_differ_and_are_as_long():
    texts = made_up(30, 40)
    made = variants(texts, 4)
    assert len(set(made)) == len(made) == 120
    assert made[:30] == texts
    assert [sorted(t.split()) for t in made] == [sorted(t.split()) for t in texts] * 4


def test_texts_to_measure_with_are_each_there_once(monkeypatch):
    monkeypatch.delenv("EXPANDR_DATA", raising=False)
    assert distinct(["a", "b", "a"]) == ["a", "b"]
    for texts in (made_up(5000, 10), passages()[1]):
        assert len(set(texts)) == len(texts)


def test_a_row_above_its_limit_fails_the_benchmark_and_is_not_kept(monkeypatch, tmp_path, capsys):
    rows = [Row("fine", 10, [2.0, 2.1], limit=1.0), Row("too fast", 10, [1.0], limit=1.616), Row("free", 1, [0.1])]
    monkeypatch.setattr(bm25, "run", lambda _: [Sheet("bm25", "A title", "passages", rows)])
    assert program.main(["bm25", "--json", str(tmp_path)]) == 1
    out, err = capsys.readouterr()
    assert "161.6 %" in out
    assert "error: bm25: too fast: 161.6 % of what the machine can do" in err
    assert "fine" not in err
    assert list(tmp_path.iterdir()) == []
    rows[1].seconds = [1.616]
    assert program.main(["bm25", "--json", str(tmp_path)]) == 0


def test_a_row_states_its_work_as_distinct_texts_and_one_with_equal_texts_fails_the_benchmark(monkeypatch, capsys):
    rows = [Row("ours", 10, [1.0], distinct=10), Row("copies", 40, [1.0], distinct=10), Row("no texts", 5, [1.0])]
    monkeypatch.setattr(bm25, "run", lambda _: [Sheet("bm25", "A title", "passages", rows)])
    assert program.main(["bm25"]) == 1
    out, err = capsys.readouterr()
    assert "distinct texts" in out
    assert "error: bm25: copies: only 10 of its 40 texts differ" in err
    assert "ours" not in err
    assert [row[1] for row in Sheet("s", "t", "u", rows).table().rows] == ["10", "10", None]


def test_a_part_of_the_profile_that_fails_or_is_faster_than_the_machine_fails_the_benchmark(monkeypatch, capsys):
    for found in ({"share_of_matmul_rate": 1.6}, {"share_of_matmul_rate": 0.4}, None):
        log = gpu_profile.Log(None, 10)
        log.attempt("part", lambda found=found: dict(found))
        assert log.failed == (found != {"share_of_matmul_rate": 0.4})
    assert '"failed": "TypeError' in capsys.readouterr().out
    monkeypatch.setattr(gpu_profile, "main", lambda _: 1)
    assert program.main(["gpu_profile"]) == 1


def test_texts_that_differ_are_counted(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "a"}\n{"text": "b"}\n{"text": "a"}\n', encoding="utf-8")
    assert differing(["a", "b", "a"]) == differing_in(tmp_path / "a.jsonl") == 2
    assert all_different(["a", "b"]) == 2


def test_a_benchmark_with_a_text_twice_ends_with_exit_code_1(monkeypatch, capsys):
    with pytest.raises(CheckFailedError, match="of 3 texts 2 are different"):
        all_different(["a", "b", "a"])
    monkeypatch.setattr(expand_endpoint, "Topic", lambda qid, title: Topic(qid, "the same"))
    assert program.main(["expand_endpoint", "--smallest"]) == 1
    assert "of 40 texts 1 are different" in capsys.readouterr().err


@pytest.mark.parametrize("seconds", [[], [1.0]])
def test_a_row_without_a_time_or_a_limit_breaks_none(seconds):
    assert Sheet("s", "t", "u", [Row("r", 1, seconds, limit=1.0), Row("q", 1, [1.0])]).faults() == []
