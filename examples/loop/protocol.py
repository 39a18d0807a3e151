"""Run the loop with a real LLM on clean splits: candidates, pairs, trainings, passages for the test topics, searches; every step is a command.

    python examples/loop/protocol.py --model qwen2.5-coder-1.5b-instruct-q4_k_m.gguf --work work --output results --gpus 1
    python examples/loop/protocol.py --model tiny --work work --output results --small        # pocket, on a CPU: to see that it works

Steps recorded in OUTPUT/steps.jsonl are not repeated, so the same command continues where a killed one stopped; `--seconds` limits its time.
Models, adapters and runs in --work are needed only by later steps; --output has what the tables are made of:
the texts, the scores of each topic, each training's metrics, every command with its seconds.

Splits (nothing that is searched was trained on, but for the few documents that `duplicates.py` lists): (i) SciFact's training topics without those that share a relevant document with a test topic;
(ii) NFCorpus's training topics, for SciFact and CACM; (iii) all of SciFact's training topics, for NFCorpus and CACM.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import shlex
import sys
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from kept import rows
from retriever import call, settings, start_worker

SPLITS = {
    "i": ("scifact/train", ("--hold-out", "scifact/test")),
    "ii": ("nfcorpus/train", ()),
    "iii": ("scifact/train", ()),
}
"""Training topics, and what is held out of them."""

TESTS = {
    "i": ("scifact", "nfcorpus", "cacm"),
    "ii": ("scifact", "cacm"),
    "iii": ("nfcorpus", "cacm"),
    "": ("scifact", "nfcorpus", "cacm"),
}
"""What may be searched after a split; after no training, all."""

DPO = {"epochs": 3, "batch_size": 8, "gradient_accumulation": 2, "learning_rate": "1e-4", "lora_r": 16, "lora_alpha": 32, "lora_dropout": 0.05,
       "warmup": 0.1, "max_grad_norm": 1, "eval_steps": 12, "eval_batch_size": 16, "max_prompt_length": 160, "max_length": 400}  # fmt: skip
"""Chosen before any test topic was searched, from one trial on other seeds: ExpandR's 2e-5 moves a model of this size little in 69 steps."""

GRPO = {
    "batch_size": 32,
    "gradient_accumulation": 2,
    "lora_r": 16,
    "max_completion_length": 160,
    "max_steps": 60,
    "eval_steps": 20,
}
"""64 texts a step: 60 steps write about 527,000 tokens, where DPO's candidates for the same topics have 939,000."""

DEV = {"i": 60, "ii": 18, "iii": 60}
"""Topics to validate the LLM on; nearly all of NFCorpus's share relevant documents with others, so 18 are all that can be held out."""

RETRIEVER = {"dev": 60, "evaluate_every": 2, "chunk_tokens": 32768}
"""Over the packaged settings of train_encoder, which were chosen on other topics."""

RATES = {"mpnet": "5e-5"}
"""Learning rates of encoders that the packaged one (of MiniLM) does not suit."""

REWARDING = "all-MiniLM-L6-v2"
"""The encoder of ExpandR's reward."""

OTHERS = {"claude": "{c}.test.q2d.claude", "gpt-4.1": "{c}.test.query2doc-zs.gpt-4.1", "nano": "{c}.test.query2doc-zs.gpt-4.1-nano",
          "qwen2.5-7b": "{c}.test.query2doc-zs.Qwen2.5-7B-Instruct"}  # fmt: skip
"""Other LLMs' texts for the test topics, in $EXPANDR_DATA/expansions; what is not there is not searched."""


@dataclass(frozen=True)
class Step:
    """A command and what must be done before it.

    Attributes:
        name: its key in steps.jsonl.
        argv: the command's words.
        needs: names of steps.
        keeps: files in --work that go to --output, gzipped where they are texts.
        run: the TREC run to be scored per topic, and its collection.
    """

    name: str
    argv: tuple[str, ...]
    needs: tuple[str, ...] = ()
    keeps: tuple[Path, ...] = ()
    run: tuple[Path, str] | None = None


