"""`ex.fuse`: runs of whatever shape into one, with its manifest; equal to ranx by the tests of its methods."""

from __future__ import annotations

import importlib
import json
import logging

import pytest

import expandr_repro as ex
from expandr_repro.errors import ExpandrError, MismatchError, UnknownNameError

A = {"q1": {"d1": 3.0, "d2": 2.0}, "q2": {"d1": 1.0}}
B = {"q1": {"d2": 0.9, "d3": 0.8}, "q2": {"d2": 0.5, "d1": 0.4}}


def test_ranks_are_added_and_ties_are_broken_by_docid():
    run = ex.fuse([{"q": {"d2": 2.0, "d1": 1.0}}, {"q": {"d1": 2.0, "d2": 1.0}}])

    assert list(run["q"]) == ["d1", "d2"]
    assert run["q"]["d1"] > run["q"]["d2"]


def test_ties_of_several_runs_do_not_depend_on_their_order():
    rankings = [["a", "b", "c"], ["b", "c", "a"], ["c", "a", "b"]]
    runs = [{"q": {d: 3.0 - n for n, d in enumerate(order)}} for order in rankings]

    for order in ([0, 1, 2], [2, 0, 1], [1, 2, 0]):
        assert list(ex.fuse([runs[i] for i in order], "rrf:k=7")["q"]) == ["a", "b", "c"]


def test_weights_and_normalisation_are_used_and_told_in_the_manifest():
    run = ex.fuse([A, B], "wsum", weights=[1, 0], norm="max")

    assert run["q1"] == pytest.approx({"d1": 1.0, "d2": 2 / 3, "d3": 0.0})
    assert run.manifest["weights"] == [1.0, 0.0]
    assert run.manifest["normalisation"] == "max"
    assert [r["name"] for r in run.manifest["runs"]] == ["run 1", "run 2"]


def test_the_fused_run_is_cut_at_hits():
    assert {q: len(r) for q, r in ex.fuse([A, B], hits=1).items()} == {"q1": 1, "q2": 1}


def test_a_topic_that_one_run_lacks_is_fused_from_the_others_and_reported(caplog):
    with caplog.at_level(logging.WARNING, "expandr_repro"):
        run = ex.fuse([A, {"q1": B["q1"]}], "sum")

    assert run["q2"] == {"d1": 0.0}
    assert "run 2: lacks 1 of 2 topics, which are fused from the other runs alone (first: q2)" in caplog.text


def test_a_saved_run_has_a_manifest_that_load_run_reads(tmp_path):
    ex.fuse([A, B], "rrf:k=20").save(tmp_path / "fused.trec")

    manifest = json.loads((tmp_path / "fused.trec.manifest.json").read_text(encoding="utf-8"))
    assert (manifest["retriever"], manifest["fusion"], manifest["fusion_parameters"]) == ("fused", "rrf", {"k": 20})
    assert ex.load_run(tmp_path / "fused.trec").manifest["fusion"] == "rrf"


def test_what_is_chosen_on_training_topics_is_used_and_told():
    train = [{"t1": {"d1": 2.0, "d2": 1.0}}, {"t1": {"d2": 2.0, "d1": 1.0}}]
    run = ex.fuse([A, B], "wsum", optimize="P@1", training_runs=train, training_qrels={"t1": {"d2": 1}})

    first, second = run.manifest["weights"]
    assert second > first
    assert run.manifest["optimized"]["chosen"] == {"weights": [first, second]}
    assert run.manifest["optimized"]["score"] == 1.0
    assert run.manifest["optimized"]["of"] == 11
    assert run.manifest["optimized"]["qrels"]["topics"] == 1


def test_a_parameter_is_chosen_as_ranx_does_the_last_of_the_best():
    train = [{"t1": {"d1": 2.0, "d2": 1.0}}, {"t1": {"d1": 2.0}}]
    run = ex.fuse([A, B], "rrf", optimize="P@1", training_runs=train, training_qrels={"t1": {"d1": 1}})

    assert run.manifest["fusion_parameters"] == {"k": 100}


def test_parameters_are_not_chosen_on_the_topics_that_are_fused():
    with pytest.raises(MismatchError, match="2 of 2 topics that are fused are among the training topics"):
        ex.fuse([A, B], "rrf", optimize="P@1", training_runs=[A, B], training_qrels={"q1": {"d1": 1}})


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([A],), ExpandrError, "one run has nothing to be fused with"),
        (([A, {"other": {"d": 1.0}}],), MismatchError, "have no topic in common"),
        (([A, B], "rff"), UnknownNameError, "did you mean 'rrf'"),
        (([A, B], "wsum"), ExpandrError, "needs weights, one for each of the 2 runs, or optimize"),
    ],
)
def test_what_cannot_be_fused_is_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        ex.fuse(*arguments)


def test_runs_without_a_document_in_common_are_of_different_collections():
    a = {f"q{n}": {f"a{n}": 1.0} for n in range(12)}
    b = {f"q{n}": {f"b{n}": 1.0} for n in range(12)}
    with pytest.raises(MismatchError, match="runs of different collections"):
        ex.fuse([a, b])


def test_runs_whose_manifests_name_different_collections_are_refused():
    a, b = ex.Run(A), ex.Run(B)
    a.manifest, b.manifest = {"collection": "scifact"}, {"collection": "nfcorpus/dev"}
    with pytest.raises(MismatchError, match="its manifest says that nfcorpus was searched, and run 1 is of scifact"):
        ex.fuse([a, b])


def test_a_normalisation_for_a_method_of_ranks_is_refused():
    with pytest.raises(ExpandrError, match="looks at ranks alone"):
        ex.fuse([A, B], "rrf", norm="max")


def test_the_function_stays_when_the_folder_of_its_name_is_imported():
    assert importlib.import_module("expandr_repro.fuse").__name__ == "expandr_repro.fuse"
    importlib.import_module("expandr_repro.fuse.methods")

    assert list(ex.fuse([A, B])["q2"]) == ["d1", "d2"]
