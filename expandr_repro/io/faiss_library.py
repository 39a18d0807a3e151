"""Load Faiss with the matrix products that the processor is made for.

Faiss's package on PyPI brings OpenBLAS 0.3.15, of 2021. On an Intel processor that is newer than itself (Ice Lake, Sapphire Rapids), OpenBLAS
before 0.3.19 uses the products of one of 2004 (OpenBLAS issues 3485 and 4267), which take 2.7 times as long.
"""

from __future__ import annotations

import importlib.util
import os
import re
import sys
import threading
from pathlib import Path
from typing import Any

CHOICE = "OPENBLAS_CORETYPE"
"""OpenBLAS's own variable, read when the library is loaded."""

MENDED = 19
"""The first OpenBLAS 0.3 that finds products for an Intel processor it does not know."""

WIDE = frozenset({"avx512f", "avx512cd", "avx512bw", "avx512dq", "avx512vl"})

_loading = threading.Lock()


def load_faiss() -> Any:
    """Return the module `faiss`; loaded first here, it multiplies as fast as the processor can.

    A choice that the user made, a newer OpenBLAS, or a Faiss that is loaded already, stays. numpy's own OpenBLAS, which is newer, chooses for itself.

    >>> load_faiss().__name__
    'faiss'
    """
    with _loading:
        unset = "faiss" not in sys.modules and CHOICE not in os.environ and is_old(_libraries())
        if unset and (chosen := products(_processor())):  # an empty value would give the products of 2004
            import numpy  # noqa: F401 - loads its OpenBLAS

            os.environ[CHOICE] = chosen
            try:
                import faiss
            finally:
                del os.environ[CHOICE]
        import faiss

        return faiss


def is_old(libraries: list[str]) -> bool:
    """Return whether an OpenBLAS that does not know new processors is among the libraries of Faiss's package, given their file names."""
    matches = (re.fullmatch(r"libopenblas\w*-r0-\w+\.3\.(\d+)\.so", name) for name in libraries)
    return any(int(match[1]) < MENDED for match in matches if match)


def products(processor: str) -> str:
    """Return the value for OpenBLAS's variable, given what Linux knows of a processor; nothing where OpenBLAS finds it out itself.

    Of an Intel processor that OpenBLAS 0.3.15 knows, this is what it chooses.
    """
    pairs = (line.partition(":") for line in processor.split("\n\n")[0].splitlines())
    facts = {name.strip(): value.strip() for name, _, value in pairs}
    flags = set(facts.get("flags", "").split())
    if facts.get("vendor_id") != "GenuineIntel" or not {"avx2", "fma"} <= flags:
        return ""
    return "SkylakeX" if flags >= WIDE else "Haswell"


def _libraries() -> list[str]:
    spec = importlib.util.find_spec("faiss")
    if spec is None or spec.origin is None:
        return []
    return [path.name for path in Path(spec.origin).parents[1].glob("faiss_cpu.libs/*")]


def _processor() -> str:
    try:
        return Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
