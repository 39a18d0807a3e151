"""All expansion methods with one LLM: texts for the test topics, searched with BM25 and with dense encoders; every step a command.

    python examples/methods/study.py --model qwen2.5-coder-1.5b-instruct-q4_k_m.gguf --work work --output results --gpus 1
    python examples/methods/study.py --base-url http://localhost:8000/v1 --model M --collections pocket --limit 20 --work work --output results
    python examples/methods/study.py --output results --table

Steps that are recorded in OUTPUT/steps.jsonl are not done again, so that the same command goes on where it was stopped, also on another machine
(BM25 needs Java, which GPU machines often lack: search there with `--encoders minilm=all-MiniLM-L6-v2`, later elsewhere with `--encoders bm25=`).
Methods that read passages get those that BM25 finds, from a run file (--context-runs) where there is no Java. A collection without training topics
takes the few-shot examples of SciFact's.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "loop"))

from protocol import Plan, Runner, done_before, retriever

NEED_PASSAGES = ("lamer", "csqe", "thinkqe", "reformer")
NEED_EXAMPLES = ("query2doc-fs", "query2e-fs")


class Study(Plan):
    """One text file per method and collection, and its searches."""

    def __init__(self, args: argparse.Namespace) -> None:
        super().__init__(args)
        self.tokens = ["--limit", str(args.limit)] if args.limit else []  # a method has its own lengths
        if args.base_url:
            self.model = ["--base-url", args.base_url, "--model", args.model]

    def methods(self, names: list[str], collections: list[str]) -> None:
        """Add the steps of methods."""
        for collection in collections:
            for name in names:
                more: tuple[object, ...] = ()
                if name in NEED_PASSAGES and self.args.context_runs:
                    more += ("--context", f"{self.args.context_runs}/none.{collection}.bm25.trec:10")
                if name in NEED_EXAMPLES and collection in ("cacm", "pocket"):
                    more += ("--examples-from", "scifact/train")
                texts = self.expand(f"texts.{name}.{collection}", collection, "--method", name, "--seed", 1, *more)
                for encoder, model in self.encoders.items():
                    run = self.path(f"runs/{name}.{collection}.{encoder}.trec")
                    index = self.index(collection, encoder)
                    self.add(f"search.{run.stem}", "search", "--topics", collection, "--expansions", self.path(f"{texts}.jsonl"), *retriever(encoder, model),
                             "--no-baseline", "--hits", 100, "--metrics", "nDCG@10,R@100", "--format", "json", "--output", run,
                             needs=(texts, index), run=(run, collection))  # fmt: skip


def table(output: Path, collections: list[str], encoders: list[str]) -> str:
    """Return the page's tables: per collection, each method's nDCG@10 with its change, p, topics lost, and tokens."""
    import numpy as np

    from expandr_repro.evaluate.significance import holm, paired_p, wins_ties_losses

    done = done_before(output / "steps.jsonl")
    lines: list[str] = []
    for collection in collections:
        names = [
            n.split(".")[1]
            for n in done
            if n.startswith("texts.") and n.endswith(f".{collection}") and n.count(".") == 2
        ]
        for encoder in encoders:
            base = done.get(f"search.none.{collection}.{encoder}", {}).get("scores", {}).get("nDCG@10")
            found = {
                n: done[key]["scores"]
                for n in names
                if "scores" in done.get(key := f"search.{n}.{collection}.{encoder}", {})
            }
            if not base or not found:
                continue
            qids = list(base)
            alone = np.array([base[q] for q in qids])
            each = {n: np.array([s["nDCG@10"].get(q, 0.0) for q in qids]) for n, s in found.items()}
            p = dict(zip(each, holm([paired_p(alone, values) for values in each.values()]), strict=True))
            lines += [f"### {collection}, {encoder}", "", f"The query alone: {alone.mean():.4f}; {len(qids)} topics.", "",
                      "| method | nDCG@10 | change | 95 % interval | p (Holm) | topics better, worse | R@100 | tokens per query |",
                      "| --- | ---: | ---: | --- | ---: | ---: | ---: | ---: |"]  # fmt: skip
            for name, values in each.items():
                wins, _, losses = wins_ties_losses(values, alone)
                difference = values - alone
                half = 1.96 * difference.std(ddof=1) / len(qids) ** 0.5
                recall = statistics.fmean(found[name]["R@100"].values())
                lines.append(f"| {name} | {values.mean():.4f} | {difference.mean():+.4f} | {difference.mean() - half:+.4f} to {difference.mean() + half:+.4f} "
                             f"| {p[name]:.2g} | {wins}, {losses} | {recall:.4f} | {tokens(done[f'texts.{name}.{collection}'], len(qids))} |")  # fmt: skip
            lines.append("")
    return "\n".join(lines)


def tokens(row: dict[str, str], topics: int) -> str:
    """Return the tokens read and written for a query, from what `expand` printed."""
    counts = {
        " ".join(words[:-1]): words[-1].replace(",", "")
        for words in map(str.split, row["out"].splitlines())
        if len(words) > 1
    }
    read, written = (counts.get(key, "") for key in ("tokens in", "tokens out"))
    return f"{int(read) / topics:.0f} + {int(written) / topics:.0f}" if read.isdigit() and written.isdigit() else "-"


def main() -> int:
    """Run the study, or print its tables."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--model", default="")
    made.add_argument("--base-url", help="an endpoint, in place of a model on this machine")
    made.add_argument("--methods", nargs="+", help="(default: all)")
    made.add_argument("--collections", nargs="+", default=["scifact", "nfcorpus", "cacm"])
    made.add_argument("--encoders", nargs="+", default=["minilm=all-MiniLM-L6-v2", "bm25="], metavar="NAME=E")
    made.add_argument("--context-runs", type=Path, help="a folder of none.COLLECTION.bm25.trec, where there is no Java")
    made.add_argument("--limit", type=int, help="so many topics of each collection")
    made.add_argument("--work", type=Path, default=Path("work"))
    made.add_argument("--output", type=Path, required=True)
    made.add_argument("--batch", type=int, default=512)
    made.add_argument("--workers", type=int, default=1)
    made.add_argument("--gpus", type=int, default=0)
    made.add_argument("--seconds", type=float, default=1e9)
    made.add_argument("--table", action="store_true", help="print the tables of what is there")
    args = made.parse_args()
    if args.table:
        print(table(args.output, args.collections, [pair.partition("=")[0] for pair in args.encoders]))
        return 0
    args.small, args.seeds = False, [1]
    from expandr_repro.expand.methods.spec import METHODS

    for folder in (args.work / "runs", args.work / "models", args.output):
        folder.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    study = Study(args)
    study.methods(args.methods or METHODS.names(), args.collections)
    left = list(Runner(args).go(study.steps))
    print(json.dumps({"steps": len(study.steps), "to come": left}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
