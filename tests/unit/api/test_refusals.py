"""What the Python API refuses as the commands do: it loses nothing, replaces nothing, and names the fault in one line."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

import expandr_repro as ex
from expandr_repro.encoders.protocol import as_texts

ONE, OTHER = {"q": {"x": 2.0}}, {"q": {"y": 1.0}}


@pytest.fixture
def collection(tmp_path):
    """A small collection in BEIR layout."""
    (tmp_path / "qrels").mkdir()
    (tmp_path / "corpus.jsonl").write_text('{"_id": "d1", "text": "Cats purr."}\n')
    (tmp_path / "queries.jsonl").write_text('{"_id": "q1", "text": "cats"}\n{"_id": "q2", "text": "dogs"}\n')
    (tmp_path / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq1\td1\t1\nq2\td1\t1\n")
    return tmp_path


@pytest.mark.parametrize(
    ("run", "qrels", "problem"),
    [
        ({"q": {1: 2.0, "1": 1.0}}, ONE, r"run\['q'\]: document '1' occurs twice, as a string and as a number"),
        (ONE, {"q": {7: 1, "7": 0}}, r"qrels\['q'\]: document '7' occurs twice"),
        (ONE, {"q": {"x": float("inf")}}, "is inf; wanted a whole number"),
        (ONE, {"q": {"x": 1001}}, "the grade 1001 is too large"),
        (ONE, {"q": {"x": 10**400}}, "is too large"),
        ({"q": {"x": 10**400}}, {"q": {"x": 1}}, "infinite in single precision"),
        ({"q": {"x": 1e300}}, {"q": {"x": 1}}, "infinite in single precision"),
        (ONE, {}, "the qrels contain no relevance judgments"),
        (ONE, {"q": {}}, "the qrels contain no relevance judgments"),
    ],
    ids=str,
)
def test_scores_are_of_runs_and_qrels_that_a_file_could_have(run, qrels, problem):
    with pytest.raises(ex.ExpandrError, match=problem):
        ex.score(run, qrels, "MRR")


def test_a_topic_without_relevance_judgments_does_not_count():
    run = {"q": {"x": 2.0}, "r": {"x": 2.0}}
    assert ex.score(run, {"q": {"x": 1}, "r": {}}, "MRR") == {"MRR": 1.0}


def test_qrels_take_one_metric_by_its_name_and_refuse_a_level_that_is_none():
    assert ex.score(ONE, ex.Qrels({"q": {"x": 1}}, metrics="MRR")) == {"MRR": 1.0}
    for level in (0, "1", True, 1.5):
        with pytest.raises(ex.ExpandrError, match="wanted a whole number from 1"):
            ex.Qrels({"q": {"x": 1}}, level=level)


def test_a_list_of_ids_is_never_read_from_a_file_of_that_name(collection, monkeypatch):
    monkeypatch.chdir(collection)
    Path("q1").write_text("q2\n")
    assert [t.qid for t in ex.load_topics(collection, qids=["q1"])] == ["q1"]
    assert [t.qid for t in ex.load_topics(collection, qids="q1")] == ["q2"]


@pytest.mark.parametrize(
    ("keywords", "problem"),
    [
        ({"limit": 2.5}, "limit 2.5: wanted a whole number from 1"),
        ({"limit": "5"}, "limit '5': wanted a whole number"),
        ({"qids": 5}, "qids 5: wanted a list of ids"),
        ({"qids": []}, "qids: names no topic"),
        ({"qids": ["a,b"]}, "1 of 1 ids are not among the 72 topics"),
    ],
    ids=str,
)
def test_topics_are_chosen_by_numbers_and_ids_alone(keywords, problem):
    with pytest.raises(ex.ExpandrError, match=problem):
        ex.load_topics("pocket", **keywords)


def test_expansions_of_topics_with_other_titles_are_refused_as_those_of_a_file_are():
    topics, other = ex.Topics({"1": "cats"}), [{"qid": "1", "title": "dogs", "expansions": ["They bark."]}]
    with pytest.raises(ex.ExpandrError, match="topic '1' has another title there"):
        topics.with_expansions(ex.Topics(other))


def test_expansions_of_more_topics_are_joined_where_the_titles_agree():
    more = ex.Topics(
        [
            {"qid": "1", "title": "cats", "expansions": ["They purr."]},
            {"qid": "2", "title": "dogs", "expansions": ["x"]},
        ]
    )
    assert ex.Topics({"1": "cats"}).with_expansions(more)["1"].texts == ("They purr.",)


@pytest.mark.parametrize("none", [{}, {"1": []}, {"1": " "}, ex.Topics({"1": "cats"})], ids=str)
def test_expansions_without_one_text_are_an_error_and_no_baseline(none):
    with pytest.raises(ex.ExpandrError, match="none of the 1 topic has one there"):
        ex.Topics({"1": "cats"}).with_expansions(none)


@pytest.mark.parametrize(
    "content",
    ['{"qid": "1", "text": "gold"}\n', "1 Q0 d1 1 2.0 tag\n", "my thesis\n", '{"_id": "1", "text": "a query"}\n'],
)
def test_topics_are_not_saved_in_the_place_of_something_else(tmp_path, content):
    path = tmp_path / "mine"
    path.write_text(content)
    with pytest.raises(ex.ExpandrError, match="is not a file of topics that this toolkit wrote, so it is not replaced"):
        ex.Topics({"1": "cats"}).save(path)
    assert path.read_text() == content


@pytest.mark.parametrize("folder", [".", "/"])
def test_topics_are_not_saved_as_a_folder(folder):
    with pytest.raises(ex.ExpandrError, match="is a folder; wanted a file name"):
        ex.Topics({"1": "cats"}).save(folder)


def test_topics_are_saved_again_in_their_own_place(tmp_path):
    plain = ex.Topics({"1": "cats"})
    for topics in (plain, plain.with_expansions({"1": "They purr."}), plain):
        topics.save(tmp_path / "topics.jsonl")
    assert ex.load_topics(tmp_path / "topics.jsonl")["1"].texts == ()


@pytest.mark.parametrize(
    ("arguments", "keywords", "problem"),
    [
        (("wsum",), {"weights": ["0.3", "0.7"]}, "weights: '0.3' is no weight"),
        (("wsum",), {"weights": "0.3,0.7"}, "weights '0.3,0.7': wanted a list of numbers"),
        (("wsum",), {"weights": 3}, "weights 3: wanted a list of numbers"),
        (("wsum",), {"weights": [1e308, 1e308], "norm": "none"}, "is not finite in single precision"),
        ((None,), {}, "method None: wanted a string"),
        ((), {"training_runs": [ONE, OTHER]}, "apply only with optimize"),
        (
            ("wsum",),
            {"optimize": "MRR", "training_runs": [{"r": {"x": 1.0}}, {"r": {"y": 1.0}}], "training_qrels": {"r": {"x": 1}}, "weights": [1, 2]},
            "weights: apply only without optimize",
        ),
    ],
    ids=str,
)  # fmt: skip
def test_a_fusion_refuses_what_it_would_ignore_or_cannot_use(arguments, keywords, problem):
    with pytest.raises(ex.ExpandrError, match=problem):
        ex.fuse([ONE, OTHER], *arguments, **keywords)


def test_a_fusion_refuses_the_same_run_twice_and_takes_numpys_numbers():
    with pytest.raises(ex.ExpandrError, match="the same run is given twice"):
        ex.fuse([ONE, ONE])
    fused = ex.fuse([ONE, OTHER], "wsum", weights=np.array([0.3, 0.7]), hits=np.int64(1), norm="none")
    assert fused == {"q": {"y": pytest.approx(0.7)}}


@pytest.mark.parametrize("runs", [[ONE], None])
def test_a_page_needs_names_for_its_runs(runs):
    with pytest.raises(ex.ExpandrError, match="runs: wanted a dict name -> run"):
        ex.report_page(runs, ex.Topics({"q": "cats"}))


def test_a_page_needs_topics():
    with pytest.raises(ex.ExpandrError, match="wanted what load_topics or Topics returns"):
        ex.report_page({"a": ONE, "b": OTHER}, ex.Qrels({"q": {"x": 1}}))


def test_an_encoder_is_named_by_a_text():
    with pytest.raises(ex.ExpandrError, match="name None: wanted an encoder's name"):
        ex.load_encoder(None)


@pytest.mark.parametrize("texts", [[None], ["a", 5], ["\ud800"]], ids=ascii)
def test_what_is_not_a_text_is_not_encoded(texts):
    with pytest.raises(ex.ExpandrError, match=rf"texts\[{len(texts) - 1}\] is .*; wanted a text"):
        as_texts(texts)


def test_texts_may_come_from_a_generator(caplog):
    caplog.set_level(logging.WARNING)
    assert as_texts(t for t in ("a", "b")) == ["a", "b"]
    assert as_texts("abc") == ["abc"]


@pytest.mark.parametrize(
    ("qid", "ranked", "problem"),
    [
        ("q", {"x": float("nan")}, "wanted a number"),
        ("q", {"x": "high"}, "wanted a number"),
        ("q 2", {"x": 1.0}, "the qid 'q 2' is empty or contains white space"),
        ("q", {"x 1": 1.0}, "the docid 'x 1' is empty or contains white space"),
    ],
    ids=str,
)
def test_what_is_put_into_a_run_is_checked_before_it_is_scored_fused_or_saved(qid, ranked, problem, tmp_path):
    run = ex.Run(ONE)
    run[qid] = ranked
    path = tmp_path / "run.trec"
    for use in (lambda: run.save(path), lambda: ex.score(run, {"q": {"x": 1}}, "MRR"), lambda: ex.fuse([run, OTHER])):
        with pytest.raises(ex.ExpandrError, match=problem):
            use()
    assert not path.exists()


def test_a_changed_run_is_saved_in_the_order_of_its_scores(tmp_path):
    run = ex.Run({"q": {"x": 2.0, "y": 1.0}})
    run["q"]["y"] = 3.0
    run.save(tmp_path / "run.trec")
    assert list(ex.load_run(tmp_path / "run.trec")["q"]) == ["y", "x"]
    assert ex.score(run, {"q": {"y": 1}}, "MRR") == {"MRR": 1.0}


def test_a_page_takes_metrics_as_a_score_does():
    with pytest.raises(ex.ExpandrError, match="unknown metric 'nDGC@10'"):
        ex.report_page({"a": ONE, "b": OTHER}, ex.Topics({"q": "cats"}, qrels={"q": {"x": 1}}), metrics=["nDGC@10"])


@pytest.mark.parametrize("name", ["../up", "a/b", "", " ", "a\0b", "a\\b"], ids=ascii)
def test_a_page_writes_no_run_beside_its_temporary_folder(name):
    with pytest.raises(ex.ExpandrError, match="is empty or has a slash; give the runs plain names"):
        ex.report_page({name: ONE, "b": OTHER}, ex.Topics({"q": "cats"}, qrels={"q": {"x": 1}}))
