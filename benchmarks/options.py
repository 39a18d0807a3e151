"""What the command line says to every benchmark."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Options:
    """What a benchmark is told.

    Attributes:
        work: a folder for what it makes, empty at first.
        gpu: take the sizes that fill a GPU.
        smallest: take sizes that take seconds, made-up text and random weights.
        repeat: rounds.
        device: where encoders run.
        threads: of searches and of CPU work that takes a number of threads.
        passages: of `scale_encode` and `encode`, and the largest size of `encode_memory`; 0 for their own numbers.
        vectors: of `scale_index` and `flat_search`; 0 for its own number.
        gpus: of `scale_encode`.
    """

    work: Path
    gpu: bool = False
    smallest: bool = False
    repeat: int = 1
    device: str = "cpu"
    threads: int = 1
    passages: int = 0
    vectors: int = 0
    gpus: int = 1

    @property
    def size(self) -> str:
        """The name of the sizes that are taken."""
        return "smallest" if self.smallest else "gpu" if self.gpu else "default"
