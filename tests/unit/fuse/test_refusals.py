"""What a fusion refuses: scores that rank nothing, and options of a retriever that does not search."""

from __future__ import annotations

import warnings

import pytest

from expandr_repro.errors import ExpandrError
from expandr_repro.fuse import __main__ as fuse
from expandr_repro.fuse.fusing import Input
from expandr_repro.fuse.fusing import fuse as fuse_inputs
from expandr_repro.fuse.methods import method_named

RUNS = [Input("a", {"q": {"x": 2.0, "y": 1.0}}, {}), Input("b", {"q": {"x": 3.0, "y": 1.0}}, {})]


@pytest.mark.parametrize("method", ["gmnz:gamma=1e9", "gmnz:gamma=500"])
def test_scores_that_are_not_finite_are_an_error_and_no_ranking_by_docid(method):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ExpandrError, match="a score of topic 'q' is not finite"):
            fuse_inputs(RUNS, method_named(method))


@pytest.mark.parametrize(
    ("retrievers", "words", "named"),
    [
        ("dense:none,dense:rocchio", ["--k1", "1.2"], "--k1: applies only where one of --retrievers is bm25"),
        ("dense:none,dense:rrf", ["--b", "0.5"], "--b: applies only where one of --retrievers is bm25"),
        ("bm25:none, bm25:rm3", ["--device", "cpu"], "--device: applies only where one of --retrievers is dense"),
        ("bm25:none,bm25:rm3", ["--encoder", "contriever"], "--encoder: applies only where one of --retrievers is"),
    ],
)
def test_an_option_of_a_retriever_that_does_not_search_is_refused(retrievers, words, named, capsys):
    assert fuse.main(["--topics", "pocket", "--retrievers", retrievers, *words]) == 2
    assert capsys.readouterr().err.startswith(f"error: {named}")


def test_a_fused_run_that_is_cut_below_a_metrics_depth_is_reported(tmp_path, capsys):
    for name in "ab":
        (tmp_path / name).write_text("".join(f"q Q0 d{n} {n} {20 - n} {name}\n" for n in range(1, 13)))
    (tmp_path / "qrels").write_text("q 0 d3 1\n")
    words = [str(tmp_path / "a"), str(tmp_path / "b"), "--qrels", str(tmp_path / "qrels"), "--metrics", "nDCG@10"]
    assert fuse.main(words) == 0
    assert "not comparable" not in capsys.readouterr().err
    assert fuse.main([*words, "--hits", "5"]) == 0
    assert "nDCG@10 is not comparable: fused ranks at most 5 documents per topic, a 12" in capsys.readouterr().err
