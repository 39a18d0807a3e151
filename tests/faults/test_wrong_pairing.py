"""Things that do not belong together: index and encoder, index and corpus, topics and expansions, run and judgements, adapter and model, shards,
checkpoint and training. Each is refused before anything is written, and the error says what differs."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path

import pytest
from tiny_bert import save_tiny_bert
from tiny_llama import save_tiny_llama

from expandr_repro.data.topics import Expansion, Topic, read_topics, write_topics
from expandr_repro.io.files import write_json
from expandr_repro.io.paths import resource

AREA = "Wrong pairing"
POCKET = resource("pocket")
POOLED = ("--pooling", "mean", "--normalize", "--max-length", "64")

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Encoders of one shape and other weights, and one of another shape."""
    folder = tmp_path_factory.mktemp("models")
    for name, options in {"first": {}, "second": {"seed": 1}, "narrow": {"dim": 16}}.items():
        save_tiny_bert(folder / name, **options)
    return folder


@pytest.fixture(scope="module")
def world(tmp_path_factory, models):
    """Two collections with the same topics' ids and other documents, and an index of the first."""
    from expandr_repro.encode import __main__ as encode

    folder = tmp_path_factory.mktemp("world")
    for name, animal in (("birds", "kiwi bird"), ("fish", "trout fish")):
        base = folder / name
        (base / "qrels").mkdir(parents=True)
        (base / "corpus.jsonl").write_text(
            "".join(json.dumps({"_id": f"{name}-{i}", "text": f"{animal} {i}"}) + "\n" for i in range(30))
        )
        (base / "queries.jsonl").write_text(
            "".join(json.dumps({"_id": str(i), "text": f"{animal} number {i}"}) + "\n" for i in range(12))
        )
        (base / "qrels" / "test.tsv").write_text(
            "query-id\tcorpus-id\tscore\n" + "".join(f"{i}\t{name}-{i}\t1\n" for i in range(12))
        )
        words = [
            "--corpus",
            base,
            "--encoder",
            models / "first",
            *POOLED,
            "--output",
            folder / f"{name}.index",
            "--quiet",
        ]
        assert encode.main([*map(str, words)]) == 0
    return folder


@pytest.fixture
def search(command, world, models, tmp_path):
    def call(*more, topics="birds", index="birds.index", encoder="first"):
        words = ["search", "--topics", world / topics, "--index", world / index, "--encoder", models / encoder, *POOLED]
        return command(*words, "--output", tmp_path / "run.trec", *more)

    return call


def copied(source: Path, target: Path) -> Path:
    shutil.copytree(source, target)
    return target


