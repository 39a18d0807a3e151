"""Commands by the workers of a real Ray cluster on this machine: the bytes of one process, whatever dies on the way."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from functools import partial
from pathlib import Path

import pytest
from openai_server import openai_server
from test_prefer import augmented
from test_search_parts import cut
from tiny_bert import save_tiny_bert

from expandr_repro.data.topics import Topic, read_topics, write_topics
from expandr_repro.engines.cluster import connected, placed
from expandr_repro.engines.options import EngineOptions
from expandr_repro.engines.workers import Workers
from expandr_repro.errors import ExpandrError
from expandr_repro.indexes import build
from expandr_repro.io.paths import resource

ray = pytest.importorskip("ray", reason="Ray is not installed (the extra `ray`)")

pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::DeprecationWarning", "ignore::FutureWarning"
)
POCKET = resource("pocket")
RAY = ("--engine", "ray", "--quiet")
IDS = ["007", "7", "a/b", "http://x.org/a?b=c", "00"]


@pytest.fixture(scope="module", autouse=True)
def cluster():
    """Two machines of two processors each, both of them this one; commands find them by $RAY_ADDRESS."""
    from ray.cluster_utils import Cluster

    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # which the workers cannot import
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_worker_niceness", "0")  # as the tests have
        patch.setenv("RAY_AUTH_MODE", "disabled")
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        size = {"num_cpus": 2, "object_store_memory": 100_000_000, "include_dashboard": False}
        made = Cluster(initialize_head=True, head_node_args=size)
        patch.setenv("RAY_ADDRESS", made.address)
        made.second = made.add_node(num_cpus=2, object_store_memory=100_000_000)
        made.wait_for_nodes()
        yield made
        made.shutdown()


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    return save_tiny_bert(tmp_path_factory.mktemp("bert"))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Pocket's first passages; the ids of some look like numbers and paths."""
    lines = (POCKET / "corpus.jsonl").read_text().splitlines(keepends=True)[:120]
    changed = [json.dumps(json.loads(line) | {"_id": docid}) + "\n" for docid, line in zip(IDS, lines, strict=False)]
    path = tmp_path_factory.mktemp("corpus") / "corpus.jsonl"
    path.write_text("".join(changed + lines[5:]))
    return path


@pytest.fixture
def encode(command, corpus, bert, tmp_path, monkeypatch):
    """Encode the corpus in chunks of eight documents, into a folder of that name."""
    monkeypatch.setattr(build, "CHUNK", 8)

    def call(name, *more):
        return command("encode", "--corpus", corpus, "--encoder", bert, "--pooling", "mean", "--normalize", "--output", tmp_path / name, *more)  # fmt: skip

    return call


@pytest.fixture
def one(encode, tmp_path):
    """The index that one process makes, elsewhere than where the others are made."""
    assert encode("one", "--quiet").code == 0
    return contents(tmp_path / "one")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def logged(log: Path, make, die_at=(), slow=0.0):
    """Wrap what makes a worker's work: the first text of each order is logged, and the process dies, once each, at some orders of all."""

    def made():
        work = make()

        def watched(orders):
            for number, order in orders:
                with log.open("a") as file:
                    file.write(
                        f"{order[0] if isinstance(order, list) else order.prompt}\n".replace("\n", " ").strip() + "\n"
                    )
                time.sleep(slow)
                for at in die_at:
                    if len(log.read_text().splitlines()) >= at and not (gone := log.with_name(f"died{at}")).exists():
                        gone.touch()
                        os.kill(os.getpid(), signal.SIGKILL)
                yield number, order

        return lambda orders, deliver: work(watched(orders), deliver)

    return made


def watching(monkeypatch, module, name, log, **how):
    """Have a command's workers log what they are given, and perhaps die of it."""
    made = getattr(module, name)
    monkeypatch.setattr(module, name, lambda *args: logged(log, partial(made, *args), **how)())


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_encode_by_any_number_of_workers_gives_the_bytes_of_one_process(encode, one, tmp_path, workers):
    assert encode("many", *RAY, "--workers", workers).code == 0
    assert contents(tmp_path / "many") == one
    assert one["docid"].decode().split()[:5] == IDS


