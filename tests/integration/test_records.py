"""What a model was trained on follows it: from pairs to the adapter, from there to its expansions, and on to whatever is trained next."""

from __future__ import annotations

import json
import shutil

import pytest
from tiny_bert import save_tiny_bert
from tiny_llama import save_tiny_llama

from expandr_repro.data.overlap.trained_on import merge_trained_on, read_record, read_trained_on, record_beside
from expandr_repro.data.topics import Expansion, Topic, read_topics, write_topics
from expandr_repro.data.trec import read_qrels
from expandr_repro.io.files import sha256_file
from expandr_repro.io.paths import resource
from expandr_repro.prefer.pairs import read_pairs

pytestmark = pytest.mark.usefixtures("one_thread")

POCKET = resource("pocket")
QUICK = ("--device", "cpu", "--set", "epochs=1", "--set", "learning_rate=1e-3")
LLAMA = (*QUICK, "--set", "max_length=160", "--set", "batch_size=8", "--set", "gradient_accumulation=1")
BERT = ("--pooling", "mean", "--normalize", "--max-length", "32")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Pocket in two halves, as train and test; a tiny LLM and a tiny encoder; candidates for the training topics."""
    folder = tmp_path_factory.mktemp("records")
    save_tiny_llama(folder / "llama")
    save_tiny_bert(folder / "bert")
    mine = folder / "mine"
    shutil.copytree(POCKET, mine)
    lines = (mine / "qrels" / "test.tsv").read_text().splitlines()
    topics = [t.qid for t in read_topics(mine / "queries.jsonl")]
    for name, half in (("train", topics[:36]), ("test", topics[36:])):
        kept = [line for line in lines[1:] if line.split("\t")[0] in half]
        (mine / "qrels" / f"{name}.tsv").write_text("\n".join([lines[0], *kept]) + "\n")
    made = [t for t in read_topics(mine / "queries.jsonl") if t.qid in topics[:36]]
    write_topics(folder / "c.jsonl", [Topic(t.qid, t.title, (*t.expansions, Expansion(t.title))) for t in made])
    return folder


@pytest.fixture
def run(command, tmp_path):
    """Run a command that must succeed; give its messages."""

    def call(*words):
        result = command(*words)
        assert result.code == 0, result.err
        return result.err

    return call


def manifest(path):
    return json.loads(path.read_text())


def merged(*lists):
    return merge_trained_on(part for listed in lists for part in listed)


def test_from_pairs_to_adapter_to_expansions_to_encoder_and_on(run, command, world, tmp_path):
    pairs = tmp_path / "pairs.jsonl"
    run("prefer", "--candidates", world / "c.jsonl", "--gold", world / "mine", "--reward", "retriever=1", "--min-similarity", "-9",
        "--dev", 4, "--encoder", world / "bert", *BERT, "--device", "cpu", "--output", pairs)  # fmt: skip
    (first,) = read_record(record_beside(pairs))
    assert set(first.topics) == {p.qid for p in read_pairs(pairs)}
    assert len(first.topics) == 32  # those of --dev are not trained on
    qrels = read_qrels(world / "mine" / "qrels" / "train.tsv")
    assert all(any(qrels[q].get(d, 0) > 0 for q in first.topics) for d in first.docids)
    assert manifest(tmp_path / "pairs.jsonl.manifest.json")["trained_on_sha256"] == sha256_file(record_beside(pairs))

    adapter = tmp_path / "adapter"
    run("train_generator", "--pairs", pairs, "--model", world / "llama", *LLAMA, "--output", adapter)
    assert read_trained_on(adapter) == [first]
    assert manifest(adapter / "manifest.json")["trained_on_sha256"] == sha256_file(adapter / "trained_on.json.gz")

    written = tmp_path / "x.jsonl"
    words = ("expand", "--topics", f"{world}/mine/train", "--backend", "transformers", "--model", world / "llama", "--max-tokens", 8,
             "--device", "cpu", "--store", tmp_path / "s.sqlite", "--output", written)  # fmt: skip
    run(*words, "--adapter", adapter)
    assert read_record(record_beside(written)) == [first]
    assert {t.provenance["trained_on_sha256"] for t in read_topics(written)} == {sha256_file(record_beside(written))}

    encoder = tmp_path / "encoder"
    train = (
        "train_encoder",
        "--train",
        world / "mine",
        "--encoder",
        world / "bert",
        *BERT,
        *QUICK,
        "--set",
        "batch_size=12",
    )
    run(*train, "--expansions", written, "--output", encoder)
    second = read_trained_on(encoder)
    assert len(second[-1].topics) == 36
    assert {p.collection for p in second} == {"mine"}
    run(
        "train_encoder",
        "--train",
        "pocket/test",
        "--fusion",
        "none",
        "--encoder",
        encoder,
        *QUICK,
        "--output",
        tmp_path / "next",
    )
    third = read_trained_on(tmp_path / "next")
    assert {p.collection for p in third} == {"mine", "pocket"}
    assert merged(third, second) == third

    run(*words)  # by the untrained model: the other one's record goes
    assert not record_beside(written).exists()
    assert not any("trained_on_sha256" in t.provenance for t in read_topics(written))

    (encoder / "trained_on.json.gz").unlink()
    said = run(
        "train_encoder",
        "--train",
        "pocket/test",
        "--fusion",
        "none",
        "--encoder",
        encoder,
        *QUICK,
        "--output",
        tmp_path / "lost",
    )
    assert "the record of what it was trained on (trained_on.json.gz) is missing" in said


def test_a_merged_model_and_an_adapter_upon_an_adapter_have_seen_what_their_bases_saw(run, world, tmp_path):
    words = ("train_generator", "--model", world / "llama", *LLAMA)
    run(*words, "--sft", world / "mine", "--output", tmp_path / "one")
    (one,) = read_trained_on(tmp_path / "one")
    assert (one.collection, len(one.topics)) == ("mine", 36)
    write_topics(tmp_path / "more.jsonl", [Topic("m", "a question of mine", (Expansion("a passage"),))])
    run(
        *words,
        "--sft",
        tmp_path / "more.jsonl",
        "--adapter",
        tmp_path / "one",
        "--merge",
        "--output",
        tmp_path / "both",
    )
    for folder in (tmp_path / "both", tmp_path / "both" / "adapter"):
        assert [p.collection for p in read_trained_on(folder)] == ["mine", "more.jsonl"]
    write_topics(tmp_path / "last.jsonl", [Topic("z", "the last question", (Expansion("a passage"),))])
    run("train_generator", "--model", tmp_path / "both", *LLAMA, "--sft", tmp_path / "last.jsonl", "--set", "lora_r=0", "--output",
        tmp_path / "third")  # fmt: skip
    assert [p.collection for p in read_trained_on(tmp_path / "third")] == ["last.jsonl", "mine", "more.jsonl"]


def test_the_topics_of_a_fine_tuning_are_those_of_the_split_that_is_printed(run, command, world, tmp_path):
    said = run("train_generator", "--model", world / "llama", *LLAMA, "--sft", world / "mine", "--hold-out", world / "mine" / "test",
               "--dev", 4, "--output", tmp_path / "out")  # fmt: skip
    assert "training topics: mine/train, 36 topics" in said
    assert "--hold-out mine/test: " in said
    made = manifest(tmp_path / "out" / "manifest.json")
    assert made["names"]["split"] == "train"
    assert made["names"]["hold_out"] == ["mine/test"]
    assert read_trained_on(tmp_path / "out")[0].held_out == ("mine/test",)
    refused = command(
        "train_generator", "--model", world / "llama", *LLAMA, "--sft", "pocket", "--output", tmp_path / "no"
    )
    assert (
        "--sft pocket: which split? There is no 'train'; the splits are: test. Name one, e.g. --sft pocket/test"
        in refused.error
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--train", "pocket"), "--train pocket: which split? There is no 'train'; the splits are: test"),
        (("--train", "pocket/test", "--fusion", "none", "--set", "views={fused: 1}"), "--fusion none trains on the queries alone"),
        (("--train", "pocket/test", "--allow-overlap"), "--allow-overlap: applies only with --dev-topics or --set dev=N"),
        (("--train", "pocket/test", "--dev-topics", "pocket/test"), "of 72 topics 72 are training topics"),
        (("--train", "pocket/test", "--set", "batch_size=1"), "batch_size 1 without negatives"),
        (("--train", "pocket/test", "--hold-out", "pocket/test"), "nothing is left to train on"),
        (("--train", "pocket/test", "--fusion", "none", "--expansions", POCKET / "queries.jsonl"), "trains on the queries alone"),
    ],
)  # fmt: skip
def test_what_would_train_on_something_else_than_it_seems_to_is_refused(command, world, tmp_path, words, said):
    result = command("train_encoder", *words, "--encoder", world / "bert", *BERT, *QUICK, "--output", tmp_path / "out")
    assert result.code == 2
    assert said in result.error
    assert not (tmp_path / "out").exists()


def test_settings_without_effect_are_reported(command, world, tmp_path):
    result = command(
        "train_encoder", "--train", "pocket/test", "--fusion", "none", "--encoder", world / "bert", *BERT, *QUICK, "--output", tmp_path / "out",
        "--set", "dev_hits=50", "--set", "negative_depth=7", "--set", "batch_size=80",
    )  # fmt: skip
    assert result.code == 0, result.err
    assert "--set dev_hits: has no effect without development topics" in result.err
    assert "--set negative_depth: has no effect without --negatives" in result.err
    assert "batch_size 80: there are only 72 training topics" in result.err
