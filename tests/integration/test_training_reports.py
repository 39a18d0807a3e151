"""What a generator's training says of itself: before and after on the same examples, the untrained model counted, the prompt that was generated from."""

from __future__ import annotations

import json

import pytest
import torch
from tiny_llama import LLAMA_3_TEMPLATE, save_tiny_llama

from expandr_repro.data.topics import Expansion, Topic, write_topics
from expandr_repro.prefer.pairs import PreferencePair, read_pairs, write_pairs
from expandr_repro.training.metrics_log import read_metrics

pytestmark = pytest.mark.usefixtures("one_thread")

QUICK = ["--device", "cpu", "--set", "max_length=160", "--set", "batch_size=4", "--set", "gradient_accumulation=2"]
THINKING = LLAMA_3_TEMPLATE.replace(
    "<|end_header_id|>\n\n{% endif %}", "<|end_header_id|>\n\n{% if enable_thinking is false %}<think></think>{% endif %}{% endif %}"
)  # fmt: skip
"""Llama 3's template with a switch as Qwen 3 has one."""


def pairs(numbers, *, turned=False, provenance=None):
    said = [(f"rain and snow {i}", f"hail {i} zzz")[:: -1 if turned else 1] for i in numbers]
    return [
        PreferencePair(f"q{i}", f"Please write. Question: {i}?\nPassage:", *both, 2.0, 0.5, provenance)
        for i, both in zip(numbers, said, strict=True)
    ]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reports")
    save_tiny_llama(folder / "llama")
    save_tiny_llama(folder / "thinking", template=THINKING)
    write_pairs(folder / "pairs.jsonl", pairs(range(24)))
    write_pairs(folder / "dev.jsonl", pairs(range(100, 108)))
    write_pairs(folder / "both.jsonl", pairs(range(12)) + pairs(range(12), turned=True))
    write_pairs(folder / "turned.jsonl", pairs(range(100, 108), turned=True))
    return folder


@pytest.fixture
def train(command, files, tmp_path):
    def call(*more, model="llama", pairs="pairs.jsonl", output="out"):
        return command("train_generator", "--pairs", files / pairs, "--model", files / model, "--output", tmp_path / output, *QUICK, *more)  # fmt: skip

    return call


def before_after(result):
    assert result.code == 0, result.err
    return {row[""]: (row["before"], row["after"]) for row in json.loads(result.out)["measures"]}


def test_the_train_loss_is_measured_on_the_same_pairs_before_the_first_step_and_after_the_last(train, tmp_path):
    """DPO starts at ln 2, whatever the first batches are; of pairs that contradict each other only a larger loss can be learnt."""
    worse = before_after(train("--set", "learning_rate=1e-2", "--set", "epochs=1", "--format", "json", pairs="both.jsonl"))["train loss"]  # fmt: skip
    assert worse[0] == pytest.approx(0.693147, abs=1e-5)
    assert worse[1] > 0.694
    good = before_after(train("--set", "learning_rate=1e-2", "--format", "json", output="good"))["train loss"]
    assert good[0] == pytest.approx(0.693147, abs=1e-5)
    assert good[1] < 0.6


@pytest.mark.parametrize("kind", ["--pairs", "--sft"])
def test_a_run_shorter_than_a_logging_interval_reports_two_measurements_and_not_one_record_twice(command, files, tmp_path, kind):  # fmt: skip
    write_topics(tmp_path / "topics.jsonl", [Topic(f"q{i}", f"rain {i}", (Expansion(f"water {i}"),)) for i in range(8)])
    source = files / "pairs.jsonl" if kind == "--pairs" else tmp_path / "topics.jsonl"
    words = [kind, source, "--model", files / "llama", *QUICK, "--set", "max_steps=1", "--set", "learning_rate=1e-2", "--set", "warmup=0"]  # fmt: skip
    found = before_after(command("train_generator", *words, "--output", tmp_path / "out", "--format", "json"))

    assert found["train loss"][1] < found["train loss"][0]
    records = read_metrics(tmp_path / "out" / "metrics.jsonl")
    assert [r["step"] for r in records] == [0, 1]
    assert tuple(r["train_eval_loss"] for r in records) == found["train loss"]


def test_measuring_changes_nothing_of_what_is_learnt(train, monkeypatch, tmp_path):
    from expandr_repro.train_generator.trl import session

    more = ["--set", "learning_rate=1e-2", "--set", "epochs=1", "--set", "lora_dropout=0.3"]
    assert train(*more, output="measured").code == 0
    monkeypatch.setattr(session, "train_loss", lambda *_: 0.0)
    assert train(*more, output="blind").code == 0
    assert weights(tmp_path / "measured") == weights(tmp_path / "blind")