def test_a_shard_and_another_kind_of_index_are_encoded_by_workers_too(encode, tmp_path):
    for name, how in (("one", ["--quiet"]), ("many", [*RAY, "--workers", 2])):
        assert encode(f"{name}.sq8", "--factory", "SQ8", *how).code == 0
        assert encode(f"{name}.shard", "--shard-id", 1, "--num-shards", 3, *how).code == 0
    for kind in ("sq8", "shard"):
        assert contents(tmp_path / f"many.{kind}") == contents(tmp_path / f"one.{kind}")


def test_a_killed_worker_costs_the_chunks_that_it_had(encode, one, tmp_path, monkeypatch):
    from expandr_repro.encode import on_ray

    watching(monkeypatch, on_ray, "encoding", log := tmp_path / "log", die_at=(4, 9))
    found = encode("many", "--engine", "ray", "--workers", 2)
    assert found.code == 0, found.err
    assert contents(tmp_path / "many") == one
    assert found.err.count("died; what it had is done again") == 2
    given = Counter(log.read_text().splitlines())
    assert len(given) == 15
    assert sum(given.values()) <= 15 + 2 * 2  # two at a time
    assert max(given.values()) <= 3


def test_the_last_chunk_is_shared_by_the_workers_with_the_bytes_of_one_process(encode, tmp_path, monkeypatch):
    from expandr_repro.encode import on_ray

    monkeypatch.setattr(build, "CHUNK", 40)  # three chunks for two workers
    monkeypatch.setattr(on_ray, "LEAST", 4)
    batches = ("--batch-tokens", 512)
    assert encode("one", *batches, "--quiet").code == 0
    watching(monkeypatch, on_ray, "encoding", log := tmp_path / "log", die_at=(4,))
    found = encode("many", *batches, "--engine", "ray", "--workers", 2)
    assert found.code == 0, found.err
    assert contents(tmp_path / "many") == contents(tmp_path / "one")
    assert "died; what it had is done again" in found.err
    assert len(set(log.read_text().splitlines())) == 4  # two chunks, and two halves of one


def test_a_killed_command_goes_on_from_the_chunks_that_are_there(encode, one, corpus, bert, tmp_path, monkeypatch):
    from expandr_repro.encode import on_ray

    words = ["--corpus", corpus, "--encoder", bert, "--pooling", "mean", "--normalize", "--output", tmp_path / "many", "--engine", "ray", "--workers", "1"]  # fmt: skip
    program = "import sys; from expandr_repro.indexes import build; build.CHUNK = 8; from expandr_repro.encode.__main__ import main; sys.exit(main(sys.argv[1:]))"
    driver = subprocess.Popen([sys.executable, "-c", program, *map(str, words)], stderr=subprocess.DEVNULL)
    until = time.monotonic() + 120
    while not (kept := list(tmp_path.glob(".many.*.partial/chunk-*.npy"))) and time.monotonic() < until:
        assert driver.poll() is None
        time.sleep(0.002)
    driver.kill()
    driver.wait()
    kept = list(tmp_path.glob(".many.*.partial/chunk-*.npy"))
    assert kept
    watching(monkeypatch, on_ray, "encoding", log := tmp_path / "log")
    assert encode("many", *RAY, "--workers", 2).code == 0
    assert contents(tmp_path / "many") == one
    again = log.read_text().splitlines() if log.exists() else []
    assert len(again) == 15 - len(kept)


@pytest.mark.parametrize("parts", [1, 2, 5])
def test_search_by_workers_gives_the_run_of_one_index(command, pocket_index, tmp_path, parts):
    found = command("search", "--topics", "pocket", "--index", pocket_index, "--output", tmp_path / "one", "--quiet", "--fusion", "rrf")  # fmt: skip
    assert found.code == 0, found.err
    index = cut_into(pocket_index, tmp_path / "parts", parts) if parts > 1 else pocket_index
    for workers in (1, 2, 4):
        found = command("search", "--topics", "pocket", "--index", index, "--output", tmp_path / "many", *RAY, "--workers", workers, "--fusion", "rrf")  # fmt: skip
        assert found.code == 0, found.err
        assert (tmp_path / "many").read_bytes() == (tmp_path / "one").read_bytes(), workers


