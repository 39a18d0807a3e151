"""Check what a condition needs: a JVM, a network, a GPU, data, trained models."""

from __future__ import annotations

import functools
import os
import shlex
import socket
from collections.abc import Callable
from pathlib import Path

from expandr_repro.data.collections import local_folder
from expandr_repro.data.specs import collection_named
from expandr_repro.errors import ExpandrError
from expandr_repro.io.paths import data_dir
from expandr_repro.pyserini import java
from expandr_repro.regress.conditions.shapes import Need, Regression

HUB = ("huggingface.co", 443)
"""Where the weights come from; Pyserini's indexes come from elsewhere, but a machine that reaches one reaches the other."""


def missing(regression: Regression) -> list[str]:
    """Return what the machine lacks of a condition's needs, each with the reason and the fix."""
    lacking = []
    for need in regression.needs:
        reason = CHECKS[need](regression)
        if reason:
            lacking.append(f"needs {need}: {reason}")
    return lacking


def _jvm(_: Regression) -> str:
    try:
        java.find_java()
    except ExpandrError as error:
        return str(error)
    return ""


def _network(_: Regression) -> str:
    return _unreachable(os.environ.get("HF_HUB_OFFLINE", "") + os.environ.get("TRANSFORMERS_OFFLINE", ""))


@functools.cache
def _unreachable(offline: str) -> str:
    if any(word in offline.lower() for word in ("1", "true", "yes", "on")):
        return "offline by choice (HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE is set)"
    if any(os.environ.get(name) for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")):
        return ""  # a proxy has the say; asking round it would prove nothing
    try:
        socket.create_connection(HUB, timeout=5).close()
    except OSError as error:
        return f"{HUB[0]} cannot be reached ({error.strerror or error})"
    return ""


def _gpu(_: Regression) -> str:
    import torch

    return "" if torch.cuda.is_available() else "torch finds no CUDA device"


def _data(regression: Regression) -> str:
    try:
        base = data_dir()
    except ExpandrError as error:
        return str(error)
    if base is None:
        return "EXPANDR_DATA is not set; point it at a folder of collections in BEIR layout"
    known = collection_named(regression.topics.name)
    if known and local_folder(known) is None:
        return f"{base} has no {known.dataset}/"
    source = regression.expansions.source if regression.expansions else None
    path = Path(os.path.expandvars(source)) if source and "$EXPANDR_DATA" in source else None
    return f"{path}: no such file" if path and not path.is_file() else ""


def _models(regression: Regression) -> str:
    base = os.environ.get("EXPANDR_MODELS")
    if not base or not Path(base).expanduser().is_dir():
        return "EXPANDR_MODELS is not set to a folder of trained encoders"
    wanted = _encoders(regression)
    lacking = [name for name in wanted if not Path(base).expanduser().joinpath(name).is_dir()]
    return f"{base} has no {', '.join(lacking)}" if lacking else ""


def _encoders(regression: Regression) -> list[str]:
    names = []
    for _, command in regression.stages.listed():
        parts = shlex.split(command)
        names += [parts[i + 1] for i, part in enumerate(parts[:-1]) if part == "--encoder"]
    return list(dict.fromkeys(names))


CHECKS: dict[Need, Callable[[Regression], str]] = {
    "jvm": _jvm,
    "network": _network,
    "gpu": _gpu,
    "data": _data,
    "models": _models,
}
