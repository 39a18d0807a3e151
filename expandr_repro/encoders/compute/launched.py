"""Fetch vectors from a device that may still be computing them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray


@dataclass
class Launched:
    """Texts whose batches have been given to the device.

    Attributes:
        order: the text of each row of `vectors`.
        vectors: (texts, dimension) on the host; on their way there until `event` has happened.
        event: of the device, or None where nothing is awaited.
        same: the text that stands for each one, by its number in `order`; None where each stands for itself.
    """

    order: list[int]
    vectors: torch.Tensor | NDArray[np.float32]
    event: torch.cuda.Event | None = None
    same: Sequence[int] | None = None

    @classmethod
    def of(cls, order: list[int], parts: Sequence[Any], dimension: int, same: Sequence[int] | None = None) -> Launched:
        """Start copying the batches' vectors to the host.

        On a GPU the copy is in the queue right behind these batches: fetching waits for nothing that is launched later.

        Args:
            order: the text of each row of all parts.
            parts: (texts of a batch, dimension) each, torch's on the device or numpy's.
            dimension: of a vector.
            same: the text that stands for each one.
        """
        import numpy as np

        if not parts:
            return cls(order, np.zeros((0, dimension), dtype=np.float32), None, same)
        if isinstance(parts[0], np.ndarray):
            return cls(order, np.concatenate(parts), None, same)
        import torch

        vectors = torch.cat(list(parts))
        if not vectors.is_cuda:
            return cls(order, vectors, None, same)
        host = torch.empty(vectors.shape, pin_memory=True)
        host.copy_(vectors, non_blocking=True)
        # of the stream that copies: the current one of the vectors' GPU, which need not be the current GPU
        return cls(order, host, torch.cuda.current_stream(vectors.device).record_event(), same)

    def fetch(self) -> NDArray[np.float32]:
        """Wait for the vectors, and return them in the order of the texts: (texts, dimension) float32."""
        import numpy as np

        if self.event is not None:
            self.event.synchronize()
        out = np.empty(tuple(self.vectors.shape), dtype=np.float32)
        out[self.order] = np.asarray(self.vectors)
        return out if self.same is None else out[list(self.same)]
