"""What a search finds does not depend on how the work was divided, and what is drawn by chance is drawn alike by the same seed."""

from __future__ import annotations

import dataclasses
import itertools
import json

import numpy as np
import pytest

from expandr_repro.data.topics import read_topics, write_topics
from expandr_repro.data.trec import read_run
from expandr_repro.io.paths import resource
from expandr_repro.search.fusion import FUSIONS
from tests.faults.harness import snapshot

AREA = "Same answer"

TOLERANCE = 2e-6
"""Scores of unit vectors in single precision, where texts are computed in other company: matrix products then add up in another order."""

DENSE = [name for name, fusion in FUSIONS.items() if fusion.way("dense") and name not in ("concat", "average")]
"""Without `concat`, which the tiny tokenizer has no separator for, and `average`, which is searched as `rocchio` is."""
SPARSE = [name for name, fusion in FUSIONS.items() if fusion.way("bm25") and fusion.of != "feedback"]


def assert_close(found, wanted, tolerance=TOLERANCE):
    """Compare runs: the same topics, the same scores at each rank, and other documents only where scores are as near as that."""
    assert found.keys() == wanted.keys()
    for qid in wanted:
        ours, theirs = found[qid], wanted[qid]
        assert len(ours) == len(theirs)
        np.testing.assert_allclose(list(ours.values()), list(theirs.values()), rtol=0, atol=tolerance)
        last = min(theirs.values())
        for docid, score in ours.items():
            assert abs(score - theirs.get(docid, last)) <= 2 * tolerance, (qid, docid)


class Searches:
    """Searches of the same topics on the same index, divided up in many ways."""

    def __init__(self, server, inputs, folder):
        self.server, self.inputs, self.folder = server, inputs, folder
        self.count = 0

    def run(self, *arguments, topics=None, env=None, **settings):
        """Return a run as its lines by topic."""
        self.count += 1
        target = self.folder / f"{self.count}.trec"
        ended = self.server.run(
            "search", ["--topics", topics or self.inputs.topics, "--hits", 20, "--output", target, *arguments], self.folder, env=env, settings=settings
        )  # fmt: skip
        assert ended.code == 0, ended.err
        lines = sorted(target.read_text().splitlines(), key=lambda line: line.split()[0])
        return "\n".join(lines) + "\n", read_run(target)

    def parts(self, sizes):
        """Write the topics in parts of some sizes, backwards; return the files."""
        topics = read_topics(self.inputs.topics)[::-1]
        files = []
        for number, size in enumerate(sizes):
            files.append(self.folder / f"part{number}.jsonl")
            write_topics(files[-1], topics[:size])
            topics = topics[size:]
        assert not topics
        return files

    def divided(self, sizes, *arguments):
        """Search the parts one by one; return all of what they found."""
        found = [self.run(*arguments, topics=path) for path in self.parts(sizes)]
        lines = sorted("".join(text for text, _ in found).splitlines(), key=lambda line: line.split()[0])
        return "\n".join(lines) + "\n", {q: r for _, run in found for q, r in run.items()}


@pytest.fixture
def searches(fork_server, inputs, tmp_path):
    return Searches(fork_server, inputs, tmp_path.resolve())


@pytest.mark.parametrize("fusion", DENSE)
def test_threads_and_batches_of_topics_and_the_cache_of_vectors_change_no_byte_of_a_dense_run(
    searches, inputs, fusion, record_property
):
    common = ("--index", inputs.index, "--fusion", fusion, *inputs.encoder)
    text, _ = searches.run(*common, "--no-vector-cache")
    variants = [
        (("--threads", 1), {}), (("--threads", 2), {}), (("--batch-size", 5), {}), ((), {}),  # the cache is cold, then warm
        ((), {}),
    ]  # fmt: skip
    for arguments, settings in variants:
        assert searches.run(*common, *arguments, **settings)[0] == text, arguments
    record_property("tried", len(variants))


@pytest.mark.parametrize("fusion", DENSE)
def test_order_and_division_of_topics_and_batches_of_tokens_change_no_dense_ranking(
    searches, inputs, fusion, record_property
):
    common = ("--index", inputs.index, "--fusion", fusion, "--no-vector-cache", *inputs.encoder)
    _, run = searches.run(*common)
    divisions = [[24], [1, 23], [5, 7, 12], [1] * 24]
    sizes_of_batches = [64, 1000, 100_000]
    if FUSIONS[fusion].of == "feedback":  # Pyserini takes seconds to be imported, each time
        divisions, sizes_of_batches = divisions[2:3], sizes_of_batches[:1]
    for sizes in divisions:
        assert_close(searches.divided(sizes, *common)[1], run)
    for tokens in sizes_of_batches:
        assert_close(searches.run(*common, "--batch-tokens", tokens)[1], run)
    assert_close(searches.run(*common, **{"expandr_repro.search.run.BLOCK": 7})[1], run)
    record_property("tried", len(divisions) + len(sizes_of_batches) + 1)


