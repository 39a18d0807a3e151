"""Manage a training's working folder and its output, which is written atomically."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from expandr_repro.errors import DivergedError, ExpandrError, SetupError, shown
from expandr_repro.io.manifest import NAME, key_of, read_manifest
from expandr_repro.io.outputs import FolderKind, check_output
from expandr_repro.io.replacing import clear_leftovers

ASIDE = ("kind", "made_by", "names", "versions", "counts", "result", "files")
"""What a manifest says beyond the facts that decide the result; another version of a library does not make it another training."""


SHOWN = 3
"""Differences between two trainings that an error names."""

MISSING = "nothing"


def training_key(facts: Mapping[str, Any]) -> str:
    """Hash what decides the result."""
    return key_of({k: v for k, v in facts.items() if k not in ASIDE})


def finished(
    output: Path, facts: Mapping[str, Any], overwrite: bool, kind: FolderKind, reads: Iterable[str | Path | None] = ()
) -> dict[str, Any] | None:
    """Return the manifest of an output that is just this training already, or None where there is work to do.

    Args:
        output: the folder.
        facts: what decides the training.
        overwrite: replace another training.
        kind: what the training writes; anything else is never replaced.
        reads: what the training reads, which must not be inside the output.

    Raises:
        SetupError: the place cannot be written.
        ExpandrError: something else is there, and may not be overwritten.
    """
    manifest = read_manifest(output / NAME)
    if manifest and training_key(manifest) == training_key(facts):
        _clear_up(output, facts)
        return manifest
    check_output("--output", output, kind, reads)
    if not overwrite and output.is_dir() and any(output.iterdir()):
        differing = _differences(manifest or {}, facts)
        raise ExpandrError(
            f"--output {output}: another training is there; choose another name, or --overwrite it ({differing})"
        )
    return None


def _differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    """Return which facts of two trainings differ, the settings first; at most `SHOWN` of them."""
    old, new = (
        _leaves({k: v for k, v in json.loads(json.dumps(facts)).items() if k not in ASIDE}) for facts in (there, here)
    )
    differing = [key for key in {**new, **old} if old.get(key, MISSING) != new.get(key, MISSING)]
    differing.sort(key=lambda key: not key.startswith(("settings.", "training")))
    differences = [
        f"{key.removeprefix('settings.').removeprefix('training.')}: {_value(old, key)} there, {_value(new, key)} here" for key in differing[:SHOWN]
    ]  # fmt: skip
    return "; ".join(differences) + (f"; and {len(differing) - SHOWN} more" if len(differing) > SHOWN else "")


def _value(leaves: Mapping[str, Any], key: str) -> str:
    return shown(leaves[key]) if key in leaves else MISSING


def _leaves(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return key.key -> value of nested facts."""
    leaves: dict[str, Any] = {}
    for key, value in facts.items():
        if isinstance(value, Mapping):
            leaves |= {f"{key}.{below}": leaf for below, leaf in _leaves(value).items()}
        else:
            leaves[key] = value
    return leaves


def working_folder(output: Path, facts: Mapping[str, Any]) -> Path:
    """Return where checkpoints lie until the training is done: other facts, or other versions of the libraries, another folder."""
    key = key_of({"facts": training_key(facts), "versions": facts.get("versions")})
    return output.parent / f".{output.name}.{key}.training"


def _clear_up(output: Path, facts: Mapping[str, Any]) -> None:
    """Remove what a process left that was killed just before its end."""
    work = working_folder(output, facts)
    shutil.rmtree(work, ignore_errors=True)
    with suppress(OSError):
        _lock(work).unlink(missing_ok=True)
    clear_leftovers(output)


def _lock(work: Path) -> Path:
    return work.with_name(work.name + ".lock")


@contextmanager
def reserved(work: Path) -> Iterator[None]:
    """Make the working folder, and keep a second process out of it; take it away where nothing in it is worth going on from.

    Raises:
        SetupError: the place cannot be written, or another process trains there.
    """
    from filelock import FileLock, Timeout

    lock = _lock(work)
    try:
        work.mkdir(parents=True, exist_ok=True)
        with FileLock(lock, timeout=0):
            try:
                yield
            except BaseException as error:
                if isinstance(error, DivergedError) or not any(work.glob("checkpoint*")):
                    shutil.rmtree(work, ignore_errors=True)
                raise
            finally:
                lock.unlink(missing_ok=True)
                with suppress(OSError):
                    work.rmdir()  # where nothing was begun, nothing is left
    except Timeout as error:
        raise SetupError(f"another process trains in {work}; wait for it, or choose another --output") from error