def change(folder: Path, **parts: object) -> Path:
    """Change what a manifest says; of a part that is an object, some keys."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    for key, value in parts.items():
        manifest[key] = manifest[key] | value if isinstance(value, dict) else value
    write_json(path, manifest)
    return folder


def refused(result, *says: str) -> None:
    assert result.code == 2, result.out + result.err
    for text in says:
        assert text in result.error


def test_what_belongs_together_is_searched(search, tmp_path):
    assert search().code == 0
    assert (tmp_path / "run.trec").is_file()


def test_an_index_of_other_weights_of_the_same_shape_is_refused(search, tmp_path):
    refused(search(encoder="second"), "made by another encoder (fingerprint is ", "search with ")
    assert not (tmp_path / "run.trec").exists()


def test_an_index_of_weights_that_have_changed_since_is_refused(search, models, world, tmp_path):
    model = copied(models / "first", models / "changing")
    index = copied(world / "birds.index", tmp_path / "index")
    assert search(index=index, encoder="changing").code == 0
    shutil.copyfile(models / "second" / "model.safetensors", model / "model.safetensors")
    refused(search(index=index, encoder="changing"), "fingerprint is ")


@pytest.mark.parametrize(("more", "says"), [(("--pooling", "cls"), "pooling is 'mean' there, 'cls' here"), (("--no-normalize",), "normalize is True there, False"), (("--document-prefix", "passage: "), "document_prefix is '' there")])  # fmt: skip
def test_an_index_of_other_settings_of_the_encoder_is_refused(search, more, says):
    refused(search(*more), says)


def test_an_index_of_another_dimension_is_refused_with_a_manifest_and_without(search, world, tmp_path, record_property):
    refused(search(encoder="narrow"), "the index has 32 dimensions, the encoder 16")
    bare = copied(world / "birds.index", tmp_path / "bare")
    (bare / "manifest.json").unlink()
    refused(search(index=bare, encoder="narrow"), "the index has 32 dimensions, the encoder 16")
    record_property("tried", 2)


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ({"documents": 29}, "manifest.json is of another index (29 vectors there, 30 in the index)"),
        ({"encoder": {"dimension": 384}}, "manifest.json is of another index (384 dimensions there, 32 in the index)"),
        ({"docids_sha256": "0" * 64}, "`docid` is of another index (SHA-256 0000000000000000 in manifest.json"),
    ],
)
def test_a_manifest_of_another_index_is_refused(search, world, tmp_path, parts, says):
    refused(search(index=change(copied(world / "birds.index", tmp_path / "index"), **parts)), says)


def test_vectors_of_one_index_with_the_docids_of_another_are_refused(search, world, tmp_path, record_property):
    mixed = copied(world / "birds.index", tmp_path / "mixed")
    shutil.copyfile(world / "fish.index" / "docid", mixed / "docid")
    refused(search(index=mixed), "`docid` is of another index")
    shorter = copied(world / "birds.index", tmp_path / "shorter")
    (shorter / "docid").write_text("".join(f"d{i}\n" for i in range(29)))
    refused(search(index=shorter), "29 ids for 30 vectors")
    record_property("tried", 2)


def test_an_index_that_ranks_by_distance_or_numbers_by_itself_is_refused(search, tmp_path, record_property):
    import faiss
    import numpy as np

    vectors = np.random.default_rng(0).random((30, 32), dtype=np.float32)
    by_distance = faiss.IndexFlatL2(32)
    by_distance.add(vectors)
    numbered = faiss.IndexIDMap(faiss.IndexFlatIP(32))
    numbered.add_with_ids(vectors, np.arange(1000, 1030))
    for index, says in ((by_distance, "the index measures distances"), (numbered, "and there are 30 docids")):
        folder = tmp_path / type(index).__name__
        folder.mkdir()
        faiss.write_index(index, str(folder / "index"))
        (folder / "docid").write_text("".join(f"birds-{i}\n" for i in range(30)))
        refused(search(index=folder), says)
    record_property("tried", 2)


def test_an_index_of_another_collection_than_the_judgements_is_refused_before_it_is_searched(
    search, world, tmp_path, record_property
):
    refused(
        search(index="fish.index"),
        "contains none of the 12 documents that are judged for these topics (e.g. 'birds-0')",
    )
    refused(search("--qrels", world / "fish"), "contains none of the 12 documents that are judged")
    assert not (tmp_path / "run.trec").exists()
    record_property("tried", 2)


@pytest.mark.jvm
def test_a_lucene_index_of_another_collection_or_with_anothers_manifest_is_refused(
    command, world, tmp_path, record_property
):
    for name in ("birds", "fish"):
        assert command("encode", "--corpus", world / name, "--retriever", "bm25", "--output", tmp_path / name).code == 0
    words = ["search", "--topics", world / "birds", "--retriever", "bm25", "--index"]
    assert command(*words, tmp_path / "birds").code == 0
    refused(command(*words, tmp_path / "fish"), "contains none of the 12 documents that are judged")
    other = change(copied(tmp_path / "birds", tmp_path / "other"), corpus={"documents": 31})
    refused(command(*words, other), "manifest.json is of another index (31 documents there, 30 in the index)")
    refused(command("search", "--topics", world / "birds", "--index", tmp_path / "birds"), "is a Lucene index")
    refused(command(*words, world / "birds.index"), "is a Faiss index")
    record_property("tried", 4)


def test_an_index_of_another_version_of_the_corpus_is_refused_with_both_counts_and_hashes(
    command, world, models, tmp_path, record_property
):
    folder = copied(world / "birds", tmp_path / "birds")
    encoder = ["--encoder", models / "first", *POOLED]
    index = tmp_path / "index"
    assert command("encode", "--corpus", folder, *encoder, "--output", index).code == 0
    words = ["search", "--topics", folder, "--index", index, *encoder, "--output", tmp_path / "run.trec"]
    assert command(*words).code == 0
    corpus = folder / "corpus.jsonl"
    content = corpus.read_text()
    for changed, says in (
        (content + json.dumps({"_id": "new", "text": "x"}) + "\n", "31, "),
        (content.replace("kiwi bird 29", "moa bird 29"), "30, "),
    ):
        corpus.write_text(changed)
        refused(command(*words), "was made of another version of ", "(30 documents, SHA-256 ", says, "encode it again")
        refused(
            command("encode", "--corpus", folder, *encoder, "--output", index),
            "contains something else than this index",
        )
    corpus.write_text(content)
    assert command(*words).code == 0
    record_property("tried", 4)


def test_an_index_that_is_built_on_demand_is_never_that_of_an_earlier_corpus(command, world, models, tmp_path):
    folder = copied(world / "birds", tmp_path / "birds")
    words = [
        "search",
        "--topics",
        folder,
        "--encoder",
        models / "first",
        *POOLED,
        "--format",
        "json",
        "--hits",
        30,
        "--output",
        tmp_path / "run",
    ]
    assert command(*words).code == 0
    (folder / "corpus.jsonl").write_text((folder / "corpus.jsonl").read_text().replace('"birds-29"', '"birds-new"'))
    assert command(*words).code == 0
    assert "birds-new" in (tmp_path / "run").read_text()
    assert "birds-29 " not in (tmp_path / "run").read_text()


@pytest.fixture
def strangers(tmp_path):
    """Expansions of pocket's ids, made for other queries."""
    write_topics(tmp_path / "strangers.jsonl", [Topic(t.qid, f"not {t.title}", (Expansion("x"), Expansion("y"))) for t in read_topics(POCKET / "queries.jsonl")])  # fmt: skip
    return tmp_path / "strangers.jsonl"


