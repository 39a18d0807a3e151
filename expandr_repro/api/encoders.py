"""Load encoders, which turn texts into vectors."""

from __future__ import annotations

from typing import Any

from expandr_repro.api.calls import api, takes
from expandr_repro.console.parsing import with_options
from expandr_repro.encoders.loading import load_encoder as load
from expandr_repro.encoders.options import DEFAULT, EncoderOptions
from expandr_repro.encoders.protocol import TextEncoder


@api
@takes(
    EncoderOptions, "device", "precision", "batch_tokens", "compile", "pooling", "normalize", "query_prefix", "document_prefix", "max_length",
    "trust_remote_code"
)  # fmt: skip
def load_encoder(name: str = DEFAULT, *, cache: bool = True, **options: Any) -> TextEncoder:
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
    return load(name, with_options(EncoderOptions, options, name=name), cache=cache)
