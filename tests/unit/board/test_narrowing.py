"""A study cut down to its baseline and one run shows what the whole shows of these."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from expandr_repro.board.narrowing import narrowed
from expandr_repro.evaluate.metrics import parse_measures
from expandr_repro.report.gathering import gather
from expandr_repro.report.studies import study_of
from expandr_repro.report.writing import embedded

REFERENCE = Path(__file__).parents[3] / "runs" / "reference"
NAMES = ("none", "own.mean", "own.rrf")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Three kept runs, and one of the first upside down, which shows documents that no other does."""
    runs = [str(REFERENCE / f"pocket.minilm.{name}.trec.gz") for name in NAMES]
    lines = [line.split() for line in gzip.decompress(Path(runs[0]).read_bytes()).decode().splitlines()]
    turned = tmp_path_factory.mktemp("whole") / "pocket.minilm.turned.trec"
    turned.write_text("".join(f"{q} Q0 {d} {rank} {rank} x\n" for q, _, d, rank, *_ in lines))
    runs.append(str(turned))
    return gather([study_of(runs, "pocket")], parse_measures("nDCG@10", 1), depth=5, words=20)


def in_sight(sheet, topic, run):
    """The documents that a page lists for a run, best first: docid, title, text and grade."""
    numbers, grades, ranks = sheet.pieces["s0.0"][topic]
    records = [record for piece in range(9) for record in sheet.pieces.get(f"d0.{piece}", [])]
    listed = sorted((ranks[run][i], *records[numbers[i]], grades[i]) for i in range(len(numbers)) if 0 < ranks[run][i] <= 5)  # fmt: skip
    return [json.dumps(row) for row in listed]


@pytest.mark.parametrize("run", [1, 2, 3])
def test_rankings_texts_and_comparisons_are_those_of_the_whole(whole, run):
    small = narrowed(whole, run)
    runs, wanted = small.data["studies"][0]["runs"], whole.data["studies"][0]["runs"]
    assert runs == [wanted[0], wanted[run]]
    for topic in range(72):
        for here, there in ((0, 0), (1, run)):
            assert in_sight(small, topic, here) == in_sight(whole, topic, there)
        assert small.pieces["t0.0"][topic] == whole.pieces["t0.0"][topic]


def test_documents_of_other_runs_alone_are_left_out(whole):
    size = lambda sheet: sum(len(items) for name, items in sheet.pieces.items() if name.startswith("d0."))  # noqa: E731
    assert size(narrowed(whole, 1)) < size(whole)


def test_relevant_documents_stay_however_far_down(whole):
    grades = [sum((g or 0) > 0 for g in topic[1]) for topic in narrowed(whole, 1).pieces["s0.0"]]
    assert grades == [sum((g or 0) > 0 for g in topic[1]) for topic in whole.pieces["s0.0"]]


def test_the_baseline_is_shown_against_the_next_run_and_the_whole_is_not_changed(whole):
    before = embedded(whole.data) + embedded(whole.pieces)
    assert [r["name"] for r in narrowed(whole, 0).data["studies"][0]["runs"]] == ["pocket.minilm.none", "pocket.minilm.own.mean"]  # fmt: skip
    assert embedded(whole.data) + embedded(whole.pieces) == before