def weights(folder):
    return (folder / "adapter_model.safetensors").read_bytes()


def test_where_training_only_made_it_worse_the_untrained_model_is_kept_and_said(train, files, tmp_path):
    from safetensors.torch import load_file

    more = ["--dev-pairs", files / "turned.jsonl", "--set", "learning_rate=1e-2", "--format", "json"]
    result = train(*more)
    assert "training made it worse: the untrained model is kept" in result.err
    found = before_after(result)
    assert json.loads(result.out)["chosen_step"] == 0
    assert all(before == after for before, after in found.values())
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["result"]["chosen_step"] == 0
    kept = load_file(tmp_path / "out" / "adapter_model.safetensors")
    assert kept
    assert all(not bool(torch.count_nonzero(v)) for k, v in kept.items() if "lora_B" in k)

    last = train(*more, "--set", "keep_best=false", output="last")
    assert before_after(last)["validation loss"][1] > before_after(last)["validation loss"][0]
    assert "untrained" not in last.err


def test_the_untrained_model_is_the_base_itself_or_the_adapter_that_was_to_be_trained_further(train, files, tmp_path):
    from safetensors.torch import load_file

    more = ["--dev-pairs", files / "turned.jsonl", "--set", "learning_rate=1e-2", "--set", "epochs=1"]
    result = train(*more, "--set", "lora_r=0", output="whole")
    assert "the untrained model is kept" in result.err
    kept, base = (load_file(f / "model.safetensors") for f in (tmp_path / "whole", files / "llama"))
    assert all(torch.equal(kept[name], base[name]) for name in base)

    assert train("--set", "max_steps=2", "--set", "learning_rate=1e-2", output="first").code == 0
    result = train(*more, "--adapter", tmp_path / "first", output="further")
    assert "the untrained model is kept" in result.err
    assert weights(tmp_path / "further") == weights(tmp_path / "first")


def test_a_rate_that_ends_in_no_number_is_named_and_leaves_no_folder(train, tmp_path):
    result = train("--set", "learning_rate=2e5", "--set", "save_steps=1")
    assert result.code == 2
    assert "lower learning_rate (200000)" in result.error
    assert "fp32" not in result.error
    assert not list(tmp_path.iterdir())

    assert "or use --set precision=fp32" in train("--set", "learning_rate=2e5", "--set", "precision=bf16").error


def test_weights_that_break_in_the_last_step_are_not_written(train, tmp_path):
    result = train("--set", "learning_rate=1e38", "--set", "max_steps=1")
    assert result.code == 2
    assert "the loss is no number after step 1; lower learning_rate (1e+38)" in result.error
    assert not list(tmp_path.iterdir())


def test_another_training_in_the_place_says_what_differs(train):
    assert train("--set", "max_steps=1").code == 0
    other = train("--set", "max_steps=1", "--set", "seed=7", "--set", "learning_rate=3e-5")
    assert other.code == 2
    assert "another training is there" in other.error
    assert "learning_rate: 2e-05 there, 3e-05 here; seed: 42 there, 7 here" in other.error


def test_max_steps_replaces_epochs_for_the_schedule_too(train, tmp_path):
    for steps in (2, 5):  # less than an epoch's 3 steps, and more than one
        result = train("--set", f"max_steps={steps}", "--set", "logging_steps=1", "--set", "epochs=1", output=f"of{steps}", pairs="pairs.jsonl")  # fmt: skip
        assert result.code == 0, result.err
        rates = [r["learning_rate"] for r in read_metrics(tmp_path / f"of{steps}" / "metrics.jsonl") if "loss" in r]
        assert rates == pytest.approx([2e-5 * (steps - i) / steps for i in range(steps)])
    assert train("--set", "max_steps=0", "--set", "epochs=1", "--format", "json", output="epochs").code == 0


