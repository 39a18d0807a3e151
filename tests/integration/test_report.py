"""`report`: the page in a browser, its scores against `evaluate`, its bytes, and what is refused."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from browser import resize
from many_topics import write_many
from tiny_bert import save_tiny_bert

from expandr_repro.data.overlap.trained_on import TrainedOn, write_trained_on
from expandr_repro.io.manifest import run_manifest_path
from expandr_repro.report import __main__ as report

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "runs" / "reference"
SCIFACT = [REFERENCE / f"scifact.minilm.{name}.trec.gz" for name in ("none", "q2d-claude")]
POCKET = [REFERENCE / f"pocket.minilm.{name}.trec.gz" for name in ("none", "own.mean")]

NASTY = "</script><script>document.title = 'taken'</script><!-- <img src=x onerror=\"document.title='taken'\"> ' & \u2028 {{data}}"


def made(page: Path, *arguments: object) -> Path:
    assert report.main([*map(str, arguments), "--output", str(page), "--quiet"]) == 0
    return page


@pytest.fixture(scope="module")
def pocket(tmp_path_factory):
    return made(tmp_path_factory.mktemp("pocket") / "report.html", *POCKET, "--qrels", "pocket")


@pytest.fixture(scope="module")
def scifact(data, tmp_path_factory):
    page = tmp_path_factory.mktemp("scifact") / "report.html"
    return made(page, *SCIFACT, "--qrels", "scifact", "--expansions", "claude.q2d")


@pytest.fixture
def judged(command):
    """The scores that `evaluate` gives for the two runs of SciFact."""
    result = command("evaluate", *SCIFACT, "--qrels", "scifact", "--per-topic", "--format", "json")
    return json.loads(result.out)


def test_the_pages_figures_are_those_of_evaluate(browser, scifact, judged):
    browser.open(scifact)
    for run, figures in zip(("none", "q2d-claude"), judged, strict=True):
        cells = browser.texts(f'tr[data-run="scifact.minilm.{run}"] td.mean')
        assert cells == [f"{figures['nDCG@10']:.4f}", f"{figures['R@100']:.4f}"]
    assert browser.texts("#headline .big") == ["0.6451", "0.7506", "+0.1055"]
    differences = [
        judged[1]["per_topic"][q]["nDCG@10"] - judged[0]["per_topic"][q]["nDCG@10"] for q in judged[0]["per_topic"]
    ]
    better, worse = sum(d > 1e-9 for d in differences), sum(d < -1e-9 for d in differences)
    cell = browser.texts('tr[data-run="scifact.minilm.q2d-claude"] td')[3]
    assert cell == f"{better} / {300 - better - worse} / {worse}"


def test_the_caution_about_memory_gives_the_share_that_was_measured(browser, scifact):
    browser.open(scifact)
    assert "20 % (61 of 300 topics) of claude.q2d on SciFact test" in browser.text("#caution")


def test_a_topic_is_searched_and_its_scores_are_those_of_evaluate(browser, scifact, judged):
    browser.open(scifact)
    browser.search("cellular AGING")
    assert browser.text("#count") == "1 of 300 topics"
    browser.one(".row").click()
    assert browser.text("#topic h3") == "Cellular aging closely links to an older appearance."
    qid = browser.text("#topic code")
    scores = [f"{run['per_topic'][qid]['nDCG@10']:.4f}" for run in judged]
    assert browser.texts("#topic .score b")[:2] == scores
    assert "telomere" in browser.texts(".expansion mark")


def test_sorting_by_loss_brings_the_largest_loss_first(browser, scifact, judged):
    browser.open(scifact)
    browser.choose("#sort", "loss")
    before, after = (run["per_topic"] for run in judged)
    losses = sorted(after[q]["nDCG@10"] - before[q]["nDCG@10"] for q in before)
    shown = [after[q]["nDCG@10"] - before[q]["nDCG@10"] for q in browser.qids()]
    assert shown == pytest.approx(losses[: len(shown)], abs=1e-6)
    assert browser.text("#topic code") == browser.qids()[0]


def test_a_document_opens_on_a_click_with_its_text_marked_and_closes_again(browser, scifact, data):
    browser.open(scifact)
    button = browser.one(".sides > :last-child .relevant .hit")
    button.click()
    assert button.get_attribute("aria-expanded") == "true"
    assert len(browser.text(".doc p").split()) > 50
    assert browser.all(".doc mark")
    docid = re.match(r"document (\S+)", browser.text(".doc .where"))[1]
    assert docid in (data / "scifact" / "qrels" / "test.tsv").read_text()
    button.click()
    assert browser.all(".doc") == []


def test_arrows_go_from_topic_to_topic_and_enter_goes_to_its_text(browser, pocket):
    from selenium.webdriver.common.keys import Keys

    browser.open(pocket)
    browser.one("#list").send_keys(Keys.ARROW_DOWN, Keys.ARROW_DOWN)
    chosen = browser.one('.row[aria-selected="true"]')
    assert chosen.get_attribute("aria-posinset") == "3"
    assert browser.one("#list").get_attribute("aria-activedescendant") == chosen.get_attribute("id")
    assert browser.text("#topic code") == chosen.get_attribute("data-qid")
    browser.one("#list").send_keys(Keys.END)
    assert browser.one('.row[aria-selected="true"]').get_attribute("aria-posinset") == "72"
    browser.one("#list").send_keys(Keys.ENTER)
    assert browser.ask("return document.activeElement.id") == "topic-title"
    browser.driver.switch_to.active_element.send_keys(Keys.ESCAPE)
    assert browser.ask("return document.activeElement.id") == "list"


@pytest.mark.parametrize("plot", ["bars", "scatter"])
def test_a_plot_tells_a_topic_by_keyboard_and_opens_it(browser, pocket, plot):
    from selenium.webdriver.common.keys import Keys

    browser.open(pocket)
    browser.one(f"#{plot}").send_keys(Keys.END, Keys.ARROW_LEFT)
    told = browser.one(f"#{plot}").get_attribute("aria-valuetext")
    assert browser.text(f"#{plot} + .tip")
    browser.one(f"#{plot}").send_keys(Keys.ENTER)
    assert told.startswith(browser.text("#topic code") + ": ")


def test_a_point_under_the_pointer_is_told_and_a_click_opens_it(browser, pocket):
    from selenium.webdriver import ActionChains

    browser.open(pocket)
    canvas = browser.one("#bars")
    width = canvas.size["width"]
    ActionChains(browser.driver).move_to_element_with_offset(canvas, width // 2 - 8, 0).perform()
    told = browser.text("#bars + .tip")
    ActionChains(browser.driver).click().perform()
    assert browser.text("#topic code") in told
    browser.choose("#sort", "loss")
    assert browser.text("#topic code") in told  # the last bar is the largest loss


def test_a_link_leads_to_the_topic_that_it_names(browser, pocket):
    browser.driver.get("about:blank")
    browser.driver.get(pocket.as_uri() + "#run=pocket.minilm.own.mean&topic=plants-2")
    assert browser.text("#topic code") == "plants-2"


@pytest.mark.parametrize("width", [360, 700, 1280])
def test_nothing_is_wider_than_the_screen_however_many_metrics(browser, tmp_path, width):
    metrics = "nDCG@10,R@100,P@5,MRR@10,MAP,nDCG@100"
    page = made(tmp_path / "report.html", *POCKET, "--qrels", "pocket", "--metrics", metrics)
    resize(browser.driver, width)
    browser.open(page)
    browser.one(".hit").click()
    assert browser.ask("return document.documentElement.scrollWidth") <= width


def test_the_theme_changes_colours_and_stays_readable(browser, pocket):
    browser.open(pocket)
    colours = []
    for _ in range(2):
        colours.append(browser.ask("const s = getComputedStyle(document.body); return [s.backgroundColor, s.color]"))
        browser.one("#theme").click()
    assert colours == [["rgb(251, 251, 249)", "rgb(27, 31, 36)"], ["rgb(20, 23, 26)", "rgb(232, 233, 230)"]]
    assert browser.text("#theme") == "Dark"


def nasty_files(folder: Path) -> list[object]:
    """A collection whose every text tries to become markup."""

    def write(name: str, *records: dict[str, object]) -> Path:
        (folder / name).write_text("".join(json.dumps(r) + "\n" for r in records))
        return folder / name

    topics = write(
        "topics.jsonl",
        *({"qid": f"<b>{i}", "title": f"{NASTY} {i}", "expansions": [f"alert {NASTY}"]} for i in range(3)),
    )
    corpus = write("corpus.jsonl", *({"_id": f"<i>{d}", "title": NASTY, "text": f"alert {NASTY}"} for d in range(3)))
    qrels = folder / "qrels<u>.txt"
    qrels.write_text("".join(f"<b>{i} 0 <i>{i} 1\n" for i in range(3)))
    runs = [folder / "a<s>.trec", folder / "b<s>.trec"]
    for shift, path in enumerate(runs):
        path.write_text(
            "".join(
                f"<b>{i} Q0 <i>{(i + s) % 3} {s} {3 - s - shift * (s == 0) * 2} x\n" for i in range(3) for s in range(3)
            )
        )
    return [*runs, "--qrels", qrels, "--topics", topics, "--corpus", corpus, "--title", NASTY]  # fmt: skip


def test_texts_that_hold_markup_are_shown_as_they_are_and_never_run(browser, tmp_path):
    page = made(tmp_path / "report.html", *nasty_files(tmp_path))
    browser.open(page)
    browser.search("onerror")
    browser.one(".row").click()
    browser.one(".relevant .hit").click()
    shown = " ".join(NASTY.split())
    for selector in ("h1", "#topic h3", ".expansion", ".doc p", ".hit .t", ".row .q"):
        assert shown in " ".join(browser.ask(f"return document.querySelector({selector!r}).textContent").split()), (
            selector
        )
    assert browser.driver.title.startswith("</script>")
    assert browser.all("main img") == browser.all("main script") == browser.all("main s, main u") == []


def test_arrows_next_to_a_topic_and_in_the_plots_follow_the_search(browser, pocket):
    from selenium.webdriver.common.keys import Keys

    browser.open(pocket)
    browser.search("plants")
    matching = browser.qids()
    assert 1 < len(matching) < 72
    browser.one(".row").click()
    for qid in matching[1:]:
        browser.one('[aria-label="Next topic"]').click()
        assert browser.text("#topic code") == qid
    assert not browser.one('[aria-label="Next topic"]').is_enabled()
    bars = browser.one("#bars")
    for keys in (Keys.HOME, *[Keys.ARROW_RIGHT] * 3, Keys.END, Keys.ARROW_LEFT):
        bars.send_keys(keys)
        assert bars.get_attribute("aria-valuetext").split(": ")[0] in matching
    browser.search("plants water no such words")
    assert not browser.one('[aria-label="Next topic"]').is_enabled()
    bars.send_keys(Keys.HOME)
    browser.search("")
    browser.one('[aria-label="Previous topic"]')


def test_clearing_the_search_gives_the_arrows_all_topics_again(browser, pocket):
    browser.open(pocket)
    first, second = browser.qids()[:2]
    browser.search(first)
    browser.one(".row").click()
    assert not browser.one('[aria-label="Next topic"]').is_enabled()
    from selenium.webdriver.common.keys import Keys

    browser.one("#search").send_keys(Keys.CONTROL, "a")
    browser.one("#search").send_keys(Keys.BACKSPACE)
    browser.one('[aria-label="Next topic"]').click()
    assert browser.text("#topic code") == second


def test_back_and_forward_go_through_topics_and_conditions(browser, tmp_path):
    three = [*POCKET, REFERENCE / "pocket.minilm.own.rrf.trec.gz"]
    browser.open(made(tmp_path / "report.html", *three, "--qrels", "pocket"))
    start = (browser.one("#condition").get_attribute("value"), browser.text("#topic code"))
    rows = browser.qids()
    browser.one(f'[data-qid="{rows[2]}"]').click()
    browser.one(f'[data-qid="{rows[4]}"]').click()
    browser.choose("#condition", "0 2")
    browser.driver.back()
    assert browser.one("#condition").get_attribute("value") == "0 1"
    assert browser.text("#topic code") == rows[4]
    browser.driver.back()
    assert browser.text("#topic code") == rows[2]
    browser.driver.forward()
    assert browser.text("#topic code") == rows[4]
    browser.driver.back()
    browser.driver.back()
    assert (browser.one("#condition").get_attribute("value"), browser.text("#topic code")) == start


def test_a_walk_by_arrow_keys_is_one_step_back(browser, pocket):
    from selenium.webdriver.common.keys import Keys

    browser.open(pocket)
    rows = browser.qids()
    browser.one(f'[data-qid="{rows[2]}"]').click()
    browser.one("#list").send_keys(*[Keys.ARROW_DOWN] * 5)
    assert browser.text("#topic code") == rows[7]
    browser.driver.back()
    assert browser.text("#topic code") == rows[2]


def test_the_plots_have_one_scale_for_all_conditions_of_the_page(browser, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    browser.open(made(tmp_path / "report.html", "--tier", "ci"))
    axes = set()
    for condition in ("0 1", "0 2", "1 1", "1 2"):
        browser.choose("#condition", condition)
        axes.add(
            browser.ask(
                "const bars = document.getElementById('bars'), numbers = document.createElement('canvas');"
                "[numbers.width, numbers.height] = [44, bars.height - 60];"
                "numbers.getContext('2d').drawImage(bars, 0, -30);"
                "return numbers.toDataURL()"
            )
        )
    assert len(axes) == 1


def test_a_difference_that_chance_may_make_has_no_colour_of_a_gain_or_loss(browser, tmp_path):
    page = made(tmp_path / "report.html", *POCKET, "--qrels", "pocket", "--metrics", "nDCG@10,R@100")
    browser.open(page)
    study = page_data(page)["studies"][0]
    kinds = [cell.split() for cell in browser.ask("return [...document.querySelectorAll('tr[data-run] td[data-label$=\"\u0394\"]:not(.none)')].map(e => e.className)")]  # fmt: skip
    expected = [["up"] if a["p_holm"] < 0.05 and a["difference"] > 0 else ["down"] if a["p_holm"] < 0.05 else ["level"] for a in study["runs"][1]["against"]]  # fmt: skip
    assert kinds == expected


def test_score_against_cost_shows_the_pareto_front_and_opens_a_condition(browser, tmp_path):
    three = [*POCKET, REFERENCE / "pocket.minilm.own.rrf.trec.gz"]
    browser.open(made(tmp_path / "report.html", *three, "--qrels", "pocket"))
    runs = page_data(tmp_path / "report.html")["studies"][0]["runs"]
    assert runs[0]["words"] == 0 < runs[1]["words"] == runs[2]["words"]
    best = max(runs[1:], key=lambda r: r["means"][0])
    filled = browser.ask("return [...document.querySelectorAll('#costs circle.on')].map(e => e.dataset.run)")
    assert filled == ["pocket.minilm.none", best["name"]]
    assert "words of expansion per query" in browser.one("#costs svg").get_attribute("textContent")
    browser.ask("document.querySelector('#costs circle[data-run$=\"rrf\"]').focus()")
    from selenium.webdriver.common.keys import Keys

    browser.driver.switch_to.active_element.send_keys(Keys.ENTER)
    assert browser.one("#condition").get_attribute("value") == "0 2"


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    folder = tmp_path_factory.mktemp("many")
    return made(folder / "report.html", *write_many(folder, 10_000, 4000, 12, 10), "--depth", 5)


def test_ten_thousand_topics_scroll_and_are_searched_with_few_elements(browser, many):
    browser.open(many)
    assert browser.text("#count") == "10,000 topics"

    def rows() -> int:
        found = browser.ask("return document.querySelectorAll('.row').length")
        assert 5 < found < 60
        return found

    rows()
    browser.choose("#sort", "id")
    for place in (9_999, 5_000, 12):
        browser.ask(f"document.getElementById('list').scrollTop = {place} * 60")
        browser.driver.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")
        rows()
        assert f"t{place}" in browser.qids()
    browser.search("query 7777")
    assert browser.text("#count") == "1 of 10,000 topics"
    assert browser.qids() == ["t7777"]
    browser.one(".row").click()
    assert browser.text("#topic h3").startswith("query 7777 ")
    assert browser.all(".ranks .hit")
    browser.search("no such words")
    assert browser.text("#list") == "No topic has these words."


def test_a_rerun_writes_the_same_bytes_and_a_manifest_without_time_stamps(pocket, tmp_path):
    again = made(tmp_path / "report.html", *POCKET, "--qrels", "pocket")
    assert again.read_bytes() == pocket.read_bytes()
    manifest = run_manifest_path(pocket).read_bytes()
    assert run_manifest_path(again).read_bytes() == manifest
    facts = json.loads(manifest)
    assert facts["kind"] == "report"
    assert [r["expansions"] for r in facts["studies"][0]["runs"]] == [None, "those of the topics"]


def test_a_tier_makes_a_page_of_its_reference_runs(command, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    result = command("report", "--tier", "ci", "--output", tmp_path / "report.html")
    assert result.code == 0, result.err
    found = re.search(r'id="data">(.*?)</script>', (tmp_path / "report.html").read_text())[1]
    studies = json.loads(found)["studies"]
    assert [s["retriever"] for s in studies] == ["BM25", "MiniLM"]
    assert [round(r["means"][0], 4) for r in studies[1]["runs"]][:2] == [0.5836, 0.7922]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "which runs? give run files and --qrels"),
        (POCKET, "give --qrels"),
        ([*POCKET, "--tier", "ci"], "and not two of these"),
        (["--tier", "ci", "--corpus", "pocket"], "--corpus: regressions name their own"),
        ([POCKET[0], "--qrels", "pocket"], "give two or more"),
        ([*POCKET, "--qrels", "pocket", "--baseline", "mean"], "unknown baseline 'mean'"),
        ([*POCKET, "--qrels", "pocket", "--corpus", "gone.jsonl"], "gone.jsonl: no such file"),
        ([*POCKET, "--qrels", "pocket", "--metrics", "nGCD@10"], "unknown metric 'nGCD@10'"),
        ([*POCKET, "--qrels", "pocket", "--title", " "], "--title"),
        ([REFERENCE / "cacm.bm25.none.trec.gz", POCKET[0], "--qrels", "pocket"], "judge none of its 52 topics"),
        (["--regressions", "pocket.minilm.nome", "--regressions-folder", ROOT / "regressions"], "did you mean"),
        (["--regressions", "pocket.minilm.none", "--regressions-folder", ROOT / "regressions", "--reference", "gone"], "nothing to be compared"),
        (["--regressions", "pocket.minilm.*", "--regressions-folder", ROOT / "regressions", "--reference", "gone"], "no such reference run"),
    ],
)  # fmt: skip
def test_what_cannot_be_shown_is_refused_in_one_line_and_nothing_is_written(command, tmp_path, arguments, says):
    result = command("report", *arguments, "--output", tmp_path / "report.html")
    assert result.code == 2
    assert says in result.error
    assert list(tmp_path.iterdir()) == []


def test_expansions_of_other_topics_are_refused(command, tmp_path):
    strangers = tmp_path / "strangers.jsonl"
    strangers.write_text('{"qid": "x", "title": "x", "expansions": ["x"]}\n')
    page = tmp_path / "report.html"
    result = command("report", *POCKET, "--qrels", "pocket", "--expansions", strangers, "--output", page)
    assert result.code == 2
    assert "these expansions were made for other topics" in result.error
    assert not page.exists()


@pytest.fixture(scope="module")
def overlapping(tmp_path_factory):
    """A page of an untrained encoder's run, one of an encoder trained on documents of pocket's first 20 topics, and one ten deep."""
    from expandr_repro.data.collections import find_qrels, find_topics
    from expandr_repro.search import __main__ as search

    folder = tmp_path_factory.mktemp("overlapping")
    qrels = find_qrels("pocket")
    docids = {d for t in find_topics("pocket").topics[:20] for d, grade in qrels[t.qid].items() if grade > 0}
    plain, trained = (save_tiny_bert(folder / name, seed=seed) for seed, name in enumerate(("plain", "trained")))
    write_trained_on(trained, [TrainedOn("pocket", None, {}, frozenset(docids))])
    paths = []
    for name, encoder, more in (("none", plain, ["--fusion", "none"]), ("trained", trained, []), ("ten", plain, ["--fusion", "none", "--hits", 10])):  # fmt: skip
        paths.append(folder / f"{name}.trec")
        argv = ["--topics", "pocket", "--encoder", encoder, "--pooling", "mean", "--normalize", "--device", "cpu", *more, "--output", paths[-1]]  # fmt: skip
        assert search.main([*map(str, argv), "--quiet"]) == 0
    return made(folder / "report.html", *paths, "--qrels", "pocket"), paths


def page_data(page: Path) -> dict:
    return json.loads(re.search(r'id="data">(.*?)</script>', page.read_text())[1])


def test_a_page_tells_seen_topics_from_unseen_ones_by_what_any_runs_models_saw(overlapping, command):
    page, paths = overlapping
    data = page_data(page)
    (collection,), (study,) = data["collections"], data["studies"]
    assert sum(collection["seen"]) >= 20
    assert collection["overlap"] == [f"trained: {sum(collection['seen'])} of 72 topics have a relevant document that the encoder was trained on"]  # fmt: skip
    listed = json.loads(command("evaluate", *paths, "--qrels", "pocket", "--format", "json").out)
    for run, figures in zip(study["runs"], listed, strict=True):
        for part in ("seen", "unseen"):
            assert run["parts"][part]["means"] == [figures[part]["nDCG@10"], figures[part]["R@100"]]
    compared = json.loads(command("compare", *paths, "--qrels", "pocket", "--format", "json").out)["comparisons"]
    for run, entry in zip(study["runs"][1:], compared[:2], strict=True):
        assert run["parts"]["unseen"]["against"][0]["p_holm"] == entry["unseen"]["p_holm"]


def test_runs_without_manifests_tell_what_the_llm_of_their_expansions_saw(tmp_path):
    from expandr_repro.data.collections import find_qrels, find_topics
    from expandr_repro.data.overlap.trained_on import record_beside, write_record
    from expandr_repro.data.topics import write_topics

    topics, qrels = find_topics("pocket").topics, find_qrels("pocket")
    texts = tmp_path / "texts.jsonl"
    write_topics(texts, topics)
    docids = {d for t in topics[:20] for d, grade in qrels[t.qid].items() if grade > 0}
    write_record(record_beside(texts), [TrainedOn("pocket", None, {}, frozenset(docids))])
    data = page_data(made(tmp_path / "report.html", *POCKET, "--qrels", "pocket", "--expansions", texts))
    seen = sum(data["collections"][0]["seen"])
    assert seen >= 20
    (sentence,) = data["collections"][0]["overlap"]
    assert sentence == f"pocket.minilm.own.mean: {seen} of 72 topics have a relevant document that the LLM that wrote the expansions was trained on"  # fmt: skip
    assert set(data["studies"][0]["runs"][1]["parts"]) == {"seen", "unseen"}


def test_runs_of_different_depths_are_told_of_loudly(overlapping, command, tmp_path):
    page, paths = overlapping
    (fault,) = page_data(page)["studies"][0]["faults"]
    assert fault.startswith("R@100 is not comparable: ten ranks at most 10 documents per topic")
    result = command("compare", *paths, "--qrels", "pocket")
    assert f"WARNING: {fault}" in result.out
    assert fault in result.err
    assert json.loads(command("compare", *paths, "--qrels", "pocket", "--format", "json").out)["warnings"] == [fault]
    assert "R@100 is counted on these alone" in command("evaluate", paths[2], "--qrels", "pocket").err
    assert command("compare", *paths, "--qrels", "pocket", "--metrics", "nDCG@10").err == ""


def test_a_reader_filters_seen_and_unseen_topics(browser, overlapping):
    page, _ = overlapping
    data = page_data(page)
    seen = sum(data["collections"][0]["seen"])
    browser.open(page)
    assert browser.texts("#part option") == ["all (72)", f"seen in training ({seen})", f"unseen ({72 - seen})"]
    browser.choose("#condition", "0 1")
    for part, count in (("seen", seen), ("unseen", 72 - seen)):
        browser.choose("#part", part)
        assert browser.text("#count") == f"{count} of 72 topics"
        parts = [run["parts"][part] for run in data["studies"][0]["runs"][:2]]
        assert browser.texts("#headline .big")[:2] == [f"{p['means'][0]:.4f}" for p in parts]
        assert len(browser.all(".flag.seen")) == (part == "seen")
        assert browser.one("#bars").get_attribute("aria-valuemax") == str(count)
    assert browser.texts('tr[data-part="unseen trained"] td.mean')[0] == browser.texts("#headline .big")[1]
    assert f"On the {72 - seen} topics that no model saw in training" in browser.text("#lede")
    assert "Depths differ." in browser.text("#caution")


def test_the_headline_claims_no_more_than_the_p_value_allows(browser, tmp_path):
    """Two runs that differ on one topic of pocket."""
    lines = Path(POCKET[0]).parent / "pocket.minilm.none.trec.gz"
    import gzip

    run = gzip.decompress(lines.read_bytes()).decode().splitlines(keepends=True)
    first = run[0].split()[0]
    swapped = [line for line in run if line.split()[0] != first]
    (tmp_path / "a.trec").write_text("".join(run))
    (tmp_path / "b.trec").write_text("".join(swapped))
    page = made(tmp_path / "report.html", tmp_path / "a.trec", tmp_path / "b.trec", "--qrels", "pocket")
    browser.open(page)
    assert "makes no significant change to nDCG@10 (from 0.5836 to " in browser.text("#lede")
    assert "no significant change" in browser.text("#headline")
    assert browser.all("#parts[hidden]")
