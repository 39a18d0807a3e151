"""What is warned of is in JSON, Markdown and LaTeX too, which are read without standard error."""

from __future__ import annotations

import json

import pytest
from tiny_bert import save_tiny_bert


@pytest.fixture
def files(tmp_path):
    """Judgments of twelve topics, a whole run, and one of five documents for nine topics."""
    topics = [f"q{n:02}" for n in range(12)]
    run = {q: [f"{q} Q0 d{n} {n + 1} {float(100 - n)} t\n" for n in range(40)] for q in topics}
    (tmp_path / "qrels.txt").write_text("".join(f"{q} 0 d1 1\n{q} 0 d7 1\n" for q in topics))
    (tmp_path / "whole.trec").write_text("".join("".join(lines) for lines in run.values()))
    (tmp_path / "short.trec").write_text("".join("".join(run[q][:5]) for q in topics[:9]))
    return (
        ["--qrels", tmp_path / "qrels.txt", "--metrics", "MAP,R@20"],
        tmp_path / "whole.trec",
        tmp_path / "short.trec",
    )


DEPTH = "R@20 is counted on these alone"
GAP = "3 judged topics are not in the run and score 0"
UNEQUAL = [
    f"{metric} is not comparable: short ranks at most 5 documents per topic, whole 40" for metric in ("MAP", "R@20")
]


def test_json_holds_the_warnings(command, files):
    options, whole, short = files
    first, second = json.loads(command("evaluate", *options, whole, short, "--format", "json").out)
    assert first["warnings"] == []
    assert [GAP in second["warnings"][0], DEPTH in second["warnings"][1]] == [True, True]
    warnings = json.loads(command("compare", *options, whole, short, "--format", "json").out)["warnings"]
    assert len(warnings) == 3
    assert GAP in warnings[0]
    assert [w.startswith(u) for w, u in zip(warnings[1:], UNEQUAL, strict=True)] == [True, True]


@pytest.mark.parametrize("form", ["markdown", "latex"])
def test_tables_for_a_paper_hold_the_warnings(command, files, form):
    options, whole, short = files
    out = command("evaluate", *options, whole, short, "--format", form).out
    assert [f"WARNING: {short}: {GAP}" in out.replace("\\", ""), DEPTH in out] == [True, True]
    out = command("compare", *options, whole, short, "--format", form).out
    assert [text in out for text in (GAP, *UNEQUAL)] == [True, True, True]


def test_a_terminal_shows_each_warning_of_evaluate_once(command, files):
    options, _, short = files
    result = command("evaluate", *options, short)
    assert "WARNING" not in result.out
    assert (result.err.count(GAP), result.err.count(DEPTH)) == (1, 1)


def test_one_missing_topic_is_told_of_in_the_singular(command, files):
    options, whole, _ = files
    lines = whole.read_text().splitlines(keepends=True)
    whole.write_text("".join(line for line in lines if not line.startswith("q03")))
    assert "1 judged topic is not in the run and scores 0 (first: q03)" in command("evaluate", *options, whole).err


def test_topics_that_expand_left_without_expansions_are_warned_of_where_they_are_searched(command, tmp_path):
    topics = tmp_path / "failed.jsonl"
    topics.write_text(
        '{"qid": "1", "title": "cats", "expansions": [], "provenance": {"prompt": "q2d", "model": "m"}}\n'
    )
    searched = ("search", "--topics", topics, "--index", "pocket", "--retriever", "bm25", "--hits", 3)
    result = command(*searched)
    assert (result.code, "none of the 1 topics has an expansion, though `expand` wrote them" in result.err) == (0, True)
    assert "though" not in command(*searched, "--fusion", "none").err


@pytest.mark.parametrize("damage", [{"expansions": 5}, {"expansions": [1]}, {"topics_without_hits": 3}, {"topics_without_hits": [3]}])  # fmt: skip
def test_a_damaged_manifest_is_told_of_by_name(command, files, damage):
    options, whole, _ = files
    whole.with_name("whole.trec.manifest.json").write_text(json.dumps(damage))
    result = command("evaluate", *options, whole)
    assert (result.code, "whole.trec.manifest.json: what it says under" in result.error) == (2, True)


def test_compile_is_refused_where_it_does_nothing_even_if_all_vectors_are_cached(command, tmp_path):
    flags = (
        "--encoder",
        save_tiny_bert(tmp_path / "bert", dim=16),
        "--pooling",
        "mean",
        "--normalize",
        "--device",
        "cpu",
    )
    searched = ("search", "--topics", "pocket", *flags, "--fusion", "none", "--limit", 2)
    assert command(*searched).code == 0
    result = command(*searched, "--compile")
    assert (result.code, "--compile: for " in result.error) == (2, True)


def test_an_index_of_other_settings_of_the_same_encoder_names_the_option(command, tmp_path):
    flags = ("--encoder", save_tiny_bert(tmp_path / "bert", dim=16), "--pooling", "mean", "--device", "cpu")
    index = tmp_path / "index"
    assert (
        command("encode", "--corpus", "pocket", "--output", index, *flags, "--normalize", "--max-length", 8).code == 0
    )
    searched = ("search", "--topics", "pocket", "--index", index, *flags, "--fusion", "none")
    told = command(*searched, "--normalize").error
    assert (
        "made with other settings of this encoder (document_max_length is 8 there, 128 here); search with --max-length 8, or"
        in told
    )
    assert "search with --normalize, or encode" in command(*searched, "--no-normalize", "--max-length", 8).error