@pytest.mark.parametrize("case", ["a new adapter", "an adapter trained further"])
def test_the_reference_has_no_dropout_where_it_is_computed_at_every_step(files, tmp_path, monkeypatch, case):
    from trl import DPOTrainer

    from expandr_repro.llm.local.loading import end_ids, load_causal_lm, load_tokenizer
    from expandr_repro.train_generator.examples import from_pairs
    from expandr_repro.train_generator.settings import DpoSettings
    from expandr_repro.train_generator.trl.arguments import Place
    from expandr_repro.train_generator.trl.examples import fit
    from expandr_repro.train_generator.trl.reference import COLUMNS, ReferenceStore
    from expandr_repro.train_generator.trl.trainers import make_trainer
    from expandr_repro.training.settings import read_config

    seen, taken = {}, {}
    monkeypatch.setattr(DPOTrainer, "_compute_loss", lambda _, model, inputs, *more: taken.update(inputs) or torch.zeros(()))  # fmt: skip
    for way in ("true", "false"):
        settings = read_config(DpoSettings, "dpo", ["max_length=160", "batch_size=8", "lora_dropout=0.5", f"precompute_reference={way}"])  # fmt: skip
        model, tokenizer = load_causal_lm(files / "llama", torch.float32), load_tokenizer(files / "llama")
        for layer in model.model.layers:
            layer.self_attn.attention_dropout = 0.5  # the model's own
        if case == "an adapter trained further":
            model = further(model)
        texts = from_pairs(str(files / "pairs.jsonl"), None).texts["train"]
        examples = fit(tokenizer, texts, 100, 160, end_ids(model, tokenizer))
        trainer = make_trainer(settings, Place(tmp_path, "cpu", "fp32"), model, tokenizer, examples, None, ReferenceStore(tmp_path / way, {}))  # fmt: skip
        trainer.model.train()
        trainer.compute_loss(trainer.model, trainer.data_collator([trainer.train_dataset[i] for i in range(8)]))
        seen[way] = torch.stack([taken[c].float() for c in COLUMNS])
        assert trainer.model.training
    assert torch.allclose(seen["true"], seen["false"], atol=1e-4)


def further(model):
    """Put an adapter on a model that changes what it says."""
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(1)
    made = get_peft_model(model, LoraConfig(r=2, lora_dropout=0.5, target_modules="all-linear", init_lora_weights=False, task_type="CAUSAL_LM"))  # fmt: skip
    made.peft_config["default"].base_model_name_or_path = ""
    return made


def test_a_misspelt_layer_is_refused_with_the_nearest_name(train, tmp_path):
    result = train("--set", "lora_targets=q_proj,v_prooj", "--set", "max_steps=1")
    assert result.code == 2
    assert "the model has no fitting layers called v_prooj; did you mean 'v_proj'?" in result.error
    assert not list(tmp_path.iterdir())

    assert train("--set", "lora_targets=q_proj, v_proj", "--set", "max_steps=1").code == 0
    assert json.loads((tmp_path / "out" / "adapter_config.json").read_text())["target_modules"] == ["q_proj", "v_proj"]


def candidates(folder, *, extra=None, finish="length", provenance=None):
    """Write two candidates per topic, the second off the subject, and the gold passages."""
    sampling = {"temperature": 1.0} | ({"extra": extra} if extra else {})
    said = [(f"rain number {i} falls as water", "hail") for i in range(6)]
    topics = [
        Topic(f"q{i}", f"what is rain {i}", (Expansion(good, sampling, finish), Expansion(bad, sampling, "stop")), provenance)
        for i, (good, bad) in enumerate(said)
    ]  # fmt: skip
    write_topics(folder / "candidates.jsonl", topics)
    (folder / "gold.jsonl").write_text("".join(json.dumps({"qid": f"q{i}", "text": good}) + "\n" for i, (good, _) in enumerate(said)))  # fmt: skip
    return ["--candidates", folder / "candidates.jsonl", "--gold-file", folder / "gold.jsonl", "--reward", "retriever", "--output", folder / "pairs.jsonl"]  # fmt: skip


def test_training_reads_the_prompt_that_generation_read_through_prefer_without_being_told(command, files, tmp_path, monkeypatch):  # fmt: skip
    """From the candidates' sampling to the pairs' provenance to the token ids."""
    from expandr_repro.llm.local.chat import prompt_ids
    from expandr_repro.llm.local.loading import load_tokenizer
    from expandr_repro.train_generator.trl import session

    values = {"enable_thinking": False}
    made = command("prefer", *candidates(tmp_path, extra={"chat_template_kwargs": values}), "--min-similarity", 0.3)
    assert made.code == 0, made.err
    written = read_pairs(tmp_path / "pairs.jsonl")
    assert all(p.provenance["chat_template_kwargs"] == values for p in written)

    read = []
    fit = session.fit
    monkeypatch.setattr(session, "fit", lambda *a: read.append(fit(*a)) or read[-1])
    words = ["--pairs", tmp_path / "pairs.jsonl", "--model", files / "thinking", *QUICK, "--set", "max_steps=1", "--output", tmp_path / "out"]  # fmt: skip
    trained = command("train_generator", *words)
    assert trained.code == 0, trained.err
    tokenizer = load_tokenizer(files / "thinking")
    prompts = [p.prompt for p in written]
    assert read[0].prompts == prompt_ids(tokenizer, prompts, values) != prompt_ids(tokenizer, prompts)
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["settings"]["chat_template_kwargs"] == values

    refused = command("train_generator", *words, "--set", "chat_template_kwargs={enable_thinking: true}", "--overwrite")
    assert refused.code == 2
    assert "chat_template_kwargs: the passages were generated with {'enable_thinking': False}" in refused.error


