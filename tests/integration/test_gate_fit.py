"""`gate fit` and `gate show` from the command line, and searches through the gate that was learned."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from expandr_repro.data.topics import Expansion, Topic, write_topics
from expandr_repro.data.trec import read_run

FIT = ("fit", "--train", "pocket/test")
SEARCH = ("--topics", "pocket", "--hits", 50)


@pytest.fixture(scope="module")
def dense(tmp_path_factory):
    """A gate fitted on pocket with the encoder."""
    from expandr_repro.gate.__main__ import main

    path = tmp_path_factory.mktemp("gate") / "learned.json"
    assert main([*FIT, "--output", str(path)]) == 0
    return path


@pytest.fixture
def search(command, tmp_path):
    def call(name, *more, code=0):
        result = command("search", *SEARCH, *more, "--output", tmp_path / f"{name}.trec")
        assert result.code == code, result.err
        return result

    return call


def choices(path):
    lines = Path(f"{path}.gate.tsv").read_text(encoding="utf-8").splitlines()[1:]
    return {qid: (how, value, why) for qid, how, value, why in (line.split("\t") for line in lines)}


def manifest(path):
    return json.loads(Path(f"{path}.manifest.json").read_text())


@pytest.mark.jvm
@pytest.mark.parametrize("model", ["logistic", "trees"])
def test_a_gate_for_bm25_is_fitted_shown_and_used(command, search, tmp_path, model):
    path = tmp_path / "learned.json"
    result = command("gate", *FIT, "--retriever", "bm25", "--model", model, "--output", path)

    assert result.code == 0, result.err
    assert "planted refused" in result.out
    assert "lost-terms" in result.out
    assert "similarity" not in result.out
    assert command("gate", "show", path).out == result.out
    search("gated", "--retriever", "bm25", "--gate", path)
    assert {how for how, _, _ in choices(tmp_path / "gated.trec").values()} <= {"fusion", "query"}
    assert "compares vectors" not in search("gated", "--retriever", "bm25", "--gate", f"{path}:0.5").err


@pytest.mark.jvm
def test_the_same_command_writes_the_same_bytes_and_the_files_next_to_the_gate_tell_what_it_was_fitted_on(
    command, tmp_path
):
    for name in ("a", "b"):
        assert command("gate", *FIT, "--retriever", "bm25", "--output", tmp_path / f"{name}.json").code == 0

    for ending in ("", ".manifest.json", ".trained_on.json.gz"):
        assert Path(f"{tmp_path}/a.json{ending}").read_bytes() == Path(f"{tmp_path}/b.json{ending}").read_bytes()
    facts = manifest(tmp_path / "a.json")
    assert facts["kind"] == "learned-gate"
    assert facts["retriever"] == "bm25"
    assert facts["planted"] is True
    assert facts["trained_on"][0]["topics"] == "pocket/test"
    assert facts["trained_on"][0]["count"] == 72
    assert str(tmp_path) not in json.dumps(facts)
    assert "trained_on_sha256" in facts


def test_a_run_through_a_learned_gate_says_which_topics_and_why_and_which_it_was_fitted_on(search, tmp_path, dense):
    result = search("gated", "--gate", dense)

    listed = choices(tmp_path / "gated.trec")
    assert len(listed) == 72
    assert all(
        "probability of no harm" in why and "contrast " in why and "overlap " in why for _, _, why in listed.values()
    )
    assert all(0 <= float(value) <= 1 for _, value, _ in listed.values())
    facts = manifest(tmp_path / "gated.trec")
    assert facts["gate"]["name"] == "learned"
    assert facts["gate"]["file"] == "learned.json"
    assert len(facts["gate"]["sha256"]) == 64
    assert facts["training_overlap"]["models"]["gate"]["document"] == 72
    assert "that the gate was trained on" in result.out
    assert "WARNING" not in result.err


def test_each_topic_has_the_ranking_that_was_chosen_and_a_threshold_of_0_and_of_1_use_all_and_none(
    search, tmp_path, dense
):
    for name, more in {"alone": ("--fusion", "none"), "fused": (), "gated": ("--gate", f"{dense}:0.9"), "all": ("--gate", f"{dense}:0"), "none": ("--gate", f"{dense}:1")}.items():  # fmt: skip
        search(name, *more)
    alone, fused, gated, every, none = (
        read_run(tmp_path / f"{name}.trec") for name in ("alone", "fused", "gated", "all", "none")
    )

    assert every == fused
    assert none == alone
    for qid, (how, _, _) in choices(tmp_path / "gated.trec").items():
        assert gated[qid] == pytest.approx((fused if how == "fusion" else alone)[qid], abs=1e-5)


def test_with_weights_a_doubtful_topic_is_searched_with_less_of_its_expansions(search, tmp_path, dense):
    search("weighted", "--gate", f"{dense}:threshold=0.99,weight=true")

    listed = choices(tmp_path / "weighted.trec")
    weighted = [why for how, _, why in listed.values() if how == "weight"]
    assert weighted
    assert all("of their weight" in why for why in weighted)
    assert manifest(tmp_path / "weighted.trec")["gate"]["topics_weighted"] == len(weighted)


@pytest.mark.parametrize(
    "text",
    ["Thanks for asking! Opinions differ, and it would be best to look at the matter from all sides.", "Het antwoord op deze vraag is niet zo eenvoudig als men zou denken."],
)  # fmt: skip
def test_harmful_texts_that_the_gate_was_not_fitted_on_are_refused(search, tmp_path, dense, text):
    from expandr_repro.data.collections import find_topics

    topics = find_topics("pocket").topics
    write_topics(tmp_path / "planted.jsonl", [Topic(t.qid, t.title, (Expansion(text),)) for t in topics])

    search("planted", "--expansions", tmp_path / "planted.jsonl", "--gate", dense)

    assert sum(how == "query" for how, _, _ in choices(tmp_path / "planted.trec").values()) >= 65


def test_python_retrieves_through_a_learned_gate(search, tmp_path, dense):
    import expandr_repro as ex

    search("command", "--gate", dense)
    topics = ex.load_topics("pocket")
    ex.retrieve(topics, ex.open_index(topics.corpus), gate=str(dense), hits=50).save(tmp_path / "api.trec")

    for ending in ("", ".gate.tsv"):
        assert (
            Path(f"{tmp_path}/api.trec{ending}").read_bytes() == Path(f"{tmp_path}/command.trec{ending}").read_bytes()
        )


def test_a_gate_fitted_for_another_fusion_is_used_with_a_warning(search, dense):
    assert "another fusion than this search has" in search("hyde", "--fusion", "hyde", "--gate", dense).err


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--gate", "none.json"), "there is no such file"),
        (("--gate", "{dense}", "--retriever", "bm25"), "compares vectors"),
        (("--gate", "{dense}", "--fusion", "rrf"), "compares scores"),
        (("--gate", "{dense}:2"), "0 to 1"),
        (("--gate", "{dense}.trained_on.json.gz"), "gate"),
        (("--gate", "{dense}.manifest.json"), "is no learned gate"),
    ],
)
def test_a_learned_gate_that_cannot_be_used_is_refused_in_one_line(search, dense, more, message):
    assert message in search("x", *(part.format(dense=dense) for part in more), code=2).error


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("fit", "--train", "pocket/test"), "--output"),
        (("fit", "--output", "g.json"), "--train"),
        ((*FIT, "--output", "g.txt"), ".json"),
        ((*FIT, "--output", "g.json", "--keep", "0"), "--keep"),
        ((*FIT, "--output", "g.json", "--features", "overlop"), "'overlap'"),
        ((*FIT, "--output", "g.json", "--features", "similarity", "--retriever", "bm25"), "compares vectors"),
        ((*FIT, "--output", "g.json", "--retriever", "bm25", "--device", "cpu"), "--device: applies only"),
        ((*FIT, "--output", "g.json", "--fusion", "none"), "uses no expansions"),
        ((*FIT, "--output", "g.json", "--hold-out", "pocket/test"), "nothing is left"),
        ((*FIT, "--output", "g.json", "--no-planted", "--features", "query-length"), "2 of 72 examples do harm"),
        (("fit", "--train", "pocket", "--output", "g.json"), "which split"),
        (("fit", "--train", "pocket/test=missing.jsonl", "--output", "g.json"), "missing.jsonl"),
        (("show", "missing.json"), "there is no such file"),
        (("fot",), "'fit'"),
        ((), "fit"),
    ],
)
def test_what_gate_cannot_do_is_refused_in_one_line(command, tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    result = command("gate", *words)

    assert result.code == 2
    assert message in result.error
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_no_learned_gate_is_not_replaced(command, tmp_path):
    (tmp_path / "g.json").write_text('{"mine": 1}')

    assert "is not a learned gate" in command("gate", *FIT, "--output", tmp_path / "g.json").error
    assert (tmp_path / "g.json").read_text() == '{"mine": 1}'


def test_show_prints_the_file_as_json(command, dense):
    shown = json.loads(command("gate", "show", dense, "--format", "json").out)

    assert shown == json.loads(dense.read_text())
