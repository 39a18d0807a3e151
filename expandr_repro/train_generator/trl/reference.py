"""Compute the log-probabilities of the model before training: once for each set of pairs and cached by content, or batch by batch."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from expandr_repro.console.progress import progress
from expandr_repro.io.files import atomic_bytes
from expandr_repro.io.manifest import key_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

log = logging.getLogger(__name__)

COLUMNS = ("ref_chosen_logps", "ref_rejected_logps")
TOKENS = ("prompt_ids", "chosen_ids", "rejected_ids")


@dataclass(frozen=True)
class ReferenceStore:
    """Where they are kept.

    Attributes:
        folder: made when it is needed.
        facts: all that decides a value besides the tokens: model, adapter, precision, device, versions.
    """

    folder: Path
    facts: Mapping[str, Any]

    def add_to(self, dataset: Any, trainer: Any, batch_size: int) -> Any:
        """Return a dataset with its two columns added, from the store or computed now.

        Args:
            dataset: of datasets, with the columns of `TOKENS`.
            trainer: trl's, its model still as before training.
            batch_size: pairs at a time on a device.
        """
        from accelerate.utils import broadcast_object_list

        facts = {**self.facts, "batch_size": batch_size, "processes": trainer.accelerator.num_processes}
        path = self.folder / f"{key_of({**facts, 'tokens': _hash(dataset)})}.npy"
        known = [_read(path, len(dataset)) if trainer.accelerator.is_main_process else None]
        broadcast_object_list(known)  # each process must do the same, whenever it looks
        values = known[0]
        if values is not None:
            log.info("reference log-probabilities of %d pairs: kept from an earlier run", len(dataset))
        else:
            start = time.perf_counter()
            values = _compute(dataset, trainer, batch_size)
            log.info("reference log-probabilities of %d pairs: %.1f s", len(dataset), time.perf_counter() - start)
            if trainer.accelerator.is_main_process:
                import numpy as np

                with atomic_bytes(path) as file:
                    np.save(file, values, allow_pickle=False)
        for name, column in zip(COLUMNS, values.T, strict=True):
            dataset = dataset.add_column(name, column.tolist())
        return dataset


@contextmanager
def without_dropout(model: Any) -> Iterator[None]:
    """Switch off dropout, the model's own and the adapter's."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)


def with_reference(trainer: Any, batch: Mapping[str, Any]) -> dict[str, Any]:
    """Return a batch with the two columns added, computed now.

    trl would compute them with the model as it trains: dropout blurs what the model is measured against.
    """
    with without_dropout(trainer.model):
        return {**batch, **dict(zip(COLUMNS, trainer.compute_ref_log_probs(trainer.model, batch), strict=True))}


def _hash(dataset: Any) -> str:
    import numpy as np

    total = hashlib.sha256()
    for name in TOKENS:
        for row in dataset[name]:
            total.update(len(row).to_bytes(4, "little") + np.asarray(row, dtype="<i4").tobytes())
    return total.hexdigest()


def _read(path: Path, rows: int) -> NDArray[np.float32] | None:
    import numpy as np

    try:
        values: NDArray[np.float32] = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    # of a zip file numpy makes something else than an array
    return values if isinstance(values, np.ndarray) and values.shape == (rows, len(COLUMNS)) else None


def _compute(dataset: Any, trainer: Any, batch_size: int) -> NDArray[np.float32]:
    """Compute the columns, pairs of like length together, the longest first: what does not fit fails at once."""
    import numpy as np
    import torch
    from torch.utils.data import DataLoader

    lengths = [max(len(c), len(r)) + len(p) for p, c, r in zip(*(dataset[name] for name in TOKENS), strict=True)]
    order: Sequence[int] = sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))
    loader = trainer.accelerator.prepare(
        DataLoader(dataset.select(order), batch_size=batch_size, collate_fn=trainer.data_collator, shuffle=False)
    )
    model = trainer.model.to(trainer.accelerator.device)
    computed = []
    with without_dropout(model), progress(len(order), "reference", "pairs") as bar:
        for batch in loader:
            pair = trainer.accelerator.gather_for_metrics(trainer.compute_ref_log_probs(model, batch))
            computed.append(torch.stack(pair, dim=1).float().cpu().numpy())
            bar.update(len(computed[-1]))
    values = np.empty((len(order), len(COLUMNS)), dtype=np.float32)
    values[list(order)] = np.concatenate(computed)
    return values
