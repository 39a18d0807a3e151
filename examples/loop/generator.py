"""Train the generator for the page of results: one round of ExpandR on a small language model, three seeds, judged on topics never trained on.

For each seed: fine-tune on SciFact's training expansions, sample 32 candidates per training topic, choose pairs with MiniLM, DPO, then sample
again for the test topics, before and after, and measure the reward, the similarity to the gold passage, and the fused search.

    python examples/loop/pretrain.py --data $EXPANDR_DATA --collections scifact nfcorpus cacm --output models/small
    python examples/loop/generator.py --data $EXPANDR_DATA --model models/small --work work --output results --workers 3 --gpus 1
    python examples/loop/generator.py --small --model models/tiny --work work --output results      # pocket, on a CPU, in minutes

There is no LLM here that could answer a question (q2a): Claude's passage for the same query stands for the answer.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from retriever import Commands, settings

SIDES = {"before": False, "after": True}
"""The passages that are compared, and whether the adapter wrote them."""


class Round:
    """One seed's round."""

    def __init__(self, args: argparse.Namespace, commands: Commands, seed: int) -> None:
        self.args, self.commands, self.seed = args, commands, seed
        self.work = args.work / f"seed{seed}"
        self.work.mkdir(parents=True, exist_ok=True)
        small = args.small
        self.train, self.test = ("pocket", "pocket") if small else ("scifact/train", "scifact")
        self.answers = args.work / "answers.jsonl"
        self.tokens = "24" if small else "128"
        self.sft_model = str(self.work / "sft")

    def run(self, *words: object) -> dict[str, Any]:
        """Run one command."""
        (result,) = self.commands.run([[str(w) for w in words]])
        return result

    def tune(self) -> None:
        """Fine-tune the pretrained model: the cold start."""
        small = self.args.small
        values: dict[str, Any] = {"lora_r": 0, "learning_rate": "2e-4", "batch_size": 16, "gradient_accumulation": 1, "epochs": 1 if small else 8,
                                  "patience": 2, "max_prompt_length": 160, "max_length": 400, "seed": self.seed, "eval_batch_size": 64}  # fmt: skip
        self.run("train_generator", "--sft", self.answers, "--dev", 8 if small else 80, "--model", self.args.model, *settings(**values),
                 "--output", self.sft_model, "--format", "json")  # fmt: skip

    def expand(self, topics: str, name: str, *options: object) -> Path:
        """Sample passages."""
        output = self.work / f"{name}.jsonl"
        self.run("expand", "--topics", topics, "--backend", "transformers", "--max-tokens", self.tokens, "--batch-size", self.args.batch, *options,
                 "--store", self.work / f"{name}.sqlite", "--output", output, "--seed", self.seed)  # fmt: skip
        return output

    def prefer(self, candidates: Path) -> Path:
        """Choose a pair a topic."""
        pairs = self.work / "pairs.jsonl"
        self.run("prefer", "--candidates", candidates, "--gold", self.train, "--answers", self.answers, "--min-similarity", 0 if self.args.small else 0.6,
                 "--dev", 8 if self.args.small else 80, "--seed", self.seed, "--encoder", "all-MiniLM-L6-v2", "--output", pairs, "--format", "json")  # fmt: skip
        return pairs

    def dpo(self, pairs: Path, name: str = "dpo", **values: object) -> dict[str, Any]:
        """Train on the pairs."""
        chosen = {"epochs": 1 if self.args.small else 4, "batch_size": 16, "gradient_accumulation": 1, "learning_rate": "2e-4", "lora_r": 16,
                  "lora_alpha": 32, "warmup": 0.1, "eval_steps": 10, "best_by": "loss", "patience": 4, "max_prompt_length": 160, "max_length": 400,
                  "eval_batch_size": 80, "seed": self.seed} | values  # fmt: skip
        dev = ["--dev-pairs", pairs.with_name("pairs.dev.jsonl")] if chosen.get("eval_steps") else []
        chosen = {k: "null" if v is None else v for k, v in chosen.items()}
        return self.run("train_generator", "--pairs", pairs, *dev, "--model", self.sft_model, *settings(**chosen), "--output", self.work / name, "--format", "json")  # fmt: skip

    def search(self, name: str, expansions: Path, *options: object) -> dict[str, Any]:
        """Search the test topics; return the scores."""
        result = self.run("search", "--topics", self.test, "--expansions", expansions, "--fusion", "mean", *options, "--no-baseline", "--metrics",
                          "nDCG@10,R@100", "--format", "json", "--output", self.work / f"{name}.trec")  # fmt: skip
        figures: dict[str, Any] = json.loads(result["out"])[0]["figures"]
        return figures

    def go(self) -> None:
        """Do the round, up to fresh passages for the test topics, before and after."""
        self.tune()
        candidates = self.expand(self.train, "candidates", "--model", self.sft_model, "--preset", "expandr-candidates", *(["--samples", 1] if self.args.small else []))  # fmt: skip
        self.dpo(self.prefer(candidates))
        for name, more in SIDES.items():
            adapter = ["--adapter", self.work / "dpo"] if more else []
            self.expand(self.test, name, "--model", self.sft_model, "--temperature", "1.0", "--samples", self.args.samples, *adapter)  # fmt: skip

    def judge(self) -> dict[str, Any]:
        """Measure the fresh passages; needs no GPU."""
        fresh = {name: self.work / f"{name}.jsonl" for name in SIDES}
        found: dict[str, Any] = {"seed": self.seed, "held out": rewards(fresh, self.test)}
        for name, path in fresh.items():
            first = self.work / f"{name}.first.jsonl"
            keep_first(path, first)
            found[f"search, {name}, one passage"] = self.search(f"{name}.one", first)
            found[f"search, {name}, all passages, alpha 0.5"] = self.search(f"{name}.all", path, "--alpha", "0.5")
        return found


