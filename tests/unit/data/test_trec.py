from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expandr_repro.data.trec import (
    read_qrels,
    read_run,
    strictly_decreasing,
    trec_order,
    without_own_id,
    write_qrels,
    write_run,
)
from expandr_repro.errors import FormatError
from unit.strategies import grades, ids, rankings

runs = st.dictionaries(ids, rankings, min_size=1, max_size=3)
qrels_files = st.dictionaries(
    ids.filter(lambda q: q.lower() not in ("query-id", "query_id", "qid")),
    st.dictionaries(ids, grades, min_size=1, max_size=6),
    min_size=1,
    max_size=3,
)


@given(rankings)
def test_scores_become_strictly_decreasing_in_single_precision(ranked):
    scores = np.array(list(strictly_decreasing(ranked).values()))

    assert (scores.astype(np.float32) == scores).all()
    assert (np.diff(scores.astype(np.float32)) < 0).all()


@given(rankings)
def test_the_order_of_scores_is_kept_and_ties_go_by_docid(ranked):
    assert list(strictly_decreasing(ranked)) == sorted(ranked, key=lambda d: (-ranked[d], d))


@given(rankings)
def test_strictly_decreasing_scores_stay_as_they_are(ranked):
    once = strictly_decreasing(ranked)

    assert strictly_decreasing(once) == once


def test_a_tie_is_lowered_by_the_least_step():
    one, below = np.float32(1), np.nextafter(np.float32(1), np.float32(0))

    assert strictly_decreasing({"b": 1.0, "a": 1.0}) == {"a": float(one), "b": float(below)}


def test_a_score_pushed_down_onto_its_successor_pushes_it_down_too():
    below = float(np.nextafter(np.float32(1), np.float32(0)))

    assert list(strictly_decreasing({"a": 1.0, "b": 1.0, "c": below})) == ["a", "b", "c"]
    assert strictly_decreasing({"a": 1.0, "b": 1.0, "c": below})["c"] < below


def test_scores_that_differ_in_double_precision_alone_keep_their_order():
    assert list(strictly_decreasing({"a": 0.1, "b": 0.1 + 1e-12})) == ["b", "a"]


@given(runs, st.sampled_from(["r.txt", "r.txt.gz"]))
def test_a_run_is_read_as_it_was_written(tmp_path_factory, run, name):
    path = tmp_path_factory.getbasetemp() / name
    write_run(path, run)

    read = read_run(path)
    assert list(read) == list(run)
    for qid, ranked in run.items():
        wanted = strictly_decreasing(ranked)
        assert list(read[qid]) == list(wanted)
        assert np.float32(list(read[qid].values())).tolist() == list(wanted.values())


@given(runs)
def test_writing_a_read_run_again_gives_the_same_bytes(tmp_path_factory, run):
    first, second = (tmp_path_factory.getbasetemp() / name for name in ("first.txt", "second.txt"))
    write_run(first, run)
    write_run(second, read_run(first))

    assert first.read_bytes() == second.read_bytes()


def test_a_run_is_written_in_six_columns_best_first(tmp_path):
    write_run(tmp_path / "r.txt", {"q1": {"a": 0.5, "b": 1.5}}, tag="mine")

    assert (tmp_path / "r.txt").read_text() == "q1 Q0 b 1 1.5 mine\nq1 Q0 a 2 0.5 mine\n"


def test_ranks_and_white_space_of_a_run_do_not_matter(write):
    assert read_run(write("r.txt", "q1\tQ0\ta 99  1e-1 tag\n\n q1 Q0 b 1 2 tag\r\n")) == {"q1": {"a": 0.1, "b": 2.0}}


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("q1 Q0 a 1 0.5", "5 columns; a run line has six: qid Q0 docid rank score tag"),
        ("q1 Q0 a 1 0.5 my tag", "more than 6 columns; a run line has six"),
        ("q1 Q0 a 1 high tag", "the score 'high' is not a number"),
        ("q1 Q0 a 1 nan tag", "the score 'nan' is not finite"),
        ("q1 Q0 a 1 inf tag", "the score 'inf' is not finite"),
        ("q1 Q0 z 2 0.1 tag", "document 'z' occurs twice for topic 'q1'"),
    ],
)
def test_a_broken_run_line_names_file_and_line(write, line, problem):
    path = write("r.txt", f"q1 Q0 z 1 1 tag\n{line}\n")

    with pytest.raises(FormatError) as caught:
        read_run(path)
    assert str(caught.value).startswith(f"{path}, line 2: {problem}")