class Plan:
    """All steps, in the order of their importance."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args, self.work, self.small = args, args.work, args.small
        self.steps: dict[str, Step] = {}
        self.encoders = dict(pair.partition("=")[::2] for pair in args.encoders)
        self.model = ["--backend", "transformers", "--model", args.model, "--batch-size", str(args.batch)]
        self.precision = "bf16" if args.gpus else "fp32"
        self.tokens = ["--max-tokens", "16", "--limit", "12"] if args.small else ["--max-tokens", "160"]

    def add(self, name: str, *words: object, needs: tuple[str, ...] = (), keeps: tuple[Path, ...] = (), run: tuple[Path, str] | None = None) -> str:  # fmt: skip
        """Add a step; return its name."""
        self.steps.setdefault(name, Step(name, tuple(map(str, words)), needs, keeps, run))
        return name

    def path(self, name: str) -> Path:
        """Return where something lies in --work."""
        return self.work / name

    def topics(self, split: str) -> str:
        """Return a split's training topics."""
        return "pocket/test" if self.small else SPLITS[split][0]

    def tests(self, split: str) -> tuple[str, ...]:
        """Return what may be searched after a split."""
        return ("pocket",) if self.small else TESTS[split]

    def held_out(self, split: str) -> tuple[str, ...]:
        """Return the options that leave out what is searched later."""
        return () if self.small else SPLITS[split][1]

    def expand(self, name: str, topics: str, *words: object, trained: str = "") -> str:
        """Let the LLM write, as it is or as it was trained."""
        output = self.path(f"{name}.jsonl")
        adapter = ("--adapter", self.path(f"models/{trained}")) if trained else ()
        return self.add(name, "expand", "--topics", topics, *self.model, *self.tokens, *words, *adapter, "--store", self.path(f"{name}.sqlite"),
                        "--output", output, needs=(trained,) if trained else (), keeps=(output, Path(f"{output}.trained_on.json.gz")))  # fmt: skip

    def candidates(self, topics: str, trained: str = "") -> str:
        """Let the LLM, trained or not, write what pairs are chosen from."""
        samples = 1 if self.small else 4 if topics.startswith("scifact") else 2
        name = f"candidates.{topics.replace('/', '.')}" + (f".{trained}" if trained else "")
        return self.expand(name, topics, "--preset", "expandr-candidates", "--samples", samples, trained=trained)

    def pairs(self, split: str, reward: str = "", trained: str = "") -> str:
        """Make a split's preference pairs: candidates of the LLM, trained or not, answers of the untrained one, rewards."""
        topics = self.topics(split)
        candidates = self.candidates(topics, trained)
        answers = self.expand(
            f"answers.{topics.replace('/', '.')}", topics, "--prompt", "q2a", "--temperature", 0, "--samples", 1
        )
        output = self.path(".".join(filter(None, ("pairs", split, reward, trained, "jsonl"))))
        floor = (0.0 if self.small else 0.6) if not reward else 0.0
        return self.add(output.stem, "prefer", "--candidates", self.path(f"{candidates}.jsonl"), "--gold", topics, "--answers", self.path(f"{answers}.jsonl"),
                        *(("--reward", f"{reward}=1") if reward else ()), "--min-similarity", floor, "--encoder", REWARDING, *self.held_out(split),
                        "--dev", 4 if self.small else DEV[split], "--output", output, "--format", "json",
                        needs=(candidates, answers), keeps=(output, output.with_suffix(".dev.jsonl"), Path(f"{output}.trained_on.json.gz")))  # fmt: skip

    def dpo(self, name: str, seed: int, pairs: str, adapter: str = "", **values: object) -> str:
        """Train the LLM on pairs, from an adapter where one is named."""
        chosen = {
            **DPO,
            **({"max_steps": 3, "eval_steps": 2, "batch_size": 2} if self.small else {}),
            "seed": seed,
            **values,
        }
        output = self.path(f"models/{name}.seed{seed}")
        more = ("--adapter", self.path(f"models/{adapter}")) if adapter else ()
        if adapter:  # it brings its own
            chosen = {key: value for key, value in chosen.items() if not key.startswith("lora_")}
        return self.add(f"{name}.seed{seed}", "train_generator", "--pairs", self.path(f"{pairs}.jsonl"), "--dev-pairs", self.path(f"{pairs}.dev.jsonl"),
                        "--model", self.args.model, *more, *settings(**chosen), "--output", output, "--format", "json",
                        needs=(pairs, *((adapter,) if adapter else ())), keeps=(output / "metrics.jsonl",))  # fmt: skip

    def grpo(self, name: str, seed: int, split: str, reward: str, **values: object) -> str:
        """Train the LLM on its own texts as they are rewarded."""
        chosen = {**GRPO, **({"max_steps": 1, "eval_steps": 1, "batch_size": 4, "gradient_accumulation": 1, "group_size": 4, "max_completion_length": 8} if self.small else {}),
                  "seed": seed, "reward": f"{reward}=1", **values}  # fmt: skip
        output = self.path(f"models/{name}.seed{seed}")
        return self.add(f"{name}.seed{seed}", "train_generator", "--grpo", "--topics", self.topics(split), *self.held_out(split),
                        "--dev", 4 if self.small else DEV[split], "--model", self.args.model, *settings(**chosen), "--output", output, "--format", "json",
                        keeps=(output / "metrics.jsonl",))  # fmt: skip

    def judge(self, name: str, seed: int, split: str, trained: str = "") -> None:
        """Write passages for the test topics, compare them with the gold passages, and search them with each encoder."""
        for collection in self.tests(split):
            texts = self.expand(f"texts.{name}.seed{seed}.{collection}", collection, "--temperature", "1.0", "--samples", 4, "--seed", seed, trained=trained)  # fmt: skip
            pairs = self.path(f"gold.{name}.seed{seed}.{collection}.jsonl")
            self.add(pairs.stem, "prefer", "--candidates", self.path(f"{texts}.jsonl"), "--gold", f"{collection}/test", "--reward", "retriever=1",
                     "--min-similarity", 0, "--encoder", REWARDING, "--output", pairs, "--format", "json", needs=(texts,))  # fmt: skip
            for encoder, model in self.encoders.items():
                self.search(f"{name}.seed{seed}", collection, encoder, model, self.path(f"{texts}.jsonl"), texts)

    def search(self, name: str, collection: str, encoder: str, model: object, texts: object, *needs: str) -> None:
        """Search with texts, once the query alone was searched."""
        run = self.path(f"runs/{name}.{collection}.{encoder}.trec")
        fusion = "repeat" if encoder == "bm25" else "mean"
        self.add(f"search.{run.stem}", "search", "--topics", collection, "--expansions", texts, "--fusion", fusion, *retriever(encoder, model),
                 "--no-baseline", "--hits", 100, "--metrics", "nDCG@10,R@100", "--format", "json", "--output", run,
                 needs=(*needs, self.index(collection, encoder, model)), run=(run, collection))  # fmt: skip

    def index(self, collection: str, encoder: str, model: object, *needs: str) -> str:
        """Search the query alone, which builds the index that later searches share."""
        run = self.path(f"runs/none.{collection}.{encoder}.trec")
        return self.add(f"search.{run.stem}", "search", "--topics", collection, "--fusion", "none", *retriever(encoder, model), "--hits", 100,
                        "--metrics", "nDCG@10,R@100", "--format", "json", "--output", run, needs=needs, run=(run, collection))  # fmt: skip

    def retrievers(self, names: list[str], generators: list[str]) -> None:
        """Add the trainings of the retrievers, and what is searched with them: KIND[.SPLIT][+SETTING=VALUE...], a: queries alone, b: fused."""
        for encoder, model in self.encoders.items():
            for seed in self.args.seeds:  # both trainings of a seed before the next
                for name in names:
                    training, _, more = name.partition("+")
                    kind, _, split = training.partition(".")
                    topics = self.topics(split := split or "i")
                    written = self.candidates(topics)
                    stem = "" if topics.startswith("scifact") else f".{topics.replace('/', '.')}"
                    negatives = self.path(f"runs/negatives{stem}.{encoder}.trec")
                    mined = self.add(f"negatives{stem}.{encoder}", "search", "--topics", topics, *retriever(encoder, model), "--fusion", "none",
                                     "--hits", 100, "--format", "json", "--output", negatives)  # fmt: skip
                    values = (
                        RETRIEVER | ({"learning_rate": RATES[encoder]} if encoder in RATES else {}) | {"seed": seed}
                    )
                    values |= dict(pair.partition("=")[::2] for pair in more.split("+") if pair)
                    values |= {"dev": 12, "epochs": 1, "chunk_tokens": 4096} if self.small else {}
                    label = f"{encoder}-{name}.seed{seed}"
                    output = self.path(f"models/{label}")
                    self.add(f"retriever.{label}", "train_encoder", "--train", topics, "--encoder", model, "--precision", self.precision, "--expansions", self.path(f"{written}.jsonl"),
                             "--fusion", "none" if kind == "a" else "mean", "--negatives", negatives, *self.held_out(split), *settings(**values),
                             "--output", output, "--format", "json", needs=(mined, written), keeps=(output / "metrics.jsonl",))  # fmt: skip
                    for collection in self.tests(split):
                        self.index(collection, label, output, f"retriever.{label}")
                        for generator in generators:
                            texts = f"texts.{generator}.seed{seed}.{collection}"
                            if texts in self.steps:
                                self.search(f"{generator}.seed{seed}", collection, label, output, self.path(f"{texts}.jsonl"), texts)  # fmt: skip
                        self.others(collection, label, output)
            for collection in self.tests("i"):
                self.others(collection, encoder, model)

    def others(self, collection: str, encoder: str, model: object) -> None:
        """Search with the other LLMs' texts that are there."""
        for other, pattern in OTHERS.items():
            path = Path(os.environ.get("EXPANDR_DATA", "data")) / "expansions" / f"{pattern.format(c=collection)}.jsonl"
            if path.exists():
                self.search(other, collection, encoder, model, path)

    def generators(self, names: list[str]) -> None:
        """Add the trainings of the LLM and what is searched with their texts."""
        seeds = self.args.seeds
        for name in names:
            if name == "untrained":
                for seed in seeds:
                    self.judge(name, seed, "")
            elif name == "sft":
                for seed in seeds:
                    output = self.path(f"models/{name}.seed{seed}")
                    source = (
                        ("--sft", "pocket/test")
                        if self.small
                        else ("--sft", "scifact/train", "--expansions", "claude.q2d", "--hold-out", "scifact/test")
                    )
                    values = {"max_prompt_length": 160, "max_length": 400, "lora_r": 16, "learning_rate": "1e-4", "seed": seed, **({"max_steps": 2} if self.small else {})}  # fmt: skip
                    self.add(f"{name}.seed{seed}", "train_generator", *source, "--dev", 4 if self.small else 60, "--model", self.args.model,
                             *settings(**values), "--output", output, "--format", "json", keeps=(output / "metrics.jsonl",))  # fmt: skip
                    self.judge(name, seed, "i", f"{name}.seed{seed}")
            else:
                kind, _, more = name.partition("+")
                _, split, *reward = kind.split(".")
                values = dict(pair.partition("=")[::2] for pair in more.split("+") if pair)
                if kind.startswith("dpo2"):  # a second round, on the pairs of the model after the first
                    for seed in seeds:
                        first = self.dpo(f"dpo.{split}", seed, self.pairs(split))
                        self.judge(
                            name, seed, split, self.dpo(name, seed, self.pairs(split, trained=first), first, **values)
                        )
                    continue
                if kind.startswith("grpo"):
                    for seed in seeds:
                        self.judge(
                            name,
                            seed,
                            split,
                            self.grpo(name, seed, split, reward[0] if reward else "retriever", **values),
                        )
                    continue
                pairs = self.pairs(split, reward[0] if reward else "")
                for seed in seeds:
                    self.judge(name, seed, split, self.dpo(name, seed, pairs, **values))