def keep_first(source: Path, target: Path) -> None:
    """Write augmented topics with the first expansion of each."""
    from expandr_repro.data.topics import Topic, read_topics, write_topics

    write_topics(target, [Topic(t.qid, t.title, t.expansions[:1], t.provenance) for t in read_topics(source)])


def rewards(fresh: dict[str, Path], collection: str) -> dict[str, dict[str, float]]:
    """Pool each topic's passages of before and after, reward them together, and return each side's means."""
    from expandr_repro.data.topics import read_topics
    from expandr_repro.encoders.loading import load_encoder
    from expandr_repro.prefer.gold import find_gold
    from expandr_repro.prefer.similarity import Case, reward

    sides = {name: {t.qid: t for t in read_topics(path)} for name, path in fresh.items()}
    first = next(iter(sides.values()))
    gold = find_gold(collection, None, list(first.values()))
    least = {qid: min(len(side[qid].texts) if qid in side else 0 for side in sides.values()) for qid in first}
    cases = [
        Case(topic, tuple(text for side in sides.values() for text in side[qid].texts[: least[qid]]), gold.texts[qid])
        for qid, topic in first.items() if qid in gold.texts and least[qid]
    ]  # fmt: skip
    sums = {name: {"similarity to gold": 0.0, "retriever reward": 0.0} for name in sides}
    for found in reward(cases, load_encoder("all-MiniLM-L6-v2"), {"retriever": 1.0}):
        each = len(found.case.candidates) // len(sides)
        for place, name in enumerate(sides):
            part = slice(place * each, (place + 1) * each)
            sums[name]["similarity to gold"] += float(found.to_gold[part].mean()) / len(cases)
            sums[name]["retriever reward"] += float(found.totals[part].mean()) / len(cases)
    return sums


def main() -> int:
    """Run the rounds."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--data", type=Path, default=Path(os.environ.get("EXPANDR_DATA", "data")))
    made.add_argument("--model", required=True, help="the pretrained model")
    made.add_argument("--work", type=Path, required=True)
    made.add_argument("--output", type=Path, required=True)
    made.add_argument("--workers", type=int, default=1)
    made.add_argument("--gpus", type=int, default=0)
    made.add_argument("--first-gpu", type=int, default=0)
    made.add_argument("--batch", type=int, default=1024, help="passages sampled at a time")
    made.add_argument("--samples", type=int, default=4, help="passages a test topic")
    made.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    made.add_argument("--judge", action="store_true", help="measure what an earlier call sampled, and nothing else")
    made.add_argument("--small", action="store_true", help="on pocket, with few samples: to see that it works")
    args = made.parse_args()
    begin = time.perf_counter()
    for folder in (args.work, args.output):
        folder.mkdir(parents=True, exist_ok=True)
    source = args.data / "expansions" / "scifact.train.q2d.claude.jsonl"
    if args.small:
        from expandr_repro.io.paths import resource

        source = Path(resource("pocket") / "queries.jsonl")
    shutil.copyfile(source, args.work / "answers.jsonl")
    commands = Commands(args.workers, args.gpus, args.output / "generator.commands.jsonl", args.first_gpu)
    rounds = [Round(args, commands, seed) for seed in args.seeds]
    if not args.judge:
        with ThreadPoolExecutor(args.workers) as pool:
            list(pool.map(Round.go, rounds))
    for made_round in rounds:
        found = made_round.judge()
        print(json.dumps(found), flush=True)
        with (args.output / "generator.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(found) + "\n")
    if not args.judge:
        time_steps(rounds[0])
    print(f"in all {time.perf_counter() - begin:.0f} s")
    return 0


def time_steps(made: Round) -> None:
    """Print the time of DPO's steps with reference log-probabilities kept, and with a forward pass of the reference in each step."""
    for kept in (True, False):
        result = made.dpo(made.work / "pairs.jsonl", f"timed-{kept}", eval_steps=None, patience=None, epochs=1 if made.args.small else 2, precompute_reference=str(kept).lower(), keep_best="false")  # fmt: skip
        print(f"reference kept: {kept}\n{result['err'][-800:]}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
