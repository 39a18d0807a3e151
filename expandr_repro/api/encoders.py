"""Load encoders, which turn texts into vectors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from expandr_repro.api.calls import api, takes
from expandr_repro.console.parsing import with_options
from expandr_repro.encoders.loading import load_encoder as load
from expandr_repro.encoders.options import DEFAULT, EncoderOptions
from expandr_repro.encoders.protocol import TextEncoder
from expandr_repro.errors import ExpandrError, shown


@api
@takes(
    EncoderOptions, "device", "precision", "batch_tokens", "compile", "pooling", "normalize", "query_prefix", "document_prefix", "max_length",
    "trust_remote_code"
)  # fmt: skip
def load_encoder(name: str | Path = DEFAULT, *, cache: bool = True, **options: Any) -> TextEncoder:
    """Load an encoder by name.

    Args:
        name: one of ours (`all-MiniLM-L6-v2`), a model folder, a hub name, a .yaml spec, or `pyserini:CLASS:MODEL`.
        cache: keep the vectors of queries and expansions, and reuse them.
        **options: those of the commands that encode.

    Returns:
        An encoder; `encode(texts, role)` gives a float32 array of shape (len(texts), dimension), the role being `query`, `expansion` or
        `document`.

    Raises:
        UnknownNameError: nothing has that name; offers the nearest.
        NotAvailableError: its weights are not here and could not be fetched.

    Example:
        >>> encoder = ex.load_encoder("all-MiniLM-L6-v2")
        >>> encoder.encode(["why do cats purr"], "query").shape
        (1, 384)
    """
    if not isinstance(name, str | Path):
        raise ExpandrError(f"name {shown(name)}: wanted an encoder's name or a path")
    return load(str(name), with_options(EncoderOptions, options, name=str(name)), cache=cache)