def test_expansions_that_were_made_for_other_queries_with_the_same_ids_are_refused_by_every_command(
    command, strangers, models, tmp_path, record_property
):
    tiny, out = ["--encoder", models / "first", *POOLED], ["--output", tmp_path / "out"]
    runs = [
        Path(__file__).parents[2] / "runs" / "reference" / f"pocket.minilm.{name}.trec.gz"
        for name in ("none", "own.mean")
    ]
    calls = (
        ["search", "--topics", "pocket", "--expansions", strangers, *tiny, *out],
        ["report", *runs, "--qrels", "pocket", "--expansions", strangers, *out],
        ["train_encoder", "--train", "pocket/test", "--expansions", strangers, *tiny, *out],
        ["train_generator", "--sft", "pocket/test", "--expansions", strangers, "--model", "x", *out],
        ["prefer", "--candidates", strangers, "--gold", "pocket/test", "--reward", "retriever", *tiny, *out],
        [
            "prefer",
            "--candidates",
            POCKET / "queries.jsonl",
            "--gold",
            "pocket/test",
            "--answers",
            strangers,
            *tiny,
            *out,
        ],
    )
    for words in calls:
        result = command(*words)
        refused(result)
        assert "another title there" in result.error or "these are other topics" in result.error, words
    assert not (tmp_path / "out").exists()
    record_property("tried", len(calls))


def test_a_packaged_set_knows_its_topics_by_their_hash(command, tmp_path, record_property):
    shipped = resource("expansions", "claude.q2d", "scifact.test.jsonl.gz")
    with gzip.open(shipped, "rt") as file:
        record = json.loads(file.readline())
    assert "title" not in record
    write_topics(tmp_path / "topics.jsonl", [Topic(record["qid"], "another claim")])
    (tmp_path / "x.jsonl").write_text(json.dumps(record) + "\n")
    refused(
        command(
            "search", "--topics", tmp_path / "topics.jsonl", "--expansions", tmp_path / "x.jsonl", "--index", "pocket"
        ),
        "another title there",
    )
    refused(
        command("search", "--topics", "pocket", "--expansions", tmp_path / "x.jsonl"),
        "1 of 1 ids are not among the topics",
    )
    record_property("tried", 2)


def run_of(path: Path, topics: int, document: str) -> Path:
    path.write_text(
        "".join(f"{i} Q0 {document}-{i + 20 * r} {r + 1} {9 - r} t\n" for i in range(topics) for r in range(3))
    )
    return path