@pytest.mark.jvm
@pytest.mark.parametrize("fusion", SPARSE)
def test_threads_order_and_division_of_topics_change_no_byte_of_a_bm25_run(searches, inputs, fusion, record_property):
    common = ("--index", inputs.corpus, "--retriever", "bm25", "--fusion", fusion, "--quiet")
    text, _ = searches.run(*common)
    for threads in (1, 2, 5):
        assert searches.run(*common, "--threads", threads)[0] == text
    for sizes in ([24], [5, 7, 12]):
        assert searches.divided(sizes, *common)[0] == text
    record_property("tried", 5)


def test_the_real_encoder_ranks_alike_whatever_keeps_a_text_company(command, pocket_index, tmp_path, record_property):
    """MiniLM on pocket: scores differ by some 1e-7; nDCG@10 is the same to its last digit."""
    topics = read_topics(resource("pocket") / "queries.jsonl")
    write_topics(tmp_path / "backwards.jsonl", topics[::-1])
    runs, figures = [], []
    for number, (path, tokens) in enumerate(
        [("pocket", 0), (tmp_path / "backwards.jsonl", 0), ("pocket", 300), ("pocket", 20_000)]
    ):
        more = [
            "--qrels",
            "pocket",
            "--no-vector-cache",
            "--format",
            "json",
            *(["--batch-tokens", tokens] if tokens else []),
        ]
        result = command(
            "search",
            "--topics",
            path,
            "--index",
            pocket_index,
            "--hits",
            100,
            "--output",
            tmp_path / f"{number}.trec",
            *more,
        )
        assert result.code == 0, result.err
        runs.append(read_run(tmp_path / f"{number}.trec"))
        figures.append(json.loads(result.out)[0]["figures"]["nDCG@10"])
    for run in runs[1:]:
        assert_close(run, runs[0])
    assert len(set(figures)) == 1
    record_property("tried", 3)


def vectors_of(folder):
    return np.fromfile(folder / "index", dtype="<f4", offset=45), (folder / "docid").read_bytes()


def test_an_index_is_the_same_however_many_shards_and_chunks_it_was_encoded_in(
    fork_server, inputs, tmp_path, record_property
):
    """Docids byte by byte, components within 1e-6: chunks and batches decide which texts are computed together."""
    wanted, docids = vectors_of(inputs.index)
    tried = 0

    def compare(folder):
        nonlocal tried
        tried += 1
        found, ids = vectors_of(folder)
        assert ids == docids
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-6)

    def encode(target, *arguments, chunk=2048):
        ended = fork_server.run(
            "encode",
            [*arguments, "--output", target],
            tmp_path,
            settings={"expandr_repro.indexes.build.CHUNK": chunk},
        )
        assert ended.code == 0, ended.err

    for count in (1, 2, 3, 7):
        shards = [tmp_path / f"shard{n}of{count}" for n in range(count)]
        for n, shard in enumerate(shards):
            encode(shard, "--corpus", inputs.corpus, *inputs.encoder, "--num-shards", count, "--shard-id", n)
        encode(tmp_path / f"merged{count}", "--merge", *shards[::-1])
        compare(tmp_path / f"merged{count}")
    for chunk in (1, 16, 33):
        encode(tmp_path / f"chunks{chunk}", "--corpus", inputs.corpus, *inputs.encoder, chunk=chunk)
        compare(tmp_path / f"chunks{chunk}")
    for tokens in (64, 4000):
        encode(tmp_path / f"tokens{tokens}", "--corpus", inputs.corpus, *inputs.encoder, "--batch-tokens", tokens)
        compare(tmp_path / f"tokens{tokens}")
    record_property("tried", tried)


@pytest.mark.parametrize("factory", ["HNSW8", "IVF4,Flat", "SQ8"])
def test_an_approximate_index_answers_alike_whatever_the_threads_and_the_division(
    fork_server, searches, inputs, tmp_path, factory, record_property
):
    ended = fork_server.run(
        "encode",
        ["--corpus", inputs.corpus, *inputs.encoder, "--factory", factory, "--output", tmp_path / "index"],
        tmp_path,
    )
    assert ended.code == 0, ended.err
    common = ("--index", tmp_path / "index", *inputs.encoder)
    text, run = searches.run(*common)
    for arguments in (("--threads", 1), ("--threads", 2), ("--batch-size", 3)):
        assert searches.run(*common, *arguments)[0] == text
    assert_close(searches.divided([5, 7, 12], *common, "--no-vector-cache")[1], run)
    record_property("tried", 4)


