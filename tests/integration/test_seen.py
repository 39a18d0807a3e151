"""Topics that a model saw in training: `search` finds them, its manifest keeps them, every command that scores the run shows them apart."""

from __future__ import annotations

import gzip
import json

import pytest
from tiny_bert import save_tiny_bert

from expandr_repro.data.collections import find_qrels, find_topics
from expandr_repro.data.overlap.trained_on import TrainedOn, record_beside, write_record, write_trained_on
from expandr_repro.evaluate import seen
from expandr_repro.io.manifest import run_manifest_path

ENCODING = ("--pooling", "mean", "--normalize", "--device", "cpu")


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """An encoder of which nothing says that it was trained."""
    return save_tiny_bert(tmp_path_factory.mktemp("plain") / "bert")


@pytest.fixture(scope="module")
def record():
    """Training on the documents of pocket's first twenty topics, and on the titles of three others."""
    topics, qrels = find_topics("pocket").topics, find_qrels("pocket")
    docids = {d for t in topics[:20] for d, grade in qrels[t.qid].items() if grade > 0}
    return TrainedOn("pocket", None, {t.qid: t.title.upper() for t in topics[30:33]}, frozenset(docids))


@pytest.fixture(scope="module")
def expected(record):
    topics, qrels = find_topics("pocket").topics, find_qrels("pocket")
    document = {t.qid for t in topics if any(g > 0 and d in record.docids for d, g in qrels[t.qid].items())}
    return document, document | set(record.topics)


@pytest.fixture(scope="module")
def trained(tmp_path_factory, record):
    folder = save_tiny_bert(tmp_path_factory.mktemp("trained") / "bert")
    write_trained_on(folder, [record])
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory, plain, trained):
    """The run of the trained encoder, and that of the untrained one."""
    from expandr_repro.search import __main__ as search

    folder = tmp_path_factory.mktemp("runs")
    for name, encoder in (("plain", plain), ("trained", trained)):
        argv = ["--topics", "pocket", "--encoder", encoder, *ENCODING, "--output", folder / f"{name}.trec", "--quiet"]
        assert search.main([str(a) for a in argv]) == 0
    return folder / "plain.trec", folder / "trained.trec"


def test_search_says_what_was_seen_and_shows_all_seen_and_unseen_topics_apart(command, trained, expected):
    document, whole = expected
    assert 20 <= len(document) < len(whole) < 72
    result = command("search", "--topics", "pocket", "--encoder", trained, *ENCODING)
    assert result.code == 0, result.err
    assert (
        f"seen    {len(document)} of 72 topics have a relevant document that the encoder was trained on, 3 repeat or nearly repeat one of its "
        f"training topics: {len(whole)} seen in all" in result.out
    )
    table = [line.split() for line in result.out.splitlines() if line.startswith(("nDCG@10", "R@100"))]
    assert [row[:3] for row in table] == [[m, part, str(n)] for m in ("nDCG@10", "R@100") for part, n in (("all", 72), ("seen", len(whole)), ("unseen", 72 - len(whole)))]  # fmt: skip
    found = json.loads(command("search", "--topics", "pocket", "--encoder", trained, *ENCODING, "--format", "json").out)[0]  # fmt: skip
    for name in ("figures", "query_only"):
        for metric in ("nDCG@10", "R@100"):
            parts = [found[part]["topics"] * found[part][name][metric] for part in ("seen", "unseen")]
            assert sum(parts) == pytest.approx(72 * found[name][metric])
    assert set(found["unseen"]["p_values"]) == {"nDCG@10", "R@100"}


def test_an_encoder_without_a_record_is_scored_as_ever(command, plain):
    result = command("search", "--topics", "pocket", "--encoder", plain, *ENCODING, "--fusion", "none")
    assert "seen" not in result.out
    assert "query only" in result.out
    found = json.loads(command("search", "--topics", "pocket", "--encoder", plain, *ENCODING, "--format", "json").out)[0]  # fmt: skip
    assert not {"seen", "unseen", seen.OVERLAP} & set(found)


