"""Every score is held against trec_eval itself, which pytrec_eval wraps."""

from __future__ import annotations

import numpy as np
import pytest
import pytrec_eval
from hypothesis import given, settings
from hypothesis import strategies as st

from expandr_repro.data import run_blocks
from expandr_repro.data.trec import Qrels, Run, read_run
from expandr_repro.errors import MismatchError
from expandr_repro.evaluate import scoring as ranx
from expandr_repro.evaluate.metrics import Measure, parse_measure
from expandr_repro.evaluate.scoring import Scorer, evaluate, evaluate_file
from unit.strategies import grades, scores

TREC_EVAL = {
    "nDCG@10": "ndcg_cut_10",
    "nDCG@3": "ndcg_cut_3",
    "nDCG": "ndcg",
    "MAP": "map",
    "MAP@5": "map_cut_5",
    "MRR": "recip_rank",
    "R@5": "recall_5",
    "R@100": "recall_100",
    "P@1": "P_1",
    "P@5": "P_5",
    "P@30": "P_30",
    "Success@1": "success_1",
    "Success@5": "success_5",
}
GRADED = {name: official for name, official in TREC_EVAL.items() if not name.startswith("nDCG")}


def trec_eval(run: Run, qrels: Qrels, rel: int = 1) -> dict[str, dict[str, float]]:
    families = {"ndcg", "map", "recip_rank", "ndcg_cut.3,10", "map_cut.5", "recall.5,100", "P.1,5,30", "success.1,5"}
    return pytrec_eval.RelevanceEvaluator(qrels, families, relevance_level=rel).evaluate(run)


def assert_agrees(run: Run, qrels: Qrels, rel: int = 1) -> None:
    """Compare each topic's figures; a topic that trec_eval leaves out scores 0."""
    official = trec_eval(run, qrels, rel)
    names = TREC_EVAL if rel == 1 else GRADED
    measures = {name: Measure(parse_measure(name).name, parse_measure(name).depth, rel) for name in names}
    figures = evaluate(run, qrels, list(measures.values()))
    for name, measure in measures.items():
        wanted = [official.get(qid, {}).get(names[name], 0.0) for qid in figures.qids]
        assert figures.per_topic[measure].tolist() == pytest.approx(wanted, abs=1e-9), name


RUN: Run = {
    "q1": {"d1": 3.0, "d2": 2.0, "d3": 1.0, "d4": 0.5},
    "q2": {"d9": 1.0, "d10": 1.0, "d2": 1.0, "d1": 1.0},
    "q3": {"d5": 0.25},
}
QRELS: Qrels = {"q1": {"d3": 1, "d1": 0, "d7": 2}, "q2": {"d10": 1, "d9": 3, "d1": 0}, "q3": {"d5": 2}}


def test_figures_agree_with_trec_eval_on_graded_judgements():
    assert_agrees(RUN, QRELS)


@pytest.mark.parametrize("rel", [2, 3])
def test_figures_agree_with_trec_eval_at_a_higher_relevance_level(rel):
    assert_agrees(RUN, QRELS, rel)


def test_ties_are_broken_as_trec_eval_breaks_them():
    run = {"q": dict.fromkeys(("a", "c", "b", "é", "z", "10", "9"), 1.0)}
    for relevant in run["q"]:
        assert_agrees(run, {"q": {relevant: 1}})


def test_scores_that_are_equal_in_single_precision_are_ties():
    run = {"q": {"a": 1.0 + 1e-10, "b": 1.0}}

    assert evaluate(run, {"q": {"a": 1}}, [Measure("MRR")]).mean(Measure("MRR")) == 0.5
    assert_agrees(run, {"q": {"a": 1}})


def test_the_order_of_the_input_does_not_matter():
    backwards = {qid: dict(reversed(ranked.items())) for qid, ranked in reversed(RUN.items())}
    measures = [parse_measure(name) for name in TREC_EVAL]

    one, other = evaluate(RUN, QRELS, measures), evaluate(backwards, QRELS, measures)
    for measure in measures:
        assert one.per_topic[measure].tolist() == other.per_topic[measure].tolist()


