"""Train the retriever for the page of results: choose settings on held-out training topics, train three seeds of each, search the test topics.

(a) is fine-tuned on the queries alone, (b) on queries fused with their expansions. Every step is a command of this toolkit; the command
lines are printed, and kept in the results. Several run at a time, in processes that keep their imports, distributed over the GPUs.

    python examples/loop/retriever.py --data $EXPANDR_DATA --work work --output results --workers 8
    python examples/loop/retriever.py --small --work work --output results          # pocket, on a CPU, in minutes

No settings are chosen on test topics: the sweep uses `dev` topics held out of SciFact's training topics, searched with their queries
alone, with their expansions, and with the first words of these (`short`, as a stand-in for LLMs that write less).
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import io
import json
import multiprocessing
import os
import shlex
import statistics
import sys
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

SHORT_WORDS = 30
QUERY2DOC = "scifact.test.query2doc-zs."


def settings(**values: object) -> list[str]:
    """Return --set options."""
    return [word for key, value in values.items() for word in ("--set", f"{key}={value}")]


def start_worker(numbers: Any, gpus: int, first: int) -> None:
    """Give a worker its GPU, before torch is imported."""
    number = numbers.get()
    if gpus:
        os.environ["CUDA_VISIBLE_DEVICES"] = str(first + number % gpus)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")


def call(argv: Sequence[str]) -> dict[str, Any]:
    """Run `python -m expandr_repro.COMMAND ...` in this process; return its output, and how long it took."""
    import importlib

    out, err = io.StringIO(), io.StringIO()
    begin = time.perf_counter()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = importlib.import_module(f"expandr_repro.{argv[0]}.__main__").main(list(argv[1:]))
        except SystemExit as stop:
            code = int(stop.code or 0)
    return {"argv": list(argv), "code": code, "out": out.getvalue(), "err": err.getvalue()[-2000:], "seconds": round(time.perf_counter() - begin, 1)}  # fmt: skip


class Commands:
    """Runs commands, prints them as one would type them, and keeps what came of them."""

    def __init__(self, workers: int, gpus: int, record: Path, first_gpu: int = 0) -> None:
        self._record = record
        context = multiprocessing.get_context("spawn")
        numbers = context.Queue()
        for number in range(workers):
            numbers.put(number)
        self._pool = ProcessPoolExecutor(
            workers, mp_context=context, initializer=start_worker, initargs=(numbers, gpus, first_gpu)
        )

    def run(self, commands: Sequence[Sequence[str]]) -> list[dict[str, Any]]:
        """Run commands, several at a time; fail if one fails."""
        done = []
        for result in self._pool.map(call, commands):
            line = "python -m expandr_repro." + shlex.join(result["argv"])
            print(f"[{result['seconds']:6.1f} s] {line}", flush=True)
            with self._record.open("a", encoding="utf-8") as file:
                file.write(json.dumps({**result, "command": line}) + "\n")
            if result["code"]:
                raise SystemExit(f"failed: {line}\n{result['err']}")
            done.append(result)
        return done


def development(folder: Path) -> dict[str, float]:
    """Return the development scores of an encoder's kept weights."""
    found: dict[str, float] = json.loads((folder / "manifest.json").read_text())["result"]["development"]["best"]
    return found


def first_words(source: Path, target: Path, words: int) -> None:
    """Write augmented topics with only the first words of each expansion."""
    from expandr_repro.data.topics import Expansion, Topic, read_topics, write_topics

    write_topics(
        target,
        [
            Topic(t.qid, t.title, tuple(Expansion(" ".join(x.split()[:words])) for x in t.texts))
            for t in read_topics(source)
        ],
    )


