"""A million passages through `encode` in one run: passages a second, memory of the host and of the GPU; also on several GPUs of one host."""

from __future__ import annotations

import contextlib
import re
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.harness import Side, measure, wrong
from benchmarks.machine import bert_operations, matmul_rate
from benchmarks.models import Model, model_for
from benchmarks.options import Options
from benchmarks.processes import Ended, python
from benchmarks.results import Sheet
from benchmarks.texts import differing_in, made_up, write_corpus

WORDS = 60


def run(options: Options) -> list[Sheet]:
    """Measure one round on one GPU, and one on `--gpus`."""
    count = options.passages or (300 if options.smallest else 1_000_000 if options.gpu else 20_000)
    model = model_for(options)
    corpus = write_corpus(options.work / "corpus.jsonl", count, WORDS)
    precision = "bf16" if options.gpu else "fp32"
    rate = matmul_rate(options.device, precision, 8192 if options.gpu else 256 if options.smallest else 2048)
    limit = _operations(model, count) / rate
    indexes = {n: options.work / f"index.{n}" for n in sorted({1, options.gpus})}
    sides: list[Side] = []
    unit = "GPU" if options.gpu else "process"
    names = {
        n: f"this project, {precision}, {n} {unit}{'' if n == 1 else 's' if options.gpu else 'es'}" for n in indexes
    }
    for number, index in indexes.items():
        words = ["--corpus", corpus, *model.options, "--device", options.device, "--precision", precision, "--output", index, "--overwrite"]  # fmt: skip
        launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", number] if number > 1 else []
        figures: dict[str, Any] = {"GPUs" if options.gpu else "processes": number}
        sides.append(
            Side(
                names[number],
                partial(_encode, [*launch, "-m", "expandr_repro.encode", *words], figures),
                count,
                limit / number,
                figures=figures,
                distinct=differing_in(corpus),
            )
        )
    rows = measure(sides, 1, _same(indexes, names))
    for row, side in zip(rows, sides, strict=True):
        row.figures = side.figures
    if len(rows) > 1:
        rows[1].figures["of linear"] = rows[0].seconds[0] / rows[1].seconds[0] / options.gpus
    title = f"Encoding {count:,} made-up passages of about {WORDS} words, {model.said}: the whole command, reading and writing included"
    said = (
        f"operations at the measured rate of a square matrix product, {precision}, {rate / 1e12:.3g} TFLOP/s a device"
    )
    name = "scale_encode.gpu" if options.gpu else "scale_encode"
    return [Sheet(name, title, "passages", rows, [names[1]] if len(rows) > 1 else [], limit=said)]


def _operations(model: Model, count: int) -> float:
    """Estimate the operations of the corpus from the first thousand passages' tokens."""
    encoder = model.load("cpu")
    lengths = [len(ids) for ids in encoder.tokenize(made_up(1000, WORDS), "document")]
    return bert_operations(model.config, lengths) * count / len(lengths)


def _encode(words: list[object], figures: dict[str, Any]) -> Ended:
    with gpu_memory() as used:
        done = python(words)
    said = re.findall(r"documents, ([\d,.]+) a second", done.err)
    if said:
        figures["by its own clock, passages/s"] = sum(float(s.replace(",", "")) for s in said)
    if used:
        figures["peak GPU MiB"] = max(used)
    return done


@contextlib.contextmanager
def gpu_memory(every: float = 0.5) -> Iterator[list[int]]:
    """Note the memory in use on the fullest GPU, in MiB, as the driver says; nothing where there is no driver."""
    used: list[int] = []
    over = threading.Event()

    def watch() -> None:
        while not over.wait(every):
            try:
                done = subprocess.run(["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"], capture_output=True, text=True, check=True)  # fmt: skip
            except (OSError, subprocess.CalledProcessError):
                return
            used.append(max(int(line) for line in done.stdout.split()))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield used
    finally:
        over.set()
        thread.join()


def _same(indexes: Mapping[int, Path], names: Mapping[int, str]) -> Callable[[Mapping[str, Any]], dict[str, str]]:
    """Compare the first thousand vectors of each index with those of the first."""

    def check(results: Mapping[str, Any]) -> dict[str, str]:
        import numpy as np

        from expandr_repro.indexes.faiss_index import FaissIndex

        first = None
        said = {}
        for number, folder in indexes.items():
            index = FaissIndex.load(folder).index
            vectors = index.reconstruct_n(0, min(1000, index.ntotal))
            if not np.isfinite(vectors).all():
                raise wrong(names[number], "a vector is not finite")
            first = vectors if first is None else first
            least = float((vectors * first).sum(1).min())
            if least < 0.999:
                raise wrong(names[number], f"the smallest cosine to one device's vectors is {least:.6f}")
            said[names[number]] = f"cosine at least {least:.6f}"
        return said if len(said) > 1 else {}

    return check