def test_negative_grades_gain_nothing():
    qrels = {"q1": {"d1": -1, "d2": 1, "d3": -2, "d4": 2}}

    assert_agrees({"q1": RUN["q1"]}, qrels)


def test_a_topic_with_negative_grades_alone_scores_0():
    """trec_eval overruns its memory on such a topic, so it is not asked."""
    figures = evaluate({"q": {"a": 2.0, "b": 1.0}}, {"q": {"a": -1, "b": -2}}, [parse_measure(m) for m in TREC_EVAL])

    assert {figures.mean(measure) for measure in figures.per_topic} == {0.0}


def test_a_topic_with_nothing_relevant_scores_0():
    qrels = {"q1": {"d1": 0, "d9": 0}, "q3": {"d5": 1}}
    figures = evaluate(RUN, qrels, [parse_measure(name) for name in TREC_EVAL])

    assert {float(values[0]) for values in figures.per_topic.values()} == {0.0}
    assert_agrees(RUN, qrels)


def test_a_judged_topic_that_the_run_misses_scores_0_and_counts():
    figures = evaluate({"q3": {"d5": 1.0}}, QRELS, [Measure("MRR")])

    assert figures.missing == ["q1", "q2"]
    assert figures.per_topic[Measure("MRR")].tolist() == [0.0, 0.0, 1.0]
    assert figures.mean(Measure("MRR")) == pytest.approx(1 / 3)


def test_a_topic_without_documents_is_missing():
    figures = evaluate({"q1": {}, "q3": {"d5": 1.0}}, {"q1": {"d1": 1}, "q3": {"d5": 1}}, [Measure("MRR")])

    assert figures.missing == ["q1"]
    assert figures.per_topic[Measure("MRR")].tolist() == [0.0, 1.0]


def test_a_run_of_topics_without_documents_scores_0():
    assert evaluate({"q1": {}}, {"q1": {"d1": 1}}, [Measure("MRR")]).mean(Measure("MRR")) == 0.0


def test_topics_without_judgements_do_not_count():
    figures = evaluate({**RUN, "zz": {"d1": 1.0}}, QRELS, [Measure("nDCG", 10)])

    assert figures.unjudged == ["zz"]
    assert figures.qids == ["q1", "q2", "q3"]
    assert figures.mean(Measure("nDCG", 10)) == evaluate(RUN, QRELS, [Measure("nDCG", 10)]).mean(Measure("nDCG", 10))


@pytest.mark.parametrize("run", [{"x": {"d1": 1.0}}, {}])
def test_judgements_of_other_topics_are_refused(run):
    with pytest.raises(
        MismatchError, match=r"^mine\.txt: the judgements judge none of its \d topics .*'q1'\); are these"
    ):
        evaluate(run, QRELS, [Measure("MAP")], "mine.txt")


def test_the_reciprocal_rank_can_be_cut():
    run = {"q": {"a": 3.0, "b": 2.0, "c": 1.0}}
    figures = evaluate(run, {"q": {"c": 1}}, [Measure("MRR", 2), Measure("MRR", 3)])

    assert figures.mean(Measure("MRR", 2)) == 0.0
    assert figures.mean(Measure("MRR", 3)) == pytest.approx(1 / 3)


def test_topics_evaluated_in_parts_have_the_same_figures(monkeypatch):
    rng = np.random.default_rng(0)
    run = {f"q{i}": {f"d{j}": float(rng.random()) for j in range(i % 7 + 1)} for i in range(20)}
    qrels = {f"q{i}": {f"d{j}": int(rng.integers(0, 3)) for j in range(i % 5 + 1)} for i in range(20)}
    measures = [parse_measure(name) for name in TREC_EVAL]
    whole = evaluate(run, qrels, measures)

    monkeypatch.setattr(ranx, "TOPICS_AT_ONCE", 3)
    parts = evaluate(run, qrels, measures)
    for measure in measures:
        assert parts.per_topic[measure].tolist() == whole.per_topic[measure].tolist()
    assert_agrees(run, qrels)


docids = st.sampled_from(["d1", "d10", "d2", "D2", "é", "z", "0", "00", "a_b"])
topics = st.sampled_from(["1", "2", "3"])
any_run = st.dictionaries(topics, st.dictionaries(docids, scores, min_size=1), min_size=1)
judged = st.dictionaries(docids, grades, min_size=1).filter(lambda j: max(j.values()) >= 0)  # else trec_eval crashes
any_qrels = st.dictionaries(topics, judged, min_size=1)


