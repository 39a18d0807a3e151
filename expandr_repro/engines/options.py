"""The options that choose what a command's work runs on."""

from __future__ import annotations

import math
from dataclasses import dataclass

from expandr_repro.console.options import Options, When, option, positive


def share(text: str) -> float:
    """Parse a number of GPUs (an argparse type): 0 or more, a half for two workers on one."""
    value = float(text)
    if not 0 <= value < math.inf:
        raise ValueError
    return value


share.__name__ = "number of GPUs"

RAY = When("with --engine ray", lambda options: options.engine == "ray")
EITHER = When("with --engine ray or slurm", lambda options: options.engine is not None)
SLURM = When("with --engine slurm", lambda options: options.engine == "slurm")


@dataclass(frozen=True, kw_only=True)
class EngineOptions(Options):
    """Where the work is done: in this process, by the workers of a Ray cluster, or by jobs of SLURM."""

    engine: str | None = option(None, choices=("ray", "slurm"), help="ray: workers of a Ray cluster do the work; slurm: jobs, whose scripts --print prints (default: this process)")  # fmt: skip
    address: str | None = option(None, metavar="A", applies=RAY, help="address of the Ray cluster: HOST:PORT, or auto for the one that runs on this machine (default: $RAY_ADDRESS, else Ray is started here)")  # fmt: skip
    workers: int | None = option(None, metavar="N", parse=positive, applies=EITHER, help="number of workers (default: one per GPU, or one per machine if there are no GPUs; slurm: 4)")  # fmt: skip
    gpus_per_worker: float | None = option(None, metavar="G", parse=share, applies=EITHER, help="GPUs of each worker (default: 1 if the cluster has GPUs, else 0)")  # fmt: skip
    script: bool = option(False, "--print", applies=SLURM, help="only print the scripts for sbatch")
