"""Run all expansion methods with one LLM: texts for the test topics, searched with BM25 and with dense encoders; every step is a command.

    python examples/methods/study.py --model qwen2.5-coder-1.5b-instruct-q4_k_m.gguf --work work --output results --gpus 1
    python examples/methods/study.py --base-url http://localhost:8000/v1 --model M --collections pocket --limit 20 --work work --output results
    python examples/methods/study.py --output results --table

Steps recorded in OUTPUT/steps.jsonl are not repeated, so the same command continues where it was stopped, also on another machine
(BM25 needs Java, which GPU machines often lack: search there with `--encoders minilm=all-MiniLM-L6-v2`, later elsewhere with `--encoders bm25=`).
Methods that read passages get those of BM25; without Java, give its run files (--context-runs). Collections without training topics
use SciFact's for few-shot examples.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "loop"))

import pages
from kept import rows
from protocol import Plan, Runner, retriever

from expandr_repro.console.tables import Table

ORDER = ("q2d", "hyde", "query2doc-zs", "query2doc-fs", "query2doc-cot", "genqr", "genqr-ensemble", "query2e-zs", "query2e-fs", "qa-expand", "mugi",
         "lamer", "csqe", "thinkqe", "reformer")  # fmt: skip

PAGE = Path(__file__).resolve().parents[2] / "docs" / "results" / "methods.md"
RETRIEVERS = ("minilm", "mpnet", "bm25")
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
                    index = self.index(collection, encoder, model)
                    self.add(f"search.{run.stem}", "search", "--topics", collection, "--expansions", self.path(f"{texts}.jsonl"), *retriever(encoder, model),
                             "--no-baseline", "--hits", 100, "--metrics", "nDCG@10,R@100", "--format", "json", "--output", run,
                             needs=(texts, index), run=(run, collection))  # fmt: skip


def tables(folder: Path, encoders: list[str]) -> dict[str, str]:
    """Return marker -> table: for each collection and retriever each method's nDCG@10 with its change, p, topics lost, and tokens."""
    import numpy as np

    from expandr_repro.evaluate.significance import holm, paired_p, wins_ties_losses

    steps = rows(folder)
    collections = sorted({name.rsplit(".", 1)[1] for name in steps if name.startswith("texts.")}, reverse=True)
    made: dict[str, str] = {}
    for collection in collections:
        names = [n.split(".")[1] for n in steps if n.startswith("texts.") and n.endswith(f".{collection}")]
        for encoder in encoders:
            runs = {
                n: steps[key]["scores"]
                for n in ["none", *ORDER]
                if "scores" in steps.get(key := f"search.{n}.{collection}.{encoder}", {})
            }
            if len(runs) < 2 or "none" not in runs:
                continue
            qids = sorted(runs["none"]["nDCG@10"])
            values = {n: np.array([scores["nDCG@10"].get(q, 0.0) for q in qids]) for n, scores in runs.items()}
            alone = values.pop("none")
            p = dict(zip(values, holm([paired_p(alone, each) for each in values.values()]), strict=True))
            lines: list[list[object]] = [
                [
                    "query alone",
                    f"{alone.mean():.4f}",
                    "",
                    "",
                    "",
                    "",
                    f"{statistics.fmean(runs['none']['R@100'].values()):.4f}",
                    "",
                ]
            ]
            for name, each in values.items():
                change = each - alone
                half = pages.half_width(change.tolist())
                wins, _, losses = wins_ties_losses(alone, each)
                texts = steps[f"texts.{name}.{collection}"]["texts"]
                tokens = (
                    f"{texts['tokens_in'] / len(qids):,.0f} + {texts['tokens_out'] / len(qids):,.0f}"
                    if "tokens_in" in texts
                    else ""
                )
                relevant = f" (read a relevant passage for {texts['relevant']} topics)" if "relevant" in texts else ""
                lines.append([f"{name}{relevant}", f"{each.mean():.4f}", f"{change.mean():+.4f}", f"{change.mean() - half:+.4f} to {change.mean() + half:+.4f}",
                              f"{p[name]:.2g}", f"{wins}, {losses}", f"{statistics.fmean(runs[name]['R@100'].values()):.4f}", tokens])  # fmt: skip
            missing = [n for n in names if n not in values]
            header = [
                "method",
                "nDCG@10",
                "change",
                "95 % interval",
                "p (Holm)",
                "topics better, worse",
                "R@100",
                "tokens per query, read + written",
            ]
            made[f"{collection}.{encoder}"] = Table(header, lines).render("markdown") + (
                f"\n\nNot searched: {', '.join(missing)}." if missing else ""
            )
    return made


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
    made.add_argument("--write", action="store_true", help="put them into docs/results/methods.md")
    args = made.parse_args()
    if args.write:
        PAGE.write_text(
            pages.filled(PAGE.read_text(encoding="utf-8"), tables(args.output, list(RETRIEVERS))), encoding="utf-8"
        )
        return 0
    encoders = [pair.partition("=")[0] for pair in args.encoders]
    if args.table:
        for marker, table in tables(args.output, encoders).items():
            print(f"### {marker}\n\n{table}\n")
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
