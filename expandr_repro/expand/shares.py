"""Divide a task over several processes, and wait for all of them.

The processes come from `accelerate launch`, `torchrun` or `--data-parallel`; all of them set RANK, WORLD_SIZE,
MASTER_ADDR and MASTER_PORT.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, TypeVar

from expandr_repro.engines.launcher import launched
from expandr_repro.errors import ExpandrError, SetupError

T = TypeVar("T")

LONGEST = timedelta(days=14)
"""How long the first process waits for the others; a launcher stops all when one fails."""


class Share:
    """This process's share of the work, and the way to the other processes.

    Args:
        rank: which process this is, from 0.
        world: how many there are.

    Raises:
        SetupError: the other processes cannot be reached.
    """

    def __init__(self, rank: int = 0, world: int = 1) -> None:
        self.rank, self.world = rank, world
        self._meeting: Any = None
        if world > 1:
            self._meet()

    @classmethod
    def of_environment(cls) -> Share:
        """Return the share that a launcher's variables give this process; all of the work where there are none.

        Raises:
            SetupError: the variables make no sense, or the other processes cannot be reached.
        """
        return cls(*launched()[:2])

    @property
    def first(self) -> bool:
        """Whether this process writes the output."""
        return self.rank == 0

    def of(self, everything: list[T]) -> list[T]:
        """Return this process's part of a list: every `world`-th, from its rank on."""
        return everything[self.rank :: self.world]

    def _meet(self) -> None:
        from torch.distributed.rendezvous import rendezvous

        try:
            self._meeting, _, _ = next(rendezvous("env://", timeout=LONGEST))
        except (ValueError, RuntimeError, OSError) as error:
            raise SetupError(
                f"the {self.world} processes cannot meet ({error}); start them through accelerate launch"
            ) from error

    def gather(self, facts: dict[str, Any]) -> list[dict[str, Any]]:
        """Gather what all processes did in the first one, once they are done; the others get nothing."""
        if self._meeting is None:
            return [facts]
        self._meeting.set(f"expandr/{self.rank}", json.dumps(facts))
        if not self.first:
            return []
        names = [f"expandr/{rank}" for rank in range(self.world)]
        self._meeting.wait(names, LONGEST)
        return [json.loads(self._meeting.get(name)) for name in names]


def launch(argv: Sequence[str], processes: int, gpus_each: int) -> int:
    """Start this command once for each share, on this machine, and wait.

    Args:
        argv: the command line, without --data-parallel.
        processes: how many.
        gpus_each: GPUs that each one sees; those of CUDA_VISIBLE_DEVICES in turn.

    Returns:
        0, or the exit code of the first that failed; the others are then stopped.

    Raises:
        ExpandrError: fewer GPUs than that.
    """
    groups = _gpu_groups(processes, gpus_each)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    started = []
    for rank in range(processes):
        own = {
            "RANK": str(rank),
            "WORLD_SIZE": str(processes),
            "LOCAL_RANK": "0",
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
        }
        if groups:
            own["CUDA_VISIBLE_DEVICES"] = groups[rank]
        started.append(subprocess.Popen([sys.executable, "-m", "expandr_repro.expand", *argv], env=os.environ | own))
    try:
        return _first_failure(started)
    finally:
        for process in started:
            if process.poll() is None:
                process.terminate()
        for process in started:
            process.wait()


def _first_failure(started: Sequence[subprocess.Popen[bytes]]) -> int:
    """Wait until all processes are done or one has failed; return its exit code."""
    while True:
        codes = [process.poll() for process in started]
        if failed := [code for code in codes if code]:
            return failed[0] if failed[0] > 0 else 2  # below zero: killed by a signal
        if None not in codes:
            return 0
        time.sleep(0.2)


def _gpu_groups(processes: int, gpus_each: int) -> list[str]:
    import torch

    count = torch.cuda.device_count()
    if count == 0:
        return []
    visible = (os.environ.get("CUDA_VISIBLE_DEVICES") or ",".join(map(str, range(count)))).split(",")
    if processes * gpus_each > len(visible):
        raise ExpandrError(
            f"--data-parallel {processes} with {gpus_each} GPUs each needs {processes * gpus_each}; there are {len(visible)}"
        )
    return [",".join(visible[i * gpus_each : (i + 1) * gpus_each]) for i in range(processes)]
