"""`search --gate` from the command line and from Python: each topic is searched as its gate chose, and the files tell."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from expandr_repro.data.topics import Expansion, Topic, write_topics
from expandr_repro.data.trec import read_run

POCKET = ("--topics", "pocket", "--hits", 50)
TALK = "This is a very interesting question, and there are many things to consider. It depends on a number of factors."
GERMAN = "Das ist eine gute Frage, und die Antwort ist nicht so einfach, wie man auf den ersten Blick denken kann."


@pytest.fixture
def run(command, tmp_path):
    def call(name, *more, code=0):
        path = tmp_path / f"{name}.trec"
        result = command("search", *POCKET, *more, "--output", path)
        assert result.code == code, result.err
        return read_run(path) if code == 0 else result.error

    return call


def chosen(path):
    header, *lines = Path(f"{path}.gate.tsv").read_text(encoding="utf-8").splitlines()
    assert header == "qid\tchosen\tvalue\twhy"
    return {qid: (how, value, why) for qid, how, value, why in (line.split("\t") for line in lines)}


def manifest(path):
    return json.loads(Path(f"{path}.manifest.json").read_text())


@pytest.mark.parametrize("fusion", ["mean", "rrf"])
@pytest.mark.parametrize(
    "gate", ["overlap:threshold=0.6", "similarity:threshold=0.6", "query-length:threshold=5", "idf:threshold=0.7", "lost-terms:threshold=0", "language:threshold=0.9"]
)  # fmt: skip
def test_each_topic_has_the_ranking_of_the_query_or_of_the_fusion_as_the_list_next_to_the_run_says(
    run, tmp_path, fusion, gate
):
    alone, fused = run("none", "--fusion", "none"), run("fused", "--fusion", fusion)
    gated = run("gated", "--fusion", fusion, "--gate", gate)

    choices = chosen(tmp_path / "gated.trec")
    assert list(choices) == list(gated)
    assert {how for how, _, _ in choices.values()} == {"fusion", "query"}
    for qid, (how, measured, why) in choices.items():
        assert gated[qid] == pytest.approx((fused if how == "fusion" else alone)[qid], abs=1e-5)
        assert measured or "nothing to judge" in why
        assert gate.partition(":")[0] in why
    facts = manifest(tmp_path / "gated.trec")["gate"]
    assert facts["name"] == gate.partition(":")[0]
    assert facts["threshold"] == float(gate.rpartition("=")[2])
    assert facts["topics_expanded"] == sum(how == "fusion" for how, _, _ in choices.values())
    assert facts["topics_refused"] == sum(how == "query" for how, _, _ in choices.values())


def test_a_run_without_a_gate_is_as_before_and_has_no_list(run, tmp_path):
    run("gated", "--gate", "overlap")
    run("gated")

    assert not Path(f"{tmp_path / 'gated.trec'}.gate.tsv").exists()
    assert "gate" not in manifest(tmp_path / "gated.trec")


def test_a_gate_that_refuses_all_gives_the_run_of_the_queries_and_one_that_refuses_none_that_of_the_fusion(run):
    assert run("a", "--gate", "overlap:threshold=2") == run("b", "--fusion", "none")
    assert run("c", "--gate", "overlap:threshold=0") == run("d")


def test_the_same_gate_gives_the_same_bytes(run, tmp_path):
    for name in ("a", "b"):
        run(name, "--gate", "overlap:threshold=0.7")

    for ending in ("", ".gate.tsv", ".manifest.json"):
        assert (
            Path(f"{tmp_path / 'a.trec'}{ending}").read_bytes() == Path(f"{tmp_path / 'b.trec'}{ending}").read_bytes()
        )


def test_the_summary_says_how_many_topics_are_searched_by_their_query_alone(command):
    result = command("search", *POCKET, "--gate", "overlap:threshold=2")

    assert (
        "gate    overlap:threshold=2.0: 72 of 72 topics with expansions are searched by their query alone" in result.out
    )


def test_a_gate_works_with_bm25(run, tmp_path):
    run("bm25", "--retriever", "bm25", "--gate", "overlap:threshold=0.8")

    assert {how for how, _, _ in chosen(tmp_path / "bm25.trec").values()} == {"fusion", "query"}


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--gate", "overlop"), "'overlap'"),
        (("--gate", "overlap:threshold=x"), "threshold"),
        (("--gate", "similarity", "--retriever", "bm25"), "compares vectors"),
        (("--gate", "score-gap", "--fusion", "rrf"), "of another kind"),
        (("--gate", "overlap", "--fusion", "none"), "--gate: applies only"),
        (("--gate", "overlap", "--fusion", "rocchio"), "--gate: applies only"),
        (("--gate", "overlap", "--export-queries", "q"), "--export-queries: applies only"),
    ],
)
def test_a_gate_that_cannot_be_is_refused_in_one_line(run, more, message):
    assert message in run("x", *more, code=2)


def test_a_file_that_is_no_list_of_choices_is_not_replaced(command, tmp_path):
    Path(tmp_path / "a.trec.gate.tsv").write_text("mine\n")

    result = command("search", *POCKET, "--gate", "overlap", "--output", tmp_path / "a.trec")

    assert "a.trec.gate.tsv" in result.error
    assert Path(tmp_path / "a.trec.gate.tsv").read_text() == "mine\n"


def test_topics_without_an_expansion_are_listed_as_such(run, tmp_path):
    topics = [Topic(t.qid, t.title) for t in pocket()]
    write_topics(
        tmp_path / "some.jsonl", [Topic(t.qid, t.title, (Expansion("words of the text"),)) for t in topics[:3]]
    )

    run("some", "--expansions", tmp_path / "some.jsonl", "--gate", "language")

    choices = chosen(tmp_path / "some.trec")
    assert sum(why == "has no expansion" for _, _, why in choices.values()) == 69
    assert manifest(tmp_path / "some.trec")["gate"]["topics_refused"] == 0


def pocket():
    from expandr_repro.data.collections import find_topics

    return find_topics("pocket").topics


@pytest.mark.parametrize(
    ("texts", "gate", "least"),
    [
        (lambda topics: [TALK] * 72, "similarity", 0.9),
        (lambda topics: [GERMAN] * 72, "language", 1.0),
        (lambda topics: [topics[(n + 36) % 72].expansions[0].text for n in range(72)], "similarity", 0.9),
        (lambda topics: [TALK] * 72, "lost-terms", 0.9),
    ],
    ids=["empty talk", "another language", "texts of other topics", "empty talk has not the query's words"],
)
def test_planted_harmful_texts_are_refused_at_the_default_threshold(run, tmp_path, texts, gate, least):
    topics = pocket()
    planted = [Topic(t.qid, t.title, (Expansion(text),)) for t, text in zip(topics, texts(topics), strict=True)]
    write_topics(tmp_path / "planted.jsonl", planted)

    run("planted", "--expansions", tmp_path / "planted.jsonl", "--gate", gate)

    choices = chosen(tmp_path / "planted.trec")
    assert sum(how == "query" for how, _, _ in choices.values()) / len(choices) >= least


def test_python_retrieves_through_a_gate_and_saves_the_same_files(run, tmp_path):
    import expandr_repro as ex

    run("command", "--gate", "overlap:threshold=0.6")
    topics = ex.load_topics("pocket")
    gated = ex.retrieve(topics, ex.open_index(topics.corpus), gate="overlap:threshold=0.6", hits=50)
    gated.save(tmp_path / "api.trec")

    assert chosen(tmp_path / "api.trec") == chosen(tmp_path / "command.trec")
    assert manifest(tmp_path / "api.trec")["gate"] == manifest(tmp_path / "command.trec")["gate"]
    assert (tmp_path / "api.trec").read_bytes() == (tmp_path / "command.trec").read_bytes()
