"""`train_encoder` with real parts: gradients, processes, kills, early stopping, what it writes and who can load it, and bad input."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_bert import save_tiny_bert
from two_processes import gradients

from expandr_repro.data.topics import Expansion, Topic, read_topics, write_topics
from expandr_repro.data.trec import read_qrels, write_run
from expandr_repro.io.paths import resource
from expandr_repro.training.processes import Processes

pytestmark = pytest.mark.usefixtures("one_thread")

ROOT = Path(__file__).resolve().parents[2]
POCKET = resource("pocket")
ENCODER = ("--pooling", "mean", "--normalize", "--max-length", "64")
QUICK = (
    "--set",
    "epochs=2",
    "--set",
    "batch_size=16",
    "--set",
    "learning_rate=2e-3",
    "--set",
    "temperature=0.05",
    "--set",
    "blend=1.0",
)
"""Random weights are not worth a share in the blend."""


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    return save_tiny_bert(tmp_path_factory.mktemp("bert"))


@pytest.fixture(scope="module")
def negatives(tmp_path_factory):
    """A run that ranks, for each topic of pocket, its judged documents, relevant or not, and some others."""
    path = tmp_path_factory.mktemp("run") / "negatives.trec"
    docids = [json.loads(line)["_id"] for line in (POCKET / "corpus.jsonl").read_text().splitlines()]
    qrels = read_qrels(POCKET / "qrels" / "test.tsv")
    write_run(path, {q: {d: 1.0 - i / 100 for i, d in enumerate(dict.fromkeys([*judged, *docids[:10]]))} for q, judged in qrels.items()})  # fmt: skip
    return path


def train(command, bert, output, *arguments, topics="pocket/test"):
    return command("train_encoder", "--train", topics, "--encoder", bert, *ENCODER, "--device", "cpu", "--output", output, *QUICK, *arguments)  # fmt: skip


def weights(folder):
    return (Path(folder) / "model.safetensors").read_bytes()


def close(a, b, tolerance=1e-6):
    return all(torch.allclose(torch.as_tensor(a[k], dtype=torch.float64), torch.as_tensor(b[k], dtype=torch.float64), rtol=1e-5, atol=tolerance) for k in a)  # fmt: skip


def test_cached_gradients_are_those_of_the_whole_batch_dropout_included(bert):
    kept = gradients(bert, Processes(), chunk_tokens=64, cached=False)
    cached = gradients(bert, Processes(), chunk_tokens=64, cached=True)
    assert close(kept, cached)


def test_the_size_of_chunks_does_not_change_the_gradient(tmp_path):
    folder = save_tiny_bert(tmp_path, dropout=0.0)
    whole = gradients(folder, Processes(), chunk_tokens=10_000, cached=False)
    parts = gradients(folder, Processes(), chunk_tokens=40, cached=True)
    assert close(whole, parts)


def test_two_processes_give_the_gradient_of_one_with_the_whole_batch(bert, tmp_path):
    from safetensors.torch import load_file

    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "tests.two_processes", bert, tmp_path / "g.safetensors"],
        cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    two = load_file(str(tmp_path / "g.safetensors"))
    one = gradients(bert, Processes(), chunk_tokens=64, cached=False)
    assert set(two) == set(one)
    assert close(one, two)


def test_training_lifts_the_development_topics_and_keeps_the_best_weights(command, bert, negatives, tmp_path):
    result = train(
        command,
        bert,
        tmp_path / "out",
        "--negatives",
        negatives,
        "--set",
        "dev=24",
        "--set",
        "epochs=6",
        "--format",
        "json",
    )
    assert result.code == 0, result.err
    report = json.loads(result.out)
    figures = report["development"]
    assert figures["best"]["mean.own"] > figures["first"]["mean.own"] + 0.02
    assert report["counts"]["topics for training"] == 48
    lines = [json.loads(line) for line in (tmp_path / "out" / "metrics.jsonl").read_text().splitlines()]
    dev = {r["step"]: r["dev_mean.own"] for r in lines if "dev_mean.own" in r}
    losses = [r["loss"] for r in lines if "loss" in r]
    assert max(dev.values()) == dev[figures["best_step"]] == figures["best"]["mean.own"]
    assert np.mean(losses[-3:]) < np.mean(losses[:3])
    assert (tmp_path / "out" / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert not list(tmp_path.glob(".out*training"))


def test_the_development_figure_of_the_kept_weights_is_the_one_that_search_gives(command, bert, tmp_path):
    result = train(
        command,
        bert,
        tmp_path / "out",
        "--dev-topics",
        "pocket/test",
        "--allow-overlap",
        "--format",
        "json",
        "--set",
        "dev_hits=719",
    )
    assert result.code == 0, result.err
    best = json.loads(result.out)["development"]["best"]
    for fusion, name in (("none", "none"), ("mean", "mean.own")):
        found = command("search", "--topics", "pocket", "--encoder", tmp_path / "out", "--device", "cpu", "--fusion", fusion, "--no-baseline", "--metrics", "nDCG@10", "--format", "json")  # fmt: skip
        assert found.code == 0, found.err
        assert json.loads(found.out)[0]["figures"]["nDCG@10"] == pytest.approx(best[name], abs=1e-6)


def test_a_training_killed_half_way_goes_on_to_the_same_weights(command, bert, negatives, tmp_path):
    arguments = [
        "--negatives",
        negatives,
        "--set",
        "dev=24",
        "--set",
        "epochs=4",
        "--set",
        "save_every=1",
        "--set",
        "accumulation=2",
        "--set",
        "blend=0.5",
    ]
    whole = train(command, bert, tmp_path / "whole", *arguments)
    assert whole.code == 0, whole.err
    line = [sys.executable, "-m", "expandr_repro.train_encoder", "--train", "pocket/test", "--encoder", bert, *ENCODER, "--device", "cpu",
            "--output", tmp_path / "killed", *QUICK, *arguments]  # fmt: skip
    for step in (3, 5):
        process = subprocess.Popen([*map(str, line)], cwd=ROOT, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "1"})  # fmt: skip
        while process.poll() is None and reached(tmp_path) < step:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not (tmp_path / "killed").exists(), "it was done before it could be killed"
    rest = train(command, bert, tmp_path / "killed", *arguments)
    assert rest.code == 0, rest.err
    assert "going on from step" in rest.err
    for name in ("model.safetensors", "metrics.jsonl", "curves.png", "encoder.yaml", "manifest.json"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


def reached(folder):
    for state in folder.glob(".killed.*.training/checkpoint/state.json"):
        try:
            return json.loads(state.read_text())["step"]
        except (OSError, ValueError):  # just being replaced
            return 0
    return 0


def test_without_development_topics_what_is_kept_is_the_blend_of_trained_and_untrained_weights(command, bert, tmp_path):
    from safetensors.torch import load_file

    assert train(command, bert, tmp_path / "whole").code == 0
    assert train(command, bert, tmp_path / "half", "--set", "blend=0.5").code == 0
    before, whole, half = (load_file(f / "model.safetensors") for f in (bert, tmp_path / "whole", tmp_path / "half"))
    moved = [n for n in half if not torch.equal(before[n], whole[n])]
    assert len(moved) > 10
    assert all(torch.allclose(half[n], torch.lerp(before[n], whole[n], 0.5), atol=1e-6) for n in moved)


def test_training_stops_after_searches_without_a_gain(command, bert, tmp_path):
    result = train(command, bert, tmp_path / "out", "--set", "dev=24", "--set", "epochs=50", "--set", "patience=1", "--set", "learning_rate=1e-9", "--format", "json")  # fmt: skip
    assert result.code == 0, result.err
    report = json.loads(result.out)
    assert report["development"]["stopped"]
    assert report["steps"] < 20


@pytest.mark.jvm
def test_all_loaders_give_the_vectors_of_the_trained_folder(command, bert, tmp_path):
    from expandr_repro.pyserini.jvm import start

    start()
    from pyserini.encode import AutoDocumentEncoder, AutoQueryEncoder
    from sentence_transformers import SentenceTransformer

    from expandr_repro.encoders.loading import load_encoder

    assert train(command, bert, tmp_path / "out").code == 0
    folder = str(tmp_path / "out")
    texts = [t.title for t in read_topics(POCKET / "queries.jsonl")][:20]
    ours = load_encoder(folder).encode(texts, "document")
    untrained = load_encoder(str(tmp_path / "out")).encode(["kiwi"], "query")
    assert untrained.shape == (1, 32)
    stock = AutoDocumentEncoder(folder, device="cpu", pooling="mean", l2_norm=True).encode(texts, max_length=64)
    queries = AutoQueryEncoder(folder, device="cpu", pooling="mean", l2_norm=True)
    assert np.abs(stock - ours).max() < 1e-5
    assert np.abs(np.stack([queries.encode(t) for t in texts]) - ours).max() < 1e-5
    assert np.abs(SentenceTransformer(folder, device="cpu").encode(texts) - ours).max() < 1e-5


@pytest.mark.jvm
def test_a_stock_pyserini_command_searches_with_a_trained_checkpoint(command, process, bert, tmp_path):
    assert train(command, bert, tmp_path / "out").code == 0
    assert (
        command("encode", "--corpus", "pocket", "--encoder", tmp_path / "out", "--output", tmp_path / "index").code == 0
    )
    write_topics(tmp_path / "topics.jsonl", [Topic(t.qid, t.title) for t in read_topics(POCKET / "queries.jsonl")])
    common = ["--topics", tmp_path / "topics.jsonl", "--index", tmp_path / "index", "--hits", 20]
    stock = process(
        "expandr_repro.pyserini", "search.faiss", *common, "--encoder", tmp_path / "out", "--encoder-class", "sentence", "--device", "cpu",
        "--threads", 1, "--output", tmp_path / "stock.trec",
    )  # fmt: skip
    assert stock.code == 0, stock.err
    ours = command("search", *common, "--encoder", tmp_path / "out", "--output", tmp_path / "ours.trec")
    assert ours.code == 0, ours.err
    from expandr_repro.data.trec import read_run

    a, b = read_run(tmp_path / "ours.trec"), read_run(tmp_path / "stock.trec")
    for qid, ranked in a.items():
        assert all(abs(score - b[qid][docid]) < 1e-5 for docid, score in ranked.items() if docid in b[qid])
        assert len(set(ranked) & set(b[qid])) >= 19


def test_a_second_call_finds_the_training_done_and_other_settings_want_overwrite(command, bert, tmp_path):
    assert train(command, bert, tmp_path / "out").code == 0
    before = weights(tmp_path / "out")
    again = train(command, bert, tmp_path / "out")
    assert again.code == 0
    assert "this training already; nothing to do" in again.err
    other = train(command, bert, tmp_path / "out", "--set", "seed=7")
    assert other.code == 2
    assert "another training is there" in other.error
    assert weights(tmp_path / "out") == before
    assert train(command, bert, tmp_path / "out", "--set", "seed=7", "--overwrite").code == 0
    assert weights(tmp_path / "out") != before


def test_negatives_that_are_judged_relevant_are_counted_and_never_used(command, bert, negatives, tmp_path):
    result = train(command, bert, tmp_path / "out", "--negatives", negatives, "--format", "json")
    assert result.code == 0, result.err
    relevant = sum(g > 0 for judged in read_qrels(POCKET / "qrels" / "test.tsv").values() for g in judged.values())
    assert (
        json.loads(result.out)["counts"]["documents of --negatives judged relevant, not taken as negatives"] == relevant
    )


def test_topics_without_expansion_are_trained_by_their_query_and_counted(command, bert, tmp_path):
    topics = read_topics(POCKET / "queries.jsonl")
    write_topics(tmp_path / "some.jsonl", [t if n % 2 else Topic(t.qid, t.title) for n, t in enumerate(topics)])
    result = train(command, bert, tmp_path / "out", "--expansions", tmp_path / "some.jsonl", "--format", "json")
    assert result.code == 0, result.err
    assert json.loads(result.out)["counts"]["topics without an expansion, trained by their query alone"] == 36


def test_an_encoder_with_its_vector_in_the_first_decoder_position_is_trained_and_loads_again(command, tmp_path):
    from transformers import AutoTokenizer, T5Config, T5Model

    bert = save_tiny_bert(tmp_path / "tokens")
    tokenizer = AutoTokenizer.from_pretrained(bert)
    tokenizer.save_pretrained(tmp_path / "t5")
    torch.manual_seed(0)
    T5Model(T5Config(vocab_size=len(tokenizer), d_model=16, d_kv=8, d_ff=32, num_layers=2, num_heads=2, decoder_start_token_id=0)).save_pretrained(tmp_path / "t5")  # fmt: skip
    result = command(
        "train_encoder", "--train", "pocket/test", "--encoder", tmp_path / "t5", "--pooling", "first-decoder", "--normalize", "--max-length", "32",
        "--device", "cpu", "--output", tmp_path / "out", *QUICK, "--set", "epochs=1",
    )  # fmt: skip
    assert result.code == 0, result.err
    from expandr_repro.encoders.loading import load_encoder

    encoder = load_encoder(str(tmp_path / "out"))
    assert encoder.identity["pooling"] == "first-decoder"
    assert encoder.identity["document_max_length"] == 32
    assert encoder.encode(["kiwi"], "query").shape == (1, 16)


def foreign_run(folder):
    write_run(folder / "foreign.trec", {"nobody": {"d": 1.0}})
    return folder / "foreign.trec"


def foreign_documents(folder):
    qid = read_topics(POCKET / "queries.jsonl")[0].qid
    write_run(folder / "documents.trec", {qid: {"no-such-document": 1.0}})
    return folder / "documents.trec"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--negatives", foreign_run), "ranks documents for none of the 72 topics"),
        (("--negatives", foreign_documents), "'no-such-document' of topic"),
        (("--set", "dev=72"), "leave some for training"),
        (("--set", "select_on=[nune]", "--set", "dev=9"), "is not a development search; there are: none, mean.own"),
        (("--set", "patience=2"), "needs development topics"),
        (("--dev-topics", "pocket", "--set", "dev=9"), "set dev to 0"),
        (("--precision", "fp16"), "training uses bf16"),
        (("--encoder", "pyserini:auto:x"), "cannot be trained here"),
        (("--config", "encodr"), "did you mean 'encoder'"),
        (("--set", "learning_rate=1e9", "--set", "max_grad_norm=1e9", "--set", "temperature=1e-12"), "the loss is"),
        (("--alpha", "2"), "is between 0 and 1"),
    ],
)  # fmt: skip
def test_what_cannot_be_trained_is_refused_in_one_line(command, bert, tmp_path, arguments, said):
    made = [a(tmp_path) if callable(a) else a for a in arguments]
    result = train(command, bert, tmp_path / "out", *made)
    assert result.code == 2, result.out + result.err
    assert said in result.error
    assert not (tmp_path / "out").exists()


def test_what_writes_the_folder_is_missed_before_the_training_and_not_after_it(command, bert, tmp_path, monkeypatch):
    import importlib.util

    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == "sentence_transformers" else found(name, *more))  # fmt: skip
    result = train(command, bert, tmp_path / "out")
    assert result.code == 2
    assert "run `pip install expandr-repro[train]`" in result.error
    assert not list(tmp_path.glob(".out*"))


def test_topics_without_any_expansion_cannot_be_trained_fused(command, bert, tmp_path):
    write_topics(tmp_path / "bare.jsonl", [Topic(t.qid, t.title) for t in read_topics(POCKET / "queries.jsonl")])
    judged = ("--qrels", "pocket", "--corpus", "pocket")
    refused = train(command, bert, tmp_path / "out", *judged, topics=tmp_path / "bare.jsonl")
    assert refused.code == 2
    assert "give --expansions, or train on the queries alone with --fusion none" in refused.error
    assert train(command, bert, tmp_path / "out", *judged, "--fusion", "none", topics=tmp_path / "bare.jsonl").code == 0


def test_a_file_of_topics_needs_judgements_and_documents(command, bert, tmp_path):
    write_topics(tmp_path / "t.jsonl", [Topic("1", "a kiwi", (Expansion("a bird"),))])
    assert "give --qrels" in train(command, bert, tmp_path / "out", topics=tmp_path / "t.jsonl").error
    assert (
        "give --corpus"
        in train(command, bert, tmp_path / "out", "--qrels", "pocket", topics=tmp_path / "t.jsonl").error
    )


def test_a_checkpoint_of_another_architecture_is_refused(command, bert, tmp_path):
    arguments = ["--set", "save_every=1", "--set", "learning_rate=1e-30"]
    assert train(command, bert, tmp_path / "first", *arguments).code == 0
    from expandr_repro.encoders.loading import load_encoder
    from expandr_repro.errors import MismatchError
    from expandr_repro.train_encoder.checkpoint import load_weights

    other = save_tiny_bert(tmp_path / "other", dim=16)
    shutil.copytree(other, tmp_path / "model")
    encoder = load_encoder(str(tmp_path / "first"), training=True)
    with pytest.raises(MismatchError, match="weights of another model"):
        load_weights(encoder.model, other / "model.safetensors")


def test_other_judgements_of_the_development_topics_make_another_training(tmp_path):
    from expandr_repro.train_encoder.examples import gather
    from expandr_repro.train_encoder.settings import EncoderTraining, TrainRequest
    from expandr_repro.training.settings import read_config

    shutil.copytree(POCKET, tmp_path / "dev")
    config = read_config(EncoderTraining, "encoder")
    before = gather(
        TrainRequest("pocket/test", dev_topics=str(tmp_path / "dev" / "test"), allow_overlap=True), config
    ).facts
    qrels = tmp_path / "dev" / "qrels" / "test.tsv"
    qrels.write_text("\n".join(qrels.read_text().splitlines()[:-1]) + "\n")
    after = gather(
        TrainRequest("pocket/test", dev_topics=str(tmp_path / "dev" / "test"), allow_overlap=True), config
    ).facts
    assert {k for k in before if before[k] != after[k]} == {"development_qrels_sha256"}
