"""The variables of torchrun and accelerate launch are read in one place, and refused in one line where they make no sense."""

from __future__ import annotations

import pytest

from expandr_repro.engines.launcher import Launched, launched
from expandr_repro.errors import SetupError

VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK")


@pytest.fixture
def variables(monkeypatch):
    """Set the variables of a launcher: those given, and no others."""

    def set_to(*values: str | None) -> None:
        for name, value in zip(VARIABLES, values, strict=True):
            monkeypatch.delenv(name, raising=False)
            if value is not None:
                monkeypatch.setenv(name, value)

    return set_to


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ((None, None, None), Launched(0, 1, None)),
        (("1", "4", "1"), Launched(1, 4, 1)),
        (("3", "4", None), Launched(3, 4, None)),
        (("", "", ""), Launched(0, 1, None)),
        (("0", "1", "0"), Launched(0, 1, 0)),
    ],
)
def test_a_process_knows_its_number_and_a_lone_one_is_the_first_of_one(variables, values, found):
    variables(*values)
    assert launched() == found


@pytest.mark.parametrize(
    "values",
    [("x", "2", None), ("2", "2", None), ("0", "two", None), ("-1", "2", None), ("0", "0", None), ("1", None, None), ("0", "2", "x"), ("0", "2", "-1")],
)  # fmt: skip
def test_variables_that_make_no_sense_are_named_with_their_values(variables, values):
    variables(*values)
    with pytest.raises(SetupError, match=f"RANK={values[0]}, WORLD_SIZE={values[1]} and LOCAL_RANK={values[2]} make no sense together"):  # fmt: skip
        launched()


def test_a_device_that_is_no_bare_cuda_is_left_as_it_is():
    assert Launched(1, 2, 1).gpu("cpu") == "cpu"
    assert Launched(1, 2, 1).gpu("cuda:3") == "cuda:3"
    assert Launched().gpu("cuda") == "cuda"
