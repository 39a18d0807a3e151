"""Read and write manifests: what an artefact was made from. No timestamps, so that a rerun writes the same bytes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from expandr_repro import __version__
from expandr_repro.errors import FormatError
from expandr_repro.io.files import MAX_LINE, is_writable, read_text, write_json

NAME = "manifest.json"

RUN_HASH = "run_sha256"
"""Where a run's manifest has the hash of the run next to it."""


def key_of(facts: Mapping[str, Any]) -> str:
    """Return a short hash of everything that matters for an artefact; equal facts, equal key."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True, ensure_ascii=True).encode()).hexdigest()[:20]


def write_manifest(path: Path, kind: str, facts: Mapping[str, Any]) -> None:
    """Write a manifest file.

    Args:
        path: the file.
        kind: what it describes ("faiss-index", "run").
        facts: what made it.
    """
    write_json(path, {"kind": kind, "made_by": f"expandr_repro {__version__}", **facts})


def read_manifest(path: Path) -> dict[str, Any] | None:
    """Return a manifest's content, or None where there is none (artefacts of other toolkits have none).

    Raises:
        FormatError: the file is there and no JSON object, or one that JSON cannot carry.
    """
    if not path.is_file():
        return None
    try:
        content = json.loads(read_text(path, MAX_LINE))
    except (ValueError, RecursionError) as error:
        raise FormatError(path, None, f"the manifest is damaged ({error}); build the artefact again") from error
    if not isinstance(content, dict):
        raise FormatError(path, None, "the manifest is not a JSON object; build the artefact again")
    if not is_writable(content):
        raise FormatError(
            path, None, "the manifest contains a value that JSON cannot hold, such as NaN; build the artefact again"
        )
    return content


def run_manifest_path(run: Path) -> Path:
    """Return where a run's manifest is: next to it, `.manifest.json` added to its name."""
    return Path(f"{run}.manifest.json")