def test_a_run_of_another_collection_with_the_same_topic_ids_is_refused_by_every_command(
    command, world, tmp_path, record_property
):
    ours, theirs = run_of(tmp_path / "ours.trec", 12, "birds"), run_of(tmp_path / "theirs.trec", 12, "fish")
    qrels = ["--qrels", world / "birds"]
    assert command("evaluate", ours, *qrels).code == 0
    calls = (
        ["evaluate", theirs],
        ["evaluate", ours, theirs],
        ["compare", ours, theirs],
        ["report", ours, theirs, "--output", tmp_path / "r.html"],
    )
    for words in calls:
        refused(
            command(*words, *qrels),
            "theirs.trec: none of the documents that it ranks for 12 judged topics is judged for any",
        )
    assert not (tmp_path / "r.html").exists()
    record_property("tried", len(calls))


def test_a_run_of_other_topics_is_refused_by_every_command(command, world, tmp_path, record_property):
    ours = run_of(tmp_path / "ours.trec", 12, "birds")
    calls = (
        ["evaluate", ours],
        ["compare", ours, run_of(tmp_path / "b.trec", 12, "birds")],
        ["report", ours, tmp_path / "b.trec", "--output", tmp_path / "r.html"],
    )
    for words in calls:
        refused(
            command(*words, "--qrels", "pocket"),
            "judge none of its 12 topics (the run has e.g. '0', the judgements e.g. ",
        )
    record_property("tried", len(calls))


def test_a_few_topics_without_luck_are_warned_of_and_a_single_judged_document_is_enough(
    command, world, tmp_path, record_property
):
    few = run_of(tmp_path / "few.trec", 9, "fish")
    result = command("evaluate", few, "--qrels", world / "birds")
    assert result.code == 0
    assert "none of the documents it ranks is judged for its topic; is it a run on another collection?" in result.err
    lucky = run_of(tmp_path / "lucky.trec", 12, "fish")
    lucky.write_text(lucky.read_text() + "3 Q0 birds-3 4 1 t\n")
    result = command("evaluate", lucky, "--qrels", world / "birds")
    assert result.code == 0
    assert "of another collection" not in result.err
    record_property("tried", 2)


def test_a_run_that_finds_nothing_in_its_own_collection_scores_zero_and_is_not_refused(
    command, world, tmp_path, record_property
):
    poor = tmp_path / "poor.trec"
    poor.write_text("".join(f"{i} Q0 birds-{(i + 1) % 12} 1 1 t\n" for i in range(12)))
    result = command("evaluate", poor, "--qrels", world / "birds")
    assert result.code == 0, result.err
    assert result.out.splitlines()[-1].split()[:2] == ["poor.trec", "0.0000"]
    assert "none of the documents it ranks is judged for its topic\n" in result.err
    record_property("tried", 1)


def test_negatives_and_development_topics_of_another_collection_are_refused(
    command, world, models, tmp_path, record_property
):
    write_topics(
        tmp_path / "x.jsonl",
        [Topic(t.qid, t.title, (Expansion("bird"),)) for t in read_topics(world / "birds" / "queries.jsonl")],
    )
    words = [
        "train_encoder",
        "--train",
        world / "birds" / "test",
        "--expansions",
        tmp_path / "x.jsonl",
        "--encoder",
        models / "first",
        *POOLED,
        "--output",
        tmp_path / "out",
    ]
    refused(command(*words, "--negatives", run_of(tmp_path / "n.trec", 12, "fish")), "'fish-0' of topic '0' is not in ")
    refused(
        command(*words, "--dev-topics", world / "fish" / "test"),
        "none of the 12 documents relevant for them (e.g. 'fish-0') is in ",
    )
    refused(command(*words, "--corpus", world / "fish"), "no topic has a relevant document in ")
    assert not (tmp_path / "out").exists()
    record_property("tried", 3)