def test_a_document_may_be_found_for_two_topics(write):
    assert read_run(write("r.txt", "q1 Q0 a 1 1 t\nq2 Q0 a 1 2 t\n")) == {"q1": {"a": 1.0}, "q2": {"a": 2.0}}


def test_an_empty_run_is_refused(write):
    with pytest.raises(FormatError, match=r"r\.txt: contains no run lines; was the search that wrote it complete"):
        read_run(write("r.txt", "\n"))


@given(rankings)
def test_trec_order_ranks_by_single_precision_and_then_by_docid_descending(ranked):
    ordered = trec_order({"q": ranked})["q"]

    by_docid = sorted(ranked, reverse=True)
    assert list(ordered) == sorted(by_docid, key=lambda d: -np.float32(ranked[d]))


@given(rankings)
def test_trec_order_counts_down_to_one(ranked):
    assert list(trec_order({"q": ranked})["q"].values()) == [float(n) for n in range(len(ranked), 0, -1)]


@given(rankings)
def test_trec_order_leaves_a_strictly_decreasing_ranking_alone(ranked):
    strict = strictly_decreasing(ranked)

    assert list(trec_order({"q": strict})["q"]) == list(strict)


def test_trec_order_keeps_a_topic_without_documents():
    assert trec_order({"q": {}}) == {"q": {}}


@given(qrels_files)
def test_judgements_are_read_as_they_were_written(tmp_path_factory, qrels):
    path = tmp_path_factory.getbasetemp() / "qrels.txt"
    write_qrels(path, qrels)

    assert read_qrels(path) == qrels


@given(qrels_files)
def test_judgements_of_beir_are_read(tmp_path_factory, qrels):
    path = tmp_path_factory.getbasetemp() / "test.tsv"
    lines = [f"{q}\t{d}\t{g}\n" for q, judged in qrels.items() for d, g in judged.items()]
    path.write_text("query-id\tcorpus-id\tscore\n" + "".join(lines), encoding="utf-8", newline="\n")

    assert read_qrels(path) == qrels


def test_judgements_of_beir_may_lack_the_header(write):
    assert read_qrels(write("t.tsv", "1\td1\t2\n1\td2\t0\n")) == {"1": {"d1": 2, "d2": 0}}


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("1 d1", "2 columns; wanted `qid 0 docid grade` (TREC) or `qid docid grade` (BEIR)"),
        ("1 0 d1 1 x", "more than 4 columns"),
        ("1 0 d1 yes", "the grade 'yes' is not a whole number"),
        ("1 0 d1 0.5", "the grade '0.5' is not a whole number"),
        ("1 0 d1 5000", "the grade 5000 is too large"),
        ("1 0 z 2", "document 'z' is judged twice for topic '1', as 1 and 2"),
    ],
)
def test_a_broken_judgement_names_file_and_line(write, line, problem):
    path = write("qrels.txt", f"1 0 z 1\n{line}\n")

    with pytest.raises(FormatError) as caught:
        read_qrels(path)
    assert str(caught.value).startswith(f"{path}, line 2: {problem}")


def test_the_same_judgement_twice_is_no_contradiction(write):
    assert read_qrels(write("qrels.txt", "1 0 a 1\n1 0 a 1\n")) == {"1": {"a": 1}}


def test_a_file_without_judgements_is_refused(write):
    with pytest.raises(FormatError, match=r"qrels\.tsv: contains no relevance judgments"):
        read_qrels(write("qrels.tsv", "query-id\tcorpus-id\tscore\n"))


