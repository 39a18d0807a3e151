"""The interface of an encoder, and the choice of its device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args

from expandr_repro.errors import ExpandrError, SetupError, UnknownNameError, shown
from expandr_repro.io.files import is_surrogate_free

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Role = Literal["query", "expansion", "document", "joined"]
"""What a text is: `joined` is a query with its expansions in one text, which has the query's prefix and a document's length."""

ROLES = get_args(Role)

PRECISIONS = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}
"""Our name -> torch's."""


class TextEncoder(Protocol):
    """An encoder as the commands use it, ours or another toolkit's."""

    name: str

    @property
    def dimension(self) -> int:
        """Length of a vector."""

    @property
    def identity(self) -> dict[str, Any]:
        """What decides the vectors: goes into manifests and cache keys."""

    @property
    def separator(self) -> str:
        """The tokenizer's separator, for Query2Doc's `concat`."""

    @property
    def truncated(self) -> dict[str, int]:
        """How many texts of each role were cut at the maximum length so far."""

    def encode(self, texts: Sequence[str], role: Role) -> NDArray[np.float32]:
        """Encode texts to (len(texts), dimension) float32."""


def as_texts(texts: Sequence[str]) -> Sequence[str]:
    """Return texts as a list; a single text becomes a list of one.

    Raises:
        ExpandrError: one of them is not a text, or has half a surrogate pair.
    """
    listed = [texts] if isinstance(texts, str) else texts if isinstance(texts, list) else list(texts)
    for number, text in enumerate(listed):
        if not isinstance(text, str) or not is_surrogate_free(text):
            raise ExpandrError(f"texts[{number}] is {shown(text)}; wanted a text without half a surrogate pair")
    return listed


def check_role(role: str) -> None:
    """Check the role of a text.

    Raises:
        UnknownNameError: it is one; offers the nearest.
    """
    if role not in ROLES:
        raise UnknownNameError("role", role, ROLES)


def devices() -> list[str]:
    """List the devices that torch can use on this machine."""
    import torch

    names = [
        "cpu",
        *(f"cuda:{number}" for number in range(torch.cuda.device_count() if torch.cuda.is_available() else 0)),
    ]
    if torch.backends.mps.is_available():
        names.append("mps")
    if hasattr(torch, "xpu") and torch.xpu.is_available():
        names += [f"xpu:{number}" for number in range(torch.xpu.device_count())]
    return names


def surely_without_gpu() -> bool:
    """Return whether torch would find no CUDA device here, where that shows without the second that importing it takes."""
    import ctypes
    import importlib.metadata
    import sys

    try:
        version = importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        return False  # whoever imports it says so
    if sys.platform == "darwin" or version.endswith("+cpu"):
        return True
    if "rocm" in version:
        return False
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return True
    return False


def pick_device(device: str) -> str:
    """Return `device`, with `auto` resolved to cuda where there is one.

    Raises:
        SetupError: torch has no such device here; names those it has.
    """
    if device == "cpu" or (device == "auto" and surely_without_gpu()):
        return "cpu"
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    known = devices()
    if device not in known and f"{device}:0" not in known:
        problem = (
            "torch sees no CUDA device here" if device.startswith("cuda") and len(known) == 1 else "no such device here"
        )
        raise SetupError(f"--device {device[:40]}: {problem}; use {', '.join(known)} or auto")
    return device
