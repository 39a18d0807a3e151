"""Score against tokens in `compare --plot` and in a report, from what the runs' manifests tell."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

import pytest

from expandr_repro.io.files import sha256_file

REFERENCE = Path(__file__).parents[2] / "runs" / "reference"


@pytest.fixture
def runs(tmp_path):
    """Kept runs of pocket with manifests: 0, 120 and 60 tokens per query."""
    paths = []
    for name, tokens in (("none", None), ("own.mean", 8640), ("own.rrf", 4320)):
        paths.append(tmp_path / f"{name}.trec")
        paths[-1].write_bytes(gzip.decompress((REFERENCE / f"pocket.minilm.{name}.trec.gz").read_bytes()))
        facts = {"kind": "run", "run_sha256": sha256_file(paths[-1]), "collection": "pocket", "retriever": "minilm", "fusion": "none" if tokens is None else "mean"}  # fmt: skip
        if tokens is not None:
            facts["expansions"] = "those of the topics"
            facts["expansion_cost"] = [{"model": "m", "topics": 72, "requests": 72, "tokens_in": tokens // 4, "tokens_out": tokens - tokens // 4}]  # fmt: skip
        Path(f"{paths[-1]}.manifest.json").write_text(json.dumps(facts))
    return paths


def test_the_plot_has_a_panel_of_tokens_with_the_front(command, runs, tmp_path):
    plots = {}
    for name, some in (("three", runs), ("again", runs), ("two", runs[:2])):
        plot = tmp_path / f"{name}.svg"
        result = command("compare", "--qrels", "pocket", *some, "--plot", plot)
        assert result.code == 0, result.err
        plots[name] = plot.read_bytes()
    assert plots["three"] == plots["again"] != plots["two"]


def test_without_tokens_the_plot_is_as_it_was(command, runs, tmp_path):
    sizes = []
    for plain in (False, True):
        if plain:
            for run in runs:
                Path(f"{run}.manifest.json").unlink()
        plot = tmp_path / f"{plain}.svg"
        assert command("compare", "--qrels", "pocket", *runs, "--plot", plot).code == 0
        sizes.append(int(re.search(r'height="(\d+)', plot.read_text())[1]))
    assert sizes[0] == pytest.approx(sizes[1] * 3 / 2, abs=1)


def test_a_report_plots_score_against_the_tokens_of_the_manifests(browser, command, runs, tmp_path):
    page = tmp_path / "report.html"
    result = command("report", *runs, "--qrels", "pocket", "--output", page)
    assert result.code == 0, result.err
    browser.open(page)
    assert "tokens, read and written, per query" in browser.one("#costs svg").get_attribute("textContent")
    labels = browser.texts("#costs circle title")
    assert [re.search(r", (\d+) tokens per query", label)[1] for label in labels] == ["0", "120", "60"]
    gains = [re.search(r", ([+\u2212-]\d\.\d+) per 1,000 tokens", label) for label in labels]
    means = [0.5836, *(float(re.search(r"nDCG@10 (\d\.\d+)", label)[1]) for label in labels[1:])]
    assert gains[0] is None
    assert [float(g[1].replace("\u2212", "-")) for g in gains[1:]] == pytest.approx(
        [(mean - 0.5836) * 1000 / tokens for mean, tokens in zip(means[1:], (120, 60), strict=True)], abs=0.002
    )
    assert browser.text(".front-names").startswith("none 0.5836 at 0; ")
