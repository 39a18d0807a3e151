"""Find the last complete checkpoint of a training."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from expandr_repro.errors import MismatchError
from expandr_repro.io.files import write_json
from expandr_repro.io.manifest import read_manifest

STATE = "trainer_state.json"

OF = "training.json"
"""Says in a checkpoint which training it is of: the name of its working folder, which is made of all that decides the training."""


def step_of(checkpoint: Path) -> int:
    """Return the step that a checkpoint's folder is named by."""
    return int(checkpoint.name.rpartition("-")[2])


def checkpoints(folder: Path) -> list[Path]:
    """Return the checkpoints of a working folder, by step."""
    folders = [p for p in folder.glob("checkpoint-*") if p.is_dir() and p.name.rpartition("-")[2].isdecimal()]
    return sorted(folders, key=step_of)


def is_whole(checkpoint: Path, processes: int) -> bool:
    """Return whether a checkpoint was written to its end: its state comes last, and each process keeps its random numbers."""
    try:
        json.loads((checkpoint / STATE).read_bytes())
    except (OSError, ValueError):
        return False
    return len(list(checkpoint.glob("rng_state*.pth"))) >= processes


def last_whole(folder: Path, processes: int) -> Path | None:
    """Return the last whole checkpoint, or None."""
    return next((c for c in reversed(checkpoints(folder)) if is_whole(c, processes)), None)


def mark(checkpoint: Path) -> None:
    """Write into a checkpoint which training it belongs to."""
    write_json(checkpoint / OF, {"training": checkpoint.parent.name})


def refuse_foreign(checkpoint: Path) -> None:
    """Refuse to go on from a checkpoint that says it is of another training.

    Raises:
        MismatchError: it names another training.
    """
    recorded = read_manifest(checkpoint / OF)
    if recorded and recorded.get("training") != checkpoint.parent.name:
        raise MismatchError(
            f"{checkpoint}: is of another training ({recorded.get('training')}, this is {checkpoint.parent.name}); remove it and train again"
        )


def clear_after(folder: Path, kept: Path | None) -> None:
    """Remove what a killed process left behind after the checkpoint that is gone on from."""
    for checkpoint in checkpoints(folder):
        if kept is None or step_of(checkpoint) > step_of(kept):
            shutil.rmtree(checkpoint)