def cut_into(index, folder, parts):
    cut(index, folder, parts)
    return folder


def test_a_single_query_feedback_and_an_approximate_kind_are_searched_alike(command, pocket_index, tmp_path):
    five = cut_into(pocket_index, tmp_path / "five", 5)
    ask = ["search", "--query", "do statins help", "--format", "json"]
    assert command(*ask, "--index", five, *RAY).out == command(*ask, "--index", pocket_index, "--quiet").out
    approximate = tmp_path / "approximate"
    for n in range(2):
        assert command("encode", "--corpus", "pocket", "--factory", "IVF4,Flat", "--shard-id", n, "--num-shards", 2, "--output", approximate / str(n), "--quiet").code == 0  # fmt: skip
    for index, more in ((five, ["--fusion", "rocchio"]), (approximate, ["--search-params", "nprobe=2"])):
        for name, how in (("one", ["--quiet"]), ("many", RAY)):
            found = command("search", "--topics", "pocket", "--index", index, "--output", tmp_path / name, *more, *how)
            assert found.code == 0, found.err
        assert (tmp_path / "many").read_bytes() == (tmp_path / "one").read_bytes()


def kept(monkeypatch, module):
    """Return the list of workers that a command will have: Ray does not end them because nobody knows them any more."""
    hired = []

    class Kept(Workers):
        def __enter__(self):
            hired.append(self)
            return super().__enter__()

    monkeypatch.setattr(module, "Workers", Kept)
    return hired


def answers_until_it_is_gone(actor):
    until = time.monotonic() + 30
    while time.monotonic() < until:
        ray.get(actor.ready.remote(), timeout=30)
        time.sleep(0.1)


def are_gone(hired):
    for worker in (w for workers in hired for w in workers._hired):
        with pytest.raises(ray.exceptions.RayActorError):
            answers_until_it_is_gone(worker.actor)
    return True


@pytest.mark.parametrize("error", [None, "nothing is found here"])
def test_the_workers_of_a_search_are_gone_at_its_end_and_after_an_error(
    command, pocket_index, tmp_path, monkeypatch, error
):
    from expandr_repro.search import on_ray

    def failing(rows):
        raise ExpandrError(error)

    hired = kept(monkeypatch, on_ray)
    if error:
        monkeypatch.setattr(on_ray, "searching", failing)
    with connected(EngineOptions(engine="ray")):  # which the command finds, and leaves as it is
        for more in (["--topics", "pocket", "--output", tmp_path / "run"], ["--query", "statins"]):
            found = command("search", "--index", pocket_index, *RAY, "--workers", 2, *more)
            assert found.code == (2 if error else 0), found.err
            assert (error or "") in found.err
        assert [len(workers.places) for workers in hired] == [2, 2]
        assert are_gone(hired)


def test_the_workers_that_expand_are_gone_after_an_error_before_anything_is_asked(command, tmp_path, monkeypatch):
    from expandr_repro.llm import on_ray

    hired = kept(monkeypatch, on_ray)
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    with connected(EngineOptions(engine="ray")):
        found = command("expand", "--topics", tmp_path / "nowhere", "--base-url", "http://127.0.0.1:9/v1", "--model", "m", "--output", tmp_path / "out", *RAY)  # fmt: skip
        assert found.code == 2
        assert len(hired) == 1
        assert are_gone(hired)


@pytest.mark.data
def test_scifact_in_parts_is_searched_by_workers_as_in_one_index(command, data, tmp_path):
    from expandr_repro.encoders.loading import load_encoder
    from expandr_repro.indexes.find import dense_index

    whole = dense_index("scifact", load_encoder("all-MiniLM-L6-v2")).folder
    assert command("search", "--topics", "scifact", "--index", whole, "--output", tmp_path / "one", "--quiet").code == 0
    for parts, workers in ((1, 4), (2, 1), (2, 2), (5, 2), (5, 4)):
        index = tmp_path / f"in{parts}"
        if not index.exists():
            cut(whole, index, parts)
        found = command("search", "--topics", "scifact", "--index", index, "--output", tmp_path / "many", *RAY, "--workers", workers)  # fmt: skip
        assert found.code == 0, found.err
        assert (tmp_path / "many").read_bytes() == (tmp_path / "one").read_bytes(), (parts, workers)


