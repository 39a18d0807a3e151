"""Hybrids by the commands: run files fused, the same searches done by `fuse` itself, types of expansions, and imported topics."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from expandr_repro.data.collections import find_topics
from expandr_repro.data.topics import Expansion, read_topics, write_topics
from expandr_repro.data.trec import read_run

TEN = ",".join(t.qid for t in find_topics("pocket").topics[:10])


def manifest(path: Path) -> dict:
    return json.loads(Path(f"{path}.manifest.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def runs(tmp_path_factory, pocket_index) -> tuple[Path, Path]:
    """Ten topics of pocket, searched with BM25 and dense by `search`."""
    from expandr_repro.search import __main__ as search

    folder = tmp_path_factory.mktemp("runs")
    made = folder / "bm25.trec", folder / "dense.trec"
    for path, words in zip(made, (["--retriever", "bm25"], ["--index", str(pocket_index)]), strict=True):
        assert search.main(["--topics", "pocket", "--qids", TEN, *words, "--output", str(path), "--quiet"]) == 0
    return made


def test_a_hybrid_in_one_command_is_the_fusion_of_the_runs_that_search_writes(command, runs, pocket_index, tmp_path):
    files, whole = tmp_path / "files.trec", tmp_path / "whole.trec"
    done = command("fuse", *runs, "--method", "wsum", "--weights", "0.3,0.7", "--output", files)
    assert done.code == 0, done.err
    done = command("fuse", "--topics", "pocket", "--qids", TEN, "--index", "pocket", pocket_index, "--method", "wsum", "--weights", "0.3,0.7", "--output", whole)  # fmt: skip
    assert done.code == 0, done.err

    assert whole.read_bytes() == files.read_bytes()
    facts = manifest(files)
    assert (facts["collection"], facts["fusion"], facts["weights"]) == ("pocket/test", "wsum", [0.3, 0.7])
    assert [r["retriever"] for r in facts["runs"]] == ["bm25", "dense"]
    assert [r["fusion"] for r in manifest(whole)["runs"]] == ["repeat", "mean"]
    assert facts["figures"] == manifest(whole)["figures"]
    assert str(tmp_path) not in json.dumps(facts)
    assert manifest(runs[0])["repeat"] == 5
    assert not {"lowercase", "expansion_types"} & set(manifest(runs[0]))  # which runs of before had not


def test_the_same_command_writes_the_same_bytes(command, runs, tmp_path):
    for name in ("a.trec", "b.trec"):
        assert command("fuse", *runs, "--output", tmp_path / name).code == 0

    assert (tmp_path / "a.trec").read_bytes() == (tmp_path / "b.trec").read_bytes()
    assert manifest(tmp_path / "a.trec") == manifest(tmp_path / "b.trec")


def test_a_fused_run_is_scored_and_compared_by_the_other_commands(command, runs, tmp_path):
    fused = tmp_path / "fused.trec"
    done = command("fuse", *runs, "--output", fused, "--format", "json")
    told = json.loads(done.out)
    scored = json.loads(command("evaluate", "--qrels", "pocket", "--format", "json", fused).out)

    assert told["scores"]["fused"]["nDCG@10"] == pytest.approx(scored[0]["nDCG@10"])
    assert scored[0]["topics"] == 10
    assert command("compare", "--qrels", "pocket", runs[0], fused).code == 0


def test_weights_are_chosen_on_other_topics_that_the_manifest_names(command, runs, pocket_index, tmp_path):
    fused = tmp_path / "fused.trec"
    done = command("fuse", *runs, "--method", "wsum", "--optimize", "nDCG@10", "--training-runs", *runs, "--training-qrels", "pocket")  # fmt: skip
    assert "10 of 10 topics that are fused are among the training topics" in done.error
    train = tmp_path / "train.bm25.trec", tmp_path / "train.dense.trec"
    others = ",".join(t.qid for t in find_topics("pocket").topics[10:20])
    for path, words in zip(train, (["--retriever", "bm25"], ["--index", pocket_index]), strict=True):
        assert command("search", "--topics", "pocket", "--qids", others, *words, "--output", path).code == 0

    done = command("fuse", *runs, "--method", "wsum", "--optimize", "nDCG@10", "--training-runs", *train, "--training-qrels", "pocket", "--output", fused)  # fmt: skip

    assert done.code == 0, done.err
    told = manifest(fused)["optimized"]
    assert told["qrels"]["name"] == "pocket"
    assert told["qrels"]["topics"] == 10
    assert told["metric"] == "nDCG@10"
    assert told["chosen"]["weights"] == manifest(fused)["weights"]


def test_methods_are_listed_with_their_sources(command):
    listed = command("fuse", "methods")

    assert listed.code == 0
    assert "Cormack et al. (SIGIR 2009)" in listed.out
    assert "z-scores" in listed.out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "what to fuse? give two or more run files"),
        (["RUN"], "one run has nothing to be fused with"),
        (["RUN", "RUN"], "the same run is given twice"),
        (["RUN", "OTHER", "--method", "rff"], "did you mean 'rrf'"),
        (["RUN", "OTHER", "--method", "wsum", "--weights", "1,-1"], "-1 is no weight"),
        (["RUN", "OTHER", "--method", "wsum", "--weights", "1,x"], "is not a list of numbers"),
        (["RUN", "OTHER", "--norm", "max"], "looks at ranks alone"),
        (["RUN", "OTHER", "--topics", "pocket"], "not both"),
        (["RUN", "OTHER", "--optimize", "nDCG@10"], "--optimize needs --training-runs"),
        (["RUN", "OTHER", "--method", "sum", "--optimize", "nDCG@10"], "has nothing to choose"),
        (["RUN", "OTHER", "--output", "RUN"], "would replace"),
        (["--topics", "pocket", "--retrievers", "bm25"], "one search has nothing to be fused with"),
        (["--topics", "pocket", "--retrievers", "bm25,dens"], "did you mean 'dense'"),
    ],
)
def test_what_cannot_be_fused_is_one_line(command, runs, words, message):
    named = {"RUN": runs[0], "OTHER": runs[1]}
    done = command("fuse", *[named.get(word, word) for word in words])

    assert done.code == 2
    assert message in done.error


def test_imported_texts_are_searched_in_place_of_the_queries(command, pocket_index, tmp_path):
    topics = find_topics("pocket").topics[:10]
    table, made = tmp_path / "x.queries.tsv", tmp_path / "x.jsonl"
    table.write_text("".join(f"{t.qid}\t{t.title} {t.texts[0]}\n" for t in topics), encoding="utf-8")
    assert command("expand", "import", table, "--topics", "pocket", "--output", made).code == 0
    assert [t.title for t in read_topics(made)] == [t.title for t in topics]
    plain = tmp_path / "plain.jsonl"
    plain.write_text("".join(json.dumps({"qid": t.qid, "title": f"{t.title} {t.texts[0]}"}) + "\n" for t in topics))

    done = command("search", "--topics", "pocket", "--qids", TEN, "--expansions", made, "--retriever", "bm25", "--output", tmp_path / "a.trec")  # fmt: skip
    other = command("search", "--topics", plain, "--index", "pocket", "--retriever", "bm25", "--output", tmp_path / "b.trec")  # fmt: skip

    assert done.code == other.code == 0
    assert "fusion replace, the one of the method that wrote the expansions" in done.err
    assert read_run(tmp_path / "a.trec") == read_run(tmp_path / "b.trec")
    assert manifest(tmp_path / "a.trec")["fusion"] == "replace"
    assert "type rewrite" in command("expand", "show", made, topics[0].qid).out
    assert "of type rewrite" in command("expand", "stats", made).out


def test_a_wrong_line_of_an_imported_file_is_named(command, tmp_path):
    table = tmp_path / "x.queries.tsv"
    table.write_text("1\ttext\nno tab\n", encoding="utf-8")
    done = command("expand", "import", table, "--output", tmp_path / "x.jsonl")

    assert done.code == 2
    assert "x.queries.tsv, line 2: 1 columns; wanted two" in done.error
    assert not (tmp_path / "x.jsonl").exists()


def test_types_decide_what_a_retriever_is_given(command, pocket_index, tmp_path):
    topics = find_topics("pocket").topics[:10]
    files = {name: tmp_path / f"{name}.jsonl" for name in ("typed", "passages", "twice")}
    keywords = [Expansion("unrelated keywords", type="keywords")]
    write_topics(files["typed"], [_with(t, [*t.expansions, *keywords]) for t in topics])
    write_topics(files["passages"], [_with(t, t.expansions) for t in topics])
    write_topics(files["twice"], [_with(t, [*t.expansions, *t.expansions]) for t in topics])
    runs = {}
    for name, words in (("typed", []), ("passages", []), ("twice", []), ("all", ["--types", "passage,keywords"])):
        out = tmp_path / f"{name}.trec"
        done = command("search", "--topics", files.get(name, files["typed"]), "--index", pocket_index, "--no-baseline", *words, "--output", out)  # fmt: skip
        assert done.code == 0, done.err
        runs[name] = read_run(out)

    assert runs["typed"] == runs["passages"]
    assert runs["twice"] == runs["passages"]  # equal texts count once
    assert runs["all"] != runs["passages"]
    assert manifest(tmp_path / "typed.trec")["expansion_types"] == {"used": ["passage"], "left_out": {"keywords": 10}}
    assert "expansion_types" not in manifest(tmp_path / "passages.trec")


def _with(topic, expansions):
    from dataclasses import replace

    return replace(topic, expansions=tuple(expansions), provenance=None)


def test_the_hybrid_of_pocket_scores_what_the_page_shows(command, pocket_index, root):
    done = command("fuse", "--topics", "pocket", "--index", "pocket", pocket_index, "--format", "json")
    scores = json.loads(done.out)["scores"]

    assert done.code == 0, done.err
    assert {name: pytest.approx(s, abs=0.0005) for name, s in scores.items()} == {
        "bm25:repeat": {"nDCG@10": 0.7419, "R@100": 0.9881},
        "dense:mean": {"nDCG@10": 0.7922, "R@100": 0.998},
        "fused": {"nDCG@10": 0.7879, "R@100": 1.0},
    }
    page = (root / "docs" / "fuse.md").read_text(encoding="utf-8")
    assert "fused         0.7879  1.0000" in page