def test_the_manifest_lists_the_seen_topics_with_the_reason_and_the_records_hash(runs, trained, expected, record):
    document, whole = expected
    facts = json.loads(run_manifest_path(runs[1]).read_text())[seen.OVERLAP]
    assert (facts["topics"], facts["seen"], facts["unseen"]) == (72, len(whole), 72 - len(whole))
    assert facts["models"]["encoder"]["record_sha256"]
    assert set(facts["lists"]["encoder"]["document"]) == document
    assert set(facts["lists"]["encoder"]["repeat"]) == set(record.topics)
    assert seen.OVERLAP not in json.loads(run_manifest_path(runs[0]).read_text())


@pytest.mark.parametrize("form", ["text", "markdown", "latex"])
def test_evaluate_shows_the_parts_of_each_run_by_what_any_of_the_runs_models_saw(command, runs, expected, form):
    result = command("evaluate", *runs, "--qrels", "pocket", "--format", form)
    assert result.code == 0, result.err
    counts = {"all": 72, "seen": len(expected[1]), "unseen": 72 - len(expected[1])}
    cells = [line.replace("|", " ").replace("&", " ").split() for line in result.out.splitlines()]
    for run in ("plain.trec", "trained.trec"):
        assert [c[1:3] for c in cells if c[:1] == [run]] == [[part, str(n)] for part, n in counts.items()]
    assert "trained.trec: " in result.out
    assert "have a relevant document that the encoder was trained on" in result.out


def test_evaluate_gives_the_parts_to_programs(command, runs, expected):
    plain, trained = json.loads(command("evaluate", *runs, "--qrels", "pocket", "--format", "json").out)
    per_topic = json.loads(command("evaluate", *runs, "--qrels", "pocket", "--per-topic", "--format", "json").out)
    for entry, whole in zip((plain, trained), per_topic, strict=True):
        scores = [whole["per_topic"][qid]["nDCG@10"] for qid in expected[1]]
        assert entry["seen"]["topics"] == len(scores)
        assert entry["seen"]["nDCG@10"] == pytest.approx(sum(scores) / len(scores))
        assert entry["unseen"]["topics"] == 72 - len(scores)


def test_compare_tests_the_parts_apart_with_holms_correction_in_each(command, runs, expected):
    argv = ("compare", *runs, "--qrels", "pocket")
    lines = [line.split() for line in command(*argv).out.splitlines() if line.startswith("trained - plain")]
    assert [line[3:6] for line in lines[:3]] == [["nDCG@10", part, str(n)] for part, n in (("all", 72), ("seen", len(expected[1])), ("unseen", 72 - len(expected[1])))]  # fmt: skip
    found = json.loads(command(*argv, "--format", "json").out)["comparisons"][0]
    parts = [found["seen"], found["unseen"]]
    assert sum(p["topics"] * p["difference"] for p in parts) == pytest.approx(72 * found["difference"])
    assert sum(p["better"] + p["equal"] + p["worse"] for p in parts) == 72
    assert all(0 <= p["p"] <= p["p_holm"] <= 1 for p in parts)


def test_of_several_models_a_topic_was_seen_if_one_of_them_saw_it(command, tmp_path, plain, trained, record):
    """The LLM that wrote the expansions has a record of its own, next to its file."""
    other = find_topics("pocket").topics[60]
    texts = tmp_path / "texts.jsonl"
    texts.write_text("".join(json.dumps({"qid": t.qid, "title": t.title, "expansions": ["cats purr"]}) + "\n" for t in find_topics("pocket").topics))  # fmt: skip
    write_record(record_beside(texts), [TrainedOn("elsewhere", "hash", {"x": other.title}, frozenset())])
    out = tmp_path / "run.trec"
    argv = ("search", "--topics", "pocket", "--expansions", texts, "--encoder", trained, *ENCODING, "--output", out)
    assert command(*argv).code == 0
    facts = json.loads(run_manifest_path(out).read_text())[seen.OVERLAP]
    assert facts["models"]["expansions"]["repeat"] == 1
    assert facts["lists"]["expansions"]["repeat"] == [other.qid]
    alone = command("search", "--topics", "pocket", "--expansions", texts, "--encoder", plain, *ENCODING)
    assert "1 repeats or nearly repeats one of its training topics" in alone.out
    assert "the LLM that wrote the expansions was trained on" in alone.out
    bm25 = command("search", "--topics", texts, "--index", "pocket", "--qrels", "pocket", "--encoder", plain, *ENCODING)
    assert "the LLM that wrote the expansions" in bm25.out  # the topics' own file has the record beside it
    unused = command("search", "--topics", texts, "--index", "pocket", "--encoder", plain, *ENCODING, "--fusion", "none")  # fmt: skip
    assert "the LLM" not in unused.out


