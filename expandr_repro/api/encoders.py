"""Encoders: what turns texts into vectors."""

from __future__ import annotations

from typing import Literal

from expandr_repro.api.calls import api
from expandr_repro.encoders.loading import load_encoder as load
from expandr_repro.encoders.options import DEFAULT, EncoderOptions
from expandr_repro.encoders.protocol import PRECISIONS, TextEncoder
from expandr_repro.errors import UnknownNameError


@api
def load_encoder(
    name: str = DEFAULT,
    *,
    device: str = "auto",
    precision: Literal["fp32", "bf16", "fp16"] = "fp32",
    batch_tokens: int = 0,
    compile: bool = False,  # noqa: A002 - as the option of the commands
    pooling: str | None = None,
    normalize: bool | None = None,
    query_prefix: str | None = None,
    document_prefix: str | None = None,
    max_length: int | None = None,
    trust_remote_code: bool = False,
    cache: bool = True,
) -> TextEncoder:
    """Load an encoder by name.

    Args:
        name: one of ours (`all-MiniLM-L6-v2`), a model folder, a hub name, a .yaml spec, or `pyserini:CLASS:MODEL`.
        device: cpu, cuda, cuda:N, or auto.
        precision: of the arithmetic.
        batch_tokens: tokens that go through the model together; 0 decides by device.
        compile: fuse the model's small steps.
        pooling: mean, cls, last or first-decoder, for a checkpoint that does not say.
        normalize: unit vectors, for a checkpoint that does not say.
        query_prefix: set before a query, in place of the encoder's own.
        document_prefix: set before a document, in place of the encoder's own.
        max_length: tokens of a text, in place of the encoder's own.
        trust_remote_code: let the model's own code run.
        cache: keep the vectors of queries and expansions, and reuse them.

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
    if precision not in PRECISIONS:
        raise UnknownNameError("precision", str(precision), PRECISIONS)
    options = EncoderOptions(
        device=device, precision=precision, batch_tokens=batch_tokens, compile=compile, pooling=pooling, normalize=normalize,
        query_prefix=query_prefix, document_prefix=document_prefix, max_length=max_length, trust_remote_code=trust_remote_code,
    )  # fmt: skip
    return load(name, options, cache=cache)
