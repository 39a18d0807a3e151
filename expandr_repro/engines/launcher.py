"""Which of a launcher's processes this one is: the only reader of RANK, WORLD_SIZE and LOCAL_RANK."""

from __future__ import annotations

import os
from typing import NamedTuple

from expandr_repro.errors import SetupError


class Launched(NamedTuple):
    """A process among those that `torchrun`, `accelerate launch` or `--data-parallel` started; a lone one is the first of one.

    Attributes:
        rank: its number, from 0.
        world: how many there are.
        local: its number on this machine, from 0; None where no launcher tells.
    """

    rank: int = 0
    world: int = 1
    local: int | None = None

    def gpu(self, device: str) -> str:
        """Return this process's own GPU where `cuda` is asked for and a launcher started it, else the device."""
        if device != "cuda" or (self.local is None and self.world == 1):
            return device
        import torch

        count = torch.cuda.device_count()
        return f"cuda:{(self.local or 0) % count}" if count else device


def launched() -> Launched:
    """Read which process this is.

    Raises:
        SetupError: the launcher's variables make no sense.
    """
    rank, world, local = (os.environ.get(name) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"))
    try:
        launch = Launched(int(rank or 0), int(world or 1), int(local) if local else None)
    except ValueError:
        launch = Launched(-1)
    if not 0 <= launch.rank < launch.world or (launch.local or 0) < 0:
        raise SetupError(
            f"RANK={rank}, WORLD_SIZE={world} and LOCAL_RANK={local} make no sense together; unset them, or start through torchrun or accelerate launch"
        )
    return launch