def test_gold_passages_of_other_topics_and_an_index_without_them_are_refused(
    command, world, models, tmp_path, record_property
):
    write_topics(
        tmp_path / "c.jsonl",
        [
            Topic(t.qid, t.title, (Expansion("bird"), Expansion("kiwi")))
            for t in read_topics(world / "birds" / "queries.jsonl")
        ],
    )
    words = [
        "prefer",
        "--candidates",
        tmp_path / "c.jsonl",
        "--encoder",
        models / "first",
        *POOLED,
        "--output",
        tmp_path / "pairs.jsonl",
        "--min-similarity",
        0,
    ]
    refused(command(*words, "--gold", world / "fish" / "test", "--reward", "retriever"), "these are other topics")
    searched = [*words, "--gold", world / "birds" / "test", "--reward", "corpus-rank", "--index"]
    refused(
        command(*searched, world / "fish.index"), "contains none of the 12 documents that are judged for these topics"
    )
    (tmp_path / "gold.jsonl").write_text('{"qid": "other", "text": "x"}\n')
    refused(
        command(*words, "--gold-file", tmp_path / "gold.jsonl", "--reward", "retriever"),
        "has a gold passage in gold.jsonl",
    )
    (tmp_path / "gold.jsonl").write_text('{"qid": "1", "text": "x", "title": "another query"}\n')
    refused(
        command(*words, "--gold-file", tmp_path / "gold.jsonl", "--reward", "retriever"),
        "line 1: topic '1' is 'another query' there",
    )
    passages = [
        "expand",
        "--topics",
        world / "birds",
        "--prompt",
        "q2a",
        "--model",
        "m",
        "--dry-run",
        "--passages",
        tmp_path / "gold.jsonl",
    ]
    refused(command(*passages), "these are passages of other topics")
    assert not (tmp_path / "pairs.jsonl").exists()
    record_property("tried", 5)


@pytest.fixture(scope="module")
def shards(world, models, tmp_path_factory):
    from expandr_repro.encode import __main__ as encode

    folder = tmp_path_factory.mktemp("shards")
    for name, corpus, model, count in (
        ("a", "birds", "first", 2),
        ("b", "fish", "first", 2),
        ("c", "birds", "second", 2),
        ("d", "birds", "first", 3),
    ):
        for number in range(count):
            words = [
                "--corpus",
                world / corpus,
                "--encoder",
                models / model,
                *POOLED,
                "--shard-id",
                number,
                "--num-shards",
                count,
            ]
            assert encode.main([*map(str, words), "--output", str(folder / f"{name}{number}"), "--quiet"]) == 0
    return folder


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        (("a0", "b1"), "corpus.sha256 is "),
        (("a0", "c1"), "encoder.fingerprint is "),
        (("a0", "d1"), "shard.count is 3 there, 2 in "),
        (("a0",), "found shards [0] of 2; wanted each of 0 to 1 once"),
        (("a1", "a1"), "found shards [1, 1] of 2"),
        (("d0", "d1"), "found shards [0, 1] of 3"),
        (("a0", "a1", "b0"), "corpus.sha256 is "),
        (("d0", "d2", "c1"), "encoder.fingerprint is "),
    ],
)
def test_shards_that_are_not_all_parts_of_one_index_are_not_merged(command, shards, tmp_path, parts, says):
    refused(command("encode", "--merge", *(shards / part for part in parts), "--output", tmp_path / "out"), says)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "manifest",
    ["{}", "[]", "null", "x", '{"shard": 0, "corpus": {}, "encoder": {}}', '{"shard": {}, "corpus": {}, "encoder": {}, "factory": "Flat"}',
     '{"shard": {"number": "0", "count": 2}, "corpus": {}, "encoder": {}, "factory": "Flat"}', '{"shard": {"number": 0, "count": 2}, "corpus": {}, "encoder": {}, "factory": "Flat"}',
     '{"shard": {"number": 0, "count": 2}, "corpus": 3, "encoder": [], "factory": "Flat"}', '{"shard": {"number": 0, "count": 2}, "corpus": {}, "encoder": {}, "factory": "HNSW32"}', '{"documents": 14}'],
)  # fmt: skip
def test_a_shard_with_a_manifest_of_something_else_is_not_merged(command, shards, tmp_path, manifest, record_property):
    folder = copied(shards / "a0", tmp_path / "a0")
    (folder / "manifest.json").write_text(manifest)
    for order in ((folder, shards / "a1"), (shards / "a1", folder)):
        refused(command("encode", "--merge", *order, "--output", tmp_path / "out"), str(folder))
    assert not (tmp_path / "out").exists()
    record_property("tried", 2)


def test_shards_are_merged_where_they_belong_together(command, shards, tmp_path, record_property):
    for parts in (("a0", "a1"), ("a1", "a0"), ("d2", "d0", "d1")):
        assert (
            command(
                "encode", "--merge", *(shards / part for part in parts), "--output", tmp_path / "-".join(parts)
            ).code
            == 0
        )
    assert len({(tmp_path / name / "index").read_bytes() for name in ("a0-a1", "a1-a0", "d2-d0-d1")}) == 1
    record_property("tried", 3)


