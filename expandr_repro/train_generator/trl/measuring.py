"""Measure the loss on the same training examples before and after training."""

from __future__ import annotations

from typing import Any

from expandr_repro.train_generator.trl.reference import without_dropout

SAMPLE = 256
"""Training examples that are measured, spread evenly over all: as good as all of them, in a fraction of the time."""


def train_loss(trainer: Any, batch_size: int) -> float:
    """Measure the mean loss of the training examples with the model as it is, without dropout.

    Each process measures all of it, and no random number is drawn, so that what follows is the same as without it.

    Args:
        trainer: of trl.
        batch_size: examples at a time.
    """
    import torch

    rows = len(trainer.train_dataset)
    size = min(rows, SAMPLE)
    chosen = [i * rows // size for i in range(size)]
    total = 0.0
    with without_dropout(trainer.model), torch.no_grad(), trainer.accelerator.autocast():
        for start in range(0, size, batch_size):
            some = [trainer.train_dataset[i] for i in chosen[start : start + batch_size]]
            batch = {key: values.to(trainer.accelerator.device) for key, values in trainer.data_collator(some).items()}
            total += float(trainer.compute_loss(trainer.model, batch)) * len(some)
    trainer._metrics["eval"].clear()  # trl adds to them at every batch, and they are no validation's
    return total / size
