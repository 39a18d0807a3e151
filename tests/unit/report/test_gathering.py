"""What a page is written from: its shape, on a collection small enough to be read here."""

from __future__ import annotations

import json

import pytest

from expandr_repro.errors import MismatchError, NotAvailableError
from expandr_repro.evaluate.metrics import parse_measures
from expandr_repro.report.gathering import SCALE, gather
from expandr_repro.report.studies import study_of

MEASURES = parse_measures("nDCG@10,R@100")


def lines(*records: object) -> str:
    return "".join(json.dumps(r) + "\n" for r in records)


@pytest.fixture
def files(write):
    """Two topics, of which the second run answers one better; topic 2 is judged and has no expansion."""
    write("none.trec", "1 Q0 a 1 3 x\n1 Q0 b 2 2 x\n2 Q0 c 1 1 x\n")
    write("mean.trec", "1 Q0 b 1 3 x\n1 Q0 a 2 2 x\n2 Q0 c 1 1 x\n")
    write("qrels.txt", "1 0 b 1\n1 0 far 1\n2 0 c 1\n")
    write(
        "topics.jsonl",
        lines({"qid": "1", "title": "old cats", "expansions": ["Cats purr."]}, {"qid": "2", "title": "x"}),
    )
    write("corpus.jsonl", lines({"_id": "a", "text": "dogs"}, {"_id": "b", "title": "Cats", "text": "they purr and eat"},
                                {"_id": "c", "text": "z"}, {"_id": "far", "text": "far"}, {"_id": "unasked", "text": "u"}))  # fmt: skip
    return write("end", "").parent


def study(folder, **changes):
    given = {"qrels": "qrels.txt", "topics": "topics.jsonl", "corpus": "corpus.jsonl"} | changes
    return study_of(
        [str(folder / "none.trec"), str(folder / "mean.trec")], **{k: v and str(folder / v) for k, v in given.items()}
    )


def test_the_sheet_holds_figures_topics_expansions_rankings_and_each_document_once(files):
    sheet = gather([study(files)], MEASURES, depth=1, words=2)
    (collection,), (found,) = sheet.data["collections"], sheet.data["studies"]
    assert collection["qids"] == ["1", "2"]
    assert collection["titles"] == ["old cats", "x"]
    assert collection["sets"] == [{"label": "those of the topics", "topics": 1, "shared": 0, "words": 1.0}]
    none, mean = found["runs"]
    assert none["against"] is None
    assert none["scores"][1] == mean["scores"][1] == SCALE
    assert mean["against"][0]["wins"] == 1
    assert mean["against"][0]["difference"] == pytest.approx(
        (mean["scores"][0] - none["scores"][0]) / SCALE / 2, abs=1e-6
    )
    assert (none["set"], mean["set"]) == (None, 0)
    assert sheet.pieces["t0.0"] == [
        [[[["=Cats", "  ", "+purr", " ."]], 0]],
        [[[], 0]],
    ]
    assert sheet.pieces["s0.0"] == [
        [[0, 1, 2], [None, 1, 1], [[1, 2, 0], [2, 1, 0]]],
        [[3], [1], [[1], [1]]],
    ]
    assert sheet.pieces["d0.0"] == [
        ["a", "", "dogs", 0],
        ["b", "Cats", "they purr", 4],
        ["far", "", "far", 0],
        ["c", "", "z", 0],
    ]


def test_without_a_corpus_the_page_goes_without_texts_and_says_so(files, caplog):
    sheet = gather([study(files, corpus=None)], MEASURES, 1, 2)
    assert sheet.data["collections"][0]["texts"] is False
    assert sheet.data["collections"][0]["sets"][0]["shared"] is None
    assert sheet.pieces["d0.0"][0] == ["a", "", "", 0]
    assert "which documents were searched is not known" in caplog.text


def test_without_topics_the_page_shows_ids(files, caplog):
    sheet = gather([study(files, topics=None)], MEASURES, 1, 2)
    assert sheet.data["collections"][0]["titles"] == ["", ""]
    assert sheet.data["collections"][0]["sets"] == []
    assert "the topics are not known" in caplog.text


def test_a_corpus_asked_for_by_name_must_be_there(files):
    with pytest.raises(NotAvailableError, match="no such file"):
        gather([study(files, corpus="gone.jsonl")], MEASURES, 1, 2)


def test_topics_that_nobody_judged_are_other_topics(files, write):
    write("others.jsonl", lines({"qid": "9", "title": "x"}))
    with pytest.raises(MismatchError, match="none of these 1 topics is judged"):
        gather([study(files, topics="others.jsonl")], MEASURES, 1, 2)


def test_studies_on_the_same_topics_share_them_and_their_documents(files):
    sheet = gather([study(files), study(files)], MEASURES, 1, 2)
    assert len(sheet.data["collections"]) == 1
    assert [s["collection"] for s in sheet.data["studies"]] == [0, 0]
    assert {"s0.0", "s1.0", "t0.0", "d0.0"} == set(sheet.pieces)
