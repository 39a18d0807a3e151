"""Write an encoder as one folder that sentence-transformers, Pyserini's Auto classes and our commands load to the same vectors."""

from __future__ import annotations

from pathlib import Path

from expandr_repro.core.errors import SetupError
from expandr_repro.models.encoder import Encoder

POOLINGS = {"cls": "cls", "mean": "mean", "last": "lasttoken"}
"""Our pooling -> sentence-transformers'."""


def save_encoder(encoder: Encoder, folder: Path) -> None:
    """Write an encoder's weights, tokenizer and settings into an empty folder.

    The transformers checkpoint lies in the folder itself, where Pyserini's Auto classes look; `modules.json` and the small
    folders beside it say pooling, normalisation, length and prefixes to sentence-transformers and to our commands. A pooling
    that sentence-transformers lacks (first-decoder) is written as a plain checkpoint.

    Raises:
        SetupError: sentence-transformers is missing.
    """
    import torch

    spec = encoder.spec
    encoder.model.to(torch.float32).eval()
    encoder.tokenizer.model_max_length = max(spec.query_max_length, spec.document_max_length)
    encoder.model.save_pretrained(folder)
    encoder.tokenizer.save_pretrained(folder)
    if spec.pooling not in POOLINGS:
        return
    try:
        from sentence_transformers import SentenceTransformer
        from sentence_transformers.models import Normalize, Pooling, Transformer
    except ImportError as error:
        raise SetupError(
            "writing a sentence-transformers folder needs sentence-transformers; `pip install expandr-repro[train]` brings it"
        ) from error
    parts = [Transformer(str(folder), max_seq_length=spec.document_max_length)]
    parts.append(Pooling(encoder.dimension, pooling_mode=POOLINGS[spec.pooling]))
    if spec.normalize:
        parts.append(Normalize())
    prompts = {"query": spec.query_prefix, "document": spec.document_prefix}
    SentenceTransformer(modules=parts, prompts=prompts, device="cpu").save(str(folder), create_model_card=False)
