"""One meaning however things are named: own ids, topics that nobody searched, levels of relevance, expansions for more topics than asked for."""

from __future__ import annotations

import json
import shutil

import pytest

from expandr_repro.data.topics import Expansion, Topic, read_topics, write_topics
from expandr_repro.data.trec import read_run
from expandr_repro.io.paths import resource

POCKET = resource("pocket")
WORDS = ("glacier", "otter", "teapot", "violin", "comet", "saffron")


def lines(*records):
    return "".join(json.dumps(r) + "\n" for r in records)


def beir(folder, documents, queries, judged):
    (folder / "qrels").mkdir(parents=True)
    (folder / "corpus.jsonl").write_text(lines(*({"_id": i, "title": "", "text": t} for i, t in documents)))
    (folder / "queries.jsonl").write_text(lines(*({"_id": i, "text": t} for i, t in queries)))
    table = "".join(f"{q}\t{d}\t{g}\n" for q, d, g in judged)
    (folder / "qrels" / "test.tsv").write_text(f"query-id\tcorpus-id\tscore\n{table}")
    return folder


def copies(folder):
    """A collection like Quora's: each query is a document too, and the document that means the same is relevant."""
    documents = [(f"{n}{side}", f"{w} {'question' if side == 'a' else 'query'}") for n, w in enumerate(WORDS) for side in "ab"]  # fmt: skip
    queries = [(f"{n}a", f"{w} question") for n, w in enumerate(WORDS)]
    return beir(folder, documents, queries, [(f"{n}a", f"{n}b", 1) for n in range(len(WORDS))])


@pytest.fixture
def quora(tmp_path, monkeypatch):
    monkeypatch.setenv("EXPANDR_DATA", str(tmp_path / "data"))
    return copies(tmp_path / "data" / "quora")


def searched(command, tmp_path, *arguments):
    result = command("search", *arguments, "--output", tmp_path / "run.trec", "--metrics", "MRR@10")
    assert result.code == 0, result.err
    facts = json.loads((tmp_path / "run.trec.manifest.json").read_text())
    return facts["figures"]["MRR@10"], facts, result.err


def test_own_ids_are_removed_however_topics_index_or_qrels_are_named(command, quora, tmp_path):
    shutil.copy(quora / "queries.jsonl", tmp_path / "topics.jsonl")
    index = tmp_path / "index"
    assert command("encode", "--corpus", quora, "--output", index).code == 0
    beside = ("--qrels", quora / "qrels" / "test.tsv")
    named = [
        ("--topics", "quora"),
        ("--topics", quora),
        ("--topics", f"{quora}/test"),
        ("--topics", "irds:beir/quora/test"),
        ("--topics", "beir-v1.0.0-quora-test"),
        ("--topics", tmp_path / "topics.jsonl", "--index", "quora", "--qrels", "quora"),
        ("--topics", tmp_path / "topics.jsonl", "--index", "quora", *beside),
        ("--topics", tmp_path / "topics.jsonl", "--index", quora, *beside),
        ("--topics", tmp_path / "topics.jsonl", "--index", quora / "corpus.jsonl", *beside),
        ("--topics", tmp_path / "topics.jsonl", "--index", index, *beside),
        ("--topics", quora / "queries.jsonl", "--index", index, *beside),
    ]
    for arguments in named:
        score, facts, err = searched(command, tmp_path, *arguments)
        assert (score, facts["own_id_removed"]) == (1.0, True), arguments
        assert facts["collection"] == "quora/test"
        assert "own id" not in err


def test_the_collections_folder_means_the_same_wherever_it_lies(command, tmp_path, monkeypatch):
    monkeypatch.delenv("EXPANDR_DATA", raising=False)
    folder = copies(tmp_path / "elsewhere" / "quora")
    assert searched(command, tmp_path, "--topics", folder)[0] == 1.0
    monkeypatch.chdir(folder)
    assert searched(command, tmp_path, "--topics", ".")[0] == 1.0


def test_topics_that_rank_their_own_ids_in_an_unknown_collection_are_warned_of(command, tmp_path):
    folder = copies(tmp_path / "mine")
    score, facts, err = searched(command, tmp_path, "--topics", folder)
    assert (score, facts["own_id_removed"]) == (0.5, False)
    assert "warning: 6 of 6 topics rank a document with their own id among the first 10" in err
    assert "--remove-query takes them out" in err
    for choice, right in (("--remove-query", 1.0), ("--no-remove-query", 0.5)):
        score, _, err = searched(command, tmp_path, "--topics", folder, choice)
        assert score == right
        assert "own id" not in err