def test_prompts_rendered_in_two_ways_are_refused_where_they_meet(command, files, tmp_path):
    words = candidates(tmp_path, extra={"chat_template_kwargs": {"enable_thinking": False}})
    lines = (tmp_path / "candidates.jsonl").read_text().splitlines()
    lines[3] = lines[3].replace('{"enable_thinking": false}', '{"enable_thinking": true}')
    (tmp_path / "candidates.jsonl").write_text("\n".join(lines) + "\n")
    said = "rendered in two ways (chat_template_kwargs: {'enable_thinking': False} for topic 'q0', {'enable_thinking': True} for topic 'q3')"
    assert said in command("prefer", *words).error
    sft = ["--sft", tmp_path / "candidates.jsonl", "--model", files / "thinking", *QUICK, "--output", tmp_path / "out"]
    assert said in command("train_generator", *sft).error


def test_passages_from_an_endpoint_of_plain_completions_are_learnt_without_the_chat_template(command, files, tmp_path, monkeypatch):  # fmt: skip
    from expandr_repro.train_generator.trl import session

    read = []
    fit = session.fit
    monkeypatch.setattr(session, "fit", lambda *a: read.append((a[0], fit(*a))) or read[-1][1])
    candidates(tmp_path, provenance={"api": "completions"})
    words = ["--sft", tmp_path / "candidates.jsonl", "--model", files / "llama", *QUICK, "--set", "max_steps=1", "--output", tmp_path / "out"]  # fmt: skip
    assert command("train_generator", *words).code == 0
    tokenizer, examples = read[0]
    assert tokenizer.decode(examples.prompts[0]).endswith("Passage:")
    assert (tmp_path / "out" / "chat_template.jinja").is_file()  # the model's own stays
    said = command("train_generator", *words, "--set", "chat_template=true", "--overwrite").error
    assert "chat_template: the passages were generated without the chat template" in said


def test_passages_cut_at_the_limit_are_learnt_without_an_end_and_counted(command, files, tmp_path, monkeypatch):
    from expandr_repro.train_generator.trl import session

    read = []
    fit = session.fit
    monkeypatch.setattr(session, "fit", lambda *a: read.append((a[0], fit(*a))) or read[-1][1])
    assert command("prefer", *candidates(tmp_path), "--min-similarity", 0.3).code == 0
    assert {p.provenance["chosen_finish"] for p in read_pairs(tmp_path / "pairs.jsonl")} == {"length"}
    for source in (["--pairs", tmp_path / "pairs.jsonl"], ["--sft", tmp_path / "candidates.jsonl"]):
        words = [
            "--model",
            files / "llama",
            *QUICK,
            "--set",
            "max_steps=1",
            "--output",
            tmp_path / source[0].strip("-"),
        ]
        result = command("train_generator", *source, *words, "--format", "json")
        assert result.code == 0, result.err
        counts = json.loads(result.out)["counts"]["train"]
        assert counts["passages that generation had cut off, learned without an end"] == 6
        tokenizer, examples = read.pop()
        for passage in (passage for row in examples.passages for passage in row):
            text = tokenizer.decode(passage)
            assert text.endswith("falls as water") if "rain" in text else text == "hail<|eot_id|>"


def test_too_few_pairs_say_what_dropped_the_others(command, tmp_path):
    words = [*candidates(tmp_path), "--min-similarity", 5]
    assert "best sum of similarities under --min-similarity: 6" in command("prefer", *words).error

    gold = [json.loads(line) for line in (tmp_path / "gold.jsonl").read_text().splitlines()]
    for record, law in zip(gold[2:], ("tax", "trade", "labour", "water"), strict=True):
        record["text"] = f"parliament voted on {law} law"
    (tmp_path / "gold.jsonl").write_text("".join(json.dumps(r) + "\n" for r in gold))
    few = command("prefer", *words[:-1], 0.6, "--dev", 3)
    assert few.code == 2
    assert "--dev 3: there are only 2 pairs: 4 of 6 topics were dropped by --min-similarity 0.6; leave some for training" in few.error  # fmt: skip


def test_settings_given_by_hand_that_decide_nothing_are_warned_of(train):
    result = train("--set", "max_steps=1", "--set", "epochs=3", "--set", "lora_r=0", "--set", "lora_alpha=3", "--set", "best_by=accuracy")  # fmt: skip
    assert result.code == 0, result.err
    for line in (
        "--set lora_alpha: has no effect with lora_r 0, which trains all weights",
        "--set best_by: has no effect without anything to validate on",
        "--set epochs: has no effect with max_steps",
    ):
        assert line in result.err
