from __future__ import annotations

import json
from array import array

import pytest

from expandr_repro.prefer.distribution import quantile_table


def test_quantiles_by_hand():
    table = quantile_table({"reward": array("d", range(101))})
    assert list(table.header) == ["", "values", "mean", "min", "5%", "25%", "50%", "75%", "95%", "max"]
    assert list(table.rows[0]) == ["reward", 101, 50.0, *map(pytest.approx, (0, 5, 25, 50, 75, 95, 100))]


def test_what_was_never_measured_has_no_row():
    table = quantile_table({"a": [], "b": [1.0]})
    assert [row["values"] for row in json.loads(table.render("json"))] == [1]