def test_a_topics_own_id_that_is_judged_relevant_is_no_cause_for_warning(command, tmp_path):
    folder = copies(tmp_path / "mine")
    (folder / "qrels" / "test.tsv").write_text("".join(f"{n}a\t{n}a\t1\n" for n in range(6)))
    _, _, err = searched(command, tmp_path, "--topics", folder)
    assert "own id" not in err


@pytest.fixture(scope="module")
def subset(tmp_path_factory):
    """Runs of eight of pocket's topics, of all, and the eight topics."""
    from expandr_repro.search import __main__ as search

    folder = tmp_path_factory.mktemp("subset")
    write_topics(folder / "some.jsonl", read_topics(POCKET / "queries.jsonl")[:8])
    some = ["--topics", str(folder / "some.jsonl"), "--index", "pocket", "--qrels", "pocket", "--quiet", "--output"]
    for fusion in ("none", "mean"):
        assert search.main([*some, str(folder / f"{fusion}.trec"), "--fusion", fusion]) == 0
        assert search.main(["--topics", "pocket", "--quiet", "--fusion", fusion, "--output", str(folder / f"{fusion}.all.trec")]) == 0  # fmt: skip
    return folder


def test_topics_that_were_not_searched_do_not_count_in_search_evaluate_or_compare(command, subset, tmp_path):
    pair = (subset / "none.trec", subset / "mean.trec")
    result = command("search", "--topics", subset / "some.jsonl", "--index", "pocket", "--qrels", "pocket", "--format", "json")  # fmt: skip
    assert "64 of 72 judged topics are not among the topics that are searched and do not count" in result.err
    found = json.loads(result.out)[0]["figures"]
    judged = {t.qid for t in read_topics(subset / "some.jsonl")}
    rows = [line for line in (POCKET / "qrels" / "test.tsv").read_text().splitlines() if line.split("\t")[0] in judged]
    (tmp_path / "some.tsv").write_text("\n".join(rows) + "\n")

    evaluated = command("evaluate", "--qrels", "pocket", "--format", "json", *pair)
    assert "64 of 72 judged topics were not searched, as its manifest says, and do not count" in evaluated.err
    mean = json.loads(evaluated.out)[1]
    assert mean["topics"] == 8
    assert mean["nDCG@10"] == pytest.approx(found["nDCG@10"])

    both = [json.loads(command("compare", "--qrels", q, "--format", "json", *pair).out)["comparisons"] for q in ("pocket", tmp_path / "some.tsv")]  # fmt: skip
    assert both[0] == both[1]
    assert both[0][0]["better"] + both[0][0]["equal"] + both[0][0]["worse"] == 8


def test_without_manifests_evaluate_scores_zero_and_compare_leaves_out_what_no_run_has(command, subset, tmp_path):
    for name in ("none", "mean"):
        shutil.copy(subset / f"{name}.trec", tmp_path)
    pair = (tmp_path / "none.trec", tmp_path / "mean.trec")
    evaluated = command("evaluate", "--qrels", "pocket", "--format", "json", pair[1])
    assert json.loads(evaluated.out)[0]["topics"] == 72
    assert "64 judged topics are not in the run and score 0" in evaluated.err
    compared = command("compare", "--qrels", "pocket", "--format", "json", *pair)
    assert "64 of 72 judged topics are in none of the runs and are left out" in compared.err
    assert "score 0" not in compared.err
    first = json.loads(compared.out)["comparisons"][0]
    assert first["better"] + first["equal"] + first["worse"] == 8


def test_a_run_of_some_topics_is_compared_with_a_run_of_all_on_those_some(command, subset):
    result = command("compare", "--qrels", "pocket", "--format", "json", subset / "none.all.trec", subset / "mean.trec")
    first = json.loads(result.out)["comparisons"][0]
    assert first["better"] + first["equal"] + first["worse"] == 8
    assert "64 of 72 judged topics were not searched by all runs" in result.err


def test_a_topic_that_was_searched_and_has_no_hits_scores_zero_everywhere(command, tmp_path):
    folder = beir(tmp_path / "mine", [("d1", "old cats"), ("d2", "new dogs")], [("q1", "cats"), ("q2", "the of and")], [("q1", "d1", 1), ("q2", "d2", 1)])  # fmt: skip
    run = tmp_path / "bm25.trec"
    assert command("search", "--topics", folder, "--retriever", "bm25", "--output", run).code == 0
    facts = json.loads((tmp_path / "bm25.trec.manifest.json").read_text())
    assert facts["topics_without_hits"] == ["q2"]
    found = json.loads(command("evaluate", "--qrels", folder, "--format", "json", run).out)[0]
    assert (found["topics"], found["missing"], found["nDCG@10"]) == (2, 1, 0.5)


