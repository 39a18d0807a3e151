"""The settings of a training: packaged, a file, and single values on the command line."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from expandr_repro.errors import ExpandrError, FormatError, NotAvailableError, UnknownNameError
from expandr_repro.training.settings import read_config


@dataclass(frozen=True)
class Settings:
    learning_rate: float
    epochs: int = 2
    patience: int | None = None
    warmup: float | None = None
    modules: str = "all"


@pytest.fixture
def file(write):
    return str(write("mine.yaml", "learning_rate: 2e-5\n"))


def test_a_file_is_read_and_its_short_floats_are_numbers(file):
    assert read_config(Settings, file) == Settings(2e-5)


@pytest.mark.parametrize(("text", "value"), [("1e-05", 1e-5), ("1E-5", 1e-5), ("2.5e-5", 2.5e-5), ("0.1", 0.1), ("1", 1.0), (".5e0", 0.5)])  # fmt: skip
def test_every_spelling_of_a_float_may_be_set(file, text, value):
    assert read_config(Settings, file, [f"learning_rate={text}", f"warmup={text}"]) == Settings(value, warmup=value)


def test_single_values_replace_those_of_the_file_and_the_last_one_holds(file):
    made = read_config(Settings, file, ["epochs=3", "patience=2", "epochs=4", "modules=q=v", "patience=null"])

    assert made == Settings(2e-5, 4, modules="q=v")


def test_text_that_looks_like_a_float_stays_text_where_text_is_wanted(file):
    assert read_config(Settings, file, ["modules=1e-5"]).modules == "1e-5"


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["epoch=3"], "--set: settings: unknown key 'epoch'; did you mean 'epochs'?"),
        (["epochs=many"], "--set: settings.epochs: found 'many', wanted int"),
        (["epochs=1e2"], "--set: settings.epochs: found '1e2', wanted int"),
        (["learning_rate=null"], "--set: settings.learning_rate: found None, wanted float"),
    ],
)
def test_a_fault_on_the_command_line_names_the_key(file, overrides, said):
    with pytest.raises(FormatError) as caught:
        read_config(Settings, file, overrides)
    assert str(caught.value) == said


@pytest.mark.parametrize("text", ["epochs", "=3", "epochs=[1"])
def test_what_is_no_key_and_value_is_refused(file, text):
    with pytest.raises(ExpandrError, match="--set "):
        read_config(Settings, file, [text])


def test_a_fault_in_the_file_names_the_file(write):
    with pytest.raises(FormatError, match=r"mine\.yaml: settings: unknown key 'learning_rat'; did you mean"):
        read_config(Settings, str(write("mine.yaml", "learning_rat: 1.0\n")), ["epochs=3"])
    with pytest.raises(FormatError, match=r"mine\.yaml: settings: wanted keys and values"):
        read_config(Settings, str(write("mine.yaml", "- 1\n")), ["epochs=3"])


def test_unknown_settings_and_missing_files_are_told_apart(tmp_path):
    with pytest.raises(UnknownNameError, match="unknown training settings 'dop'"):
        read_config(Settings, "dop")
    with pytest.raises(NotAvailableError):
        read_config(Settings, str(tmp_path / "none.yaml"))