@pytest.fixture(scope="module")
def llms(tmp_path_factory):
    """Two models of one shape, other weights, and an adapter trained here on the first."""
    import torch
    from transformers import AutoModelForCausalLM

    from expandr_repro.train_generator import __main__ as train_generator

    folder = tmp_path_factory.mktemp("llms")
    save_tiny_llama(folder / "first")
    shutil.copytree(folder / "first", folder / "second")
    model = AutoModelForCausalLM.from_pretrained(folder / "second")
    with torch.no_grad():
        model.model.norm.weight.add_(0.5)
    model.save_pretrained(folder / "second")
    pair = {
        "prompt": "what is rain",
        "chosen": "rain is water",
        "rejected": "hail",
        "chosen_reward": 1,
        "rejected_reward": 0,
    }
    (folder / "pairs.jsonl").write_text("".join(json.dumps({"qid": f"q{i}", **pair}) + "\n" for i in range(4)))
    (folder / "topics.jsonl").write_text(json.dumps({"qid": "1", "title": "kiwi"}) + "\n")
    words = [
        "--pairs",
        folder / "pairs.jsonl",
        "--model",
        folder / "first",
        "--output",
        folder / "adapter",
        *TRAINED,
        "--quiet",
    ]
    assert train_generator.main([*map(str, words)]) == 0
    return folder


TRAINED = ("--device", "cpu", "--set", "max_length=64", "--set", "max_prompt_length=32", "--set", "batch_size=2", "--set", "gradient_accumulation=1", "--set", "epochs=1", "--set", "save_steps=1")  # fmt: skip


@pytest.fixture
def use(command, llms, tmp_path):
    """Put an adapter on a model, in each of the two commands that do."""

    def call(model, adapter):
        expand = [
            "expand",
            "--topics",
            llms / "topics.jsonl",
            "--backend",
            "transformers",
            "--device",
            "cpu",
            "--max-tokens",
            4,
            "--store",
            tmp_path / "s",
        ]
        train = ["train_generator", "--pairs", llms / "pairs.jsonl", *TRAINED]
        return [
            command(*words, "--model", model, "--adapter", adapter, "--output", tmp_path / words[0])
            for words in (expand, train)
        ]

    return call


def test_an_adapter_that_was_trained_here_on_other_weights_is_refused(use, llms, tmp_path, record_property):
    for result in use(llms / "second", llms / "adapter"):
        refused(result, "was trained on 'first' of revision sha256:", "and --model second is of revision sha256:")
    assert not (tmp_path / "expand").exists()
    assert not (tmp_path / "train_generator").exists()
    for result in use(llms / "first", llms / "adapter"):
        assert result.code == 0, result.err
    record_property("tried", 2)


def test_an_adapter_of_another_shape_is_refused_without_a_manifest_too(use, llms, tmp_path, record_property):
    from safetensors.torch import load_file, save_file

    broad = copied(llms / "adapter", tmp_path / "broad")
    (broad / "manifest.json").unlink()
    weights = load_file(broad / "adapter_model.safetensors")
    save_file(
        {k: v.repeat(1, 2) if "lora_A" in k else v for k, v in weights.items()},
        broad / "adapter_model.safetensors",
        {"format": "pt"},
    )
    deep = copied(llms / "adapter", tmp_path / "deep")
    (deep / "manifest.json").unlink()
    save_file(
        {k.replace("layers.1.", "layers.7."): v for k, v in weights.items()},
        deep / "adapter_model.safetensors",
        {"format": "pt"},
    )
    for adapter in (broad, deep):
        for result in use(llms / "first", adapter):
            refused(result, "does not fit the model first")
    record_property("tried", 4)


def test_an_adapter_that_names_another_model_of_the_hub_is_warned_of(llms, tmp_path, caplog, record_property):
    from expandr_repro.llm.local.adapters import check_adapter

    adapter = copied(llms / "adapter", tmp_path / "adapter")
    (adapter / "manifest.json").unlink()
    config = json.loads((adapter / "adapter_config.json").read_text())
    import logging

    logger = logging.getLogger("expandr_repro")
    logger.propagate, before = True, logger.propagate
    try:
        for named, warned in (
            ("org/llama-a", True),
            ("ORG/Llama-B", False),
            ("/data/llama-a", False),
            ("llama", False),
            (None, False),
        ):
            write_json(adapter / "adapter_config.json", config | {"base_model_name_or_path": named})
            caplog.clear()
            check_adapter(adapter, "adapter", "org/llama-b", "0" * 40)
            assert bool(caplog.records) == warned
    finally:
        logger.propagate = before
    record_property("tried", 5)