@pytest.fixture
def deep(tmp_path, monkeypatch):
    """A toy of TREC DL 2019, where grade 1 is not relevant."""
    monkeypatch.setenv("EXPANDR_DATA", str(tmp_path / "data"))
    documents = [(f"d{n}", f"{word} story") for n, word in enumerate(WORDS)]
    judged = [("1", "d0", 1), ("1", "d1", 2), ("2", "d1", 1), ("2", "d2", 3)]
    return beir(tmp_path / "data" / "dl19-passage", documents, [("1", "glacier story"), ("2", "otter story")], judged)


def test_the_collections_level_of_relevance_is_the_default_of_every_command_and_printed(command, deep, tmp_path):
    run, other = tmp_path / "a.trec", tmp_path / "b.trec"
    assert command("search", "--topics", "dl19-passage", "--output", run).code == 0
    assert command("search", "--topics", "dl19-passage", "--hits", 4, "--output", other).code == 0
    metrics = ("--metrics", "MRR,MRR(rel=1),P@2,nDCG@10")
    named = command("search", "--topics", deep, *metrics, "--format", "json")
    ways = ("dl19", deep, deep / "qrels" / "test.tsv", "irds:msmarco-passage/trec-dl-2019/judged")
    evaluated = [command("evaluate", "--qrels", qrels, run, *metrics, "--format", "json") for qrels in ways]
    for figures in (json.loads(named.out)[0]["figures"], *(json.loads(e.out)[0] for e in evaluated)):
        assert figures["MRR(rel=1)"] == 1.0
        assert figures["MRR(rel=2)"] < 1.0
        assert "P(rel=2)@2" in figures
        assert "nDCG@10" in figures
    text = command("evaluate", "--qrels", "dl19", run).out
    assert "R(rel=2)@100" in text
    compared = json.loads(command("compare", "--qrels", "dl19", run, other, *metrics, "--format", "json").out)
    assert set(compared["runs"]["a"]) == {"MRR(rel=2)", "MRR(rel=1)", "P(rel=2)@2", "nDCG@10"}
    page = tmp_path / "page.html"
    assert command("report", run, other, "--qrels", "dl19", "--output", page).code == 0
    assert "R(rel=2)@100" in page.read_text()


def test_the_collections_level_decides_what_is_gold_and_positive(deep):
    from expandr_repro.prefer.gold import find_gold
    from expandr_repro.train_encoder.examples import gather
    from expandr_repro.train_encoder.settings import EncoderTraining, TrainRequest

    topics = read_topics(deep / "queries.jsonl")
    for name in ("dl19/test", f"{deep}/test"):
        assert find_gold(name, None, topics).docids == {"1": "d1", "2": "d2"}
        request = TrainRequest(name, fusion="none")
        config = EncoderTraining(1, 2, 1e-5, 0.02, views={"query": 1.0})
        assert [e.positives for e in gather(request, config).examples] == [("d1",), ("d2",)]


def expansions(path, topics, text="x"):
    write_topics(path, [Topic(t.qid, t.title, (Expansion(f"{text} {t.title}"),)) for t in topics])
    return path


def test_expansions_for_more_topics_are_fine_and_several_files_are_united(command, tmp_path):
    topics = [Topic(t.qid, t.title) for t in read_topics(POCKET / "queries.jsonl")]
    write_topics(tmp_path / "some.jsonl", topics[:6])
    every, first, second = (
        expansions(tmp_path / name, listed, text)
        for name, listed, text in (("every.jsonl", topics, "x"), ("first.jsonl", topics[:4], "x"), ("second.jsonl", topics[3:9], "y"))
    )  # fmt: skip
    common = ("search", "--topics", tmp_path / "some.jsonl", "--index", "pocket", "--hits", 5, "--output")
    assert command(*common, tmp_path / "a.trec", "--expansions", every).code == 0
    result = command(*common, tmp_path / "b.trec", "--expansions", first, second)
    assert result.code == 0, result.err
    facts = json.loads((tmp_path / "b.trec.manifest.json").read_text())
    assert [source["name"] for source in facts["expansions"]] == ["first.jsonl", "second.jsonl"]
    assert facts["topics_with_texts_from_several_files"] == 1
    assert facts["topics_without_expansion"] == 0
    a, b = read_run(tmp_path / "a.trec"), read_run(tmp_path / "b.trec")
    assert all(list(a[t.qid]) == list(b[t.qid]) for t in topics[:3])


