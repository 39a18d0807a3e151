"""Where things lie: the cache and the folder of offline collections."""

from __future__ import annotations

import os
from pathlib import Path

from expandr_repro.core.errors import SetupError


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
