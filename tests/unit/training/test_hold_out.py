"""`--hold-out`: training topics that share relevant documents with topics to be searched later are left out, of every kind of training."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path

import pytest

from expandr_repro.data.overlap.trained_on import TrainedOn, record_beside, write_record
from expandr_repro.data.topics import Expansion, Topic, write_topics
from expandr_repro.errors import ExpandrError
from expandr_repro.io.manifest import write_manifest
from expandr_repro.prefer.candidates import HELD_OUT, plan
from expandr_repro.prefer.options import PreferRequest
from expandr_repro.prefer.pairs import PreferencePair, write_pairs
from expandr_repro.prefer.run import trained_on
from expandr_repro.train_encoder.dev_topics import SAME, SHARED
from expandr_repro.train_encoder.examples import gather
from expandr_repro.train_encoder.settings import EncoderTraining, TrainRequest
from expandr_repro.train_generator.examples import from_pairs, from_topics
from expandr_repro.training.hold_out import LEFT_OUT

CONFIG = EncoderTraining(epochs=1, batch_size=4, learning_rate=1.0, temperature=1.0)

TRAIN = {"1": ["a"], "2": ["b", "c"], "3": ["c"], "4": ["d"], "5": ["e"], "6": ["f"], "7": ["g"]}
TEST = {"8": ["a", "x"], "9": ["c"], "10": ["y"]}


@pytest.fixture
def said(caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("expandr_repro"), "propagate", True)
    caplog.set_level(logging.INFO)
    return caplog


def beir(folder: Path, **splits: dict[str, list[str]]) -> Path:
    (folder / "qrels").mkdir(parents=True)
    qids = list(dict.fromkeys(q for judged in splits.values() for q in judged))
    documents = sorted({d for judged in splits.values() for listed in judged.values() for d in listed})
    (folder / "corpus.jsonl").write_text(
        "".join(json.dumps({"_id": d, "title": "", "text": f"text {d}"}) + "\n" for d in documents)
    )
    (folder / "queries.jsonl").write_text("".join(json.dumps({"_id": q, "text": f"query {q}"}) + "\n" for q in qids))
    for split, judged in splits.items():
        lines = [f"{q}\t{d}\t1\n" for q, listed in judged.items() for d in listed]
        (folder / "qrels" / f"{split}.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(lines))
    return folder


@pytest.fixture
def folder(tmp_path):
    return beir(tmp_path / "mine", train=TRAIN, test=TEST)


@pytest.fixture
def passages(tmp_path):
    """Expansions of the training topics, two each, as a file of topics."""
    topics = [Topic(q, f"query {q}", (Expansion(f"one {q}"), Expansion(f"two {q}"))) for q in TRAIN]
    write_topics(tmp_path / "passages.jsonl", topics)
    return tmp_path / "passages.jsonl"


def request(folder, **changes):
    return replace(TrainRequest(str(folder), fusion="none", hold_out=(f"{folder}/test",)), **changes)


def test_train_encoder_leaves_out_topics_that_share_a_relevant_document_and_says_so_everywhere(folder, said):
    data = gather(request(folder), CONFIG)
    assert [e.qid for e in data.examples] == ["4", "5", "6", "7"]
    assert data.counts[LEFT_OUT] == 3
    assert "--hold-out mine/test: 3 of 7 topics of mine/train are left out (3 share a relevant document" in said.text
    assert data.facts["left_out"]["topics"] == 3
    assert (data.names["hold_out"], data.names["split"]) == (["mine/test"], "train")
    (own,) = data.trained_on
    assert own == TrainedOn(
        "mine", data.facts["corpus"]["sha256"], {q: f"query {q}" for q in "4567"}, frozenset("defg"), ("mine/test",)
    )


def test_several_topics_are_held_out_together(folder, said):
    write_topics(folder.parent / "more.jsonl", [Topic("any", "query  7")])
    found = gather(request(folder, hold_out=(f"{folder}/test", str(folder.parent / "more.jsonl"))), CONFIG)
    assert [e.qid for e in found.examples] == ["4", "5", "6"]
    assert (
        "no relevance judgments are known for these topics, so only topics with the same title are left out"
        in said.text
    )


def test_ids_of_another_collection_mean_nothing(folder, tmp_path, said):
    other = beir(tmp_path / "other", test={"1": ["d"], "x": ["e"]})
    (other / "queries.jsonl").write_text('{"_id": "1", "text": "else"}\n{"_id": "x", "text": "query 6"}\n')
    data = gather(request(folder, hold_out=(f"{other}/test",)), CONFIG)
    assert [e.qid for e in data.examples] == ["1", "2", "3", "4", "5", "7"]
    assert "is of another collection than mine/train, so only topics with the same title are left out" in said.text


def test_where_nothing_is_left_it_is_an_error(folder):
    with pytest.raises(
        ExpandrError, match="all 7 topics of mine/train are, or share a relevant document with, topics to be held out"
    ):
        gather(request(folder, hold_out=(f"{folder}/train",)), CONFIG)


@pytest.mark.data
@pytest.mark.parametrize("test", ["scifact/test", "scifact", "{data}/scifact/test"])
def test_of_scifacts_training_topics_537_share_no_relevant_document_with_the_test_topics(data, test):
    topics = TrainRequest("scifact/train", fusion="none", hold_out=(test.format(data=data),))
    found = gather(topics, replace(CONFIG, batch_size=64))
    assert (found.counts[LEFT_OUT], len(found.examples)) == (272, 537)
    assert found.trained_on[0].collection == "scifact"
    assert found.trained_on[0].held_out == ("scifact/test",)


@pytest.mark.data
def test_the_same_537_topics_are_left_for_a_generator(data, tmp_path):
    made = from_topics("scifact/train", "claude.q2d", "q2d", 0, 42, ["scifact/test"])
    assert made.facts["data"]["train"]["topics"] == 537
    assert len(made.trained_on[0].topics) == 537


def test_prefer_leaves_them_out_and_its_record_has_the_gold_documents_of_the_pairs(folder, passages):
    planned = plan(PreferRequest(str(passages), gold=str(folder), rewards="retriever=1", hold_out=(f"{folder}/test",)))
    assert [c.topic.qid for c in planned.cases] == ["4", "5", "6", "7"]
    assert planned.dropped[HELD_OUT] == 3
    pairs = [PreferencePair(q, "p", "a", "b", 1.0, 0.0) for q in "45"]
    (own,), carried = trained_on(planned, pairs)
    assert (own.collection, own.topics, own.docids) == ("mine", {"4": "query 4", "5": "query 5"}, frozenset("de"))
    assert own.held_out == ("mine/test",)
    assert not carried


def test_prefers_record_has_all_relevant_documents_where_a_reward_looks_at_them(folder, passages):
    for rewards, seen in (("corpus-rank=1", "b"), ("delta-ndcg=1", "bc")):
        planned = plan(PreferRequest(str(passages), gold=str(folder), rewards=rewards))
        (own,), _ = trained_on(planned, [PreferencePair("2", "p", "a", "b", 1.0, 0.0)])
        assert own.docids == frozenset(seen)


def test_what_the_llm_of_the_candidates_was_trained_on_is_carried_on(folder, passages):
    before = TrainedOn("else", None, {"x": "y"}, frozenset({"z"}))
    write_record(record_beside(passages), [before])
    planned = plan(PreferRequest(str(passages), gold=str(folder), rewards="retriever=1"))
    parts, carried = trained_on(planned, [PreferencePair("4", "p", "a", "b", 1.0, 0.0)])
    assert before in parts
    assert carried
    assert before in from_topics(str(passages), None, "q2d", 0, 42).trained_on
    assert before in gather(TrainRequest(str(folder), (str(passages),)), CONFIG).trained_on
    assert before not in gather(TrainRequest(str(folder), fusion="none"), CONFIG).trained_on


def test_fine_tuning_takes_the_train_split_and_leaves_out_and_records_alike(folder, passages):
    made = from_topics(str(folder), str(passages), "q2d", 0, 42, [f"{folder}/test"])
    (own,) = made.trained_on
    assert (set(own.topics), own.docids) == (set("4567"), frozenset("defg"))
    assert made.names["split"] == "train"
    assert made.facts["left_out"]["topics"] == 3


def test_topics_of_a_file_are_known_by_the_collection_of_those_held_out(folder, passages, said):
    made = from_topics(str(passages), None, "q2d", 0, 42, [f"{folder}/test"])
    assert set(made.trained_on[0].topics) == set("4567")
    write_topics(passages, [Topic(q, f"others {q}", (Expansion("one"),)) for q in TRAIN])
    assert len(from_topics(str(passages), None, "q2d", 0, 42, [f"{folder}/test"]).trained_on[0].topics) == 7
    assert "none of the topics of passages.jsonl is known there" in said.text


def pairs_of(path, record=True, trained_candidates=False):
    write_pairs(path, [PreferencePair(q, f"Write.\nquery {q}\n", "a", "b", 1.0, 0.0) for q in TRAIN])
    if record:
        topics = {q: f"query {q}" for q in TRAIN}
        write_record(record_beside(path), [TrainedOn("mine", None, topics, frozenset("abcdefg"))])
        write_manifest(Path(f"{path}.manifest.json"), "preference-pairs", {"trained_candidates": trained_candidates})
    return str(path)


def test_pairs_are_left_out_by_their_topics_and_leave_the_record(folder, tmp_path):
    made = from_pairs(pairs_of(tmp_path / "p.jsonl"), None, [f"{folder}/test"])
    assert len(made.texts["train"].prompts) == 4
    (own,) = made.trained_on
    assert (set(own.topics), own.docids, own.held_out) == (set("4567"), frozenset("defg"), ("mine/test",))
    whole = from_pairs(pairs_of(tmp_path / "p.jsonl"), None)
    assert (len(whole.texts["train"].prompts), whole.trained_on[0].docids) == (7, frozenset("abcdefg"))


def test_what_a_trained_llm_saw_stays_in_the_record_of_its_pairs(folder, tmp_path):
    made = from_pairs(pairs_of(tmp_path / "p.jsonl", trained_candidates=True), None, [f"{folder}/test"])
    assert len(made.texts["train"].prompts) == 4
    assert made.trained_on[0].docids == frozenset("abcdefg")


def test_pairs_without_a_record_are_known_by_id_and_prompt_or_refused(folder, tmp_path, said):
    path = pairs_of(tmp_path / "p.jsonl", record=False)
    made = from_pairs(path, None, [f"{folder}/test"])
    assert len(made.texts["train"].prompts) == 4
    assert made.trained_on == [TrainedOn("p.jsonl", None, dict.fromkeys("4567", ""), frozenset(), ("mine/test",))]
    other = beir(tmp_path / "other", test={"z": ["y"]})
    with pytest.raises(ExpandrError, match=r"it is not known which topics the pairs of .* are of"):
        from_pairs(path, None, [f"{other}/test"])


def test_development_topics_that_training_sees_are_refused_or_counted(folder):
    seen = request(folder, hold_out=(), dev_topics=f"{folder}/test")
    with pytest.raises(
        ExpandrError, match=r"of 3 topics 0 are training topics, and 2 share a relevant document.*--allow-overlap"
    ):
        gather(seen, CONFIG)
    counts = gather(replace(seen, allow_overlap=True), CONFIG).counts
    assert (counts[SAME], counts[SHARED]) == (0, 2)
    held_out = gather(replace(seen, hold_out=(f"{folder}/test",)), CONFIG).counts
    assert (held_out[SAME], held_out[SHARED]) == (0, 0)
    with pytest.raises(ExpandrError, match="of 7 topics 7 are training topics"):
        gather(request(folder, hold_out=(), dev_topics=f"{folder}/train"), CONFIG)


def test_development_topics_without_a_split_are_the_dev_split_or_an_error(folder):
    with pytest.raises(
        ExpandrError, match=r"--dev-topics .*: which split\? There is no 'dev'; the splits are: test, train"
    ):
        gather(request(folder, hold_out=(), dev_topics=str(folder)), CONFIG)
    (folder / "qrels" / "dev.tsv").write_text("10\ty\t1\n")
    data = gather(request(folder, hold_out=(), dev_topics=str(folder)), CONFIG)
    assert [t.qid for t in data.searches[0].topics] == ["10"]
    assert data.names["development"] == "mine/dev"


def test_drawn_development_topics_share_no_relevant_document_with_training(folder):
    for seed in range(8):
        data = gather(request(folder, hold_out=()), replace(CONFIG, dev=3, dev_seed=seed))
        dev = {t.qid for t in data.searches[0].topics}
        assert len(dev) == 3
        assert ("2" in dev) == ("3" in dev)
        assert data.counts[SHARED] == 0