def retriever(name: str, model: object) -> tuple[str, ...]:
    """Return the options of a retriever: BM25, or dense with an encoder."""
    return ("--retriever", "bm25") if name == "bm25" else ("--encoder", str(model))


def kept_as(path: Path) -> str:
    """Return the name of a file in --output."""
    return f"metrics.{path.parent.name}.jsonl.gz" if path.name == "metrics.jsonl" else f"{path.name}.gz"


def work(step: Step) -> dict[str, Any]:
    """Do a step in a worker; score its run."""
    import gc

    result = call(step.argv)
    row = {"name": step.name, "seconds": result["seconds"], "code": result["code"], "command": "expandr " + shlex.join(step.argv),
           "out": result["out"], "err": result["err"]}  # fmt: skip
    if step.run and not result["code"]:
        import expandr_repro as ex

        found = ex.score(step.run[0], step.run[1], ["nDCG@10", "R@100"], per_topic=True)
        row["scores"] = {m: {q: round(v, 5) for q, v in each.items()} for m, each in found.items()}
    gc.collect()
    if torch := sys.modules.get("torch"):
        torch.cuda.empty_cache()
    return row


class Runner:
    """Does the steps, several at a time, as soon as what they need is done."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args, self.record = args, args.output / "steps.jsonl"
        context = get_context("spawn")
        numbers = context.Queue()
        for number in range(args.workers):
            numbers.put(number)
        self.pool = ProcessPoolExecutor(args.workers, context, start_worker, (numbers, args.gpus, args.first_gpu))

    def go(self, steps: dict[str, Step]) -> Iterator[str]:
        """Do what is not recorded; yield the names of what could not be done in time."""
        begin = time.monotonic()
        done = {name for name, row in rows(self.args.output).items() if row["code"] == 0}
        waiting = [s for s in steps.values() if s.name not in done and s.name.startswith(self.args.only)]
        for step in steps.values():
            if step.name in done:
                self.restore(step)
        failed: set[str] = set()
        running: dict[Future[dict[str, Any]], Step] = {}
        while waiting or running:
            late = time.monotonic() - begin > self.args.seconds
            for step in [] if late else list(waiting):
                if len(running) >= self.args.workers:
                    break
                if done.issuperset(step.needs):
                    waiting.remove(step)
                    running[self.pool.submit(work, step)] = step
            if not running:
                break
            for future in wait(running, timeout=600, return_when=FIRST_COMPLETED).done:
                step, row = running.pop(future), future.result()
                print(f"[{time.monotonic() - begin:6.0f} s, {row['seconds']:5.1f} s] {step.name}" + (f": FAILED\n{row['err']}" if row["code"] else ""), flush=True)  # fmt: skip
                with self.record.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(row) + "\n")
                (failed if row["code"] else done).add(step.name)
                if not row["code"]:
                    self.keep(step)
        self.pool.shutdown(cancel_futures=True)
        yield from (s.name for s in waiting)

    def keep(self, step: Step) -> None:
        """Copy what a step leaves for the tables and for other machines."""
        for path in step.keeps:
            if path.exists():
                (self.args.output / kept_as(path)).write_bytes(gzip.compress(path.read_bytes(), mtime=0))

    def restore(self, step: Step) -> None:
        """Fetch back what a step left on another machine."""
        for path in step.keeps:
            packed = self.args.output / kept_as(path)
            if (
                packed.exists() and not path.exists() and path.parent == self.args.work
            ):  # a training's metrics are for the tables
                path.write_bytes(gzip.decompress(packed.read_bytes()))


def main() -> int:
    """Run the protocol."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--model", required=True, help="the LLM: a GGUF file, a folder or a hub name")
    made.add_argument("--work", type=Path, required=True)
    made.add_argument("--output", type=Path, required=True)
    made.add_argument(
        "--encoders",
        nargs="+",
        default=["minilm=all-MiniLM-L6-v2"],
        metavar="NAME=E",
        help="what searches; bm25= for BM25",
    )
    made.add_argument("--generators", nargs="+", default=["untrained", "dpo.i"], metavar="G",
                      help="untrained, sft, or dpo, dpo2 (two rounds) or grpo.SPLIT[.REWARD][+SETTING=VALUE...], e.g. dpo.i.delta-ndcg, grpo.i+length_weight=1")  # fmt: skip
    made.add_argument(
        "--retrievers",
        nargs="*",
        default=[],
        metavar="R",
        help="a (queries alone), b (fused), of split i or another, with settings: a+blend=1, b.iii",
    )
    made.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    made.add_argument("--batch", type=int, default=512, help="texts written at a time")
    made.add_argument("--workers", type=int, default=1, help="commands at a time")
    made.add_argument("--gpus", type=int, default=0)
    made.add_argument("--first-gpu", type=int, default=0, help="number of the first GPU that is used")
    made.add_argument("--seconds", type=float, default=1e9, help="start no step after so many seconds")
    made.add_argument(
        "--only", default="", metavar="PREFIX", help="do the steps alone whose names begin so, e.g. search"
    )
    made.add_argument("--small", action="store_true", help="on pocket, a few steps each")
    args = made.parse_args()
    for folder in (args.work / "runs", args.work / "models", args.output):
        folder.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    plan = Plan(args)
    plan.generators(args.generators)
    if args.retrievers:
        plan.retrievers(args.retrievers, args.generators)
    left = list(Runner(args).go(plan.steps))
    count = sum(name.startswith(args.only) for name in plan.steps)
    print(f"{count - len(left)} of {count} steps done" + (f"; to come: {', '.join(left[:5])} ..." if left else ""))
    return 0


if __name__ == "__main__":
    sys.exit(main())
