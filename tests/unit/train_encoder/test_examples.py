"""What an encoder is trained on: own ids, levels of relevance, and what cannot teach anything."""

from __future__ import annotations

import json
import logging
from dataclasses import replace

import pytest

from expandr_repro.data.topics import Expansion, Topic, write_topics
from expandr_repro.data.trec import write_run
from expandr_repro.errors import ExpandrError
from expandr_repro.train_encoder.batches import Example, epoch_batches
from expandr_repro.train_encoder.examples import RELEVANT, gather
from expandr_repro.train_encoder.settings import EncoderTraining, TrainRequest

CONFIG = EncoderTraining(epochs=1, batch_size=4, learning_rate=1.0, temperature=1.0)


@pytest.fixture
def said(caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("expandr_repro"), "propagate", True)
    caplog.set_level(logging.INFO)
    return caplog


@pytest.fixture
def folder(tmp_path):
    """Six documents that are topics as well; `quora` removes own ids, by its name."""

    def make(qrels, name="mine", split="train"):
        made = tmp_path / name
        (made / "qrels").mkdir(parents=True)
        lines = [json.dumps({"_id": i, "title": "", "text": f"text {i}"}) + "\n" for i in "abcdef"]
        (made / "corpus.jsonl").write_text("".join(lines))
        (made / "queries.jsonl").write_text(
            "".join(json.dumps({"_id": i, "text": f"text {i}"}) + "\n" for i in "abcdef")
        )
        (made / "qrels" / f"{split}.tsv").write_text("".join(f"{q}\t{d}\t{g}\n" for q, d, g in qrels))
        return str(made / split)

    return make


OWN = [("a", "a", 1), ("a", "b", 1), ("b", "b", 1), ("c", "d", 1), ("d", "c", 1)]


def examples(name, **more):
    return {e.qid: e for e in gather(TrainRequest(name, fusion="none", **more), CONFIG).examples}


def test_a_judged_document_with_the_topics_own_id_is_an_answer_where_the_collection_keeps_own_ids(folder):
    made = examples(folder(OWN))
    assert (made["a"].positives, made["b"].positives) == (("a", "b"), ("b",))


def test_it_is_neither_right_nor_wrong_where_the_collection_removes_own_ids(folder):
    made = examples(folder(OWN, "quora"))
    assert made["a"].positives == ("b",)
    assert "b" not in made
    for epoch in range(4):
        for batch in epoch_batches(list(made.values()), 3, 0, 1, epoch, mask_relevant=False):
            for row, query in enumerate(batch.queries):  # each is the document that another topic brings in as its own
                own = query.removeprefix("text ")
                if own in batch.documents:
                    assert (row, batch.documents.index(own)) in batch.masked


def test_what_is_judged_below_the_level_is_neither_a_positive_nor_a_negative(folder, tmp_path):
    graded = [("a", "b", 2), ("a", "c", 1), ("b", "d", 2), ("c", "e", 2), ("d", "f", 1)]
    name = folder(graded, "dl19-passage", "test")
    write_run(tmp_path / "n.trec", {q: {d: 1.0 - n / 10 for n, d in enumerate("abcdef")} for q in "abc"})
    data = gather(TrainRequest(name, fusion="none", negatives=str(tmp_path / "n.trec")), CONFIG)
    made = {e.qid: e for e in data.examples}
    assert set(made) == {"a", "b", "c"}
    assert made["a"].positives == ("b",)
    assert made["a"].negatives == ("d", "e", "f")
    assert made["a"].aside == ("a", "c")
    assert data.counts[RELEVANT] == 4


def test_documents_set_aside_are_masked_whether_or_not_relevant_ones_are():
    made = [Example("1", "a", (), ("x",), (), ("y",)), Example("2", "b", (), ("y",))]
    for mask in (True, False):
        (batch,) = epoch_batches(made, 2, 0, 1, 0, mask_relevant=mask)
        assert batch.masked == [(batch.queries.index("a"), batch.documents.index("y"))]


SIX = [(q, d, 1) for q, d in zip("abcdef", "bcdefa", strict=True)]


@pytest.mark.parametrize(
    ("size", "topics", "why"),
    [
        (1, SIX, "batch_size 1 without negatives: a query has nothing to be contrasted with"),
        (5, SIX, r"of 6 training topics the last one of each epoch is a batch by itself.*set batch_size to 4,"),
        (8, SIX[:1], "one training topic without negatives"),
        (3, [(q, "f", 1) for q in "abcde"], "all 5 training topics have the same relevant document"),
    ],
)
def test_a_query_with_nothing_to_be_contrasted_with_is_refused_unless_there_are_negatives(
    folder, tmp_path, size, topics, why
):
    name, config = folder(topics), replace(CONFIG, batch_size=size)
    with pytest.raises(ExpandrError, match=why):
        gather(TrainRequest(name, fusion="none"), config)
    judged = {q: d for q, d, _ in topics}
    write_run(tmp_path / "n.trec", {q: {d: 1.0 for d in "abcdef" if d not in (q, judged[q])} for q in judged})
    assert gather(TrainRequest(name, fusion="none", negatives=str(tmp_path / "n.trec")), config).examples
    with pytest.raises(ExpandrError, match=why):  # negatives that no step takes are none
        gather(TrainRequest(name, fusion="none", negatives=str(tmp_path / "n.trec")), replace(config, hard_negatives=0))


def test_a_batch_larger_than_the_data_is_reported(folder, said):
    gather(TrainRequest(folder(SIX), fusion="none"), replace(CONFIG, batch_size=64))
    assert "batch_size 64: there are only 6 training topics, so each epoch is one batch of all of them" in said.text


def test_expansions_that_nothing_uses_are_refused_and_those_of_development_alone_reported(folder, tmp_path, said):
    name = folder(SIX)
    write_topics(tmp_path / "x.jsonl", [Topic(q, f"text {q}", (Expansion("more"),)) for q in "abcdef"])
    request = TrainRequest(name, (str(tmp_path / "x.jsonl"),), fusion="none")
    with pytest.raises(
        ExpandrError, match=r"--fusion none .* trains on the queries alone, and no development search uses them"
    ):
        gather(request, CONFIG)
    config = replace(CONFIG, dev=2)
    searched = gather(replace(request, allow_overlap=True), config)
    assert "they are used in the development searches only" in said.text
    without = gather(TrainRequest(name, fusion="none", allow_overlap=True), config)
    assert searched.facts["expansions"] == without.facts["expansions"] == {}
    assert searched.examples == without.examples
    assert [s.name for s in searched.searches] == ["none", "mean.x"]
    with pytest.raises(ExpandrError, match="trains on the queries alone"):
        gather(replace(request, fusion="mean"), replace(CONFIG, views={"query": 1.0}))
