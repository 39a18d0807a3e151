"""One collection in which ids, ties and grades all matter: each command gives the same scores on it, to the last digit.

Topics are documents (equal ids), each has two duplicates of equal text, one of grade 2 and one of grade 1, and its own id is judged, too.
The collection removes own ids and counts grade 2 as relevant.
"""

from __future__ import annotations

import json

import pytest
from tiny_bert import pocket_words, save_tiny_bert

from expandr_repro.data import specs
from expandr_repro.data.overlap.trained_on import read_record, read_trained_on, record_beside
from expandr_repro.data.topics import Expansion, Topic, write_topics
from expandr_repro.prefer.pairs import read_pairs

pytestmark = pytest.mark.usefixtures("one_thread")

TINY = ("--pooling", "mean", "--normalize", "--max-length", "32", "--device", "cpu")
SPLITS = {"train": range(6), "dev": range(6, 9), "test": range(9, 12)}


def members(triple):
    return [f"{triple:02}{letter}" for letter in "abc"]


def text(triple):
    words = pocket_words()
    return " ".join(words[(97 * triple + 13 * n) % len(words)] for n in range(6))


def grades(qid):
    triple = int(qid[:2])
    others = [d for d in members(triple) if d != qid]
    found = dict(zip(others, (2, 1) if triple % 2 else (1, 2), strict=True))
    return found | ({qid: 2} if triple % 3 else {})


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """The collection's folder, known by the name `toy`."""
    folder = tmp_path / "data" / "toy"
    (folder / "qrels").mkdir(parents=True)
    everything = [(docid, text(triple)) for triple in range(12) for docid in members(triple)]
    (folder / "corpus.jsonl").write_text(
        "".join(json.dumps({"_id": d, "title": "", "text": t}) + "\n" for d, t in everything)
    )
    (folder / "queries.jsonl").write_text("".join(json.dumps({"_id": d, "text": t}) + "\n" for d, t in everything))
    for split, triples in SPLITS.items():
        judged = [(q, d, g) for triple in triples for q in members(triple) for d, g in grades(q).items()]
        lines = "".join(f"{q}\t{d}\t{g}\n" for q, d, g in judged)
        (folder / "qrels" / f"{split}.tsv").write_text(f"query-id\tcorpus-id\tscore\n{lines}")
        write_topics(
            tmp_path / f"{split}.jsonl",
            [
                Topic(q, text(t), (Expansion(text(t + 30)), Expansion(text(t)[:20])))
                for t in triples
                for q in members(t)
            ],
        )
    entry = specs.DatasetSpec(
        "Toy",
        splits={s: specs.SplitSpec() for s in SPLITS},
        remove_query=True,
        relevance_level=2,
        measures=["nDCG@10", "MAP"],
    )
    monkeypatch.setenv("EXPANDR_DATA", str(tmp_path / "data"))
    monkeypatch.setitem(specs.datasets(), "toy", entry)
    specs._other_names.cache_clear()
    yield folder
    specs._other_names.cache_clear()


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    return save_tiny_bert(tmp_path_factory.mktemp("bert"), dim=16)


@pytest.fixture
def scores(command):
    """The scores that a command prints."""

    def call(*words):
        result = command(*words, "--format", "json")
        assert result.code == 0, result.err
        return json.loads(result.out)

    return call


def train(command, bert, tmp_path, *more, name="out"):
    return command(
        "train_encoder", "--train", "toy", "--expansions", tmp_path / "train.jsonl", "--encoder", bert, *TINY, "--output", tmp_path / name,
        "--set", "epochs=2", "--set", "batch_size=6", "--set", "learning_rate=2e-3", "--format", "json", *more,
    )  # fmt: skip


def test_scores_during_training_are_those_of_search_evaluate_and_compare_to_the_last_digit(
    command, scores, toy, bert, tmp_path
):
    result = train(command, bert, tmp_path, "--dev-topics", "toy", "--dev-expansions", tmp_path / "dev.jsonl")
    assert result.code == 0, result.err
    development = json.loads(result.out)["development"]
    assert 0 < development["first"]["none"] < 1
    found = {}
    for moment, encoder in (("first", (bert, *TINY)), ("best", (tmp_path / "out", "--device", "cpu"))):
        for name in ("toy/dev", toy / "dev"):  # by name and by path
            for fusion, key in (("none", "none"), ("mean", "mean.dev")):
                run = tmp_path / f"{moment}.{fusion}.trec"
                expansions = ("--expansions", tmp_path / "dev.jsonl") if fusion == "mean" else ()
                words = ("--encoder", *encoder, "--fusion", fusion, *expansions, "--no-baseline", "--output", run)
                searched = scores("search", "--topics", name, *words)[0]["figures"]
                assert searched["nDCG@10"] == development[moment][key]
                evaluated = scores("evaluate", "--qrels", name, "--metrics", "nDCG@10,MAP", run)[0]
                assert {m: v for m, v in evaluated.items() if m in searched or m.startswith("MAP")} == searched
                found[moment, fusion] = run
    compared = command("compare", "--qrels", "toy/dev", *found.values(), "--format", "json")
    assert compared.code == 0, compared.err
    page = command(
        "report", *found.values(), "--qrels", "toy/dev", "--topics", "toy/dev", "--output", tmp_path / "r.html"
    )
    assert page.code == 0, page.err
    for moment, key in (("first", "none"), ("first", "mean.dev"), ("best", "none"), ("best", "mean.dev")):
        assert str(development[moment][key]) in compared.out
        assert f"{development[moment][key]:.4f}" in (tmp_path / "r.html").read_text()


