"""What the rest of the package needs of an encoder, whoever made it, and where it runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol

from expandr_repro.core.errors import ExpandrError, SetupError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Role = Literal["query", "expansion", "document"]

PRECISIONS = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}
"""Our name -> torch's."""


class TextEncoder(Protocol):
    """What the commands need of an encoder, ours or another toolkit's."""

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


def pick_device(device: str) -> str:
    """Return `device`, with `auto` resolved to cuda where there is one.

    Raises:
        SetupError: a GPU is asked for and there is none.
    """
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise SetupError(f"--device {device}: torch sees no CUDA device here; use --device cpu")
    try:
        return str(torch.device(device))
    except RuntimeError as error:
        raise ExpandrError(f"--device {device}: no such device; use cpu, cuda or cuda:N") from error
