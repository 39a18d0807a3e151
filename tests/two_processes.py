"""Run by torchrun: the gradient of one batch, summed over the processes, written by the first of them.

torchrun --nproc-per-node 2 tests/two_processes.py MODEL_FOLDER GRADIENTS.safetensors
"""

from __future__ import annotations

import sys
from pathlib import Path

from expandr_repro.data.specs import EncoderSpec
from expandr_repro.encoders.encoder import Encoder
from expandr_repro.train_encoder.batches import Batch
from expandr_repro.train_encoder.settings import EncoderTraining
from expandr_repro.train_encoder.trainer import ContrastiveTrainer, StepOptions
from expandr_repro.training.processes import Processes, join_processes, leave_processes

WORDS = [
    "the",
    "bird",
    "of",
    "New",
    "Zealand",
    "flies",
    "at",
    "night",
    "over",
    "cold",
    "water",
    "and",
    "warm",
    "stone",
    "while",
    "rain",
    "falls",
    "on",
    "green",
    "trees",
]


def batch() -> tuple[Batch, dict[str, str]]:
    """Return six queries of different lengths, their expansions and eight documents."""
    texts = {f"d{n}": " ".join(WORDS[n : n + 3 + n]) for n in range(8)}
    made = Batch(
        queries=[" ".join(WORDS[n : n + 2 + n % 3]) for n in range(6)],
        expansions=[" ".join(WORDS[n + 1 : n + 9]) for n in range(5)],
        owners=[0, 0, 2, 3, 5],
        documents=list(texts),
        targets=[0, 1, 2, 3, 4, 5],
        masked=[(0, 7)],
    )
    return made, texts


def gradients(folder: Path, processes: Processes, *, chunk_tokens: int, cached: bool) -> dict[str, object]:
    """Return each parameter's gradient for the batch, and the loss."""
    spec = EncoderSpec(str(folder), query_max_length=64, document_max_length=64)
    encoder = Encoder(spec, folder, "cpu")
    made, texts = batch()
    config = EncoderTraining(
        epochs=1, batch_size=6, learning_rate=1e-3, temperature=0.02, warmup=0.0, weight_decay=0.0, max_grad_norm=1e9,
        views={"fused": 1.0, "query": 0.5}, chunk_tokens=chunk_tokens, gradient_cache=cached, seed=7,
    )  # fmt: skip
    options = StepOptions(config, "mean", None, "fp32")
    trainer = ContrastiveTrainer(encoder, options, 10, texts, processes)
    encoder.model.train()
    values = trainer._accumulate(made, 0, 1)
    processes.sum_gradients(trainer.parameters.values())
    found: dict[str, object] = {n: p.grad.clone() for n, p in trainer.parameters.items() if p.grad is not None}
    return {**found, "loss": values["loss"]}


if __name__ == "__main__":
    import torch
    from safetensors.torch import save_file

    torch.set_num_threads(1)
    joined, _ = join_processes("cpu")
    result = gradients(Path(sys.argv[1]), joined, chunk_tokens=64, cached=True)
    if joined.first:
        result["loss"] = torch.tensor(result["loss"], dtype=torch.float64)
        save_file({k: v for k, v in result.items() if isinstance(v, torch.Tensor)}, sys.argv[2])
    joined.wait()
    leave_processes()
