"""Bounds of numbers: what keeps to them, how they are written, and what YAML that does not keep to them gets."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expandr_repro.errors import ExpandrError, FormatError
from expandr_repro.io.strict_yaml import Count, FromZero, Positive, build
from expandr_repro.registry import Within


@dataclass(frozen=True)
class Kettle:
    cups: Count
    steps: FromZero | None = None
    share: Annotated[float, Within(0, below=1)] = 0.5
    weights: dict[str, Positive] = field(default_factory=dict)
    heights: list[Count] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.cups == 13:
            raise ExpandrError("cups: 13 brings bad luck")


@pytest.mark.parametrize(
    ("bounds", "words"),
    [
        (Within(1), "1 or more"),
        (Within(0, 0.01), "0 to 0.01"),
        (Within(high=3), "3 or less"),
        (Within(above=0), "more than 0"),
        (Within(0, below=1), "0 or more and less than 1"),
        (Within(above=0, high=5), "more than 0 and 5 or less"),
        (Within(), "a finite number"),
    ],
)
def test_bounds_are_written_as_one_would_say_them(bounds, words):
    assert str(bounds) == words


@given(st.floats(), st.floats(-5, 5), st.floats(-5, 5))
def test_low_and_high_are_included_above_and_below_are_not_and_nothing_infinite_is(value, one, other):
    low, high = sorted((one, other))
    finite = math.isfinite(value)
    assert (value in Within(low, high)) == (finite and low <= value <= high)
    assert (value in Within(above=low, below=high)) == (finite and low < value < high)
    assert (value in Within()) == finite


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"cups": 0}, "mine.cups: found 0, wanted 1 or more"),
        ({"cups": True}, "mine.cups: found True, wanted int"),
        ({"cups": 1, "steps": -1}, "mine.steps: found -1, wanted 0 or more"),
        ({"cups": 1, "share": 1}, "mine.share: found 1.0, wanted 0 or more and less than 1"),
        ({"cups": 1, "share": math.nan}, "mine.share: found nan, wanted 0 or more and less than 1"),
        ({"cups": 1, "weights": {"a": 0}}, "mine.weights.a: found 0.0, wanted more than 0"),
        ({"cups": 1, "heights": [1, 0]}, "mine.heights: found 0, wanted 1 or more"),
        ({"cups": 13}, "mine: cups: 13 brings bad luck"),
    ],
)
def test_a_number_out_of_bounds_names_file_key_and_what_was_wanted(values, problem):
    with pytest.raises(FormatError) as caught:
        build(Kettle, values, "k.yaml", "mine")
    assert str(caught.value) == f"k.yaml: {problem}"


def test_none_has_no_bounds():
    assert build(Kettle, {"cups": 1, "steps": None}, "k.yaml", "mine").steps is None
