"""Peak memory and time of a training step with and without gradient caching, at the same batch.

A batch of queries, each with an expansion, a relevant document and a hard negative: four texts per query. Without caching, the activations
of all of them are kept until the gradient has passed; with it, those of one chunk. The gradients are compared: they are the same.

    python -m benchmarks train_encoder                                         # on a GPU: BERT-base's shape, batches of 256 and 1,024
    python -m benchmarks train_encoder -- --shape tiny --batches 8 --steps 1      # anywhere, in seconds
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.models import SHAPES, random_model
from benchmarks.texts import all_different, sentences, texts_of
from expandr_repro.console.tables import FORMATS, Table
from expandr_repro.data.specs import EncoderSpec
from expandr_repro.encoders.encoder import Encoder
from expandr_repro.train_encoder.batches import Batch
from expandr_repro.train_encoder.settings import EncoderTraining
from expandr_repro.train_encoder.trainer import ContrastiveTrainer, StepOptions
from expandr_repro.training.processes import Processes


def batch_of(size: int, words: int, seed: int = 42) -> tuple[Batch, dict[str, str]]:
    """Return a batch of queries of about 12 words and passages of about `words`, and the documents' texts."""
    said, draw = sentences(), random.Random(seed)
    queries, passages = texts_of(draw, said, 12), texts_of(draw, said, words)
    documents = {str(n): next(passages) for n in range(2 * size)}
    made = Batch([next(queries) for _ in range(size)], [next(passages) for _ in range(size)], list(range(size)), list(documents), list(range(size)))  # fmt: skip
    return made, documents


def measured(folder: Path, args: argparse.Namespace, batch: Batch, texts: dict[str, str], cached: bool, chunk: int) -> dict[str, Any]:  # fmt: skip
    """Take steps; return the peak memory, the time of a step, and the first step's gradient length."""
    encoder = Encoder(EncoderSpec(str(folder), document_max_length=256, query_max_length=256), folder, args.device)
    for module in encoder.model.modules():  # so that both ways have one and the same gradient
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    config = EncoderTraining(
        epochs=1, batch_size=len(batch.queries), learning_rate=1e-5, temperature=0.02, warmup=0.0, weight_decay=0.0, chunk_tokens=chunk, gradient_cache=cached, seed=1,
    )  # fmt: skip
    options = StepOptions(config, "mean", None, args.precision)
    trainer = ContrastiveTrainer(encoder, options, 1000, texts, Processes())
    on_gpu = args.device.startswith("cuda")
    values = trainer.step([batch])
    norm = values["grad_norm"]
    if on_gpu:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    begin = time.perf_counter()
    for _ in range(args.steps):
        trainer.step([batch])
    if on_gpu:
        torch.cuda.synchronize()
    seconds = (time.perf_counter() - begin) / args.steps
    peak = torch.cuda.max_memory_allocated() / 2**30 if on_gpu else None
    return {"seconds": seconds, "peak": peak, "norm": norm, "loss": values["loss"]}


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    made = argparse.ArgumentParser(
        prog="python -m benchmarks train_encoder --",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--shape", choices=SHAPES, default="bert-base")
    made.add_argument("--batches", type=int, nargs="+", default=[256, 1024], help="queries a batch")
    made.add_argument("--words", type=int, default=120, help="of a passage")
    made.add_argument("--chunks", type=int, nargs="+", default=[16384, 65536], help="tokens a chunk, with caching")
    made.add_argument("--steps", type=int, default=5)
    made.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    made.add_argument("--precision", choices=("fp32", "bf16"), default="bf16" if torch.cuda.is_available() else "fp32")
    made.add_argument("--format", choices=FORMATS, default="markdown")
    args = made.parse_args(argv)
    rows: list[list[object]] = []
    with tempfile.TemporaryDirectory() as place:
        folder = random_model(args.shape, Path(place))
        for size in args.batches:
            batch, texts = batch_of(size, args.words)
            different = all_different([*batch.queries, *batch.expansions, *texts.values()])
            for cached, chunk in [(False, 65536), *((True, c) for c in args.chunks)]:
                what = f"cached, chunks of {chunk:,} tokens" if cached else "all activations kept"
                try:
                    found = measured(folder, args, batch, texts, cached, chunk)
                except Exception as error:  # noqa: BLE001 - out of memory is a result here
                    rows.append([f"batch {size}, {what}", None, None, None, None, str(error)[:60]])
                    continue
                peak = f"{found['peak']:.1f} GiB" if found["peak"] is not None else None
                rows.append([f"batch {size}, {what}", f"{different:,}", peak, f"{found['seconds']:.3f} s", f"{4 * size / found['seconds']:.0f}", f"{found['norm']:.5f}"])  # fmt: skip
    print(Table(["", "distinct texts", "peak memory", "a step", "texts/s", "gradient norm"], rows).render(args.format))
    name = torch.cuda.get_device_name(args.device) if args.device.startswith("cuda") else "CPU"
    print(
        f"\n{args.shape}, {args.precision}, {name}, torch {torch.__version__}; about {args.words} words a passage, four texts per query"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