class Experiment:
    """The whole run, on SciFact or, small, on pocket."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args, self.work, self.output = args, args.work, args.output
        self.work.mkdir(parents=True, exist_ok=True)
        self.output.mkdir(parents=True, exist_ok=True)
        self.commands = Commands(args.workers, args.gpus, self.output / "commands.jsonl", args.first_gpu)
        self.full, self.short = self.work / "claude.jsonl", self.work / "short.jsonl"
        source = args.data / "expansions" / "scifact.train.q2d.claude.jsonl" if not args.small else self._pocket()
        first_words(source, self.full, 1_000_000)
        first_words(source, self.short, SHORT_WORDS)
        self.train = "pocket" if args.small else "scifact/train"
        self.negatives = self.work / "negatives.trec"
        self.common = [
            "--train",
            self.train,
            "--encoder",
            args.encoder,
            "--precision",
            args.precision,
            "--negatives",
            str(self.negatives),
        ]
        self.dev = {
            "dev": 24 if args.small else 120, "select_on": "[none, mean.claude, mean.short]", "evaluate_every": args.evaluate_every,
            "chunk_tokens": 131072 if args.gpus else 16384, "gradient_cache": "false" if args.gpus else "true",
        }  # fmt: skip

    def _pocket(self) -> Path:
        from expandr_repro.io.paths import resource

        return Path(resource("pocket") / "queries.jsonl")

    def mine(self) -> None:
        """Mine hard negatives with the untrained encoder, from the training topics' queries."""
        self.commands.run([["search", "--topics", self.train, "--encoder", self.args.encoder, "--fusion", "none", "--hits", "200", "--output", str(self.negatives), "--format", "json"]])  # fmt: skip

    def training(self, name: str, kind: str, values: dict[str, Any]) -> list[str]:
        """Return the command of one training; kind a: queries alone, b: fused."""
        values = dict(values)
        sets = [str(self.full), str(self.short)]
        fusion = ["--fusion", "none"] if kind == "a" else ["--fusion", "mean"]
        return [
            "train_encoder", *self.common, "--expansions", *sets, *fusion, "--output", str(self.work / "models" / name),
            "--format", "json", *settings(**self.dev, **values),
        ]  # fmt: skip

    def choose(self, kind: str, grid: Iterable[dict[str, Any]], stage: str) -> list[dict[str, Any]]:
        """Train once with each setting; return them with their development scores, best first."""
        grid = list(grid)
        names = [f"sweep-{stage}-{kind}-{number:02d}" for number in range(len(grid))]
        self.commands.run([self.training(name, kind, values) for name, values in zip(names, grid, strict=True)])
        rows = []
        for name, values in zip(names, grid, strict=True):
            figures = development(self.work / "models" / name)
            rows.append(
                {
                    "kind": kind,
                    "stage": stage,
                    "settings": values,
                    "development": figures,
                    "mean": statistics.fmean(figures.values()),
                }
            )
        rows.sort(key=lambda row: -row["mean"])
        with (self.output / "sweep.jsonl").open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)
        return rows

    def sweep(self) -> dict[str, tuple[str, dict[str, Any]]]:
        """Choose the settings of (a) and of (b): a grid, then variations of its best."""
        small = {"batch_size": 16} if self.args.small else {}
        rates, temperatures = (
            (("5e-5",), (0.02,)) if self.args.small else (("2e-5", "5e-5", "1e-4", "2e-4"), (0.02, 0.05))
        )
        base = [
            {"epochs": 1 if small else 6, "learning_rate": r, "temperature": t, **small}
            for r in rates
            for t in temperatures
        ]
        views = ["{fused: 1}", "{fused: 1, query: 1}", "{fused: 1, query: 1, expansion: 1}"][: 2 if small else 3]
        varied: list[dict[str, Any]] = [] if small else [
            {"hard_negatives": 4}, {"epochs": 12}, {"batch_size": 32}, {"batch_size": 128},
            {"hard_negatives": 4, "batch_size": 128}, {"hard_negatives": 4, "epochs": 12},
        ]  # fmt: skip
        best: dict[str, tuple[str, dict[str, Any]]] = {}
        for kind, grid in {"a": base, "b": [{**b, "views": v} for b in base for v in views]}.items():
            rows = self.choose(kind, grid, "grid")
            rows += self.choose(kind, [{**rows[0]["settings"], **v} for v in varied], "varied")
            top = max(rows, key=lambda row: float(row["mean"]))
            best[kind] = (kind, top["settings"])
            print(f"chosen for ({kind}): {top['settings']}, {top['development']}", flush=True)
        return best

    def conditions(self) -> list[tuple[str, list[str]]]:
        """Return the searches of the table: name -> options."""
        if self.args.small:
            return [
                ("pocket.none", ["--topics", "pocket", "--fusion", "none"]),
                ("pocket.own", ["--topics", "pocket", "--fusion", "mean"]),
            ]
        folder = self.args.data / "expansions"
        sets = {"none": None, **{name: folder / f"{QUERY2DOC}{name}.jsonl" for name in ("gpt-4.1", "gpt-4.1-nano", "Qwen2.5-7B-Instruct")},
                "claude": folder / "scifact.test.q2d.claude.jsonl"}  # fmt: skip
        made = [(f"scifact.{name}", _search("scifact", path)) for name, path in sets.items()]
        return [*made, ("nfcorpus.none", _search("nfcorpus", None)), ("nfcorpus.claude", _search("nfcorpus", folder / "nfcorpus.test.q2d.claude.jsonl"))]  # fmt: skip

    def final(self, wanted: dict[str, tuple[str, dict[str, Any]]], seeds: Sequence[int]) -> None:
        """Train each of the chosen settings with each seed, search every condition, and write the scores."""
        models = {
            f"{name}.seed{seed}": (kind, values, seed) for name, (kind, values) in wanted.items() for seed in seeds
        }
        self.commands.run([self.training(name, kind, {**values, "seed": seed}) for name, (kind, values, seed) in models.items()])  # fmt: skip
        encoders = {"base": self.args.encoder, **{name: str(self.work / "models" / name) for name in models}}
        # the query alone first: the index of each encoder is built once, before several searches want it
        jobs = [(model, name, options) for name, options in self.conditions() for model in encoders]
        rows = []
        runs = self.work / "runs"
        commands = [
            ["search", *options, "--encoder", encoders[model], "--no-baseline", "--metrics", "nDCG@10,R@100", "--format", "json",
             "--output", str(runs / f"{name}.{model}.trec")]
            for model, name, options in jobs
        ]  # fmt: skip
        for (model, name, _), result in zip(jobs, self.commands.run(commands), strict=True):
            rows.append({"model": model, "condition": name, "summary": json.loads(result["out"])})
        (self.output / "figures.json").write_text(json.dumps(rows, indent=1))
        (self.output / "chosen.json").write_text(json.dumps(wanted, indent=1))
        self._keep_runs(runs)

    def _keep_runs(self, runs: Path, depth: int = 10) -> None:
        """Keep the top of each run, and each training's metrics, in one archive a kind."""
        import tarfile

        with tarfile.open(self.output / "runs.tar", "w") as archive:
            for path in sorted(runs.glob("*.trec")):
                lines = [line for line in path.read_text().splitlines() if int(line.split()[3]) <= depth]
                packed = gzip.compress(("\n".join(f"{' '.join(x.split()[:4])} {depth + 1 - int(x.split()[3])} {x.split()[5]}" for x in lines) + "\n").encode(), mtime=0)  # fmt: skip
                info = tarfile.TarInfo(f"{path.name}.gz")
                info.size = len(packed)
                archive.addfile(info, io.BytesIO(packed))
        with tarfile.open(self.output / "metrics.tar", "w") as archive:
            for folder in sorted((self.work / "models").glob("[!.]*.seed*")):
                for name in ("metrics.jsonl", "manifest.json", "curves.png"):
                    archive.add(folder / name, f"{folder.name}.{name}")