def test_a_topics_own_document_is_taken_out_before_the_cut():
    run = {"a": {"a": 3.0, "b": 2.0, "c": 1.0}, "x": {"b": 2.0, "a": 1.0, "c": 0.5}}

    assert without_own_id(run, 2) == {"a": {"b": 2.0, "c": 1.0}, "x": {"b": 2.0, "a": 1.0}}


def test_a_trec_qrels_file_whose_first_topic_is_called_qid_keeps_its_first_line(tmp_path):
    path = tmp_path / "qrels"
    path.write_text("qid 0 d1 1\nq2 0 d1 1\n")
    assert read_qrels(path) == {"qid": {"d1": 1}, "q2": {"d1": 1}}


def test_a_ranking_in_order_gives_what_the_same_ranking_in_disorder_gives():
    for scores in (
        [3.0, 2.0, 1.0],
        [math.inf, 2.0, -math.inf],
        [1e300, 1e299, 1.0],
        [1 + 1e-12, 1.0, 0.5],
        [2.0, 2.0, 1.0],
    ):
        ranked = {f"d{n}": score for n, score in enumerate(scores)}
        mixed = dict(reversed(ranked.items()))
        assert list(strictly_decreasing(ranked).items()) == list(strictly_decreasing(mixed).items())
        assert list(trec_order({"q": ranked})["q"].items()) == list(trec_order({"q": mixed})["q"].items())


@pytest.mark.parametrize("score", ["1_0", "\u0661", "1e39", "-1e39", "3.4028235677973366e38", "1e999"])
def test_a_score_that_other_tools_read_otherwise_is_refused(write, score):
    with pytest.raises(FormatError, match=r"the score .* is (not a number|beyond single precision|not finite)"):
        read_run(write("r.txt", f"q1 Q0 a 1 {score} t\n"))


@pytest.mark.parametrize("grade", ["1_0", "\u0661"])
def test_a_grade_that_other_tools_read_otherwise_is_refused(write, grade):
    with pytest.raises(FormatError, match=r"the grade .* is not a whole number"):
        read_qrels(write("q.txt", f"1 0 a {grade}\n"))


@pytest.mark.parametrize("odd", ["\u00a0", "\u3000", "\x1c", "\x1f", "\x85", "\u2028"])
def test_white_space_that_trec_eval_does_not_know_is_refused(write, odd):
    for read, line in (
        (read_run, f"q1 Q0 a{odd}1 0.5 t\n"),
        (read_run, f"q1 Q0 a 1 0.5 {odd}t\n"),
        (read_qrels, f"1 0{odd}a 1\n"),
    ):
        with pytest.raises(
            FormatError, match=r"line 1: holds .*, which is white space to some tools and not to others"
        ):
            read(write("x.txt", line))


def test_a_byte_order_mark_at_the_start_is_taken_off_and_one_anywhere_else_is_refused(write):
    for read, line in ((read_run, "q1 Q0 a 1 0.5 t\n"), (read_qrels, "1 0 a 1\n")):
        assert read(write("x.txt", "\ufeff" + line)) == read(write("y.txt", line))
        for content in (f"\ufeff\ufeff{line}", f"x{line}\ufeff{line}"):
            with pytest.raises(FormatError, match=r"line [12]: the qid .* begins with a byte order mark"):
                read(write("x.txt", content))
    assert read_qrels(write("q.tsv", "\ufeffquery-id\tcorpus-id\tscore\n1\ta\t1\n")) == {"1": {"a": 1}}


def test_ties_at_the_least_number_there_is_are_written_as_numbers(write, tmp_path):
    least = float(np.finfo(np.float32).min)
    run = {"q": {"a": 1.0, "b": least, "c": least, "d": least}}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_run(tmp_path / "r.txt", run)

    assert list(read_run(tmp_path / "r.txt")["q"]) == ["a", "b", "c", "d"]
    assert read_run(write("torch.txt", "q Q0 a 1 -3.4028235e+38 t\n")) == {"q": {"a": -3.4028235e38}}


def test_a_line_of_words_without_end_is_not_taken_apart(write):
    for read in (read_run, read_qrels):
        with pytest.raises(FormatError, match=r"more than [46] columns"):
            read(write("x.txt", "a " * 100_000 + "\n"))