def test_the_rewards_of_prefer_are_differences_of_the_scores_that_search_and_evaluate_give(
    command, scores, toy, bert, tmp_path
):
    result = command(
        "prefer", "--candidates", tmp_path / "dev.jsonl", "--gold", "toy/dev", "--reward", "delta-ndcg=1", "--min-similarity", "-9",
        "--encoder", bert, *TINY, "--output", tmp_path / "pairs.jsonl",
    )  # fmt: skip
    assert result.code == 0, result.err

    def per_topic(fusion, which=None):
        topics = [
            Topic(q, text(t), (Expansion((text(t + 30), text(t)[:20])[which or 0]),))
            for t in SPLITS["dev"]
            for q in members(t)
        ]
        write_topics(tmp_path / "one.jsonl", topics)
        more = ("--expansions", tmp_path / "one.jsonl") if which is not None else ()
        words = ("--topics", "toy/dev", "--encoder", bert, *TINY, "--fusion", fusion, *more, "--no-baseline")
        assert command("search", *words, "--output", tmp_path / "run.trec").code == 0
        found = scores("evaluate", "--qrels", "toy/dev", "--per-topic", tmp_path / "run.trec")[0]["per_topic"]
        return {qid: values["nDCG@10"] for qid, values in found.items()}

    alone, first, second = per_topic("none"), per_topic("mean", 0), per_topic("mean", 1)
    pairs = read_pairs(tmp_path / "pairs.jsonl")
    assert pairs
    for pair in pairs:
        both = [first[pair.qid] - alone[pair.qid], second[pair.qid] - alone[pair.qid]]
        assert (pair.chosen_reward, pair.rejected_reward) == (max(both), min(both))
    (record,) = read_record(record_beside(tmp_path / "pairs.jsonl"))
    assert record.collection == "toy"
    assert set(record.topics) == {p.qid for p in pairs}
    assert json.loads((tmp_path / "pairs.jsonl.manifest.json").read_text())["split"] == "dev"


def test_a_topics_own_document_is_no_positive_here_and_what_is_below_the_level_neither(command, toy, bert, tmp_path):
    result = train(command, bert, tmp_path)
    assert result.code == 0, result.err
    assert "training topics: toy/train, 18 topics" in result.err
    (record,) = read_trained_on(tmp_path / "out")
    relevant = {d for t in SPLITS["train"] for q in members(t) for d, g in grades(q).items() if g == 2 and d != q}
    assert record.docids == relevant
    assert len(record.topics) == 18
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert (manifest["names"]["split"], manifest["relevance_level"], manifest["own_id_removed"]) == ("train", 2, True)


def test_the_same_documents_in_a_collection_that_keeps_own_ids_are_their_own_answers(command, toy, bert, tmp_path):
    mine = tmp_path / "mine"
    (mine / "qrels").mkdir(parents=True)
    for name in ("corpus.jsonl", "queries.jsonl"):
        (mine / name).write_bytes((toy / name).read_bytes())
    qids = [q for t in SPLITS["train"] for q in members(t)][::3]
    (mine / "qrels" / "train.tsv").write_text("".join(f"{q}\t{q}\t1\n" for q in qids))
    made = command(
        "train_encoder", "--train", mine, "--fusion", "none", "--encoder", bert, *TINY, "--output", tmp_path / "own", "--set", "epochs=1",
        "--set", "batch_size=3",
    )  # fmt: skip
    assert made.code == 0, made.err
    assert read_trained_on(tmp_path / "own")[0].docids == set(qids)
    write_topics(
        tmp_path / "c.jsonl", [Topic(q, text(int(q[:2])), (Expansion("a"), Expansion(text(int(q[:2]))))) for q in qids]
    )
    preferred = command(
        "prefer", "--candidates", tmp_path / "c.jsonl", "--gold", mine, "--reward", "retriever=1", "--min-similarity", "-9", "--encoder", bert,
        *TINY, "--output", tmp_path / "own.jsonl",
    )  # fmt: skip
    assert preferred.code == 0, preferred.err
    assert len(read_pairs(tmp_path / "own.jsonl")) == len(qids)
