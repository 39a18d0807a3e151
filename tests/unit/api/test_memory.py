"""What is in memory already, in all the shapes that people have it in."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import expandr_repro as ex
from expandr_repro.data.topics import read_topics

TOPICS = [
    {"1": "cats", "2": "dogs"},
    {1: "cats", 2: "dogs"},
    {1: {"title": "cats"}, 2: {"title": "dogs"}},
    [("1", "cats"), ("2", "dogs")],
    [[1, "cats"], [2, "dogs"]],
    [{"qid": 1, "title": "cats"}, {"_id": "2", "text": "dogs"}],
    [{"qid": np.int64(1), "title": "cats"}, {"query_id": "2", "query": "dogs"}],
    (ex.Topic("1", "cats"), ex.Topic("2", "dogs")),
    iter([("1", "cats"), ("2", "dogs")]),
    pd.DataFrame({"qid": [1, 2], "title": ["cats", "dogs"], "other": [0, 0]}),
    pd.DataFrame({"query_id": ["1", "2"], "query": ["cats", "dogs"]}),
]


@pytest.mark.parametrize("data", TOPICS, ids=lambda d: type(d).__name__)
def test_topics_are_read_from_memory_and_their_ids_are_strings(data):
    topics = ex.Topics(data)
    assert [(t.qid, t.title) for t in topics] == [("1", "cats"), ("2", "dogs")]


@pytest.mark.parametrize(
    "texts", [["a", "b"], [{"text": "a"}, "b"], (ex.Expansion("a"), ex.Expansion("b")), np.array(["a", "b"])]
)
def test_topics_in_memory_may_carry_expansions(texts):
    assert ex.Topics([{"qid": 1, "title": "cats", "expansions": texts}])[0].texts == ("a", "b")
    assert ex.Topics(pd.DataFrame({"qid": [1], "title": ["cats"], "expansions": [texts]}))["1"].texts == ("a", "b")


def test_topics_made_of_topics_keep_all_that_is_known_of_each_text():
    known = ex.Expansion("a", {"temperature": 0.7}, "length", "keywords", 1)
    topic = ex.Topic("1", "cats", (known,), {"prompts": [{"text": "p"}, {"text": "q"}]})

    assert ex.Topics([topic])[0] == topic
    assert ex.Topics([{"qid": 1, "title": "cats", "expansions": [known]}])[0].expansions == (known,)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ([], "there are no topics"),
        ("scifact", "wanted a dict, a list of dicts"),
        ([("1", "a"), (1, "b")], r"topics\[1\]: the id '1' was there before, in topics\[0\]"),
        ([("1", " ")], r"topics\[0\]: topic '1' has an empty title"),
        ([("1", None)], r"topics\[0\]: no text"),
        ([(1.5, "a")], r"topics\[0\]: the id is 1.5"),
        ([(True, "a")], r"topics\[0\]: the id is True"),
        (["a"], r"topics\[0\]: is 'a'; wanted a dict or \(qid, title\)"),
        (pd.DataFrame({"qid": [1, 2], "title": ["a", float("nan")]}), r"topics\[1\]: no text"),
    ],
    ids=str,
)
def test_topics_that_are_none_are_refused_by_their_place(data, problem):
    with pytest.raises(ex.ExpandrError, match=problem):
        ex.Topics(data)


def test_topics_are_sized_indexed_cut_and_shown(tmp_path):
    topics = ex.Topics({"1": "a <b>", "2": "c"}, qrels={1: {"d": 1}, 3: {"d": 1}}).with_expansions({1: ["x", "y"]})
    assert (len(topics), topics["2"].title, topics[-1].qid) == (2, "c", "2")
    assert isinstance(topics[:1], ex.Topics)
    assert topics.qrels == {"1": {"d": 1}}
    assert repr(topics) == "<Topics in memory: 2 topics, 1 with expansions>"
    assert "a &lt;b&gt;" in topics._repr_html_()
    assert topics.to_pandas().to_dict("list") == {"qid": ["1", "2"], "title": ["a <b>", "c"], "expansions": [["x", "y"], []]}  # fmt: skip
    assert list(ex.Topics(topics.to_pandas())) == list(topics)
    topics.save(tmp_path / "topics.jsonl")
    assert read_topics(tmp_path / "topics.jsonl") == list(topics)


def test_expansions_of_other_topics_are_refused():
    with pytest.raises(ex.ExpandrError, match="1 ids are not among the topics"):
        ex.Topics({"1": "a"}).with_expansions({"2": "x"})


def test_what_is_not_known_of_topics_in_memory_is_an_error_that_says_how_to_give_it():
    topics = ex.Topics({"1": "a"})
    with pytest.raises(ex.ExpandrError, match="qrels="):
        _ = topics.qrels
    with pytest.raises(ex.ExpandrError, match="corpus="):
        _ = topics.corpus


@pytest.mark.parametrize(
    "data",
    [
        {"1": {"d1": 1, "d2": 0}},
        {1: {"d1": np.int64(1), "d2": 0.0}},
        pd.DataFrame({"qid": [1, 1], "docid": ["d1", "d2"], "grade": [1, 0]}),
        pd.DataFrame({"query_id": ["1", "1"], "doc_id": ["d1", "d2"], "relevance": [1, 0]}),
        pd.DataFrame({"query": ["1", "1"], "docno": ["d1", "d2"], "label": [1.0, 0.0]}),
    ],
)
def test_qrels_are_read_from_memory(data):
    assert ex.load_qrels(data) == {"1": {"d1": 1, "d2": 0}}


def test_qrels_are_read_from_a_path(tmp_path):
    (tmp_path / "qrels.txt").write_text("1 0 d1 1\n")
    assert ex.load_qrels(tmp_path / "qrels.txt") == ex.load_qrels(str(tmp_path / "qrels.txt")) == {"1": {"d1": 1}}


@pytest.mark.parametrize(
    "data",
    [
        {"1": {"d2": 1, "d1": 2.5}},
        {1: {"d2": np.float32(1), "d1": 2.5}},
        pd.DataFrame({"qid": [1, 1], "docid": ["d2", "d1"], "score": [1, 2.5]}),
        pd.DataFrame({"query_id": ["1", "1"], "docno": ["d2", "d1"], "rank": [2, 1], "score": [1, 2.5]}),
    ],
)
def test_runs_are_read_from_memory_best_first(data):
    run = ex.load_run(data)
    assert list(run["1"].items()) == [("d1", 2.5), ("d2", 1.0)]
    assert ex.load_run(run.to_pandas()) == run


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ({"1": ["d1"]}, r"run\['1'\]: is \['d1'\]"),
        ({"1": {"d1": "x"}}, r"run\['1'\]\['d1'\]: is 'x'; wanted a number"),
        ({"1": {"d1": float("inf")}}, "is infinite"),
        ({"1": {"d1": float("nan")}}, "is None; wanted a number"),
        (pd.DataFrame({"qid": ["1"], "score": [1]}), "has the columns qid, score; wanted one of"),
        (pd.DataFrame({"qid": ["1", "1"], "docid": ["d", "d"], "score": [1, 2]}), "document 'd' occurs twice"),
    ],
    ids=str,
)
def test_a_run_that_is_none_is_refused(data, problem):
    with pytest.raises(ex.ExpandrError, match=problem):
        ex.load_run(data)


def test_a_run_of_memory_is_saved_and_loaded_again_without_a_manifest(tmp_path):
    run = ex.Run({"1": {"d1": 2.5, "d2": 1.0}})
    run.save(tmp_path / "my.trec", tag="mine")
    assert (tmp_path / "my.trec").read_text() == "1 Q0 d1 1 2.5 mine\n1 Q0 d2 2 1 mine\n"
    assert [p.name for p in tmp_path.iterdir()] == ["my.trec"]
    assert ex.load_run(tmp_path / "my.trec") == run
    assert "<td>d1</td>" in run._repr_html_()


def test_scores_and_significance_take_whatever_runs_and_qrels_are_in(tmp_path):
    run = pd.DataFrame({"qid": [1, 1, 2], "docid": ["d1", "d2", "d3"], "score": [2, 1, 1]})
    (tmp_path / "b.trec").write_text("1 Q0 d2 1 1 x\n2 Q0 d3 1 1 x\n")
    qrels = {1: {"d2": 1}, 2: {"d3": 1}}
    assert ex.score(run, qrels, "MRR@10, P@1") == {"MRR@10": 0.75, "P@1": 0.5}
    assert ex.score(run, qrels, ["P@1"], per_topic=True) == {"P@1": {"1": 0.0, "2": 1.0}}
    found = ex.significance({"a": run, "b": tmp_path / "b.trec"}, qrels, ["MRR@10"])
    assert found.loc[0, ["metric", "baseline", "run", "mean", "difference", "wins", "ties", "losses"]].tolist() == ["MRR@10", "a", "b", 1.0, 0.25, 1, 1, 0]  # fmt: skip
    assert 0 < found.loc[0, "p"] <= found.loc[0, "p (Holm)"] <= 1
    assert "<table" in found._repr_html_()


def test_one_run_has_nothing_to_be_compared_with():
    with pytest.raises(ex.ExpandrError, match="two or more"):
        ex.significance({"a": {"1": {"d": 1.0}}}, {"1": {"d": 1}}, "P@1")
    with pytest.raises(ex.ExpandrError, match="wanted a dict"):
        ex.significance([{"1": {"d": 1.0}}], {"1": {"d": 1}}, "P@1")