def test_equal_documents_are_ranked_by_docid_wherever_the_cut_is(
    fork_server, searches, inputs, tmp_path, record_property
):
    lines = [json.loads(line) for line in inputs.corpus.read_text(encoding="utf-8").splitlines()[:6]]
    twins = [{**line, "_id": f"{letter}{line['_id']}"} for letter in "zay" for line in lines]
    (tmp_path / "twins.jsonl").write_text("".join(json.dumps(t) + "\n" for t in twins), encoding="utf-8")
    whole = None
    for hits in (18, 17, 10, 5, 2, 1):
        target = tmp_path / f"{hits}.trec"
        ended = fork_server.run(
            "search",
            [
                "--topics",
                inputs.topics,
                "--index",
                tmp_path / "twins.jsonl",
                "--hits",
                hits,
                "--output",
                target,
                *inputs.encoder,
            ],
            tmp_path,
        )
        assert ended.code == 0, ended.err
        order = {qid: list(ranked) for qid, ranked in read_run(target).items()}
        whole = whole or order
        assert order == {qid: docids[:hits] for qid, docids in whole.items()}
    for docids in whole.values():
        assert all([d[0] for d in docids[n : n + 3]] == ["a", "y", "z"] for n in range(0, 18, 3))
    record_property("tried", 6)


SEEDS = {"expand": "--seed", "prefer": "--seed", "train_encoder": "--set", "train_generator": "--set"}
"""Stages in which something is drawn by chance, and the option that takes the seed."""


@pytest.mark.parametrize("name", SEEDS)
def test_the_same_seed_gives_the_same_bytes_and_another_one_others(trials, tmp_path, name, record_property):
    """What a seed decides: texts, the draw of pairs for development, batches, dropout, new weights of an adapter."""
    stage = trials(name).stage
    left = []
    for number, seed in enumerate((7, 7, 8)):
        root = tmp_path / str(number)
        root.mkdir()
        value = f"seed={seed}" if SEEDS[name] == "--set" else seed
        made = dataclasses.replace(stage, arguments=(*stage.arguments, SEEDS[name], value))
        ended = trials(name).server.run(
            made.command, made.arguments, root.resolve(), env=made.env, settings=made.settings
        )
        assert ended.code == 0, ended.err
        left.append({n: h for n, h in snapshot(root, made.finals).items() if "manifest" not in n})
    assert left[0] == left[1]
    assert left[0] != left[2]
    record_property("tried", 3)


def test_a_local_model_says_the_same_in_batches_of_any_size(fork_server, inputs, tmp_path, record_property):
    texts = []
    for size, seed in ((1, 42), (4, 42), (24, 42), (24, 43)):
        root = tmp_path / f"{size}-{seed}"
        root.mkdir()
        ended = fork_server.run(
            "expand", ["--topics", inputs.topics, "--backend", "transformers", "--model", inputs.llama, "--device", "cpu", "--precision", "fp32", "--max-tokens", 12,
                       "--batch-size", size, "--seed", seed, "--store", "s.sqlite", "--output", "t.jsonl", "--quiet"], root.resolve(),
        )  # fmt: skip
        assert ended.code in (0, 2), ended.err  # what came out empty is missing
        texts.append([(t.qid, t.texts) for t in read_topics(root / "t.jsonl")])
    assert texts[0] == texts[1] == texts[2]
    assert texts[2] != texts[3]
    record_property("tried", 4)


def test_an_expansion_depends_on_its_own_topic_alone(trials, tmp_path, record_property):
    """Topics left out, in another order, or in calls of their own get the texts they get among all."""
    trial = trials("expand")
    whole = trial.fresh()
    assert trial.run(whole).code == 0
    wanted = {t.qid: t for t in read_topics(whole / "topics.jsonl")}
    topics = read_topics(trial.stage.arguments[1])
    divisions = [topics[::-1], topics[:5], topics[5:], topics[::3]]
    for number, some in enumerate(divisions):
        root = tmp_path / str(number)
        root.mkdir()
        write_topics(root / "some.jsonl", some)
        arguments = ["--topics", root / "some.jsonl", *itertools.islice(trial.stage.arguments, 2, None)]
        assert trial.server.run("expand", arguments, root.resolve(), env=trial.stage.env).code == 0
        assert read_topics(root / "topics.jsonl") == [wanted[t.qid] for t in some]
    record_property("tried", len(divisions))
