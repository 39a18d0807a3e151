"""Run a command where its options say: in this process, on a Ray cluster, or as jobs of SLURM."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from expandr_repro.console.options import Options
from expandr_repro.engines.options import EngineOptions


def printed(command: str, request: Options, engine: EngineOptions, output: Path | None = None) -> bool:
    """Print the scripts for SLURM where these are asked for, and return whether they are; the arguments are those of `scripts`.

    Raises:
        ExpandrError: as `scripts` does.
    """
    if engine.engine != "slurm":
        return False
    from expandr_repro.engines.slurm import scripts

    print(scripts(command, request, engine, output))
    return True


def running(engine: EngineOptions, dry_run: bool = False) -> AbstractContextManager[None]:
    """Return a connection to the Ray cluster where its workers are to do the work; elsewhere nothing.

    Raises:
        SetupError: on entering, as `connected` does.
    """
    if engine.engine != "ray" or dry_run:
        return nullcontext()
    from expandr_repro.engines.cluster import connected

    return connected(engine)
