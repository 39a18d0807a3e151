"""Load a transformers checkpoint completely, or refuse it: no weights are initialised at random or ignored."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from expandr_repro.errors import (
    ExpandrError,
    MismatchError,
    NotAvailableError,
    SetupError,
    is_memory_fault,
    missing_library,
    reason_of,
)

UNREAD = re.compile(r"(^|\.)(pooler\.|position_ids$|token_type_ids$|inv_freq$)")
"""Weights that no vector depends on: BERT's pooler, and tables that are computed."""

POSITIONS = ("position_embeddings", "position_embedding", "embed_positions", "wpe")
"""What models call their table of positions."""


def load_model(folder: Path, trust: bool = False) -> tuple[Any, Any]:
    """Load configuration and weights of an encoder, in fp32.

    Args:
        folder: with `config.json` and safetensors.
        trust: let the model's own code run.

    Raises:
        NotAvailableError: nothing of the kind there.
        MismatchError: the weights are not those of the model that `config.json` describes.
    """
    import torch
    from safetensors import SafetensorError
    from transformers import AutoConfig, AutoModel
    from transformers.utils import logging as noise

    before = noise.get_verbosity()
    noise.set_verbosity_error()  # it prints a table of what is missing; that is said below, in one line
    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=trust)
        model, report = AutoModel.from_pretrained(
            folder,
            config=config,
            trust_remote_code=trust,
            use_safetensors=True,
            dtype=torch.float32,
            output_loading_info=True,
        )
    except (OSError, ValueError, KeyError, ImportError, TypeError, AttributeError, SafetensorError) as error:
        raise no_encoder(folder, error) from error
    except RuntimeError as error:
        if is_memory_fault(error):
            raise
        raise MismatchError(
            f"{folder}: the weights are of another shape than config.json says ({reason_of(error)}); wanted both of one model"
        ) from error
    finally:
        noise.set_verbosity(before)
    refuse_incomplete(folder, model, report)
    return config, model


def no_encoder(folder: Path, error: Exception) -> ExpandrError:
    """Return the error that says that no encoder can be loaded from a folder, and what is there instead; or which library is missing."""
    if reason := missing_library(error):
        return SetupError(f"{folder}: {reason}")
    instead = ""
    if not any(folder.rglob("*.safetensors")):
        other = next((kind for kind in ("onnx", "xml", "bin") if any(folder.rglob(f"*.{kind}"))), None)
        names = {"onnx": "ONNX", "xml": "OpenVINO", "bin": "PyTorch's pickle"}
        instead = (
            f"; its weights are in the format of {names[other]}, which is not supported: save them as safetensors"
            if other
            else ""
        )
    return NotAvailableError(
        f"{folder}: no encoder can be loaded from there ({reason_of(error)}); wanted config.json, a tokenizer and safetensors weights{instead}"
    )


def refuse_incomplete(folder: Path, model: Any, report: Mapping[str, Any]) -> None:
    """Refuse weights that are missing, or that belong to layers that the configuration does not have.

    Raises:
        MismatchError: there are some; names a few.
    """
    own = set(model.state_dict())
    spare = sorted(report["unexpected_keys"])
    if missing := sorted(key for key in report["missing_keys"] if not UNREAD.search(key)):
        prefix = _prefix(missing, spare)
        hint = f"; they are there under the prefix {prefix!r}, which is to be taken off" if prefix else ""
        raise MismatchError(
            f"{folder}: {len(missing)} weights of a {type(model).__name__} are missing (such as {', '.join(missing[:3])}){hint}; "
            "wanted a whole checkpoint of the model that config.json describes"
        )
    layers = {_any_layer(key) for key in own}
    numbered = [key for key in spare if re.search(r"\.\d+\.", key)]
    if more := [key for key in numbered if {_any_layer(key), _any_layer(key.partition(".")[2])} & layers]:
        raise MismatchError(
            f"{folder}: {len(more)} weights are of layers that config.json does not have (such as {', '.join(more[:3])}); wanted both of one model"
        )


def _any_layer(key: str) -> str:
    return re.sub(r"\.\d+(?=\.)", ".N", key)


def _prefix(missing: Iterable[str], spare: Iterable[str]) -> str | None:
    """Return what stands before the missing weights' names in the file, if something does."""
    name = next(iter(missing))
    return next((key.removesuffix(name) for key in spare if key.endswith(f".{name}")), None)


def position_limit(model: Any) -> int | None:
    """Return how many tokens a model has positions for, or None where it has no table of them.

    RoBERTa, MPNet and their like begin counting after the padding token's number, BART two further on.
    """
    import torch

    limits = []
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Embedding) and name.rpartition(".")[2] in POSITIONS:
            first = getattr(module, "offset", None) or (0 if module.padding_idx is None else module.padding_idx + 1)
            limits.append(module.num_embeddings - first)
    return min(limits, default=None)