def stop(*_, **__):
    raise KeyboardInterrupt


def test_an_encoders_checkpoint_of_another_training_is_refused(command, models, tmp_path, monkeypatch, record_property):
    from safetensors.torch import load_file, save_file

    from expandr_repro.train_encoder import run as training_encoder

    monkeypatch.setattr(training_encoder, "save_encoder", stop)
    words = ["train_encoder", "--train", "pocket/test", "--encoder", models / "first", *POOLED, "--device", "cpu", "--output", tmp_path / "out",
             "--set", "epochs=1", "--set", "batch_size=36"]  # fmt: skip
    assert command(*words).code == 130
    (checkpoint,) = tmp_path.glob(".out.*/checkpoint")
    whole = copied(checkpoint, tmp_path / "whole")
    state = json.loads((checkpoint / "state.json").read_text())
    assert command(*words, "--set", "seed=7").code == 130  # other settings go on from nothing
    assert len(list(tmp_path.glob(".out.*/checkpoint"))) == 2
    for changed, says in (
        ({"training": "0" * 20}, "is of another training (00000000000000000000, this is "),
        ({"step": 99}, "is of step 99, and this training has 2"),
    ):
        write_json(checkpoint / "state.json", state | changed)
        refused(command(*words), says)
    for changed in ({"step": []}, {"progress": {"x": 1}}, {"progress": 3}):
        write_json(checkpoint / "state.json", state | changed)
        refused(command(*words), "the checkpoint is damaged")
    write_json(checkpoint / "state.json", state)
    moments = load_file(whole / "optimizer.safetensors")
    name = next(k for k in moments if k.endswith("/exp_avg"))
    for changed in ({f"x{name}": moments[name].clone()}, {name: moments[name].reshape(-1)[:3].clone()}):
        save_file(moments | changed, checkpoint / "optimizer.safetensors")
        refused(command(*words), "optimizer.safetensors: of another model (")
    shutil.copyfile(whole / "optimizer.safetensors", checkpoint / "optimizer.safetensors")
    shutil.copyfile(models / "narrow" / "model.safetensors", checkpoint / "model.safetensors")
    refused(command(*words), "weights of another model")
    record_property("tried", 8)


def test_a_generators_checkpoint_of_another_training_is_refused(command, llms, tmp_path, monkeypatch, record_property):
    from expandr_repro.train_generator import run as training_generator

    with monkeypatch.context() as patch:
        patch.setattr(training_generator, "_write", stop)
        words = [
            "train_generator",
            "--pairs",
            llms / "pairs.jsonl",
            "--model",
            llms / "first",
            *TRAINED,
            "--output",
            tmp_path / "out",
        ]
        assert command(*words).code == 130
        (first,) = tmp_path.glob(".out.*.training")
        assert command(*words, "--set", "seed=7").code == 130
    (second,) = set(tmp_path.glob(".out.*.training")) - {first}
    shutil.rmtree(first / "checkpoint-2")
    shutil.copytree(second / "checkpoint-2", first / "checkpoint-2")
    refused(command(*words), f"is of another training ({second.name}, this is {first.name})")
    record_property("tried", 1)


def test_a_manifest_beside_another_run_is_refused_with_it(command, world, models, tmp_path, record_property):
    words = ["search", "--topics", world / "birds", "--encoder", models / "first", *POOLED, "--output"]
    for name in ("a.trec", "b.trec"):
        assert command(*words, tmp_path / name).code == 0
    page = [
        "report",
        tmp_path / "a.trec",
        tmp_path / "b.trec",
        "--qrels",
        world / "birds",
        "--output",
        tmp_path / "r.html",
    ]
    assert "of another run" not in command(*page).err
    assert "dense, fusion none" in (tmp_path / "r.html").read_text()
    run_of(tmp_path / "b.trec", 12, "birds")
    refused(command(*page), f"{tmp_path / 'b.trec'}: b.trec.manifest.json next to it is of another run")
    record_property("tried", 1)
