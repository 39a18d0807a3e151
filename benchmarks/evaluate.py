"""Ten runs to scores: `evaluate` next to ranx's own classes; whole commands, on a machine that has compiled both before."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.harness import Side, measure, peer, wrong
from benchmarks.machine import copy_rate
from benchmarks.options import Options
from benchmarks.processes import python
from benchmarks.results import Row, Sheet
from expandr_repro.data.trec import read_run, write_qrels, write_run

MEASURES = ("nDCG@10", "R@100", "MAP")
PEER = "ranx"


def run(options: Options) -> list[Sheet]:
    """Measure both on runs of made-up scores without ties, and reading the files alone."""
    count, topics, hits = (2, 20, 50) if options.smallest else (10, 300, 1000)
    qrels, runs = write_runs(options.work, count, topics, hits)
    ours = ["-m", "expandr_repro.evaluate", "--qrels", qrels, "--metrics", ",".join(MEASURES), "--format", "json", "--quiet", *runs]  # fmt: skip
    theirs = ["-m", "benchmarks.peers.ranx_evaluate", qrels, *runs]
    size = sum(p.stat().st_size for p in runs)
    limit = size / copy_rate()
    sides = [Side("this project", lambda: python(ours), limit=limit), Side(PEER, lambda: peer(theirs), limit=limit)]
    if not options.smallest:
        for side in sides:
            side.work()  # compiled and kept by numba once and for all
    rows = measure(sides, options.repeat, _same)
    begin = time.perf_counter()
    for path in runs:
        read_run(path)
    rows.append(Row("reading and checking the files alone, in a running Python", seconds=[time.perf_counter() - begin], limit=limit))  # fmt: skip
    title = f"Evaluating {count} runs of {topics} topics and {hits:,} hits ({size / 1e6:,.0f} MB), {', '.join(MEASURES)}: the whole command, compiled before"
    return [Sheet("evaluate", title, "runs", rows, [PEER], rate=False, limit="bytes: the files' at the measured rate of copying memory")]  # fmt: skip


def write_runs(folder: Path, count: int, topics: int, hits: int) -> tuple[Path, list[Path]]:
    """Write qrels of three documents per topic and runs with different scores for different documents."""
    draw = random.Random(42)
    corpus = [f"d{n}" for n in range(5 * hits)]
    write_qrels(folder / "qrels.txt", {f"q{t}": dict.fromkeys(draw.sample(corpus, 3), 1) for t in range(topics)})
    paths = []
    for n in range(count):
        made = {f"q{t}": {d: 100.0 - 0.001 * i for i, d in enumerate(draw.sample(corpus, hits))} for t in range(topics)}
        paths.append(folder / f"run{n}.trec")
        write_run(paths[-1], made, "made-up")
    return folder / "qrels.txt", paths


def _same(results: Mapping[str, Any]) -> dict[str, str]:
    """Compare the scores to four decimals."""
    ours = {r["run"]: r for r in json.loads(results["this project"].out)}
    if PEER not in results:
        return {}
    theirs = json.loads(results[PEER].out.strip().splitlines()[-1])
    for path, figures in theirs.items():
        for measure_name, value in figures.items():
            if round(ours[Path(path).name][measure_name], 4) != round(value, 4):
                raise wrong(PEER, f"{measure_name} of {Path(path).name} is {value:.4f}, ours {ours[Path(path).name][measure_name]:.4f}")  # fmt: skip
    return dict.fromkeys(results, "the same to 4 decimals")
