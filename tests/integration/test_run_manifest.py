"""The manifest next to a run pins it: equal manifests, equal bytes; and `evaluate`, `compare` and `report` go by it."""

from __future__ import annotations

import json
import re
import shutil
from itertools import combinations

import pytest

from expandr_repro.data.topics import Expansion, Topic, read_topics, write_topics
from expandr_repro.io.paths import resource

POCKET = resource("pocket")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """Eight of pocket's topics, in two orders, and two files of expansions for them."""
    folder = tmp_path_factory.mktemp("inputs")
    topics = read_topics(POCKET / "queries.jsonl")[:8]
    plain = [Topic(t.qid, t.title) for t in topics]
    write_topics(folder / "topics.jsonl", plain)
    write_topics(folder / "backwards.jsonl", plain[::-1])
    write_topics(folder / "x.jsonl", topics)
    (folder / "other").mkdir()
    write_topics(folder / "other" / "x.jsonl", [Topic(t.qid, t.title, (Expansion("kiwi"), Expansion("tax law"))) for t in plain])  # fmt: skip
    shutil.copytree(POCKET, folder / "corpus")
    lines = (folder / "corpus" / "corpus.jsonl").read_text().splitlines(keepends=True)
    (folder / "corpus" / "corpus.jsonl").write_text("".join(lines[: len(lines) // 2]))
    return folder


def search(command, folder, name, *arguments, topics="topics.jsonl", index="pocket", qrels="pocket"):
    run = folder / f"{name}.trec"
    words = ("search", "--topics", topics, "--index", index, "--hits", 5, "--qrels", qrels, "--output", run, "--quiet")
    result = command(*(word for pair in [words] for word in pair), *arguments)
    assert result.code == 0, result.err
    return run.read_bytes(), json.loads((folder / f"{name}.trec.manifest.json").read_text())


def variants(inputs):
    x, other = ("--expansions", inputs / "x.jsonl"), ("--expansions", inputs / "other" / "x.jsonl")
    dense = [
        {}, {"words": x}, {"words": other}, {"words": (*x, inputs / "other" / "x.jsonl")}, {"words": (*x, "--alpha", 0.2)}, {"words": (*x, "--alpha", 0.9)},
        {"words": (*x, "--fusion", "hyde")}, {"words": (*x, "--fusion", "expansion")}, {"words": (*x, "--fusion", "concat")},
        {"words": (*x, "--fusion", "rrf")}, {"words": (*x, "--fusion", "rrf", "--rrf-k", 1)}, {"words": ("--hits", 7)}, {"words": ("--tag", "mine")},
        {"words": ("--factory", "HNSW4")}, {"words": ("--factory", "IVF8,Flat")}, {"words": ("--factory", "IVF8,Flat", "--search-params", "nprobe=4")},
        {"words": ("--max-length", 4)}, {"words": ("--query-prefix", "about ")}, {"words": ("--limit", 3)}, {"words": ("--searcher", "pyserini")},
        {"words": ("--remove-query",)}, {"words": ("--threads", 1)}, {"words": ("--batch-size", 3)}, {"words": ("--batch-tokens", 64)},
        {"words": ("--no-vector-cache",)}, {"words": ("--no-baseline",)}, {"words": ("--metrics", "MAP")}, {"words": ("--format", "json")},
        {"topics": inputs / "backwards.jsonl"}, {"topics": inputs / "x.jsonl"}, {"index": inputs / "corpus"},
    ]  # fmt: skip
    bm25 = [{"words": ("--retriever", "bm25", *words)} for words in [
        (), ("--k1", 2), ("--b", 0.9), x, (*x, "--repeat", 1), (*x, "--fusion", "expansion"), (*x, "--fusion", "rrf", "--rrf-k", 1), ("--fusion", "rm3"),
    ]]  # fmt: skip
    return [*dense, *bm25, {"words": ("--retriever", "bm25"), "index": inputs / "corpus"}]


@pytest.mark.jvm
def test_searches_with_equal_manifests_have_equal_bytes_and_what_changes_bytes_changes_the_manifest(command, inputs, tmp_path):  # fmt: skip
    made = []
    for number, variant in enumerate(variants(inputs)):
        place = {"topics": inputs / "topics.jsonl"} | {k: v for k, v in variant.items() if k != "words"}
        content, facts = search(command, tmp_path, f"v{number}", *variant.get("words", ()), **place)
        assert str(tmp_path) not in json.dumps(facts)
        assert str(inputs) not in json.dumps(facts)
        made.append((variant, content, {k: v for k, v in facts.items() if k not in ("run_sha256", "figures")}))
    assert len({content for _, content, _ in made}) > 25
    for (a, a_bytes, a_facts), (b, b_bytes, b_facts) in combinations(made, 2):
        assert a_facts != b_facts or a_bytes == b_bytes, (a, b)


def test_a_manifest_holds_what_a_search_uses_and_nothing_else(command, inputs, tmp_path):
    x = ("--expansions", inputs / "x.jsonl")

    def facts(*words):
        return search(command, tmp_path, "x", *words, topics=inputs / "topics.jsonl")[1]

    none, mean, rrf = facts(), facts(*x), facts(*x, "--fusion", "rrf")
    assert not {"alpha", "rrf_k", "repeat", "feedback", "k1", "b", "expansions_sha256"} & set(none)
    assert none["expansions"] is None
    assert (mean["alpha"], "rrf_k" in mean) == (None, False)
    assert (rrf["rrf_k"], "alpha" in rrf) == (60, False)
    assert [set(source) for source in mean["expansions"]] == [{"name", "sha256"}]
    assert mean["expansions"][0]["name"] == "x.jsonl"
    assert {"torch", "transformers", "numpy"} <= set(mean["versions"])
    assert {"docids_sha256", "sha256", "factory", "documents"} == set(mean["index"])
    assert mean["qrels"]["topics"] == 8
    assert (mean["metrics"], mean["tag"]) == (["nDCG@10", "R@100"], "expandr_repro")
    assert "threads" not in mean


def test_the_same_inputs_elsewhere_give_the_same_manifest_to_the_byte(command, inputs, tmp_path):
    manifests = []
    for place in ("here", "there"):
        folder = tmp_path / place
        shutil.copytree(inputs, folder)
        search(command, folder, "x", "--expansions", folder / "x.jsonl", topics=folder / "topics.jsonl", index=folder / "corpus", qrels=POCKET / "qrels" / "test.tsv")  # fmt: skip
        manifests.append((folder / "x.trec.manifest.json").read_bytes())
    assert manifests[0] == manifests[1]


@pytest.fixture(scope="module")
def runs(inputs, tmp_path_factory):
    """Runs of all of pocket: the query alone, and the mean with two files of expansions."""
    from expandr_repro.search import __main__ as command

    folder = tmp_path_factory.mktemp("runs")
    topics = read_topics(POCKET / "queries.jsonl")
    write_topics(folder / "x.jsonl", topics)
    (folder / "data").mkdir()
    write_topics(folder / "data" / "y.jsonl", [Topic(t.qid, t.title, (Expansion(f"kiwi {t.title}"),)) for t in topics])
    for name, words in (("none", ["--fusion", "none"]), ("x", ["--expansions", folder / "x.jsonl"]), ("y", ["--expansions", folder / "data" / "y.jsonl"]), ("own", [])):  # fmt: skip
        words = ["--topics", "pocket", *words, "--output", folder / f"{name}.trec", "--quiet"]
        assert command.main([str(word) for word in words]) == 0
    return folder


def page(command, runs, tmp_path, names, *words):
    result = command("report", *(runs / f"{n}.trec" for n in names), "--qrels", "pocket", "--output", tmp_path / "r.html", *words)  # fmt: skip
    if result.code:
        return result, {}
    return result, json.loads(re.search(r'id="data">(.*?)</script>', (tmp_path / "r.html").read_text())[1])


def test_a_report_shows_each_run_the_passages_that_its_manifest_names(command, runs, tmp_path):
    result, data = page(command, runs, tmp_path, ["none", "x", "y", "own"])
    assert result.code == 0, result.err
    (collection,), (study,) = data["collections"], data["studies"]
    labels = [s["label"] for s in collection["sets"]]
    assert labels == ["x.jsonl", "y.jsonl", "those of the topics"]
    assert [r["set"] for r in study["runs"]] == [None, 0, 1, 2]
    shared = [s["shared"] for s in collection["sets"]]
    assert shared[0] == shared[2] >= shared[1]


def test_a_baseline_that_used_expansions_shows_them_too(command, runs, tmp_path):
    _, data = page(command, runs, tmp_path, ["x", "none"])
    assert [r["set"] for r in data["studies"][0]["runs"]] == [0, None]


@pytest.mark.parametrize(
    ("names", "words", "says"),
    [
        (["none", "y"], ["x.jsonl"], "y.trec: its manifest says that it was searched with the expansions y.jsonl, not with"),
        (["none", "x", "y"], ["data/y.jsonl", "x.jsonl"], "x.trec: its manifest says that it was searched with the expansions x.jsonl"),
        (["none", "own"], ["x.jsonl"], "searched with the expansions those of the topics, not with"),
        (["none", "x"], ["none"], "searched with the expansions x.jsonl, not with none"),
    ],
)  # fmt: skip
def test_expansions_that_a_manifest_contradicts_are_refused(command, runs, tmp_path, names, words, says):
    given = [word if word == "none" else runs / word for word in words]
    result, _ = page(command, runs, tmp_path, names, "--expansions", *given)
    assert result.code == 2
    assert says in result.error


def test_expansions_by_hand_that_the_manifest_confirms_are_shown_and_never_under_a_run_without(command, runs, tmp_path):
    shutil.copy(runs / "data" / "y.jsonl", tmp_path / "renamed.jsonl")
    _, data = page(command, runs, tmp_path, ["none", "y"], "--expansions", tmp_path / "renamed.jsonl")
    assert [r["set"] for r in data["studies"][0]["runs"]] == [None, 0]


def test_expansions_that_are_nowhere_are_told_of_and_the_page_goes_without(command, runs, tmp_path):
    for name in ("none", "y"):
        for ending in (".trec", ".trec.manifest.json"):
            shutil.copy(runs / f"{name}{ending}", tmp_path)
    result, data = page(command, tmp_path, tmp_path, ["none", "y"])
    assert "its expansions, y.jsonl, are neither beside the run" in result.err
    assert [r["set"] for r in data["studies"][0]["runs"]] == [None, None]


def test_expansions_that_were_changed_since_are_told_of_and_refused_by_name(command, runs, tmp_path, monkeypatch):
    for name in ("none", "y"):
        for ending in (".trec", ".trec.manifest.json"):
            shutil.copy(runs / f"{name}{ending}", tmp_path)
    changed = tmp_path / "y.jsonl"
    text = (runs / "data" / "y.jsonl").read_text()
    changed.write_text(text.replace('"text": "', '"text": "changed ', 1))
    result, data = page(command, tmp_path, tmp_path, ["none", "y"])
    assert "its expansions, y.jsonl, have changed since it was searched; the page goes without them" in result.err
    assert [r["set"] for r in data["studies"][0]["runs"]] == [None, None]
    monkeypatch.chdir(tmp_path)
    result, _ = page(command, tmp_path, tmp_path, ["none", "y"], "--expansions", "y.jsonl")
    assert "searched with other expansions than those of y.jsonl (SHA-256" in result.error


def test_a_run_that_was_changed_since_is_refused_by_every_command(command, runs, tmp_path):
    for name in ("none", "x"):
        for ending in (".trec", ".trec.manifest.json"):
            shutil.copy(runs / f"{name}{ending}", tmp_path)
    lines = (tmp_path / "x.trec").read_text().splitlines(keepends=True)
    (tmp_path / "x.trec").write_text("".join(lines[:-1]))
    pair = (tmp_path / "none.trec", tmp_path / "x.trec")
    for words in (["evaluate", pair[1]], ["compare", *pair], ["report", *pair, "--output", tmp_path / "r.html"]):
        result = command(*words, "--qrels", "pocket")
        assert result.code == 2
        assert f"{pair[1]}: x.trec.manifest.json next to it is of another run" in result.error


def test_judgments_of_another_collection_than_the_manifests_are_refused(command, runs, data, tmp_path):
    pair = (runs / "none.trec", runs / "x.trec")
    for words in (["evaluate", pair[1]], ["compare", *pair], ["report", *pair, "--output", tmp_path / "r.html"]):
        for qrels in ("scifact", data / "scifact"):
            result = command(*words, "--qrels", qrels)
            assert result.code == 2
            assert "judge none of its" in result.error or "its manifest says that pocket was searched" in result.error


def test_a_report_with_other_topics_under_the_same_ids_is_refused(command, runs, tmp_path):
    topics = read_topics(POCKET / "queries.jsonl")
    write_topics(tmp_path / "others.jsonl", [Topic(t.qid, f"not {t.title}") for t in topics])
    result, _ = page(command, runs, tmp_path, ["none", "x"], "--topics", tmp_path / "others.jsonl")
    assert result.code == 2
    assert "none.trec: its manifest says that it was searched with other topics than those of others.jsonl" in result.error  # fmt: skip