def test_expand_by_workers_that_die_asks_once_for_each_text_but_those_in_flight(command, tmp_path, monkeypatch):
    from expandr_repro.llm import on_ray

    topics = tmp_path / "topics.jsonl"
    write_topics(topics, [Topic(f"q/{n}", f"what is thing number {n}") for n in range(40)])
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    with openai_server(delay=0.05) as server:

        def expand(name, *more):
            return command("expand", "--topics", topics, "--base-url", server.url, "--model", "mock", "--output", tmp_path / f"{name}.jsonl",
                           "--store", tmp_path / f"{name}.sqlite", "--concurrency", 2, "--samples", 2, "--temperature", "0.8", *more)  # fmt: skip

        assert expand("one", "--quiet").code == 0
        server.log.clear()
        watching(monkeypatch, on_ray, "generating", tmp_path / "log", die_at=(20, 50))
        found = expand("many", "--engine", "ray", "--workers", 2)
        assert found.code == 0, found.err
        assert found.err.count("died; what it had is done again") == 2
        assert "sk-secret" not in found.err
        asked = Counter(json.dumps(r["body"], sort_keys=True) for r in server.log if r["path"].endswith("completions"))
        assert len(asked) == 80
        assert sum(asked.values()) <= 80 + 2 * 2  # two requests at a time
        before = len(server.log)
        assert expand("many", *RAY).code == 0
        assert not any(r["path"].endswith("completions") for r in server.log[before:])
    assert (tmp_path / "many.jsonl").read_bytes() == (tmp_path / "one.jsonl").read_bytes()


