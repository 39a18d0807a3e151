"""`compare --largest` shows where runs differ most, with the queries; `--bootstrap` how sure the difference is; Judged@k how well the qrels cover a run."""

from __future__ import annotations

import json

import pytest

import expandr_repro as ex

QUERIES = {"1": "why is the sky blue", "2": "what is a | pipe", "3": "how do bees\tdance", "4": "same in both"}
QRELS = dict.fromkeys(QUERIES, "d1")
FIRST = {"1": "d1 d2", "2": "d1 d2", "3": "d2 d1", "4": "d1 d2"}
SECOND = {"1": "d2 d1", "2": "d2 d3", "3": "d1 d2", "4": "d1 d2"}


@pytest.fixture
def folder(tmp_path):
    """A BEIR folder and two runs: the second one is worse on topics 1 and 2, and better on 3."""
    beir = tmp_path / "mine"
    (beir / "qrels").mkdir(parents=True)
    lines = [json.dumps({"_id": qid, "text": text}) for qid, text in QUERIES.items()]
    (beir / "queries.jsonl").write_text("\n".join(lines) + "\n")
    (beir / "corpus.jsonl").write_text("".join(f'{{"_id": "d{i}", "text": "text {i}"}}\n' for i in (1, 2, 3)))
    (beir / "qrels" / "test.tsv").write_text(
        "query-id\tcorpus-id\tscore\n" + "".join(f"{q}\t{d}\t1\n" for q, d in QRELS.items())
    )
    for name, ranked in (("a", FIRST), ("b", SECOND)):
        rows = [f"{q} Q0 {d} {i + 1} {9 - i} t\n" for q, docids in ranked.items() for i, d in enumerate(docids.split())]
        (tmp_path / f"{name}.trec").write_text("".join(rows))
    return tmp_path


def compare(command, folder, *options, qrels="mine"):
    return command(
        "compare", "--qrels", folder / qrels, "--metrics", "MRR@10", *options, folder / "a.trec", folder / "b.trec"
    )


def test_the_largest_losses_come_first_then_the_largest_gains_each_with_its_query(command, folder):
    shown = compare(command, folder, "--largest", 5).out.split("\n\n")[2].splitlines()
    assert [line.split()[0] for line in shown] == ["MRR@10", "2", "1", "3"]
    assert shown[0].split() == ["MRR@10", "a", "b", "Δ", "query"]
    assert shown[1].endswith("-1.0000  what is a | pipe")
    assert shown[3].endswith("+0.5000  how do bees dance")


def test_no_more_topics_than_asked_for_and_none_without_a_difference(command, folder):
    shown = compare(command, folder, "--largest", 1).out.split("\n\n")[2].splitlines()
    assert [line.split()[0] for line in shown] == ["MRR@10", "2", "3"]


def test_json_holds_the_whole_query(command, folder):
    found = json.loads(compare(command, folder, "--largest", 1, "--format", "json").out)["comparisons"][0]["largest"]
    assert found == [
        {"qid": "2", "query": QUERIES["2"], "a": 1.0, "b": 0.0, "difference": -1.0},
        {"qid": "3", "query": QUERIES["3"], "a": 0.5, "b": 1.0, "difference": 0.5},
    ]


def test_a_pipe_in_a_query_breaks_no_markdown_table(command, folder):
    shown = compare(command, folder, "--largest", 1, "--format", "markdown").out.split("\n\n")[2].splitlines()
    assert shown[1] == "| --- | ---: | ---: | ---: | --- |"
    assert r"what is a \| pipe |" in shown[2]


def test_qrels_of_no_known_topics_show_ids_and_say_which_option_helps(command, folder):
    (folder / "q.txt").write_text("".join(f"{q} 0 {d} 1\n" for q, d in QRELS.items()))
    result = compare(command, folder, "--largest", 1, qrels="q.txt")
    assert result.code == 0
    assert "give --topics" in result.err
    assert result.out.split("\n\n")[2].splitlines()[1].endswith("-1.0000  -")


def test_topics_given_by_hand_are_where_the_queries_are(command, folder):
    (folder / "q.txt").write_text("".join(f"{q} 0 {d} 1\n" for q, d in QRELS.items()))
    result = compare(command, folder, "--largest", 1, "--topics", folder / "mine" / "queries.jsonl", qrels="q.txt")
    assert "what is a | pipe" in result.out
    missing = compare(command, folder, "--largest", 1, "--topics", folder / "nowhere.jsonl")
    assert missing.code == 2
    assert "nowhere.jsonl" in missing.error


def test_topics_without_largest_are_refused(command, folder):
    result = compare(command, folder, "--topics", folder / "mine")
    assert result.code == 2
    assert "--topics: applies only with --largest" in result.error


def test_a_long_query_is_cut_in_a_table(command, folder):
    (folder / "long.tsv").write_text("".join(f"{qid}\t{'word ' * 40}\n" for qid in QUERIES))
    line = (
        compare(command, folder, "--largest", 1, "--topics", folder / "long.tsv").out.split("\n\n")[2].splitlines()[1]
    )
    assert line.endswith("...")
    assert len(line) < 130


def test_bootstrap_adds_the_interval_of_each_difference(command, folder):
    plain, with_interval = compare(command, folder).out, compare(command, folder, "--bootstrap").out
    assert "97.5%" not in plain
    header, row = with_interval.split("\n\n")[1].splitlines()
    assert "Δ   Δ 2.5%  Δ 97.5%  p (student)" in header
    difference, low, high = (float(cell) for cell in row.split()[4:7])
    assert low < difference < high
    found = json.loads(compare(command, folder, "--bootstrap", "--format", "json").out)["comparisons"][0]
    assert found["interval"] == pytest.approx([low, high], abs=5e-5)


def test_the_api_returns_the_same_interval(command, folder):
    runs = {name: str(folder / f"{name}.trec") for name in "ab"}
    found = ex.significance(runs, str(folder / "mine"), "MRR@10", bootstrap=True)
    told = json.loads(compare(command, folder, "--bootstrap", "--format", "json").out)["comparisons"][0]["interval"]
    assert found[["low", "high"]].values.tolist() == [pytest.approx(told)]
    assert "low" not in ex.significance(runs, str(folder / "mine"), "MRR@10").columns


def test_judged_is_a_metric_of_evaluate_compare_and_the_api(command, folder):
    table = command("evaluate", "--qrels", folder / "mine", "--metrics", "judged@2", folder / "b.trec").out
    assert table.split() == ["run", "Judged@2", "b.trec", "0.3750"]
    assert ex.score(str(folder / "b.trec"), str(folder / "mine"), "Judged@2") == {"Judged@2": 0.375}
    assert "Judged@1" in compare(command, folder, "--metrics", "Judged@1").out


def test_judged_is_a_metric_of_search(command, tmp_path):
    out = command(
        "search", "--topics", "pocket", "--fusion", "none", "--limit", 3, "--metrics", "Judged@5",
        "--format", "json", "--output", tmp_path / "r.trec",
    ).out  # fmt: skip
    assert "Judged@5" in out


def test_judged_is_a_metric_of_report(command, folder):
    page = folder / "page.html"
    result = command("report", "--qrels", folder / "mine", "--metrics", "MRR@10,Judged@2", "--output", page,
                     folder / "a.trec", folder / "b.trec")  # fmt: skip
    assert result.code == 0, result.err
    assert "somebody has judged" in page.read_text()
