"""Encode made-up passages by Ray on 1, 2 and 4 GPUs: seconds of the whole command and of the encoding alone, and the share of linear.

    python examples/scale/ray_gpus.py --passages 2000000 --workers 1 2 4 --output ray_gpus.json

Everything that it makes goes into --work. Ray is started once, and each run is a command of its own. With --torchrun each number of GPUs is measured
with torchrun too, in turns. The index of every run must have the same bytes. Beside Ray and torch it needs transformers, faiss-cpu, numpy, pyyaml, tqdm
and filelock; of Ray click, jsonschema, msgpack, packaging, protobuf and requests; neither Pyserini nor Java.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT))

from benchmarks.models import random_model  # noqa: E402
from benchmarks.texts import write_corpus  # noqa: E402


def main() -> None:
    """Measure, print a table, and write what was measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--passages", type=int, default=1_000_000)
    parser.add_argument("--words", type=int, default=60, help="of a passage, about")
    parser.add_argument("--shape", default="bert-base", help="bert-base, minilm or tiny, with random weights")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--cpu", action="store_true", help="rehearse without a GPU")
    parser.add_argument("--torchrun", action="store_true", help="measure torchrun next to Ray")
    parser.add_argument("--work", type=Path, default=Path("runs/ray_gpus"))
    parser.add_argument("--output", type=Path, default=Path("ray_gpus.json"))
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    corpus, model = options.work / f"corpus.{options.passages}.jsonl", options.work / options.shape
    if not corpus.exists():
        write_corpus(corpus, options.passages, options.words)
    if not model.exists():
        random_model(options.shape, model)
    device = ["--device", "cpu"] if options.cpu else ["--device", "cuda", "--precision", "bf16"]
    words = ["--corpus", str(corpus), "--encoder", str(model), "--pooling", "mean", "--normalize", "--max-length", "512", *device]  # fmt: skip
    os.environ |= {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]), "HF_HUB_OFFLINE": "1",
                   "EXPANDR_CACHE": str(options.work / "cache"), "RAY_AUTH_MODE": "disabled", "RAY_worker_niceness": "0"}  # fmt: skip
    encode(["-m", "expandr_repro.encode", *words, "--dry-run"], options.work / "none")  # reads the code once
    measured = []
    with ray_started(options):
        for round_number in range(options.rounds):
            for count in options.workers:
                each = ["--gpus-per-worker", "0" if options.cpu else "1", "--workers", str(count), "--engine", "ray", "--address", "auto"]  # fmt: skip
                ways = {"ray": ["-m", "expandr_repro.encode", *words, *each]}
                if options.torchrun:
                    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count)]
                    ways["torchrun"] = [*launch, "-m", "expandr_repro.encode", *words]
                for way, command in ways.items():
                    row = {"way": way, "workers": count, "round": round_number, **encode(command, options.work / "index")}  # fmt: skip
                    measured.append(row)
                    print(json.dumps(row), flush=True)
                    options.output.write_text(json.dumps(measured, indent=2) + "\n")
    print(table(measured))
    if len({row["sha256"] for row in measured}) > 1:
        sys.exit("the indexes differ")


class ray_started:  # noqa: N801 - a context
    """A Ray of this machine, for as long as this lasts."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.words = ["start", "--head", "--port", "6391", "--include-dashboard=false", "--block", "--disable-usage-stats"]  # fmt: skip
        if options.cpu:
            self.words += ["--num-cpus", str(max(options.workers)), "--object-store-memory", "200000000"]

    def __enter__(self) -> None:
        """Start it, and wait until it answers."""
        import socket

        self.process = subprocess.Popen([sys.executable, "-m", "ray.scripts.scripts", *self.words], stdout=subprocess.DEVNULL)  # fmt: skip
        for _ in range(120):
            time.sleep(1)
            if self.process.poll() is not None:
                sys.exit("ray start failed")
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", 6391)) == 0:
                    time.sleep(5)  # the rest of it
                    return
        sys.exit("Ray did not start")

    def __exit__(self, *_: object) -> None:
        """Stop it."""
        self.process.terminate()
        self.process.wait()


def encode(command: list[str], index: Path) -> dict[str, object]:
    """Run a command on an empty folder; return its seconds, those of the encoding alone where it tells, and the hash of the index."""
    for old in index.parent.glob(f"*{index.name}*"):
        shutil.rmtree(old, ignore_errors=True) if old.is_dir() else old.unlink()
    began = time.perf_counter()
    done = subprocess.run([sys.executable, *command, "--output", str(index)], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, check=False)  # fmt: skip
    seconds = time.perf_counter() - began
    if done.returncode:
        sys.exit(done.stderr)
    if not (index / "index").exists():
        return {}
    digest = hashlib.sha256((index / "index").read_bytes() + (index / "docid").read_bytes()).hexdigest()
    alone = re.search(r"first chunk after ([\d.]+) s, then ([\d,.]+) documents a second", done.stderr)
    facts: dict[str, object] = {"seconds": round(seconds, 2), "sha256": digest}
    if alone:
        return facts | {"start": float(alone[1]), "documents_per_second": float(alone[2].replace(",", ""))}
    each = re.findall(r"documents, ([\d,.]+) a second", done.stderr)  # torchrun: a line of each process
    return facts | ({"documents_per_second": round(sum(float(r.replace(",", "")) for r in each), 1)} if each else {})


def table(measured: list[dict[str, object]]) -> str:
    """Return the best round of each way and number of workers as a table in Markdown."""
    lines = ["| way | workers | whole command, s | first chunk after, s | documents/s then | share of linear, whole | alone |",
             "| --- | ---: | ---: | ---: | ---: | ---: | ---: |"]  # fmt: skip
    best: dict[tuple[str, int], dict[str, float]] = {}
    for row in measured:
        key = (row["way"], row["workers"])
        if key not in best or row["seconds"] < best[key]["seconds"]:
            best[key] = row
    for (way, count), row in best.items():
        first = next(r for (w, _), r in best.items() if w == way)
        whole = first["seconds"] * first["workers"] / row["seconds"] / count
        rate, base = row.get("documents_per_second"), first.get("documents_per_second")
        alone = f"{rate / base * first['workers'] / count:.2f}" if rate and base else "-"
        lines.append(f"| {way} | {count} | {row['seconds']:.1f} | {row.get('start', '-')} | {rate or '-'} | {whole:.2f} | {alone} |")  # fmt: skip
    return "\n".join(lines)


if __name__ == "__main__":
    main()