def test_a_method_of_several_steps_is_asked_through_workers_too(command, tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    with openai_server() as server:
        for name, how in (("one", ["--quiet"]), ("many", [*RAY, "--workers", 2])):
            found = command("expand", "--topics", "pocket", "--limit", 6, "--method", "mugi", "--base-url", server.url, "--model", "mock",
                            "--output", tmp_path / name, "--store", tmp_path / f"{name}.sqlite", *how)  # fmt: skip
            assert found.code == 0, found.err
    assert (tmp_path / "many").read_bytes() == (tmp_path / "one").read_bytes()


def test_prefer_by_workers_writes_the_pairs_of_one_process(command, tmp_path, monkeypatch):
    from expandr_repro.prefer import similarity

    monkeypatch.setattr(similarity, "TEXTS_AT_ONCE", 9)  # three topics together
    topics = read_topics(POCKET / "queries.jsonl")[::6]
    made = [
        augmented(t, [t.texts[0][:300], other.texts[0], t.title])
        for t, other in zip(topics, [*topics[1:], topics[0]], strict=True)
    ]
    write_topics(tmp_path / "candidates.jsonl", made)
    for name, how in (("one", ["--quiet"]), ("many", [*RAY, "--workers", 2])):
        found = command("prefer", "--candidates", tmp_path / "candidates.jsonl", "--gold", "pocket/test", "--output", tmp_path / f"{name}.jsonl",
                        "--reward", "retriever=1,corpus-rank=1,delta-ndcg=0.5", "--max-length", 24, "--min-similarity", "0", *how)  # fmt: skip
        assert found.code == 0, found.err
    for suffix in ("", ".manifest.json"):
        assert (tmp_path / f"many.jsonl{suffix}").read_bytes() == (tmp_path / f"one.jsonl{suffix}").read_bytes()


def test_the_dry_run_prints_who_would_get_what(encode, command, pocket_index, tmp_path):
    found = encode("many", "--engine", "ray", "--workers", 3, "--dry-run")
    assert found.code == 0, found.err
    rows = [line.split() for line in found.out.splitlines() if line[:1].isdigit()]
    assert [row[0] for row in rows] == ["0", "1", "2"]
    assert "about 5 of 15 chunks of 8 documents" in found.out
    assert "expected time: about 1 seconds (120 documents at 58 a second and worker" in found.out
    assert not (tmp_path / "many").exists()
    found = command("search", "--topics", "pocket", "--index", cut_into(pocket_index, tmp_path / "parts", 2), "--engine", "ray", "--dry-run")  # fmt: skip
    assert found.code == 0, found.err
    assert "parts/part1" in found.out.splitlines()[-3]
    found = command("expand", "--topics", "pocket", "--model", "m", "--engine", "ray", "--dry-run")
    assert found.code == 0, found.err
    assert "64 requests at a time" in found.out


def test_what_the_cluster_cannot_do_is_one_line_with_what_to_do(
    encode, command, bert, pocket_index, tmp_path, monkeypatch
):
    def refused(*more, name="many"):
        found = encode(name, "--engine", "ray", *more)
        assert (found.code, found.out) == (2, ""), found.err
        assert len(found.err.splitlines()) == 1, found.err
        return found.error

    assert "it has 0 GPUs on 2 machines; lower --workers or --gpus-per-worker" in refused("--gpus-per-worker", 1)
    assert "no Ray cluster answers at 127.0.0.1:1 (Connection refused); start one" in refused("--address", "127.0.0.1:1")  # fmt: skip
    assert "wanted HOST:PORT" in refused("--address", "somewhere")
    assert "--device cuda: the workers have no GPU" in refused("--device", "cuda")
    assert "give --device cuda, or leave it out" in refused("--device", "cuda:1")
    assert "add --print" in command("encode", "--corpus", "pocket", "--output", tmp_path / "x", "--engine", "slurm").error  # fmt: skip
    monkeypatch.setitem(sys.modules, "ray", None)
    assert "this needs ray, which is not installed; run `pip install expandr-repro[ray]`" in refused()


def test_what_goes_wrong_on_a_worker_is_an_error_of_the_command(encode, bert, tmp_path, monkeypatch):
    from expandr_repro.encode import on_ray

    def broken(options):
        raise ExpandrError("the model is not on this machine")

    monkeypatch.setattr(on_ray, "encoding", lambda options: broken(options))
    found = encode("many", *RAY)
    assert found.code == 2
    assert ": the model is not on this machine" in found.error

    def odd(orders, deliver):
        raise KeyError("odd")

    monkeypatch.setattr(on_ray, "encoding", lambda options: odd)
    assert "unforeseen KeyError" in encode("many", *RAY).error


def test_work_that_kills_every_worker_ends_the_command(cluster):
    def deadly():
        return lambda orders, deliver: os.kill(os.getpid(), signal.SIGKILL)

    options = EngineOptions(engine="ray", workers=1)
    with connected(options), Workers(placed(options), deadly) as workers, pytest.raises(ExpandrError, match="5 workers died with the same work"):  # fmt: skip
        list(workers.run([1]))


HANDLERS = """
import ctypes, signal
from expandr_repro.engines.cluster import FAULTS, connected
from expandr_repro.engines.options import EngineOptions
from expandr_repro.pyserini import jvm

def handlers():
    found = []
    for number in FAULTS:
        action = ctypes.create_string_buffer(256)
        ctypes.CDLL(None).sigaction(number, None, action)
        found.append(action.raw[:8])
    return found

jvm.start()
before = handlers()
with connected(EngineOptions(engine="ray", workers=1)):
    assert handlers() == before
assert handlers() == before
"""


def test_javas_handlers_of_signals_outlast_ray():
    """Java stops its threads by a fault that it handles; with Ray's handler in its place the process ended there."""
    done = subprocess.run([sys.executable, "-c", HANDLERS], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_z_a_removed_machine_costs_the_chunks_that_were_there(encode, one, cluster, tmp_path, monkeypatch):
    from expandr_repro.encode import on_ray

    watching(monkeypatch, on_ray, "encoding", log := tmp_path / "log", slow=0.5)

    def remove():
        while not log.exists() or len(log.read_text().splitlines()) < 5:
            time.sleep(0.05)
        cluster.remove_node(cluster.second, allow_graceful=False)

    thread = threading.Thread(target=remove)
    thread.start()
    found = encode("many", "--engine", "ray", "--workers", 2)
    thread.join()
    assert found.code == 0, found.err
    assert "died; what it had is done again" in found.err
    assert contents(tmp_path / "many") == one
    assert sum(Counter(log.read_text().splitlines()).values()) <= 15 + 2
    shutil.rmtree(tmp_path / "many")
