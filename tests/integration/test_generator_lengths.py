"""`train_generator` and the length of texts: losses that length alone does not win, and what is reported before and after."""

from __future__ import annotations

import json
import math

import pytest
from tiny_llama import save_tiny_llama

from expandr_repro.prefer.pairs import PreferencePair, write_pairs
from expandr_repro.training.metrics_log import read_metrics

pytestmark = pytest.mark.usefixtures("one_thread")

QUICK = ["--device", "cpu", "--set", "max_length=128", "--set", "logging_steps=1", "--set", "learning_rate=1e-2", "--set", "batch_size=4",
         "--set", "gradient_accumulation=2", "--set", "max_steps=2"]  # fmt: skip


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lengths")
    save_tiny_llama(folder / "tiny-llama")

    def pairs(numbers):
        return [
            PreferencePair(f"q{i}", f"Please write. Question: {i}?\nPassage:", f"rain and snow {i} and more of it", f"hail {i}", 2.0, 0.5)
            for i in numbers
        ]  # fmt: skip

    write_pairs(folder / "pairs.jsonl", pairs(range(16)))
    write_pairs(folder / "dev.jsonl", pairs(range(100, 108)))
    return folder


@pytest.fixture
def train(command, files, tmp_path):
    def call(*more, output="out", dev=False):
        data = ["--pairs", files / "pairs.jsonl", *(["--dev-pairs", files / "dev.jsonl"] if dev else [])]
        words = [x for setting in more for x in (("--set", setting) if "=" in setting else (setting,))]
        made = command("train_generator", *data, "--model", files / "tiny-llama", "--output", tmp_path / output, *QUICK, *words)  # fmt: skip
        assert made.code == 0, made.err
        return made, read_metrics(tmp_path / output / "metrics.jsonl")

    return call


def weights(folder):
    return (folder / "adapter_model.safetensors").read_bytes()


@pytest.mark.parametrize(
    "more", [(), ("ld_alpha=0.5",), ("loss=sigmoid_norm", "beta=2"), ("ld_alpha=0", "precompute_reference=false")]
)
def test_before_training_a_loss_on_differences_is_that_of_a_tie(train, more):
    _, records = train(*more)
    assert records[0]["train_eval_loss"] == pytest.approx(math.log(2), abs=1e-5)


def test_each_loss_trains_another_model(train, tmp_path):
    ways = ["loss=sigmoid", "loss=sigmoid_norm", "loss=ipo", "ld_alpha=0.3", "sft_weight=0.5"]
    for way in ways:
        train(way, output=way)
    assert len({weights(tmp_path / way) for way in ways}) == len(ways)


def test_a_weight_of_one_for_the_tail_is_plain_dpo(train, tmp_path):
    from safetensors.numpy import load_file

    train(output="plain")
    train("ld_alpha=1", output="tail")
    plain, tail = (load_file(tmp_path / name / "adapter_model.safetensors") for name in ("plain", "tail"))
    assert max(abs(plain[key] - tail[key]).max() for key in plain) < 1e-6


def test_the_kept_reference_is_that_of_the_same_weight_of_the_tail(train, tmp_path):
    from safetensors.numpy import load_file

    train("seed=9", output="whole")  # keeps sums over whole passages
    train("seed=9", "ld_alpha=0", output="kept")
    train("seed=9", "ld_alpha=0", "precompute_reference=false", output="each")
    kept, each = (load_file(tmp_path / name / "adapter_model.safetensors") for name in ("kept", "each"))
    assert max(abs(kept[key] - each[key]).max() for key in kept) < 1e-6
    assert weights(tmp_path / "kept") != weights(tmp_path / "whole")


def test_the_sft_term_is_the_chosen_passages_loss_per_token(train):
    losses = [train(f"sft_weight={w}", output=f"w{w}")[1][0]["train_eval_loss"] for w in (0, 1, 2)]
    nll = losses[1] - losses[0]
    assert nll > 1
    assert losses[2] - losses[0] == pytest.approx(2 * nll, rel=1e-4)


def test_the_report_tells_words_refusals_and_cut_texts_before_and_after(train, tmp_path):
    made, _ = train("sample_texts=5", "keep_best=false", dev=True)
    assert "texts generated before and after, one for each validation prompt" in made.out
    again, _ = train("sample_texts=5", "keep_best=false", "--format", "json", dev=True)
    report = json.loads(again.out)
    rows = {row[""]: (row["before"], row["after"]) for row in report["measures"]}
    assert report["texts"] == 5
    assert list(rows)[-5:] == [
        "words per text",
        "tokens per text",
        "refusals",
        "texts cut at the token limit",
        "empty texts",
    ]
    assert rows["words per text"][0] != rows["words per text"][1]
    assert 0 <= rows["texts cut at the token limit"][0] <= 5
    assert rows["tokens per text"][0] <= 28  # max_length less max_prompt_length
    kept = json.loads((tmp_path / "out" / "manifest.json").read_text())["result"]
    assert kept["texts"] == 5
    assert kept["before_after"]["refusals"] == list(rows["refusals"])


def test_the_untrained_models_texts_are_the_same_whatever_is_trained(train):
    def before(*more, output):
        report = json.loads(train(*more, "keep_best=false", "--format", "json", dev=True, output=output)[0].out)
        return {row[""]: row["before"] for row in report["measures"] if "text" in row[""]}

    first = before(output="a")
    assert len(first) == 4
    assert first == before("learning_rate=2e-3", output="b")


@pytest.mark.parametrize(("more", "dev"), [(("sample_texts=0",), True), ((), False)])
def test_no_texts_are_generated_where_none_are_wanted_or_nothing_validates(train, more, dev):
    made, _ = train(*more, "--format", "json", dev=dev)
    report = json.loads(made.out)
    assert "texts" not in report
    assert not [row for row in report["measures"] if "words" in row[""]]


def test_an_out_of_memory_device_costs_the_lengths_and_not_the_training(train, monkeypatch, tmp_path):
    from expandr_repro.errors import SetupError
    from expandr_repro.llm.local.transformers import TransformersGenerator

    def fail(*_):
        raise SetupError("cuda: one text does not fit into its memory")

    monkeypatch.setattr(TransformersGenerator, "generate", fail)
    made, _ = train(dev=True)
    assert "no texts were generated to compare lengths before and after: cuda: one text" in made.err
    assert (tmp_path / "out" / "adapter_model.safetensors").is_file()
