"""Refuse model folders with code of their own, unless --trust-remote-code allows it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from expandr_repro.errors import FormatError
from expandr_repro.io.files import read_text


def refuse_kernels(folder: Path, allowed: bool) -> None:
    """Refuse a model whose configuration names compiled code of the hub, which transformers would fetch and load unasked.

    Code in the folder itself (`auto_map`) is refused by transformers, which is asked to at every call.

    Args:
        folder: the model's.
        allowed: whether the command line lets its own code run.

    Raises:
        FormatError: it does.
    """
    path = folder / "config.json"
    if allowed or not path.is_file():
        return
    try:
        config = json.loads(read_text(path))
    except (ValueError, RecursionError):  # whoever loads the model says so
        return
    for name in _implementations(config):
        if "/" in name:
            raise FormatError(
                path,
                None,
                f"needs code from elsewhere ({name[:80]!r}), which runs only with --trust-remote-code; take `attn_implementation` out",
            )


def refuse_adapter(folder: Path) -> None:
    """Refuse an adapter, alone or next to a model: transformers would apply it where peft is installed, to a model that it names itself.

    Args:
        folder: the model's.

    Raises:
        FormatError: there is one.
    """
    if (folder / "adapter_config.json").is_file() or (folder / "adapter_model.safetensors").is_file():
        raise FormatError(
            folder,
            None,
            "contains an adapter (adapter_config.json), which is not applied to encoders here; merge it into its model (peft's merge_and_unload, then save_pretrained) and give that folder",
        )


def _implementations(value: Any, named: bool = False) -> Iterator[str]:
    """Yield all texts under keys such as `attn_implementation`, at any depth."""
    if isinstance(value, dict):
        for key, part in value.items():
            yield from _implementations(part, named or str(key).endswith("_implementation"))
    elif isinstance(value, list):
        for part in value:
            yield from _implementations(part, named)
    elif named and isinstance(value, str):
        yield value
