"""The board in a browser: built from pins and kept runs without a search, filtered, sorted, searched, its pages opened."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from browser import resize

from expandr_repro.regress import __main__ as regress

ROOT = Path(__file__).parents[2]
REGRESSIONS, REFERENCE = ROOT / "regressions", ROOT / "runs" / "reference"


def board_of(folder: Path, *arguments: object) -> Path:
    places = ["--regressions", REGRESSIONS, "--reference", REFERENCE]
    assert regress.main([*map(str, [*arguments, *places]), "--board", str(folder), "--quiet"]) == 0
    return folder


@pytest.fixture(scope="module")
def pocket(tmp_path_factory):
    """The conditions of tier ci and those that are pinned only: what every machine can build, in seconds."""
    return board_of(
        tmp_path_factory.mktemp("pocket") / "board", "pocket.*", "scifact.contriever.none", "scifact.expandr.*"
    )


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory):
    """All conditions, from the pins and the kept runs."""
    return board_of(tmp_path_factory.mktemp("whole") / "board")


def cells(board: Path) -> list[dict]:
    return json.loads(re.search(r'id="data">(.*?)</script>', (board / "index.html").read_text())[1])["cells"]


def shown(browser, column: str) -> list[str]:
    return browser.ask(f"return [...document.querySelectorAll('#board tbody td[data-label={json.dumps(column)}]')].map(e => e.textContent)")  # fmt: skip


def rows(browser) -> list[str]:
    return browser.ask("return [...document.querySelectorAll('#board tbody tr')].map(e => e.dataset.name)")


def test_a_row_has_the_pinned_score_the_comparison_and_what_the_texts_cost(pocket, command):
    by_name = {c["name"]: c for c in cells(pocket)}
    mean = by_name["pocket.minilm.own.mean"]
    assert mean["values"] == {"nDCG@10": 0.7922, "R@100": 1.0} or mean["values"]["nDCG@10"] == 0.7922
    assert (mean["status"], mean["method"], mean["llm"]) == ("reproduced", "q2d (mean)", "Claude")
    runs = [REFERENCE / f"pocket.minilm.{n}.trec.gz" for n in ("none", "own.mean", "own.rrf")]
    (first, *_) = json.loads(command("compare", *runs, "--qrels", "pocket", "--format", "json").out)["comparisons"]
    against = mean["against"]["nDCG@10"]
    assert [against[k] for k in ("difference", "p_holm", "wins", "losses")] == [first["difference"], first["p_holm"], first["better"], first["worse"]]  # fmt: skip
    assert mean["contamination"]["topics"] == 72
    assert mean["tokens"] is None
    assert mean["words"] > 10
    assert by_name["pocket.minilm.none"]["baseline"]
    assert by_name["scifact.contriever.none"]["status"] == "pinned only"
    assert "against" not in by_name["scifact.contriever.none"]


def test_the_board_shows_what_a_thousand_words_or_tokens_gain(browser, pocket):
    browser.open(pocket / "index.html")
    mean = {c["name"]: c for c in cells(pocket)}["pocket.minilm.own.mean"]
    row = "#board tr[data-name='pocket.minilm.own.mean'] td[data-label='cost per query']"
    gain = mean["against"]["nDCG@10"]["difference"] * 1000 / mean["words"]
    assert browser.text(row).splitlines() == [f"{mean['words']:.0f} words", f"+{gain:.4f} per 1,000"]
    assert browser.text("#board tr[data-name='pocket.minilm.none'] td[data-label='cost per query']") == "0"
    browser.choose("#sort", "gain")
    gains = {
        c["name"]: c["against"]["nDCG@10"]["difference"] / c["words"]
        for c in cells(pocket)
        if c.get("words") and c.get("against")
    }
    assert rows(browser)[: len(gains)] == sorted(gains, key=lambda name: -gains[name])


def test_the_board_filters_searches_and_finds_its_filter_again_after_back(browser, pocket):
    browser.open(pocket / "index.html")
    total = len(cells(pocket))
    assert browser.text("#count") == f"{total} rows"
    browser.choose("#status", "reproduced")
    assert rows(browser) == [c["name"] for c in cells(pocket) if c["status"] == "reproduced"]
    browser.choose("#retriever", "MiniLM")
    browser.search("MEAN claude")
    assert rows(browser) == ["pocket.minilm.own.mean"]
    assert browser.text("#count") == f"1 of {total} rows"
    browser.one("#board a.name").click()
    assert browser.text("#h-cell").startswith("MiniLM, mean of query and passage vectors")
    browser.driver.back()
    assert rows(browser) == ["pocket.minilm.own.mean"]
    browser.one("#reset").click()
    assert browser.text("#count") == f"{total} rows"
    browser.search("no such words")
    assert browser.text("#board tbody") == "No row has all of this."


def test_a_click_on_a_heading_sorts_and_another_turns_the_order_round(browser, pocket):
    browser.open(pocket / "index.html")
    browser.choose("#status", "reproduced")
    for times, order in ((1, "descending"), (2, "ascending")):
        browser.one('[data-sort="score"]').click()
        values = [float(v) for v in shown(browser, "reproduced")]
        assert values == sorted(values, reverse=times == 1)
        assert browser.one('th[aria-sort] [data-sort="score"]').find_element("xpath", "..").get_attribute("aria-sort") == order  # fmt: skip
    browser.choose("#status", "")
    values = shown(browser, "reproduced")
    words = [not re.fullmatch(r"[0-9.]+", v) for v in values]
    assert words == sorted(words)  # what has no score comes last either way
    browser.choose("#sort", "p")
    values = [v for v in shown(browser, "p (Holm)") if v != "\u2013"]
    assert len(values) == 4


def test_the_metric_that_is_chosen_is_shown(browser, pocket):
    browser.open(pocket / "index.html")
    browser.choose("#metric", "R@1000")
    browser.choose("#retriever", "contriever")
    browser.search("scifact.contriever")
    assert shown(browser, "published") == ["0.9967Pyserini"]
    assert shown(browser, "difference") == ["\u2013"]


def test_keys_go_from_row_to_row_and_open_one(browser, pocket):
    from selenium.webdriver.common.keys import Keys

    browser.open(pocket / "index.html")
    browser.choose("#status", "reproduced")
    browser.ask("document.querySelector('#board a.name').focus()")
    browser.driver.switch_to.active_element.send_keys(Keys.ARROW_DOWN)
    browser.driver.switch_to.active_element.send_keys(Keys.ARROW_DOWN)
    name = rows(browser)[2]
    browser.driver.switch_to.active_element.send_keys(Keys.ENTER)
    assert browser.driver.current_url.split("#")[0].endswith(f"/cells/{name}.html")


def test_a_cell_has_its_commands_its_run_its_texts_and_its_topics(browser, pocket):
    browser.open(pocket / "cells" / "pocket.minilm.own.mean.html")
    assert "--fusion mean" in browser.text(".cell pre")
    assert browser.texts("#claims tbody tr:first-child td")[:2] == ["nDCG@10", "0.7922"]
    (link,) = [a.get_attribute("href") for a in browser.all(".cell a") if a.get_attribute("href").endswith(".trec.gz")]
    kept = Path(link.removeprefix("file://"))
    assert kept.read_bytes() == (REFERENCE / "pocket.minilm.own.mean.trec.gz").read_bytes()
    browser.search("plants-2")
    browser.one(".row").click()
    assert browser.text("#topic code") == "plants-2"
    assert browser.all(".expansion")
    assert browser.all(".ranks .hit")
    p = {c["name"]: c for c in cells(pocket)}["pocket.minilm.own.mean"]["against"]["nDCG@10"]["p_holm"]
    assert ("< 0.0001" if p < 0.0001 else f"{p:.4f}") in browser.text("#headline")
    browser.one(".cell a").click()
    assert browser.text("h1") == "Published and reproduced scores"


def test_what_has_no_kept_run_is_shown_as_pinned_only_with_its_commands(browser, pocket):
    browser.open(pocket / "cells" / "scifact.contriever.none.html")
    assert browser.text("#h-cell .status") == "pinned only"
    assert "No run is kept" in browser.text(".cell")
    assert "--index beir-v1.0.0-scifact.contriever" in browser.text(".cell pre")
    assert "Pyserini's two-click reproductions" in browser.text("#claims")
    assert browser.all("#topic") == []


@pytest.mark.parametrize("width", [375, 1280])
@pytest.mark.parametrize("page", ["index.html", "cells/pocket.minilm.own.mean.html", "cells/scifact.contriever.none.html"])  # fmt: skip
def test_nothing_is_wider_than_the_screen_in_both_themes(browser, pocket, page, width):
    resize(browser.driver, width)
    browser.open(pocket / page)
    colours = []
    for _ in range(2):
        assert browser.ask("return document.documentElement.scrollWidth") <= width
        colours.append(browser.ask("const s = getComputedStyle(document.body); return [s.backgroundColor, s.color]"))
        browser.one("#theme").click()
    assert colours == [["rgb(251, 251, 249)", "rgb(27, 31, 36)"], ["rgb(20, 23, 26)", "rgb(232, 233, 230)"]]


def test_the_whole_board_has_a_page_per_condition_and_a_comparison_per_kept_run(whole):
    named = [c for c in cells(whole) if c["name"]]
    assert {c["name"] for c in named} == {p.stem for p in REGRESSIONS.glob("*.yaml")}
    assert {f"{c['name']}.html" for c in named} == {p.name for p in (whole / "cells").iterdir()}
    kept = {c["name"] for c in named if c["status"] == "reproduced"}
    assert kept == {p.name.removesuffix(".trec.gz") for p in REFERENCE.glob("*.trec.gz")}
    assert all(c["baseline"] != bool(c["against"]) for c in named if c["name"] in kept)
    by_name = {c["name"]: c for c in named}
    assert by_name["cacm.bm25.dpo-qwen25-coder"]["seen"] == 0  # its LLM was trained on another collection
    assert by_name["cacm.bm25.q2d-claude"]["seen"] is None  # nothing is recorded


def test_published_scores_are_next_to_ours_with_difference_and_source(browser, whole):
    browser.open(whole / "index.html")
    browser.search("scifact.bm25.query2doc-gpt-41-nano")
    assert shown(browser, "reproduced") == ["0.7170"]
    assert shown(browser, "published") == ["0.7170QueryGym"]
    assert shown(browser, "difference") == ["0.0000"]
    assert browser.one("#board [data-label=published] span").get_attribute("title") == "QueryGym, reproducibility of Query2Doc with BM25"  # fmt: skip
    browser.search("mugi scifact 2.5-7b")
    assert (shown(browser, "published"), shown(browser, "reproduced")) == (["0.7063QueryGym"], ["published only"])
    assert "published scores that can be compared are the same to four decimals" in browser.text("#lede")


def test_the_headline_counts_only_what_is_beyond_chance(browser, whole):
    tests = [c["against"]["nDCG@10"] for c in cells(whole) if c.get("against")]
    raised = sum(t["p_holm"] < 0.05 and t["difference"] > 0 for t in tests)
    browser.open(whole / "index.html")
    assert f"Of {len(tests)} expansions tested, {raised} raise nDCG@10 beyond chance" in browser.text("#lede")
    browser.choose("#metric", "R@100")
    coloured = browser.ask(
        "return [...document.querySelectorAll('#board [data-label^=\u0394] :is(.up, .down)')].length"
    )
    assert coloured == sum(c["against"]["R@100"]["p_holm"] < 0.05 for c in cells(whole) if c.get("against"))


def test_contamination_and_the_pareto_front_are_shown(browser, whole):
    browser.open(whole / "index.html")
    browser.search("scifact.bm25.q2d-claude")
    assert shown(browser, "contamination") == ["20 % (61)"]
    front = browser.text(".front-names").split("; ")
    assert front[0].startswith("query alone 0.6789 at 0")
    assert front[-1].startswith("q2d (repeat), Claude 0.7894 at ")
    browser.ask("document.querySelector('#costs circle[data-run^=q2d]').dispatchEvent(new MouseEvent('click'))")
    assert browser.driver.current_url.split("#")[0].endswith("/scifact.bm25.q2d-claude.html")


def test_without_the_collections_kept_runs_are_shown_by_their_pins(command, tmp_path, monkeypatch):
    monkeypatch.delenv("EXPANDR_DATA", raising=False)
    result = command("regress", "scifact.bm25.*", "--regressions", REGRESSIONS, "--reference", REFERENCE, "--board", tmp_path / "board")  # fmt: skip
    assert result.code == 0
    assert "scifact.bm25.none and 18 more: shown by pinned scores alone, without topics: EXPANDR_DATA is not set" in result.err  # fmt: skip
    by_name = {c["name"]: c for c in cells(tmp_path / "board")}
    assert by_name["scifact.bm25.q2d-claude"]["values"]["nDCG@10"] == 0.7894
    assert "against" not in by_name["scifact.bm25.q2d-claude"]
    assert (tmp_path / "board" / "runs" / "scifact.bm25.none.trec.gz").is_file()


def test_a_rerun_writes_the_same_bytes_over_the_board_that_is_there(pocket):
    before = {p.relative_to(pocket): p.read_bytes() for p in pocket.rglob("*") if p.is_file()}
    board_of(pocket, "pocket.*", "scifact.contriever.none", "scifact.expandr.*")
    assert {p.relative_to(pocket): p.read_bytes() for p in pocket.rglob("*") if p.is_file()} == before


def test_a_kept_run_that_does_not_give_its_pin_fails_the_board(command, tmp_path):
    reference = tmp_path / "reference"
    reference.mkdir()
    for name in ("pocket.minilm.none", "pocket.minilm.own.mean"):
        for end in (".trec.gz", ".json"):
            shutil.copyfile(REFERENCE / f"pocket.minilm.none{end}", reference / f"{name}{end}")
    result = command("regress", "pocket.minilm.none", "pocket.minilm.own.mean", "--regressions", REGRESSIONS, "--reference", reference, "--board", tmp_path / "board")  # fmt: skip
    assert result.code == 1
    assert "pocket.minilm.own.mean: nDCG@10: pinned 0.7922, but the reference run" in result.error
    assert not (tmp_path / "board").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--board", "FILE"], "is a file"),
        (["--board", "FULL"], "is not replaced"),
        (["--board", "NEW", "--jobs", "2"], "--jobs: applies only"),
        (["--board", "NEW", "--output", "x"], "--output: applies only"),
        (["--board", "NEW", "--list"], "not allowed with"),
        (["--board", "NEW", "pocket.minilm.nome"], "did you mean 'pocket.minilm.none'"),
        (["--board", "NEW", "--reference", "GONE"], "GONE: no such folder"),
        (["--export", "querygym", "--reference", "GONE"], "GONE: no such folder"),
        (["--export", "beir"], "querygym"),
        (["--export", "querygym", "--list"], "applies only"),
        (["--export", "querygym", "pocket.*", "--output", "NEW"], "none of these conditions can be written"),
    ],
)  # fmt: skip
def test_what_cannot_be_written_is_refused_in_one_line(command, tmp_path, arguments, says):
    (tmp_path / "FILE").write_text("x")
    (tmp_path / "FULL").mkdir()
    (tmp_path / "FULL" / "mine.txt").write_text("x")
    placed = [tmp_path / a if a.isupper() else a for a in arguments]
    result = command(
        "regress",
        *placed,
        "--regressions",
        REGRESSIONS,
        *([] if "--reference" in placed else ["--reference", REFERENCE]),
    )
    assert result.code == 2
    assert says in result.err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["FILE", "FULL"]


def test_an_export_next_to_the_board_is_the_export_alone(data, command, tmp_path):
    places = ["--regressions", REGRESSIONS, "--reference", REFERENCE]
    alone = command("regress", "scifact.bm25.query2doc-gpt-41", "scifact.bm25.none", *places, "--export", "querygym", "--output", tmp_path)  # fmt: skip
    assert alone.code == 0, alone.err
    board = board_of(tmp_path / "board", "scifact.bm25.query2doc-gpt-41", "scifact.bm25.none", "--export", "querygym")
    files = lambda folder: {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*.*") if p.name != "manifest.json" and p.is_file()}  # noqa: E731  # fmt: skip
    assert files(board / "querygym") == files(tmp_path / "querygym") != {}