def test_expansions_that_do_not_belong_are_still_refused(command, tmp_path):
    topics = [Topic(t.qid, t.title) for t in read_topics(POCKET / "queries.jsonl")]
    good = expansions(tmp_path / "good.jsonl", topics)
    other = expansions(tmp_path / "other.jsonl", [Topic(f"s{n}", "x") for n in range(4)])
    titled = expansions(tmp_path / "titled.jsonl", [Topic(topics[0].qid, "mango"), Topic("far", "x")])
    for sources, says in (
        ([other], "4 of 4 ids are not among the topics"),
        ([good, other], "4 of 4 ids are not among the topics"),
        ([good, titled], "has another title there"),
        ([good, good], "occurs twice"),
    ):
        result = command("search", "--topics", "pocket", "--expansions", *sources)
        assert result.code == 2
        assert says in result.error


@pytest.mark.parametrize(
    ("record", "says"),
    [
        ({"expansion": [{"text": "x"}]}, "found the key 'expansion', wanted \"expansions\""),
        ({"expansions": []}, "`expansions` is empty from here on; did `expand` fail?"),
        ({"expansions": [{"text": " "}]}, "`expansions` is empty from here on; did `expand` fail?"),
        ({}, "found the keys 'qid', 'title', wanted"),
    ],
)
def test_a_file_without_one_expansion_is_an_error_that_names_file_line_and_key(command, tmp_path, record, says):
    topics = read_topics(POCKET / "queries.jsonl")[:3]
    path = tmp_path / "empty.jsonl"
    path.write_text(lines(*({"qid": t.qid, "title": t.title, **record} for t in topics)))
    for call in (
        ["search", "--topics", "pocket"],
        ["train_encoder", "--train", "pocket/test", "--output", tmp_path / "m"],
    ):
        result = command(*call, "--expansions", path)
        assert result.code == 2
        assert f"{path}, line 1: none of the 3 topics has an expansion" in result.error
        assert says in result.error


def test_a_file_whose_expansions_are_all_of_other_topics_is_an_error(command, tmp_path):
    topics = read_topics(POCKET / "queries.jsonl")
    path = tmp_path / "late.jsonl"
    write_topics(path, [Topic(t.qid, t.title, () if n < 5 else (Expansion("x"),)) for n, t in enumerate(topics)])
    result = command("search", "--topics", "pocket", "--limit", 5, "--expansions", path)
    assert result.code == 2
    assert "none of the 5 topics of pocket/test has an expansion there" in result.error


def test_some_topics_are_chosen_by_number_and_by_id_from_a_file_or_a_list(command, tmp_path):
    topics = [t.qid for t in read_topics(POCKET / "queries.jsonl")]
    (tmp_path / "ids.txt").write_text(f"{topics[5]}\n\n{topics[2]}\n")
    for arguments, wanted in (
        (["--limit", 3], topics[:3]),
        (["--qids", f"{topics[5]}, {topics[2]}"], [topics[2], topics[5]]),
        (["--qids", tmp_path / "ids.txt", "--limit", 1], [topics[2]]),
    ):
        run = tmp_path / "run.trec"
        result = command("search", "--topics", "pocket", "--hits", 3, *arguments, "--output", run)
        assert result.code == 0, result.err
        assert list(read_run(run)) == wanted
        assert f"note: {72 - len(wanted)} of 72 judged topics are not among the topics that are searched" in result.err
    wrong = command("search", "--topics", "pocket", "--qids", "animals-1,animols-2")
    assert wrong.code == 2
    assert "1 of 2 ids are not among the 72 topics of pocket/test (first: 'animols-2', did you mean 'animals-2'?)" in wrong.error  # fmt: skip


def test_a_packaged_set_serves_some_of_its_topics(command, data, tmp_path):
    topics = read_topics(data / "scifact" / "queries.jsonl.gz")
    judged = {line.split("\t")[0] for line in __import__("gzip").open(data / "scifact" / "qrels" / "test.tsv.gz", "rt")} if (data / "scifact" / "qrels" / "test.tsv.gz").is_file() else {line.split("\t")[0] for line in (data / "scifact" / "qrels" / "test.tsv").read_text().splitlines()}  # fmt: skip
    write_topics(tmp_path / "mine.jsonl", [t for t in topics if t.qid in judged][:5])
    result = command("search", "--topics", tmp_path / "mine.jsonl", "--index", "pocket", "--hits", 3, "--expansions", "claude.q2d", "--output", tmp_path / "x.trec")  # fmt: skip
    assert result.code == 0, result.err
    facts = json.loads((tmp_path / "x.trec.manifest.json").read_text())
    assert facts["expansions"][0]["name"] == "claude.q2d"
    assert facts["topics_without_expansion"] == 0


