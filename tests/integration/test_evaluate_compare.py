"""`evaluate` and `compare` on real runs: scores, formats, tests, plot."""

from __future__ import annotations

import json

import pytest


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two runs of pocket: query alone and mean."""
    from expandr_repro.search import __main__ as search

    folder = tmp_path_factory.mktemp("runs")
    for fusion in ("none", "mean"):
        assert (
            search.main(
                ["--topics", "pocket", "--fusion", fusion, "--output", str(folder / f"{fusion}.trec"), "--quiet"]
            )
            == 0
        )
    return folder


def test_evaluate_gives_the_figures_that_search_gave(command, runs):
    result = command("evaluate", "--qrels", "pocket", runs / "none.trec", runs / "mean.trec")
    assert result.code == 0, result.err
    rows = {line.split()[0]: line.split()[1:] for line in result.out.splitlines()[1:]}
    assert rows["none.trec"][0] == "0.5836"
    assert rows["mean.trec"][0] == "0.7922"


def test_per_topic_figures_average_to_the_mean(command, runs):
    result = json.loads(
        command("evaluate", "--qrels", "pocket", "--per-topic", "--format", "json", runs / "mean.trec").out
    )[0]
    assert len(result["per_topic"]) == 72
    mean = sum(t["nDCG@10"] for t in result["per_topic"].values()) / 72
    assert mean == pytest.approx(result["nDCG@10"], abs=1e-12)


def test_a_judged_topic_that_the_run_misses_scores_zero_and_is_reported(command, runs, tmp_path):
    lines = (runs / "mean.trec").read_text().splitlines(keepends=True)
    (tmp_path / "short.trec").write_text("".join(line for line in lines if not line.startswith("plants-")))
    result = command("evaluate", "--qrels", "pocket", "--per-topic", "--format", "json", tmp_path / "short.trec")
    assert "6 judged topics are not in the run and score 0" in result.err
    found = json.loads(result.out)[0]
    assert found["missing"] == 6
    assert found["per_topic"]["plants-1"]["nDCG@10"] == 0.0


@pytest.mark.parametrize("form", ["text", "markdown", "latex", "json"])
def test_every_format_carries_the_figures(command, runs, form):
    result = command("compare", "--qrels", "pocket", runs / "none.trec", runs / "mean.trec", "--format", form)
    assert result.code == 0
    assert "0.5836" in result.out or "0.58358" in result.out
    if form == "json":
        comparison = json.loads(result.out)["comparisons"][0]
        assert comparison["better"] + comparison["equal"] + comparison["worse"] == 72
        assert comparison["difference"] == pytest.approx(0.2086, abs=0.0005)
        assert comparison["p"] == comparison["p_holm"] < 1e-10


def test_students_and_fishers_tests_agree_that_the_difference_is_real(command, runs):
    for test in ("student", "fisher"):
        result = command(
            "compare", "--qrels", "pocket", runs / "none.trec", runs / "mean.trec", "--test", test, "--format", "json"
        )
        assert json.loads(result.out)["comparisons"][0]["p"] < 0.001


def test_holm_multiplies_by_the_number_of_comparisons(command, runs, tmp_path):
    from expandr_repro.search import __main__ as search

    search.main(["--topics", "pocket", "--fusion", "rrf", "--output", str(tmp_path / "rrf.trec"), "--quiet"])
    result = command(
        "compare",
        "--qrels",
        "pocket",
        "--all-pairs",
        "--metrics",
        "nDCG@10",
        "--format",
        "json",
        runs / "none.trec",
        runs / "mean.trec",
        tmp_path / "rrf.trec",
    )
    comparisons = json.loads(result.out)["comparisons"]
    assert [(c["a"], c["b"]) for c in comparisons] == [("none", "mean"), ("none", "rrf"), ("mean", "rrf")]
    smallest = min(comparisons, key=lambda c: c["p"])
    assert smallest["p_holm"] == pytest.approx(3 * smallest["p"])


def test_the_plot_is_a_png_and_the_same_again(command, runs, tmp_path):
    for name in ("a.png", "b.png"):
        assert (
            command(
                "compare", "--qrels", "pocket", runs / "none.trec", runs / "mean.trec", "--plot", tmp_path / name
            ).code
            == 0
        )
    assert (tmp_path / "a.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_a_plot_of_an_unknown_kind_is_refused(command, runs, tmp_path):
    result = command(
        "compare", "--qrels", "pocket", runs / "none.trec", runs / "mean.trec", "--plot", tmp_path / "a.xyz"
    )
    assert result.code == 2
    assert "use .png, .pdf or .svg" in result.error


def test_one_run_has_nothing_to_be_compared_with(command, runs):
    result = command("compare", "--qrels", "pocket", runs / "mean.trec")
    assert result.code == 2
    assert "give two or more" in result.error


def test_per_topic_differences_come_with_the_largest_loss_first(command, runs):
    out = command(
        "compare", "--qrels", "pocket", "--metrics", "nDCG@10", "--per-topic", runs / "none.trec", runs / "mean.trec"
    ).out
    listed = [float(line.split()[-1]) for line in out.split("Δ\n")[-1].splitlines() if line.strip()]
    assert len(listed) == 72
    assert listed == sorted(listed)
