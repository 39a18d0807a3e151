"""Studies: what is compared with what, from run files and from regressions."""

from __future__ import annotations

from pathlib import Path

import pytest

from expandr_repro.errors import ExpandrError, FormatError, NotAvailableError, UnknownNameError
from expandr_repro.regress.conditions.reading import named
from expandr_repro.regress.conditions.shapes import Condition
from expandr_repro.report.conditions import studies_of
from expandr_repro.report.studies import OWN, study_of, title_of

ROOT = Path(__file__).parents[3]
REFERENCE = ROOT / "runs" / "reference"
RUNS = ["none.trec", "a.trec", "b.trec"]


def pocket(*names: str) -> list[Condition]:
    return [c for name in names for c in named(ROOT / "regressions", name)]


def test_one_set_of_expansions_goes_to_all_runs_but_the_baseline():
    study = study_of(RUNS, "pocket", expansions=["x.jsonl"])
    assert [(e.name, e.expansions) for e in study.entries] == [("none", None), ("a", "x.jsonl"), ("b", "x.jsonl")]
    assert study.topics == "pocket"


def test_several_sets_go_to_the_runs_in_their_order_round_the_baseline():
    study = study_of(RUNS, "pocket", expansions=["x.jsonl", "none"], baseline="a")
    assert [(e.name, e.expansions) for e in study.entries] == [("a", None), ("none", "x.jsonl"), ("b", None)]


def test_without_expansions_the_topics_own_are_meant():
    assert [e.expansions for e in study_of(RUNS, "pocket").entries] == [None, OWN, OWN]


def test_judgements_in_a_file_say_nothing_of_topics():
    assert study_of(RUNS, "qrels.txt").topics is None


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ({"runs": RUNS[:1]}, ExpandrError, "give two or more"),
        ({"runs": [*RUNS, RUNS[0]]}, ExpandrError, "given twice"),
        ({"baseline": "nome"}, UnknownNameError, "unknown baseline 'nome': did you mean 'none'"),
        ({"expansions": ["x"] * 3}, ExpandrError, "found 3 for 2 runs"),
        ({"expansions": ["x"], "qrels": "qrels.txt"}, ExpandrError, "give --topics"),
    ],
)
def test_what_does_not_make_a_study_is_refused(arguments, error, says):
    with pytest.raises(error, match=says):
        study_of(**{"runs": RUNS, "qrels": "pocket", **arguments})


def test_a_runs_title_is_what_its_manifest_says(write):
    write("a.trec.manifest.json", '{"retriever": "dense", "fusion": "mean"}')
    write("b.json", '{"title": "MiniLM"}')
    assert title_of(write("a.trec", "")) == "dense, fusion mean"
    assert title_of(write("b.trec.gz", "")) == "MiniLM"
    assert title_of(write("c.trec", "")) == ""


def test_conditions_make_a_study_for_each_retriever_the_one_without_expansions_first():
    studies = studies_of(pocket("pocket.*"), REFERENCE)
    assert [(s.retriever, [e.name for e in s.entries]) for s in studies] == [
        ("BM25", ["pocket.bm25.none", "pocket.bm25.own.repeat", "pocket.bm25.own.rrf"]),
        ("MiniLM", ["pocket.minilm.none", "pocket.minilm.own.mean", "pocket.minilm.own.rrf"]),
    ]
    assert [e.expansions for e in studies[0].entries] == [None, OWN, OWN]


def test_a_baseline_sets_conditions_of_several_retrievers_side_by_side():
    (study,) = studies_of(pocket("pocket.bm25.none", "pocket.minilm.none"), REFERENCE, "pocket.minilm.none")
    assert [e.name for e in study.entries] == ["pocket.minilm.none", "pocket.bm25.none"]


@pytest.mark.parametrize(
    ("names", "baseline", "error", "says"),
    [
        (["pocket.minilm.none"], None, ExpandrError, "pocket.minilm.none: has nothing to be compared with"),
        (["pocket.minilm.*"], "pocket.minilm.nome", UnknownNameError, "did you mean 'pocket.minilm.none'"),
        (["pocket.minilm.*", "cacm.bm25.none"], "pocket.minilm.none", ExpandrError, "is of pocket, and cacm.bm25.none of cacm"),
        (["arguana.contriever.none", "arguana.contriever-msmarco.none"], "arguana.contriever.none", NotAvailableError, "no such reference run"),
    ],
)  # fmt: skip
def test_conditions_that_cannot_be_compared_are_refused(names, baseline, error, says):
    with pytest.raises(error, match=says):
        studies_of(pocket(*names), REFERENCE, baseline)


def test_a_condition_that_cannot_be_read_is_an_error_and_not_passed_over():
    with pytest.raises(FormatError, match=r"^x.yaml: broken$"):
        studies_of([Condition("x", Path("x.yaml"), None, "x.yaml: broken")], REFERENCE)
