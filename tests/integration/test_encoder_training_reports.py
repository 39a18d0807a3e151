"""What `train_encoder` says of a training that went wrong, and how long one is."""

from __future__ import annotations

import json
import math

import pytest
from tiny_bert import save_tiny_bert

from expandr_repro.training.metrics_log import read_metrics

pytestmark = pytest.mark.usefixtures("one_thread")

QUICK = ("--pooling", "mean", "--normalize", "--max-length", "64", "--device", "cpu", "--set", "batch_size=16")


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    return save_tiny_bert(tmp_path_factory.mktemp("bert"))


@pytest.fixture
def train(command, bert, tmp_path):
    def call(*more, output="out"):
        return command("train_encoder", "--train", "pocket/test", "--encoder", bert, "--output", tmp_path / output, *QUICK, *more)  # fmt: skip

    return call


def test_max_steps_replaces_epochs_for_the_schedule_too(train, tmp_path):
    """An epoch has 5 steps here: 3 end within one, 12 need a third, whatever `epochs` says."""
    for steps in (3, 12):
        result = train("--set", f"max_steps={steps}", "--set", "epochs=1", "--set", "warmup=0", "--set", "learning_rate=1e-4", "--format", "json", output=f"of{steps}")  # fmt: skip
        assert result.code == 0, result.err
        assert json.loads(result.out)["steps"] == steps
        rates = [r["learning_rate"] for r in read_metrics(tmp_path / f"of{steps}" / "metrics.jsonl")]
        assert rates == pytest.approx([1e-4 * (steps - i) / steps for i in range(steps)])


def test_no_max_steps_means_epochs(train):
    for number, text in enumerate(("0", "null")):
        result = train("--set", f"max_steps={text}", "--set", "epochs=1", "--format", "json", output=f"o{number}")
        assert json.loads(result.out)["steps"] == math.ceil(72 / 16)
    assert "settings.max_steps: found -1, wanted 0 or more" in train("--set", "max_steps=-1").error


@pytest.mark.parametrize(("precision", "says_fp32"), [("fp32", False), ("bf16", True)])
def test_a_rate_that_ends_in_no_number_is_named_and_leaves_no_folder(train, tmp_path, precision, says_fp32):
    result = train("--set", "learning_rate=2e5", "--set", "save_every=1", "--precision", precision)
    assert result.code == 2
    assert "lower learning_rate (200000)" in result.error
    assert ("use --precision fp32" in result.error) == says_fp32
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("more", [(), ("--set", "dev=9")])
def test_weights_that_break_in_the_last_step_are_not_written(train, tmp_path, more):
    for rate, what in (("1e37", "the vectors are not numbers any more"), ("1e38", "the step's size is inf")):
        result = train("--set", f"learning_rate={rate}", "--set", "max_steps=1", "--set", "warmup=0", *more)
        assert result.code == 2
        assert f"step 1: {what}; lower learning_rate ({rate.replace('e', 'e+')})" in result.error
        assert not list(tmp_path.iterdir())


def test_another_training_in_the_place_says_what_differs(train):
    assert train("--set", "max_steps=1").code == 0
    other = train("--set", "max_steps=1", "--set", "seed=7", "--fusion", "none")
    assert other.code == 2
    assert "another training is there" in other.error
    assert "seed: 42 there, 7 here" in other.error


def test_a_misspelt_development_search_gets_the_nearest_name(train):
    result = train("--set", "dev=9", "--set", "select_on=[mean.wn]")
    assert (
        "select_on: 'mean.wn' is no development search; there are: none, mean.own; did you mean 'mean.own'?"
        in result.error
    )
