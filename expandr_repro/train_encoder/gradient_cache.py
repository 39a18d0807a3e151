"""Cache gradients: embed any number of texts in bounded memory, over one process or several.

Gradient caching (Gao et al., "Scaling deep contrastive learning batch size under memory limited setup", RepL4NLP 2021): embed chunk after
chunk without gradients, compute the loss and its gradient on the vectors, then embed each chunk again, with gradients, and pass its
vectors' gradient on. Dropout is seeded by chunk, so that both passes drop the same.

Several processes share the chunks of one and the same batch. Each sums its chunks' gradients, and the sum over processes is
that of one process with the whole batch: negatives are those of the whole batch, whoever embedded them.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from expandr_repro.encoders.batching import batches
from expandr_repro.encoders.encoder import Encoder
from expandr_repro.errors import SetupError
from expandr_repro.training.processes import Processes

if TYPE_CHECKING:
    import torch


class StepVectors:
    """The texts of one step and their vectors.

    Args:
        encoder: in training mode.
        ids: the texts' token ids, the same in every process.
        chunk_tokens: tokens, padding included, that are embedded together with gradients.
        seed: of dropout in this step.
        cached: whether chunks are embedded twice (bounded memory) or once (their activations are all kept).
        precision: fp32, or bf16 for autocast.
        processes: who shares the work.
    """

    def __init__(
        self,
        encoder: Encoder,
        ids: Sequence[list[int]],
        *,
        chunk_tokens: int,
        seed: int,
        cached: bool,
        precision: str,
        processes: Processes,
    ) -> None:
        self._encoder, self._ids, self._precision, self._seed = encoder, ids, precision, seed
        rows = max(1, -(-len(ids) // processes.count))  # no process without a chunk, where that can be
        chunks = list(batches([len(i) for i in ids], chunk_tokens, rows))
        self._mine = [
            (number, chunk) for number, chunk in enumerate(chunks) if number % processes.count == processes.number
        ]
        self._cached = cached and len(self._mine) > 1
        self._kept: list[torch.Tensor] = []
        self.matrix = self._embed(processes)

    def _embed(self, processes: Processes) -> torch.Tensor:
        import torch

        encoder = self._encoder
        whole = torch.zeros((len(self._ids), encoder.dimension), device=encoder.device)
        with torch.no_grad() if self._cached else torch.enable_grad():
            for number, chunk in self._mine:
                vectors = self._chunk(number, chunk)
                whole[chunk] = vectors.detach()
                if not self._cached:
                    self._kept.append(vectors)
        return processes.total(whole).requires_grad_()

    def _chunk(self, number: int, chunk: Sequence[int]) -> torch.Tensor:
        import torch

        torch.manual_seed((self._seed << 20) + number)
        try:
            with self._autocast():
                return self._encoder.forward([self._ids[i] for i in chunk])
        except torch.OutOfMemoryError as error:
            tokens = len(chunk) * max(len(self._ids[i]) for i in chunk)
            fix = "chunk_tokens" if self._cached else "chunk_tokens, with gradient_cache: true"
            raise SetupError(
                f"{self._encoder.device}: {len(chunk)} texts of {tokens:,} tokens do not fit into its memory for training; lower {fix} (--set chunk_tokens={tokens // 2})"
            ) from error

    def _autocast(self) -> AbstractContextManager[object]:
        import torch

        if self._precision == "fp32":
            return nullcontext()
        return torch.autocast(torch.device(self._encoder.device).type, dtype=torch.bfloat16)

    def backward(self) -> None:
        """Pass the gradient of `matrix` on to the encoder's parameters (this process's chunks)."""
        import torch

        gradient = self.matrix.grad
        assert gradient is not None, "the loss has not been differentiated"
        for position, (number, chunk) in enumerate(self._mine):
            vectors = self._chunk(number, chunk) if self._cached else self._kept[position]
            torch.autograd.backward(vectors, gradient[chunk].to(vectors.dtype))
        self._kept.clear()
