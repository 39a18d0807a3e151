"""Check a LoRA adapter: that it is one, that it fits the model, and that reading it runs no code."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

from expandr_repro.errors import FormatError, MismatchError, NotAvailableError
from expandr_repro.io.files import read_text
from expandr_repro.io.manifest import NAME, read_manifest

log = logging.getLogger(__name__)

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


def check_adapter(adapter: Path, asked: str, model: str, revision: str | None) -> None:
    """Refuse what is not a LoRA adapter, or one that says itself that it was trained on another model.

    Args:
        adapter: its folder.
        asked: what the user called it.
        model: the model's name.
        revision: the model's, as `Identity` has it.

    Raises:
        NotAvailableError: no adapter there, or not as safetensors.
        FormatError: its configuration is none, or asks for more than a LoRA adapter needs.
        MismatchError: its manifest names another model.
    """
    if not (adapter / CONFIG).is_file():
        raise NotAvailableError(f"--adapter {asked}: no {CONFIG} there; wanted a LoRA adapter as peft saves it")
    if not (adapter / WEIGHTS).is_file():
        raise NotAvailableError(
            f"--adapter {asked}: no adapter weights as safetensors there (other formats can run code and are not loaded); wanted {WEIGHTS}"
        )
    config = _config(adapter / CONFIG)
    base = _base(adapter)
    if base and revision and _comparable(base["revision"], revision) and base["revision"] != revision:
        raise MismatchError(
            f"--adapter {asked}: was trained on {base.get('model')!r} of revision {base['revision']}, and --model {model} is of revision {revision}; "
            "give the model that it was trained on"
        )
    named = str(config.get("base_model_name_or_path") or "")
    if base is None and _is_hub_name(named) and _is_hub_name(model) and named.lower() != model.lower():
        log.warning("--adapter %s: says that it is of %s, and --model is %s", asked, named, model)


def _config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise FormatError(path, None, f"not JSON ({error}); wanted a LoRA adapter as peft saves it") from error
    kind = config.get("peft_type") if isinstance(config, dict) else None
    if kind != "LORA":
        raise FormatError(path, None, f"peft_type is {kind!r}; wanted a LoRA adapter ('LORA')")
    if config.get("megatron_config"):  # peft would import the module that the file names
        raise FormatError(
            path, None, "has a megatron_config, which names code to be loaded; wanted a plain LoRA adapter"
        )
    return dict(config)


def _base(adapter: Path) -> dict[str, Any] | None:
    """Return what a manifest of ours says of the model, or None where there is none."""
    base = (read_manifest(adapter / NAME) or {}).get("base")
    return base if isinstance(base, dict) and isinstance(base.get("revision"), str) else None


def _comparable(first: str, second: str) -> bool:
    """Return whether both are hashes over files, or both commits of the hub."""
    return first.startswith("sha256:") == second.startswith("sha256:")


def _is_hub_name(name: str) -> bool:
    return name.count("/") == 1 and not name.startswith((".", "/", "~")) and not Path(name).exists()
