"""The commands that write, each small enough to be killed dozens of times in a test, with its real parts."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import yaml

from expandr_repro.data.topics import Expansion, Topic, read_topics, write_topics
from expandr_repro.io.paths import resource
from expandr_repro.prefer.pairs import PreferencePair, write_pairs
from tests.faults.harness import ROOT, ForkServer, Snapshot, Stage

SMALL_CHUNKS = {"expandr_repro.indexes.build.CHUNK": 16}
QUICK = ("--set", "epochs=2", "--set", "batch_size=16", "--set", "learning_rate=2e-3", "--set", "blend=1.0", "--set", "dev=6", "--set",
         "hard_negatives=0", "--set", "save_every=1", "--set", "chunk_tokens=512")  # fmt: skip
UNPACK = (
    "import sys, gzip, pathlib as p; p.Path(sys.argv[2]).write_bytes(gzip.decompress(p.Path(sys.argv[1]).read_bytes()))"
)
FIGURES = 'import json; print(json.dumps([{"nDCG@10": 0.79223, "R@100": 0.9980158}]))'
REGRESSION = "pocket.minilm.own.mean"


class Inputs:
    """What the stages read, in a folder that none of them writes to."""

    def __init__(self, folder: Path, server: ForkServer) -> None:
        from tests.tiny_bert import save_tiny_bert
        from tests.tiny_llama import save_tiny_llama

        self.folder, self.server = folder, server
        self.bert = save_tiny_bert(folder / "bert")
        self.llama = save_tiny_llama(folder / "llama")
        corpus = (resource("pocket") / "corpus.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
        self.corpus = folder / "corpus.jsonl"
        self.corpus.write_text("".join(corpus[:70]), encoding="utf-8")
        (folder / "other.jsonl").write_text("".join(corpus[70:90]), encoding="utf-8")
        topics = read_topics(resource("pocket") / "queries.jsonl")[:24]
        self.topics = folder / "topics.jsonl"
        write_topics(self.topics, topics)
        self.candidates = folder / "candidates.jsonl"
        texts = [t.texts[0] for t in topics]
        write_topics(self.candidates, [Topic(t.qid, t.title, tuple(Expansion(texts[(n + k) % 24]) for k in range(3))) for n, t in enumerate(topics)])  # fmt: skip
        self.gold = folder / "gold.jsonl"
        self.gold.write_text("".join(json.dumps({"qid": t.qid, "text": t.texts[0]}) + "\n" for t in topics))
        self.pairs = folder / "pairs.jsonl"
        write_pairs(self.pairs, [PreferencePair(f"q{i}", f"Please write. Question: {i}?\nPassage:", f"rain and snow {i}", f"hail {i} zzz", 2.0, 0.5) for i in range(12)])  # fmt: skip
        self.index = self._made("index", "encode", "--corpus", self.corpus, *self.encoder)
        self.old_index = self._made("old-index", "encode", "--corpus", folder / "other.jsonl", *self.encoder)
        self.shards = [self._made(f"shard{n}", "encode", "--corpus", self.corpus, "--shard-id", n, "--num-shards", 2, *self.encoder) for n in (0, 1)]  # fmt: skip

    def run(self, fusion: str) -> Path:
        return self._made(
            f"{fusion}.trec",
            "search",
            "--topics",
            self.topics,
            "--index",
            self.index,
            "--fusion",
            fusion,
            "--hits",
            20,
            *self.encoder,
        )

    @property
    def encoder(self) -> tuple[object, ...]:
        return (
            "--encoder",
            self.bert,
            "--pooling",
            "mean",
            "--normalize",
            "--max-length",
            "64",
            "--device",
            "cpu",
            "--quiet",
        )

    def _made(self, name: str, command: str, *arguments: object) -> Path:
        target = self.folder / name
        ended = self.server.run(command, [*arguments, "--output", target], self.folder)
        assert ended.code == 0, ended.err
        return target


def put(name: str, source: Path) -> Callable[[Path], object]:
    """Return what puts a copy of a file or folder there before the command begins."""

    def prepare(root: Path) -> None:
        (shutil.copytree if source.is_dir() else shutil.copyfile)(source, root / name)

    return prepare


def without_lucenes_time(found: Snapshot) -> Snapshot:
    """Leave out the two files in which Lucene writes the time; the others say what is indexed."""
    return {n: "there" if n.endswith(".si") or "/segments_" in n else digest for n, digest in found.items()}


def old_run(root: Path) -> None:
    (root / "run.trec").write_text("old Q0 d 1 1.0 old\n")
    (root / "run.trec.manifest.json").write_text('{"kind": "run"}\n')


def regression(root: Path) -> None:
    """Put a condition, with quick commands, and its reference run there."""
    content = yaml.safe_load((ROOT / "regressions" / f"{REGRESSION}.yaml").read_text(encoding="utf-8"))
    content["stages"] = {
        "search": f"python unpack.py runs/reference/{REGRESSION}.trec.gz $run", "evaluate": "python figures.py $run",
    }  # fmt: skip
    content["metrics"] = {name: {**pin, "value": 0.5} for name, pin in content["metrics"].items()}
    (root / "regressions").mkdir()
    (root / "regressions" / f"{REGRESSION}.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    for name in (".trec.gz", ".json"):
        (root / "runs" / "reference").mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / f"runs/reference/{REGRESSION}{name}", root / f"runs/reference/{REGRESSION}{name}")
    (root / "unpack.py").write_text(UNPACK)
    (root / "figures.py").write_text(FIGURES)


def stages(i: Inputs, endpoint: str) -> dict[str, Stage]:
    """Return the stages by name."""
    encode = ("--corpus", i.corpus, *i.encoder, "--output", "index")
    search = ("--topics", i.topics, "--hits", 20, *i.encoder, "--output", "run.trec")
    train = ("--train", "pocket/test", *i.encoder, "--output", "trained", *QUICK)
    expand = (
        "--topics",
        i.topics,
        "--base-url",
        endpoint,
        "--model",
        "mock",
        "--store",
        "store.sqlite",
        "--output",
        "topics.jsonl",
        "--quiet",
    )
    return {
        "encode": Stage("encode", encode, ["index"], settings=SMALL_CHUNKS),
        "encode over an old index": Stage("encode", (*encode, "--overwrite"), ["index"], put("index", i.old_index), settings=SMALL_CHUNKS),
        "encode to HNSW": Stage("encode", (*encode, "--factory", "HNSW8"), ["index"], settings=SMALL_CHUNKS),
        "encode by merging shards": Stage("encode", ("--merge", *i.shards, "--output", "index"), ["index"]),
        "encode to Lucene": Stage(
            "encode", ("--corpus", i.corpus, "--retriever", "bm25", "--threads", 1, "--quiet", "--output", "index"), ["index"],
            look=without_lucenes_time, env={"JAVA_TOOL_OPTIONS": "-Dtests.seed=1"},  # Lucene's ids, else random
        ),
        "expand": Stage("expand", expand, ["topics.jsonl"], env={"OPENAI_API_KEY": "none"}),
        "prefer": Stage(
            "prefer", ("--candidates", i.candidates, "--gold-file", i.gold, "--reward", "retriever", "--min-similarity", "-1", *i.encoder, "--dev", 4, "--output", "pairs.jsonl"),
            ["pairs.jsonl", "pairs.dev.jsonl", "pairs.jsonl.manifest.json", "pairs.jsonl.trained_on.json.gz"],
        ),
        "search": Stage("search", (*search, "--index", i.index), ["run.trec", "run.trec.manifest.json"], old_run, optional=["run.trec.manifest.json"]),
        "search that builds its index": Stage("search", (*search, "--index", i.corpus), ["run.trec", "run.trec.manifest.json"], settings=SMALL_CHUNKS),
        "report": Stage(
            "report", (i.run("none"), i.run("mean"), "--qrels", "pocket", "--topics", i.topics, "--corpus", "pocket", "--quiet", "--output", "page.html"),
            ["page.html", "page.html.manifest.json"],
        ),
        "train_encoder": Stage("train_encoder", train, ["trained"]),
        "train_generator": Stage(
            "train_generator", ("--pairs", i.pairs, "--model", i.llama, "--device", "cpu", "--set", "max_length=160", "--set", "batch_size=4", "--set", "gradient_accumulation=1",
                                "--set", "save_steps=1", "--set", "epochs=1", "--quiet", "--output", "adapter"), ["adapter"],
        ),
        "regress --record": Stage(
            "regress", (REGRESSION, "--record"),
            [f"regressions/{REGRESSION}.yaml", f"runs/reference/{REGRESSION}.trec.gz", f"runs/reference/{REGRESSION}.json"], regression, failing=1,
        ),
    }  # fmt: skip


NAMES = (
    "encode", "encode over an old index", "encode to HNSW", "encode by merging shards", "encode to Lucene", "expand", "prefer", "search",
    "search that builds its index", "report", "train_encoder", "train_generator", "regress --record",
)  # fmt: skip