def test_one_query_by_hand_prints_its_ten_best_titles_without_and_with_an_expansion(command):
    query = ("search", "--query", "why do cats purr", "--index", "pocket")
    alone = json.loads(command(*query, "--format", "json").out)
    assert [len(a["hits"]) for a in alone] == [10]
    assert all(hit["title"] and hit["docid"] and isinstance(hit["score"], float) for hit in alone[0]["hits"])
    text = "Purring comes from the larynx; a cat purrs when it rests."
    both = json.loads(command(*query, "--expansion-text", text, "--hits", 3, "--format", "json").out)
    assert [a["fusion"] for a in both] == ["none", "mean"]
    assert [len(a["hits"]) for a in both] == [3, 3]
    assert both[0]["hits"] == alone[0]["hits"][:3]
    shown = command(*query, "--expansion-text", text).out
    assert "query only" in shown
    assert "mean" in shown
    assert alone[0]["hits"][0]["title"] in shown
    assert command("search", "--query", "cats", "--topics", "pocket").code == 0


@pytest.mark.jvm
def test_one_query_by_hand_is_searched_by_bm25_too(command):
    result = command("search", "--query", "cats drinking", "--index", "pocket", "--retriever", "bm25", "--expansion-text", "milk", "--format", "json")  # fmt: skip
    assert [a["fusion"] for a in json.loads(result.out)] == ["none", "repeat"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--query", "cats"], "which documents? give --index"),
        (["--query", " ", "--index", "pocket"], "--query: is empty"),
        (["--query", "cats", "--index", "pocket", "--expansion-text", ""], "--expansion-text: is empty"),
        (["--query", "cats", "--index", "pocket", "--output", "x.trec"], "--output: applies only to topics"),
        (["--query", "cats", "--index", "pocket", "--topics", "pocket"], "--topics: applies only without --query"),
        (["--topics", "pocket", "--expansion-text", "x"], "--expansion-text: applies only with --query"),
        ([], "which topics? give --topics"),
    ],
)
def test_a_query_by_hand_that_cannot_be_searched_is_one_line(command, arguments, says):
    result = command("search", *arguments)
    assert result.code == 2
    assert says in result.error


def test_a_search_that_keeps_nothing_says_how_to_keep_it(command, tmp_path):
    write_topics(tmp_path / "mine.jsonl", [Topic("1", "why is the sky blue")])
    arguments = ("search", "--topics", tmp_path / "mine.jsonl", "--index", "pocket")
    assert "the run is not kept: --output RUN writes it" in command(*arguments).err
    assert "not kept" not in command(*arguments, "--output", tmp_path / "x.trec").err
    assert "not kept" not in command("search", "--topics", "pocket", "--limit", 2).err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--alpha", "0.5"], "--alpha: applies only with --fusion mean"),
        (["--rrf-k", "9"], "--rrf-k: applies only with --fusion rrf"),
        (["--metrics", "MAP"], "--metrics: applies only where judgments are known; give --qrels"),
    ],
)
def test_what_does_not_apply_to_the_topics_that_are_found_is_refused_before_the_search(command, tmp_path, arguments, says):  # fmt: skip
    write_topics(tmp_path / "mine.jsonl", [Topic("1", "why is the sky blue")])
    result = command("search", "--topics", tmp_path / "mine.jsonl", "--index", "pocket", *arguments)
    assert result.code == 2
    assert says in result.error


def test_words_of_documents_that_are_not_known_are_refused_by_report(command, tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.trec").write_text("1 Q0 d 1 1 t\n")
    (tmp_path / "qrels.txt").write_text("1 0 d 1\n")
    pair = (tmp_path / "a.trec", tmp_path / "b.trec")
    result = command("report", *pair, "--qrels", tmp_path / "qrels.txt", "--words", 9, "--output", tmp_path / "r.html")
    assert result.code == 2
    assert "--words: applies only where" in result.error


def test_expand_takes_the_first_topics_or_some_by_id_with_the_prompt_of_all(command, tmp_path):
    common = ("expand", "--topics", "pocket", "--model", "m", "--base-url", "http://127.0.0.1:9/v1", "--store", tmp_path / "s.sqlite", "--dry-run", "--format", "json")  # fmt: skip
    for words, wanted in ((["--limit", 3], 3), (["--qids", "animals-1,animals-2"], 2), ([], 72)):
        result = command(*common, *words)
        assert result.code == 0, result.err
        assert {r[""]: r["remaining"] for r in json.loads(result.out)}["topics"] == wanted
    wrong = command(*common, "--qids", "nobody")
    assert wrong.code == 2
    assert "1 of 1 ids are not among the 72 topics" in wrong.error
