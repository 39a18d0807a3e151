"""Reuse a finished run if everything that it was made from is the same.

What made it: the commands, what went in (counted and hashed), the index, this package's code, and the libraries.
"""

from __future__ import annotations

import functools
import hashlib
import json
import platform
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from expandr_repro.errors import ExpandrError
from expandr_repro.evaluate import run_facts
from expandr_repro.io.files import sha256_file, write_json
from expandr_repro.io.manifest import NAME, key_of, read_manifest
from expandr_repro.io.paths import resource
from expandr_repro.regress.inputs import Counted
from expandr_repro.regress.stages import Places

LIBRARIES = ("torch", "transformers", "faiss-cpu", "pyserini", "ranx", "numpy")
"""What can move a score."""

versions = functools.partial(run_facts.versions, *LIBRARIES)


@functools.cache
def code_hash() -> str:
    """Hash this package's own code and resources: another program's run is another run."""
    root = resource().parent
    files = sorted(p for p in root.rglob("*") if p.suffix in (".py", ".yaml") and p.is_file())
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{path.relative_to(root).as_posix()}\0{sha256_file(path)}\n".encode())
    return digest.hexdigest()


def key(commands: Iterable[str], counted: Counted, places: Places) -> str:
    """Return the key of all that makes a run what it is; call it when the stages before the search are done."""
    hashed = {"index": places.index / NAME, "expansions": places.expansions}
    return key_of(
        {
            "commands": list(commands),
            "inputs": asdict(counted),
            "made": {what: sha256_file(path) for what, path in hashed.items() if path.is_file()},
            "code": code_hash(),
            "versions": versions() | {"python": platform.python_version(), "machine": platform.machine()},
        }
    )


def _path(run: Path) -> Path:
    return run.with_name(run.name + ".made-by.json")


def remember(run: Path, key: str) -> None:
    """Note what a finished run was made by."""
    write_json(_path(run), {"key": key, "sha256": sha256_file(run)})


def serves(run: Path, key: str) -> bool:
    """Return whether a run is the right and a complete one."""
    try:
        noted = read_manifest(_path(run))
        return run.is_file() and noted is not None and noted == {"key": key, "sha256": sha256_file(run)}
    except (ExpandrError, OSError, json.JSONDecodeError):
        return False
