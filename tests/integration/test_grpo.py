"""`train_generator --grpo` with a tiny Llama of random weights on a part of pocket: what it learns from, validates by, writes and refuses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from tiny_llama import save_tiny_llama

from expandr_repro.io.paths import resource
from expandr_repro.training.metrics_log import read_metrics

pytestmark = pytest.mark.usefixtures("one_thread")

QUICK = ["--device", "cpu", "--set", "batch_size=4", "--set", "gradient_accumulation=2", "--set", "group_size=4", "--set", "max_completion_length=16",
         "--set", "learning_rate=1e-2", "--set", "eval_steps=2", "--set", "keep_best=false", "--set", "max_prompt_length=120"]  # fmt: skip


def part_of_pocket(folder: Path, topics: int = 12, dev: int = 4) -> Path:
    """Write a collection of pocket's first topics, the last ones its split `dev`, with the documents judged for them."""
    pocket = resource("pocket")
    queries = [json.loads(line) for line in (pocket / "queries.jsonl").read_text(encoding="utf-8").splitlines()][
        : topics + dev
    ]
    rows = [r.split("\t") for r in (pocket / "qrels" / "test.tsv").read_text(encoding="utf-8").splitlines()[1:]]
    ids = [q["_id"] for q in queries]
    kept = {r[1] for r in rows if r[0] in ids}
    (folder / "qrels").mkdir(parents=True)
    for name, part in (("train", ids[:topics]), ("dev", ids[topics:])):
        lines = ["query-id\tcorpus-id\tscore", *("\t".join(r) for r in rows if r[0] in part)]
        (folder / "qrels" / f"{name}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    documents = [
        line
        for line in (pocket / "corpus.jsonl").read_text(encoding="utf-8").splitlines()
        if json.loads(line)["_id"] in kept
    ]
    (folder / "corpus.jsonl").write_text("\n".join(documents) + "\n", encoding="utf-8")
    plain = [json.dumps({"_id": q["_id"], "text": q["text"]}) for q in queries]
    (folder / "queries.jsonl").write_text("\n".join(plain) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("grpo")
    save_tiny_llama(folder / "tiny-llama")
    part_of_pocket(folder / "part")
    answers = [{"qid": q["_id"], "title": q["text"], "expansions": [{"text": f"an answer to {q['text']}", "model": "m"}]}
               for q in map(json.loads, (folder / "part" / "queries.jsonl").read_text().splitlines())]  # fmt: skip
    (folder / "answers.jsonl").write_text("\n".join(map(json.dumps, answers)) + "\n")
    return folder


@pytest.fixture
def train(command, files, tmp_path):
    def call(*more, output="out", topics="part/train"):
        where = ["--output", tmp_path / output, "--model", files / "tiny-llama"]
        settings = [x for m in more for x in (("--set", m) if "=" in str(m) and not str(m).startswith("-") else (m,))]
        return command("train_generator", "--grpo", "--topics", files / topics, *where, *QUICK, *settings)

    return call


@pytest.fixture(scope="module")
def trained(files, tmp_path_factory):
    """An adapter, trained and validated once for all tests that only look at it."""
    from expandr_repro.train_generator import __main__ as train_generator

    output = tmp_path_factory.mktemp("trained") / "adapter"
    words = ["--grpo", "--topics", files / "part" / "train", "--dev-topics", files / "part" / "dev", "--model", files / "tiny-llama",
             "--output", output, *QUICK, "--set", "reward=retriever=1,corpus-rank=1,delta-ndcg=0.5", "--set", "max_steps=4"]  # fmt: skip
    assert train_generator.main([*map(str, words), "--quiet"]) == 0
    return output


def weights(folder):
    return (folder / "adapter_model.safetensors").read_bytes()


def test_reward_ndcg_length_and_divergence_are_recorded_from_before_the_first_step(trained):
    records = read_metrics(trained / "metrics.jsonl")
    steps = [r for r in records if "reward" in r]
    looks = [r for r in records if "eval_nDCG@10" in r]

    assert [r["step"] for r in steps] == [1, 2, 3, 4]
    assert [r["step"] for r in looks] == [0, 2, 4]
    assert steps[0]["kl"] == pytest.approx(0, abs=1e-6)
    assert steps[-1]["kl"] > 0
    for r in steps:
        assert r["reward"] == pytest.approx(
            r["rewards/retriever"] + r["rewards/corpus-rank"] + 0.5 * r["rewards/delta-ndcg"], abs=1e-5
        )
        assert {"words", "refusals", "cut", "similarity"} <= set(r)
        assert not [key for key in r if "time" in key]
    assert len({r["eval_nDCG@10 of the query alone"] for r in looks}) == 1


def test_the_output_is_an_adapter_with_manifest_record_and_curves(trained, files):
    manifest = json.loads((trained / "manifest.json").read_text())

    assert {p.name for p in trained.iterdir()} == {
        "adapter_config.json", "adapter_model.safetensors", "chat_template.jinja", "curves.png", "manifest.json", "metrics.jsonl",
        "tokenizer.json", "tokenizer_config.json", "trained_on.json.gz",
    }  # fmt: skip
    assert manifest["training"] == "grpo"
    assert manifest["encoder"]["name"] == "all-MiniLM-L6-v2"
    assert manifest["counts"]["train"]["used"] == 12
    assert manifest["development_overlap"] == 0
    for path in trained.iterdir():
        assert str(files).encode() not in path.read_bytes()
        assert str(trained.parent).encode() not in path.read_bytes()
    assert [p.name for p in trained.parent.iterdir()] == ["adapter"]


def test_a_search_with_what_expand_writes_for_the_validation_topics_gives_the_recorded_ndcg(
    command, trained, files, tmp_path
):
    dev, record = (
        files / "part" / "dev",
        [r for r in read_metrics(trained / "metrics.jsonl") if "eval_nDCG@10" in r][-1],
    )
    model = [
        "--backend",
        "transformers",
        "--model",
        files / "tiny-llama",
        "--adapter",
        trained,
        "--device",
        "cpu",
        "--max-tokens",
        "16",
    ]
    assert command("expand", "--topics", dev, *model, "--preset", "expandr-eval", "--output", tmp_path / "x.jsonl").code == 0  # fmt: skip
    run = ["--fusion", "mean", "--output", tmp_path / "x.trec"]
    assert (
        command("search", "--topics", dev, "--index", files / "part", "--expansions", tmp_path / "x.jsonl", *run).code
        == 0
    )
    made = command("evaluate", tmp_path / "x.trec", "--qrels", dev, "--metrics", "nDCG@10", "--format", "json")
    assert made.code == 0, made.err
    assert record["eval_nDCG@10"] == pytest.approx(json.loads(made.out)[0]["nDCG@10"], abs=5e-5)


def test_training_topics_are_in_the_record_of_what_was_seen(trained):
    import gzip

    record = json.loads(gzip.decompress((trained / "trained_on.json.gz").read_bytes()))
    text = json.dumps(record)
    assert "animals-1" in text
    assert "animals-p27" in text


def test_a_stopped_training_goes_on_in_a_later_epoch_and_ends_with_the_bytes_of_one_left_alone(
    train, tmp_path, monkeypatch
):
    from expandr_repro.training.metrics_log import MetricsLog

    more = ["--dev", "2", "epochs=3", "save_steps=2", "lora_dropout=0.1"]
    write = MetricsLog.write

    def interrupted(self, step, values):
        if step == 9:
            raise KeyboardInterrupt
        write(self, step, values)

    with monkeypatch.context() as patch:
        patch.setattr(MetricsLog, "write", interrupted)
        stopped = train(*more, output="stopped")
    assert stopped.code == 130, stopped.err
    resumed = train(*more, output="stopped")
    assert "goes on after step 8" in resumed.err
    assert train(*more, output="alone").code == 0
    assert max(r["step"] for r in read_metrics(tmp_path / "alone" / "metrics.jsonl")) == 15
    for name in ("metrics.jsonl", "adapter_model.safetensors"):
        assert (tmp_path / "stopped" / name).read_bytes() == (tmp_path / "alone" / name).read_bytes(), name


def test_the_same_command_twice_writes_the_same_bytes_and_another_seed_others(train, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert train("max_steps=2", f"seed={seed}", output=name).code == 0
    assert weights(tmp_path / "a") == weights(tmp_path / "b") != weights(tmp_path / "c")
    again = train("max_steps=2", "seed=1", output="a")
    assert "is just this training already; nothing to do" in again.err


def test_a_penalty_on_length_holds_the_words_that_the_untrained_model_writes(train, tmp_path):
    made = train("--dev", "2", "max_steps=2", "length_weight=0.5")
    assert made.code == 0, made.err
    first = next(r for r in read_metrics(tmp_path / "out" / "metrics.jsonl") if "rewards/length" in r)
    assert first["reward"] == pytest.approx(first["rewards/retriever"] + 0.5 * first["rewards/length"], abs=1e-5)
    assert -1 <= first["rewards/length"] <= 0


def test_answers_are_rewarded_and_all_weights_are_trained_and_merged_where_asked(train, files, tmp_path):
    made = train(
        "--answers", files / "answers.jsonl", "reward=retriever=1,answer=0.5", "max_steps=1", "--merge", output="merged"
    )
    assert made.code == 0, made.err
    assert (tmp_path / "merged" / "model.safetensors").is_file()
    assert (tmp_path / "merged" / "adapter" / "adapter_model.safetensors").is_file()
    whole = train("max_steps=1", "lora_r=0", "beta=0", "learning_rate=1e-4", output="whole")
    assert whole.code == 0, whole.err
    assert (tmp_path / "whole" / "model.safetensors").is_file()


def test_an_adapter_is_trained_further_and_measured_against_itself(train, trained, tmp_path):
    made = train("--adapter", trained, "max_steps=2", output="further")
    assert made.code == 0, made.err
    first = next(r for r in read_metrics(tmp_path / "further" / "metrics.jsonl") if "kl" in r)
    assert first["kl"] == pytest.approx(0, abs=1e-6)
    assert weights(tmp_path / "further") != weights(trained)


def test_the_report_tells_ndcg_words_refusals_and_cut_texts_before_and_after(train, trained, files, tmp_path):
    shutil.copytree(trained, tmp_path / "out")
    made = train(
        "--dev-topics",
        files / "part" / "dev",
        "reward=retriever=1,corpus-rank=1,delta-ndcg=0.5",
        "max_steps=4",
        "--format",
        "json",
    )
    report = json.loads(made.out)
    assert [row[""] for row in report["measures"]] == [
        "validation nDCG@10", "words per text", "tokens per text", "refusals", "texts cut at the token limit", "empty texts"
    ]  # fmt: skip


def test_held_out_topics_are_left_out_and_shared_documents_refused(train, files):
    named = train("--dev-topics", files / "part" / "train", "max_steps=1")
    assert named.code == 2
    assert "12 are training topics" in named.error
    assert "--allow-overlap" in named.error
    assert "all 12 topics" in train("--hold-out", files / "part" / "train", "max_steps=1").error


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["reward=answer=1"], "the reward 'answer' needs --answers F"),
        (["reward=gold"], "gold"),
        (["group_size=3"], "group_size: found 3, wanted a divisor of batch_size x gradient_accumulation (8)"),
        (["gradient_accumulation=100"], "12 topics are left"),
        (["length_weight=1"], "length_weight: how long should texts be?"),
        (["max_completion_length=1000"], "the model takes 512 tokens at most"),
        (["temperature=0"], "temperature: found 0"),
        (["best_by=loss"], "best_by: found 'loss', wanted ndcg"),
        (["patience=2"], "patience: there is nothing to validate on"),
        (["--dev", "12"], "nothing is left to train on"),
        (["--expansions", "x.jsonl"], "--expansions has no meaning with --grpo; leave it out"),
        (["--pairs", "x.jsonl"], "what to learn from"),
        (["lora_targets=nothing"], "lora_targets: the model has no fitting layers called nothing"),
    ],
)
def test_what_makes_no_sense_is_one_line(train, more, said, tmp_path):
    made = train(*more)
    assert made.code == 2
    assert said in made.error
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob(".out*"))


def test_options_of_grpo_have_no_meaning_without_it(command, files, tmp_path):
    made = command(
        "train_generator",
        "--pairs",
        "p.jsonl",
        "--topics",
        "t",
        "--model",
        files / "tiny-llama",
        "--output",
        tmp_path / "out",
    )
    assert "--topics has no meaning with --pairs; leave it out" in made.error
    made = command("train_generator", "--grpo", "--model", files / "tiny-llama", "--output", tmp_path / "out")
    assert "--grpo: for which topics? Give --topics T" in made.error
