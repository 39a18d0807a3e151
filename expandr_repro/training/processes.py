"""The processes of one training, started by torchrun or `accelerate launch`; a single process counts as one of one."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from expandr_repro.engines.launcher import launched

if TYPE_CHECKING:
    import torch

PATIENCE = datetime.timedelta(hours=6)
"""How long the others wait while one of them evaluates."""


@dataclass(frozen=True)
class Processes:
    """This process's number among so many."""

    number: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the process that writes and prints."""
        return self.number == 0

    def total(self, tensor: torch.Tensor) -> torch.Tensor:
        """Return the sum over all processes, the same in each to the last bit."""
        if self.count > 1:
            import torch.distributed as dist

            dist.all_reduce(tensor)
        return tensor

    def sum_gradients(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Replace each parameter's gradient by its sum over all processes."""
        if self.count > 1:
            import torch

            for parameter in parameters:
                if parameter.grad is None:
                    parameter.grad = torch.zeros_like(parameter)
                self.total(parameter.grad)

    def told(self, value: float, device: str) -> float:
        """Return the first process's value in all of them."""
        if self.count == 1:
            return value
        import torch
        import torch.distributed as dist

        box = torch.tensor([value], dtype=torch.float64, device=device)
        dist.broadcast(box, src=0)
        return float(box.item())

    def wait(self) -> None:
        """Return when all have come here."""
        if self.count > 1:
            import torch.distributed as dist

            dist.barrier()


def join_processes(device: str) -> tuple[Processes, str]:
    """Join the processes that a launcher started, and choose this one's device.

    Args:
        device: as asked for; `cuda` becomes this process's own GPU.

    Returns:
        The processes, and the device.
    """
    import torch
    import torch.distributed as dist

    process = launched()
    if process.world == 1:
        return Processes(), device
    device = process.gpu(device)
    if not dist.is_initialized():
        if device.startswith("cuda"):
            torch.cuda.set_device(device)
        dist.init_process_group("nccl" if device.startswith("cuda") else "gloo", timeout=PATIENCE)
    return Processes(dist.get_rank(), process.world), device


def leave_processes() -> None:
    """Take leave of the other processes, if there are any."""
    import torch.distributed as dist

    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()