@settings(max_examples=40)
@given(any_run, any_qrels, st.sampled_from([1, 1, 2]))
def test_figures_agree_with_trec_eval_whatever_the_run(run, qrels, rel):
    if set(run) & set(qrels):
        assert_agrees(run, qrels, rel)


def test_only_the_metrics_of_ranx_are_loaded_and_the_whole_of_it_can_be_imported_afterwards():
    import subprocess
    import sys

    program = """
import sys
from expandr_repro.evaluate.scoring import Scorer, evaluate, evaluate_file
from expandr_repro.data import run_blocks
from expandr_repro.evaluate.metrics import parse_measures
found = evaluate({"1": {"a": 2.0, "b": 1.0}}, {"1": {"b": 1}}, parse_measures("nDCG@10"))
assert not {"ir_datasets", "seaborn", "ranx.data_structures", "ranx"} & set(sys.modules), "more than the metrics"
import ranx
whole = ranx.evaluate(ranx.Qrels({"1": {"b": 1}}), ranx.Run({"1": {"a": 2.0, "b": 1.0}}), "ndcg@10")
(ours,) = found.per_topic.values()
assert abs(whole - ours[0]) < 1e-12
assert evaluate({"1": {"a": 2.0, "b": 1.0}}, {"1": {"b": 1}}, parse_measures("nDCG@10")).per_topic
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


THREE = [parse_measure(name) for name in ("nDCG@10", "R@5", "MAP")]

JUDGED: Qrels = {"q0": {"d0": 2, "d3": 1}, "q1": {"d1": 1}, "q2": {"d9": 1}, "gone": {"d1": 1}}


def lines(order):
    return "".join(f"q{n % 4} Q0 d{n % 7} 1 {20 - n}.5 x\n" for n in order)


@pytest.mark.parametrize(
    "text",
    [
        lines(sorted(range(24), key=lambda n: n % 4)),  # topic by topic
        lines(range(24)),  # topics scattered
        lines(sorted(range(24), key=lambda n: n % 4)).replace(" ", "\t"),  # read with care
        lines(sorted(range(24), key=lambda n: n % 4)) + "q0 Q0 d8 9 0.5 x\n",  # scattered at the very end
    ],
)
@pytest.mark.parametrize("block", [1, 50, 1 << 17])
def test_a_file_gives_the_figures_of_the_run_in_it_however_it_is_read(tmp_path, monkeypatch, text, block):
    path = tmp_path / "run.trec"
    path.write_text(text)
    monkeypatch.setattr(run_blocks, "BLOCK", block)
    whole = evaluate(read_run(path), JUDGED, THREE, str(path))
    seen = {}
    found = evaluate_file(path, JUDGED, THREE, seen.update)
    assert (found.qids, found.missing, found.unjudged, found.ranked, found.met) == (whole.qids, ["gone"], ["q3"], whole.ranked, whole.met)  # fmt: skip
    for measure in THREE:
        np.testing.assert_array_equal(found.per_topic[measure], whole.per_topic[measure])
    assert seen == read_run(path)


def test_a_file_of_other_topics_is_refused_by_its_name(tmp_path):
    (tmp_path / "run.trec").write_text("x1 Q0 d1 1 2.5 x\n")
    with pytest.raises(
        MismatchError, match=r"run\.trec: the judgements judge none of its 1 topics \(the run has e\.g\. 'x1'"
    ):
        evaluate_file(tmp_path / "run.trec", JUDGED, THREE)


def test_topics_scored_some_at_a_time_have_the_figures_of_all_together():
    run = {f"q{t}": {f"d{d}": float(-d * (t + 1) % 5) for d in range(9)} for t in range(3)}
    scorer = Scorer(JUDGED, THREE)
    for qid in reversed(run):
        scorer.add({qid: run[qid]})
    whole = evaluate(run, JUDGED, THREE)
    for measure in THREE:
        np.testing.assert_array_equal(scorer.figures().per_topic[measure], whole.per_topic[measure])
