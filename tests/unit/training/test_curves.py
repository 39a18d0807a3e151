"""The picture of a training's curves."""

from __future__ import annotations

import pytest

from expandr_repro.errors import ExpandrError
from expandr_repro.training.curves import plot_curves

RECORDS = [{"step": s, "loss": 1 / s, "eval_loss": None if s == 2 else 2 / s} for s in range(1, 40)]
PANELS = [("loss", ["loss", "eval_loss", "none"]), ("nothing", ["none"])]


def test_equal_records_give_equal_bytes_and_a_png(tmp_path):
    for name in ("a.png", "b.png"):
        plot_curves(RECORDS, PANELS, tmp_path / name)

    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_nothing_to_draw_is_an_error(tmp_path):
    with pytest.raises(ExpandrError, match=r"c\.png: nothing to draw; no record has any of none"):
        plot_curves(RECORDS, PANELS[1:], tmp_path / "c.png")


def test_an_ending_that_cannot_be_written_is_an_error(tmp_path):
    with pytest.raises(ExpandrError, match=r"matplotlib writes no \.txt"):
        plot_curves(RECORDS, PANELS, tmp_path / "c.txt")
