"""The machine in facts that matter for a time, and its measured best: operations and bytes a second."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from expandr_repro import __version__
from expandr_repro.indexes.faiss_index import cores

PACKAGES = (
    "torch",
    "transformers",
    "onnxruntime",
    "tokenizers",
    "numpy",
    "faiss-cpu",
    "pyserini",
    "sentence-transformers",
    "ranx",
)


def facts(device: str = "cpu") -> dict[str, Any]:
    """Return processor, cores, GPU and versions; no names of hosts, no paths."""
    import torch

    found: dict[str, Any] = {"processor": processor(), "cores": cores(), "memory GiB": memory()}
    if device.startswith("cuda") and torch.cuda.is_available():
        found["GPU"] = torch.cuda.get_device_name(device)
        found["GPUs"] = torch.cuda.device_count()
    found |= {"system": platform.system(), "Python": platform.python_version(), "expandr_repro": __version__}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return found


def processor() -> str:
    """Return the processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def memory() -> int | None:
    """Return the machine's memory in GiB."""
    import os

    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)
    except (ValueError, OSError):
        return None


def said(machine: dict[str, Any]) -> str:
    """Return the facts in one line."""
    first = [machine["processor"], f"{machine['cores']} cores", *([f"GPU {machine['GPU']}"] if "GPU" in machine else [])]  # fmt: skip
    rest = [f"{name} {machine[name]}" for name in ("Python", "expandr_repro", *PACKAGES) if machine.get(name)]
    return ", ".join([*first, *rest])


def matmul_rate(device: str, precision: str, size: int) -> float:
    """Return the best measured operations a second of a square matrix product (2 size^3 operations), by whichever library is faster."""
    import torch

    from expandr_repro.encoders.compute.onnx_graph import Graph

    kind = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    a, b = (torch.randn(size, size, device=device).to(kind) for _ in range(2))

    def work() -> None:
        torch.mm(a, b)
        if device.startswith("cuda"):
            torch.cuda.synchronize()

    best = _best(work)
    if device == "cpu" and precision == "fp32":
        graph = Graph()
        session = graph.session({"a": ("float32", 3)}, graph("MatMul", "a", graph.weight(b.numpy())))
        best = min(best, _best(lambda: session(a=a[None].numpy())))
    return 2 * size**3 / best


def copy_rate(megabytes: int = 256) -> float:
    """Return the best measured bytes a second of copying memory (read and written ones counted)."""
    import numpy as np

    a = np.ones(megabytes * 2**20 // 8)
    b = np.empty_like(a)
    return 2 * a.nbytes / _best(lambda: np.copyto(b, a))


def _best(work: Callable[[], object], times: int = 7) -> float:
    work()
    spent = []
    for _ in range(times):
        begin = time.perf_counter()
        work()
        spent.append(time.perf_counter() - begin)
    return min(spent)


def bert_operations(config: Any, lengths: Sequence[int]) -> float:
    """Return the operations of a BERT-shaped model's matrix products on texts of so many tokens.

    A layer multiplies each token with 4 h^2 (attention) and 2 h i (feed forward) weights, and each pair of a text's tokens by
    2 h for the scores and their use; a multiplication and an addition are two operations.
    """
    h, i, layers = int(config.hidden_size), int(config.intermediate_size), int(config.num_hidden_layers)
    tokens, pairs = sum(lengths), sum(n * n for n in lengths)
    return float(layers * (2 * tokens * (4 * h * h + 2 * h * i) + 4 * pairs * h))
