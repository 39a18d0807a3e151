"""Save an encoder as a folder that sentence-transformers, Pyserini's Auto classes and our commands load to the same vectors."""

from __future__ import annotations

import dataclasses
import importlib.util
from pathlib import Path

from expandr_repro.encoders.checkpoints.checkpoint import SETTINGS
from expandr_repro.encoders.checkpoints.sentence_modules import POOLINGS
from expandr_repro.encoders.encoder import Encoder
from expandr_repro.encoders.tokenizing import put_in_lower_case
from expandr_repro.errors import ExpandrError, SetupError
from expandr_repro.io.files import atomic_text


def require_writer(encoder: Encoder) -> None:
    """Find out before hours of training that what writes the folder is installed, without importing it.

    Raises:
        SetupError: it is not.
        ExpandrError: the encoder has layers after pooling, which are not trained here.
    """
    if encoder.spec.modules or not encoder.spec.include_prompt:
        parts = ", ".join(encoder.spec.modules) or "include_prompt: false"
        raise ExpandrError(
            f"{encoder.name}: an encoder with {parts} can be searched with, and not trained here; wanted Transformer, Pooling and perhaps Normalize"
        )
    if encoder.spec.pooling != "first-decoder" and importlib.util.find_spec("sentence_transformers") is None:
        raise SetupError(
            "training an encoder needs sentence-transformers, which writes its folder; run `pip install expandr-repro[train]`"
        )


def save_encoder(encoder: Encoder, folder: Path) -> None:
    """Write an encoder's weights, tokenizer and settings into an empty folder.

    The transformers checkpoint is in the folder itself, where Pyserini's Auto classes look; `modules.json` and the small
    folders next to it say pooling, normalisation, length and prefixes to sentence-transformers, and `encoder.yaml` says all of it to
    our commands. A pooling that sentence-transformers lacks (first-decoder) is written without what is for it alone.
    """
    import torch
    from transformers import AutoTokenizer

    spec = encoder.spec
    encoder.model.to(torch.float32).eval()
    encoder.model.save_pretrained(folder)
    # read anew, since the one in use carries the length of its last texts
    checkpoint = encoder.folder / spec.subfolder
    tokenizer = AutoTokenizer.from_pretrained(checkpoint, trust_remote_code=spec.trust_remote_code)
    if spec.lower_case:
        put_in_lower_case(tokenizer, checkpoint)
    tokenizer.model_max_length = spec.document_max_length
    tokenizer.save_pretrained(folder)
    _save_settings(encoder, folder)
    theirs = {ours: name for name, ours in POOLINGS.items()}
    if not set(spec.pooling.split("+")) <= set(theirs):  # sentence-transformers has no such pooling
        return
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer

    parts = [Transformer(str(folder), max_seq_length=spec.document_max_length)]
    modes = [theirs[pooling] for pooling in spec.pooling.split("+")]
    parts.append(Pooling(parts[0].get_embedding_dimension(), pooling_mode=modes))
    if spec.normalize:
        parts.append(Normalize())
    prompts = {"query": spec.query_prefix, "document": spec.document_prefix}
    similarity = "cosine" if spec.normalize else "dot"  # else it writes cosine, which would be another ranking
    model = SentenceTransformer(
        modules=parts, prompts=prompts, similarity_fn_name=similarity, truncate_dim=spec.truncate_dim, device="cpu"
    )
    model.save(str(folder), create_model_card=False)


def _save_settings(encoder: Encoder, folder: Path) -> None:
    import yaml

    left_out = ("model", "revision", "trust_remote_code", "subfolder")  # the checkpoint is saved into the folder itself
    kept = {k: v for k, v in dataclasses.asdict(encoder.spec).items() if k not in left_out}
    with atomic_text(folder / SETTINGS) as file:
        file.write("# how this encoder makes vectors; read by expandr_repro\n")
        yaml.safe_dump({"model": ".", **kept, "source": "trained by expandr_repro"}, file, sort_keys=False)
