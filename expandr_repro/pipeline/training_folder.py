"""Where a training works and what it leaves: a working folder named by its facts beside the output, which is written whole."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from expandr_repro.core.errors import ExpandrError, SetupError
from expandr_repro.core.manifest import NAME, key_of, read_manifest
from expandr_repro.core.outputs import FolderKind, check_output
from expandr_repro.core.replacing import clear_leftovers

ASIDE = ("kind", "made_by", "names", "versions", "counts", "result", "files")
"""What a manifest says beyond the facts that decide the result; another version of a library does not make it another training."""


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
        reads: what the training reads, which must not lie in the output.

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
        raise ExpandrError(f"--output {output}: another training is there; choose another name, or --overwrite it")
    return None


def working_folder(output: Path, facts: Mapping[str, Any]) -> Path:
    """Return where checkpoints lie until the training is done: other facts, or other versions of the libraries, another folder."""
    key = key_of({"facts": training_key(facts), "versions": facts.get("versions")})
    return output.parent / f".{output.name}.{key}.training"


def _clear_up(output: Path, facts: Mapping[str, Any]) -> None:
    """Take away what a process left that was killed just before its end."""
    work = working_folder(output, facts)
    shutil.rmtree(work, ignore_errors=True)
    with suppress(OSError):
        _lock(work).unlink(missing_ok=True)
    clear_leftovers(output)


def _lock(work: Path) -> Path:
    return work.with_name(work.name + ".lock")


@contextmanager
def reserved(work: Path) -> Iterator[None]:
    """Make the working folder, and keep a second process out of it.

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
            finally:
                lock.unlink(missing_ok=True)
                with suppress(OSError):
                    work.rmdir()  # where nothing was begun, nothing is left
    except Timeout as error:
        raise SetupError(f"another process trains in {work}; wait for it, or choose another --output") from error