def test_many_seen_topics_lie_beside_the_manifest_and_a_search_without_them_clears_the_file(command, tmp_path, monkeypatch, plain, trained, expected):  # fmt: skip
    monkeypatch.setattr(seen, "MANY", 5)
    run = tmp_path / "run.trec"
    argv = ("search", "--topics", "pocket", *ENCODING, "--output", run, "--encoder")
    assert command(*argv, trained).code == 0
    assert "lists" not in json.loads(run_manifest_path(run).read_text())[seen.OVERLAP]
    first = seen.lists_path(run).read_bytes()
    assert set(json.loads(gzip.decompress(first))["lists"]["encoder"]["document"]) == expected[0]
    found = json.loads(command("evaluate", run, "--qrels", "pocket", "--format", "json").out)[0]
    assert found["seen"]["topics"] == len(expected[1])
    assert command(*argv, trained).code == 0
    assert seen.lists_path(run).read_bytes() == first
    seen.lists_path(run).unlink()
    assert "seen in training is missing" in command("evaluate", run, "--qrels", "pocket").error
    assert command(*argv, trained).code == 0
    assert command(*argv, plain).code == 0
    assert not seen.lists_path(run).exists()


def test_a_run_searched_without_qrels_is_told_apart_when_it_is_scored_with_them(command, tmp_path, trained, expected):
    topics = tmp_path / "topics.tsv"
    topics.write_text("".join(f"{t.qid}\t{t.title}\n" for t in find_topics("pocket").topics))
    run = tmp_path / "run.trec"
    result = command("search", "--topics", topics, "--index", "pocket", "--encoder", trained, *ENCODING, "--output", run)  # fmt: skip
    assert "without qrels it is not known which of 72 topics have a relevant document" in result.out
    scored = command("evaluate", run, "--qrels", "pocket", "--format", "json")
    assert json.loads(scored.out)[0]["seen"]["topics"] == len(expected[1])


def test_a_damaged_record_is_one_line(command, tmp_path, record):
    folder = save_tiny_bert(tmp_path / "bert")
    write_trained_on(folder, [record])
    (folder / "trained_on.json.gz").write_bytes(b"rubbish")
    result = command("search", "--topics", "pocket", "--encoder", folder, *ENCODING)
    assert result.code == 2
    assert "trained_on.json.gz" in result.error


def test_expansions_of_a_trained_llm_whose_record_is_gone_are_warned_of(command, tmp_path, plain):
    texts = tmp_path / "texts.jsonl"
    texts.write_text("".join(json.dumps({"qid": t.qid, "title": t.title, "expansions": ["x"], "provenance": {"trained_on_sha256": "ab" * 32}}) + "\n" for t in find_topics("pocket").topics))  # fmt: skip
    result = command("search", "--topics", "pocket", "--expansions", texts, "--encoder", plain, *ENCODING)
    assert "texts.jsonl.trained_on.json.gz" in result.err
    assert "count as unseen" in result.err


@pytest.mark.data
def test_of_scifacts_300_topics_196_have_a_relevant_document_that_training_on_its_train_split_saw(command, data, tmp_path):  # fmt: skip
    """The documents are named by the collection here and by folder there; a tiny encoder searches as well as a good one for this."""
    qrels = find_qrels("scifact/train")
    docids = frozenset(d for judged in qrels.values() for d, grade in judged.items() if grade > 0)
    folder = save_tiny_bert(tmp_path / "bert")
    write_trained_on(folder, [TrainedOn("scifact", None, {t.qid: t.title for t in find_topics("scifact/train").topics}, docids)])  # fmt: skip
    argv = (
        "search",
        "--topics",
        data / "scifact" / "test",
        "--encoder",
        folder,
        *ENCODING,
        "--max-length",
        64,
        "--hits",
        100,
    )
    result = command(*argv, "--fusion", "none")
    assert result.code == 0, result.err
    assert "196 of 300 topics have a relevant document that the encoder was trained on, 116 repeat or nearly repeat one of its training topics: 197 seen in all" in result.out  # fmt: skip
    assert [line.split()[:2] for line in result.out.splitlines() if line.startswith(("all", "seen  ", "unseen"))][-3:] == [["all", "300"], ["seen", "197"], ["unseen", "103"]]  # fmt: skip
