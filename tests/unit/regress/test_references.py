"""The promise of the reference runs: no digit of a pin and no line of a run changes unseen."""

from __future__ import annotations

import gzip
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from expandr_repro.data.trec import read_run, write_run
from expandr_repro.regress.conditions.reading import conditions
from expandr_repro.regress.conditions.shapes import Pin
from expandr_repro.regress.references import faults, run_path, write_reference

ROOT = Path(__file__).parents[3]
REFERENCE = ROOT / "runs" / "reference"
CONDITIONS = {c.name: c for c in conditions(ROOT / "regressions")}
NAME = "pocket.minilm.own.mean"
KEPT = [
    name
    for name, c in CONDITIONS.items()
    if c.regression and c.regression.recorded and (c.regression.tier == "ci" or os.environ.get("EXPANDR_DATA"))
]


def with_pin(regression, metric, value):
    return replace(regression, metrics=regression.metrics | {metric: replace(regression.metrics[metric], value=value)})


def one_digit_off(value):
    """Yield every value that differs from a pinned one in one of its four decimals."""
    digits = f"{value:.4f}"
    for place in (0, 2, 3, 4, 5):
        for digit in "0123456789":
            other = float(digits[:place] + digit + digits[place + 1 :])
            if other != value and other <= 1:
                yield other


@pytest.mark.parametrize("name", KEPT)
def test_a_reference_run_gives_the_pinned_figures_to_the_digit(name):
    assert faults(REFERENCE, CONDITIONS[name].regression, name) == []


def test_every_other_digit_in_a_pinned_value_is_found_and_both_values_are_named(monkeypatch):
    regression = CONDITIONS[NAME].regression
    measured = {}

    def once(*arguments):
        measured.setdefault("figures", original(*arguments))
        return measured["figures"]

    from expandr_repro.regress import references

    original = references.figures
    monkeypatch.setattr(references, "figures", once)
    for metric, pin in regression.metrics.items():
        for value in one_digit_off(pin.value):
            (fault,) = faults(REFERENCE, with_pin(regression, metric, value), NAME)
            assert fault.startswith(f"{metric}: pinned {value:.4f}, but the reference run {run_path(REFERENCE, NAME)}")
            assert f"gives {pin.value:.4f}" in fault


@pytest.fixture
def copy(tmp_path):
    shutil.copytree(REFERENCE, tmp_path, dirs_exist_ok=True)
    return tmp_path


def edit(folder, change):
    path = run_path(folder, NAME)
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    change(lines)
    path.write_bytes(gzip.compress("".join(f"{line}\n" for line in lines).encode()))


def swap_first_two(lines):
    """Let the first two documents of the first topic change places."""
    first, second = lines[0].split(), lines[1].split()
    first[2], second[2] = second[2], first[2]
    lines[:2] = [" ".join(first), " ".join(second)]


@pytest.mark.parametrize(
    "change",
    [
        swap_first_two,
        lambda lines: lines.pop(),
        lambda lines: lines.pop(0),
        lambda lines: lines.__setitem__(4321, lines[4321].replace(" Q0 ", " Q1 ")),
        lambda lines: lines.__setitem__(-1, lines[-1] + "x"),
    ],
    ids=["order", "last line", "first line", "column", "tag"],
)
def test_a_changed_line_of_a_reference_run_is_found_and_file_and_metric_are_named(copy, change):
    edit(copy, change)
    found = faults(copy, CONDITIONS[NAME].regression, NAME)
    assert str(run_path(copy, NAME)) in found[-1]
    assert "was changed (sha256 " in found[-1]
    assert "nDCG@10" in found[-1]


def test_a_changed_line_that_moves_a_figure_below_the_fourth_decimal_is_told_with_both_values(copy):
    edit(copy, lambda lines: lines.pop(0))
    found = faults(copy, CONDITIONS[NAME].regression, NAME)
    assert found[0].startswith("nDCG@10: pinned 0.7922, but the reference run")
    assert "nDCG@10 was 0.79222893" in found[-1]
    assert " and is 0.7" in found[-1]


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda path: path.unlink(), "cannot be read"),
        (lambda path: path.write_bytes(path.read_bytes()[:-100]), "the gzip file is damaged"),
        (lambda path: path.write_text("x y z\n"), "3 columns"),
        (lambda path: path.write_text("animals-1 Q0 d 1 1 t\nanimals-1 Q0 d 2 0 t\n"), "'d' occurs twice"),
    ],
)
def test_a_reference_run_that_is_missing_or_damaged_is_a_fault(copy, damage, says):
    damage(run_path(copy, NAME))
    (fault,) = faults(copy, CONDITIONS[NAME].regression, NAME)
    assert fault.startswith("reference run: ")
    assert str(run_path(copy, NAME)) in fault
    assert says in fault


def test_a_condition_that_was_never_recorded_has_no_reference_run(tmp_path):
    assert faults(tmp_path, replace(CONDITIONS[NAME].regression, recorded=None), NAME) == []


def test_a_reference_run_is_the_top_of_a_run_in_its_order_and_the_same_bytes_each_time(tmp_path):
    docids = [f"d{i}" for i in range(150)]
    run = {"animals-1": {d: 1.0 - i / 1000 for i, d in enumerate(docids)}, "animals-2": {"d2": 0.5}}
    write_run(tmp_path / "run.trec", run)
    regression = replace(CONDITIONS[NAME].regression, metrics={"nDCG@10": Pin(None), "MAP": Pin(None)})
    condition = replace(CONDITIONS[NAME], regression=regression)
    digests = {write_reference(tmp_path / f, condition, regression, tmp_path / "run.trec") for f in "ab"}
    assert len(digests) == 1
    assert run_path(tmp_path / "a", NAME).read_bytes() == run_path(tmp_path / "b", NAME).read_bytes()
    kept = read_run(run_path(tmp_path / "a", NAME))
    assert list(kept["animals-1"]) == docids[:100]
    assert list(kept["animals-1"].values()) == list(range(100, 0, -1))
    assert kept["animals-2"] == {"d2": 100.0}