def _search(collection: str, expansions: Path | None) -> list[str]:
    fusion = ["--expansions", str(expansions), "--fusion", "mean"] if expansions else ["--fusion", "none"]
    return ["--topics", collection, *fusion]


def main() -> int:
    """Run the experiment."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument(
        "--data", type=Path, default=Path(os.environ.get("EXPANDR_DATA", "data")), help="the collections and expansions"
    )
    made.add_argument("--work", type=Path, required=True, help="for models and runs")
    made.add_argument("--output", type=Path, required=True, help="for the results")
    made.add_argument("--encoder", default="all-MiniLM-L6-v2", help="what is trained (default: %(default)s)")
    made.add_argument(
        "--precision", default="fp32", choices=("fp32", "bf16"), help="of training (default: %(default)s)"
    )
    made.add_argument("--evaluate-every", type=float, default=1.0, help="epochs between development searches")
    made.add_argument("--workers", type=int, default=1, help="commands at a time (default: %(default)s)")
    made.add_argument("--gpus", type=int, default=0, help="GPUs that the workers share; 0 for none")
    made.add_argument("--first-gpu", type=int, default=0, help="number of the first of them")
    made.add_argument(
        "--chosen", type=Path, help="settings chosen before, in place of the sweep: name -> [kind, settings]"
    )
    made.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    made.add_argument("--small", action="store_true", help="on pocket, with one setting: to see that it works")
    args = made.parse_args()
    begin = time.perf_counter()
    experiment = Experiment(args)
    experiment.mine()
    wanted = json.loads(args.chosen.read_text()) if args.chosen else experiment.sweep()
    experiment.final(wanted, args.seeds)
    print(f"in all {time.perf_counter() - begin:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
