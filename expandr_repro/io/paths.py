"""Paths of the cache and of the folder of offline collections."""

from __future__ import annotations

import atexit
import os
import shutil
import stat
import tempfile
from importlib import resources
from pathlib import Path

from expandr_repro.errors import SetupError


def cache_dir() -> Path:
    """Return the cache folder: `$EXPANDR_CACHE`, else the user's cache folder (XDG)."""
    chosen = os.environ.get("EXPANDR_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "expandr_repro"


def data_dir() -> Path | None:
    """Return the folder of offline collections, `$EXPANDR_DATA`, or None where it is not set.

    Raises:
        SetupError: it is set, and no folder.
    """
    chosen = os.environ.get("EXPANDR_DATA")
    if not chosen:
        return None
    path = Path(chosen).expanduser()
    if not path.is_dir():
        raise SetupError(
            f"EXPANDR_DATA={chosen}: no such folder; unset it, or point it at a folder of collections in BEIR layout"
        )
    return path


def private_folder(wanted: Path) -> Path:
    """Return a folder that nobody but the user can write to, for what would run if someone else had put it there.

    Args:
        wanted: made where it is not there; one that is another user's, a link, or cannot be written to is not used, and what is
            returned is a new folder that goes with this process.
    """
    try:
        wanted.parent.mkdir(parents=True, exist_ok=True)
        wanted.mkdir(mode=0o700, exist_ok=True)
        status = wanted.lstat()
        if stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and os.access(wanted, os.W_OK):
            if status.st_mode & 0o022:  # others could write to it: what is in there may be theirs
                shutil.rmtree(wanted)
                wanted.mkdir(mode=0o700)
            return wanted
    except OSError:
        pass
    fresh = Path(tempfile.mkdtemp(prefix="expandr_repro-"))
    atexit.register(shutil.rmtree, fresh, ignore_errors=True)
    return fresh


def resource(*parts: str) -> Path:
    """Return the path of a file that ships in the package."""
    return Path(str(resources.files("expandr_repro").joinpath("resources", *parts)))
