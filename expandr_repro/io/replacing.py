"""Replace files and folders atomically, and flush them to the disk in the right order."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import hashlib
import os
import platform
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

OWNER = hashlib.sha256(platform.node().encode()).hexdigest()[:8]
"""This machine, in the names of temporary files: on a shared disk, the processes of another one are not known here."""

LEFT = re.compile(rf"\.(?P<target>.+)\.{OWNER}-(?P<pid>\d+)-[0-9a-f]{{8}}\.tmp", re.ASCII | re.DOTALL)

EXCHANGE = 2
"""RENAME_EXCHANGE of Linux."""


def clear_leftovers(target: Path) -> None:
    """Remove the temporary files and folders of a target whose processes are dead: they were killed."""
    try:
        names = os.listdir(target.parent)  # noqa: PTH208 - names alone, of a folder that may be large
    except OSError:
        return
    for name in names:
        match = LEFT.fullmatch(name) if name.endswith(".tmp") else None
        if match and match["target"] == target.name and not _lives(int(match["pid"])):
            remove(target.parent / name)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True


def remove(path: Path) -> None:
    """Remove a file or a folder, as far as that can be done."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


def replace_folder(source: Path, target: Path) -> None:
    """Rename a finished folder into place. An older one changes places with it in one step, where the system can.

    Raises:
        OSError: it cannot be renamed.
    """
    if not target.exists():
        source.rename(target)
    elif _exchange(source, target):
        remove(source)
    else:  # for a moment nothing is there; what was there is beside it
        old = source.with_name(source.name + ".old")
        target.rename(old)
        source.rename(target)
        remove(old)


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two names in one step; False where this system, or the file system there, cannot."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    here = -100  # AT_FDCWD
    if rename(here, os.fsencode(one), here, os.fsencode(other), EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):
        return False
    raise OSError(number, os.strerror(number), str(other))


def sync_folder(folder: Path) -> None:
    """Flush the names of a folder to the disk, where the system can."""
    with contextlib.suppress(OSError):
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


def sync_tree(folder: Path) -> None:
    """Flush all files of a folder to the disk, so that it is complete when it is renamed.

    Raises:
        OSError: the disk cannot take it.
    """
    for root, _, names in os.walk(folder):
        for name in names:
            path = Path(root, name)
            if path.is_file() and not path.is_symlink():
                with path.open("rb") as file:
                    os.fsync(file.fileno())
        sync_folder(Path(root))


@contextlib.contextmanager
def guarded(folder: Path) -> Iterator[None]:
    """Keep other processes from doing what is inside in the same folder; they wait. Not nested, and brief.

    The folder itself is locked, so that no lock file is left; where the file system or the system has no such lock, none is held.
    """
    number = -1
    try:
        with contextlib.suppress(ImportError, OSError):
            import fcntl

            number = os.open(folder, os.O_RDONLY)
            fcntl.flock(number, fcntl.LOCK_EX)
        yield
    finally:
        if number >= 0:
            os.close(number)
