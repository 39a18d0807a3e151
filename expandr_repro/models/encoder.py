"""The one encoder: tokenise, pool, normalise; in length-sorted batches for search, with gradients for training."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from expandr_repro.core.errors import ExpandrError, NotAvailableError, SetupError
from expandr_repro.core.specs import EncoderSpec
from expandr_repro.models.batching import batches, padded
from expandr_repro.models.checkpoint import fingerprint
from expandr_repro.models.interface import PRECISIONS, Role, pick_device
from expandr_repro.models.pooling import pool

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

BATCHES_IN_FLIGHT = 32
"""Batches whose vectors stay on the device: fetching each at once would leave it idle while the next one is put together."""


class Encoder:
    """A transformers checkpoint as a dense encoder.

    Args:
        spec: pooling, normalisation, prefixes and lengths.
        folder: the checkpoint.
        device: `cpu`, `cuda`, `cuda:1` or `auto`.
        precision: `fp32` (exact), `bf16` or `fp16`.
        batch_tokens: tokens that go through the model together; 0 for a good value for the device.

    Raises:
        NotAvailableError: no weights there, or not as safetensors.
        ExpandrError: pooling and architecture do not fit.
    """

    def __init__(
        self, spec: EncoderSpec, folder: Path, device: str = "auto", precision: str = "fp32", batch_tokens: int = 0
    ) -> None:
        import torch
        from transformers import AutoConfig, AutoModel, AutoTokenizer
        from transformers.utils import logging as noise

        os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
        noise.disable_progress_bar()
        if precision not in PRECISIONS:
            raise ExpandrError(f"--precision {precision!r}: wanted one of {', '.join(PRECISIONS)}")
        self.spec, self.folder, self.precision = spec, folder, precision
        self.name = folder.name
        self.device = pick_device(device)
        trust = spec.trust_remote_code
        try:
            config = AutoConfig.from_pretrained(folder, trust_remote_code=trust)
            self.tokenizer: Any = AutoTokenizer.from_pretrained(folder, trust_remote_code=trust)
            self.model: Any = AutoModel.from_pretrained(
                folder, config=config, trust_remote_code=trust, use_safetensors=True, dtype=torch.float32
            )
        except (OSError, ValueError, KeyError, ImportError) as error:
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise NotAvailableError(
                f"{folder}: no encoder can be loaded from there ({reason}); wanted config.json, a tokenizer and safetensors weights"
            ) from error
        if (spec.pooling == "first-decoder") != bool(getattr(config, "is_encoder_decoder", False)):
            raise ExpandrError(
                f"{folder}: pooling {spec.pooling!r} does not fit a {config.model_type} model; first-decoder is for encoder-decoders, and they have no other"
            )
        self.model.to(self.device, getattr(torch, PRECISIONS[precision])).eval()
        self.batch_tokens = batch_tokens or (65536 if self.device.startswith("cuda") else 4096)
        self.truncated: dict[str, int] = {"query": 0, "expansion": 0, "document": 0}
        self._fingerprint: str | None = None

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return int(getattr(self.model.config, "hidden_size", None) or self.model.config.d_model)

    @property
    def separator(self) -> str:
        """The tokenizer's separator ([SEP]), or its end-of-sequence token."""
        return str(self.tokenizer.sep_token or self.tokenizer.eos_token or "")

    @property
    def identity(self) -> dict[str, Any]:
        """What decides the vectors."""
        self._fingerprint = self._fingerprint or fingerprint(self.folder)
        spec = self.spec
        return {
            "name": self.name,
            "fingerprint": self._fingerprint,
            "dimension": self.dimension,
            "pooling": spec.pooling,
            "normalize": spec.normalize,
            "query_prefix": spec.query_prefix,
            "document_prefix": spec.document_prefix,
            "query_max_length": spec.query_max_length,
            "document_max_length": spec.document_max_length,
            "precision": self.precision,
        }

    def shape_of(self, role: Role) -> tuple[str, int]:
        """Return (prefix, maximum length in tokens) of a role."""
        spec = self.spec
        if role == "document":
            return spec.document_prefix, spec.document_max_length
        if role == "query":
            return spec.query_prefix, spec.query_max_length
        prefix = spec.query_prefix if spec.expansion_prefix is None else spec.expansion_prefix
        return prefix, spec.document_max_length

    def tokenize(self, texts: Sequence[str], role: Role) -> list[list[int]]:
        """Return token ids with special tokens, cut at the role's maximum length; cuts are counted in `truncated`."""
        prefix, length = self.shape_of(role)
        with_prefix = [prefix + text for text in texts] if prefix else list(texts)
        coded = self.tokenizer(
            with_prefix, truncation=True, max_length=length, return_attention_mask=False, return_token_type_ids=False
        )
        ids: list[list[int]] = coded["input_ids"]
        if coded.encodings is not None:
            # only full ones can have an overflow, and asking each for it takes as long as tokenising
            full = (e for e, row in zip(coded.encodings, ids, strict=True) if len(row) >= length)
            self.truncated[role] += sum(1 for e in full if e.overflowing)
        return ids

    def _to_device(self, tensor: torch.Tensor) -> torch.Tensor:
        if self.device.startswith("cuda"):
            # from pinned memory the copy does not wait for the batch that is being computed
            return tensor.pin_memory().to(self.device, non_blocking=True)
        return tensor.to(self.device)

    def forward(self, ids: Sequence[Sequence[int]]) -> torch.Tensor:
        """Embed token ids, right padded: (texts, dimension) on the device, with gradients where torch has them on."""
        import torch

        tokens, mask = (self._to_device(t) for t in padded(ids, self.tokenizer.pad_token_id or 0))
        inputs: dict[str, Any] = {"input_ids": tokens, "attention_mask": mask}
        if self.spec.pooling == "first-decoder":
            inputs["decoder_input_ids"] = torch.full(
                (len(ids), 1), int(self.model.config.decoder_start_token_id), device=self.device
            )
        states = self.model(**inputs).last_hidden_state
        vectors = pool(states.float(), mask, self.spec.pooling)
        return torch.nn.functional.normalize(vectors, dim=-1) if self.spec.normalize else vectors

    def encode(self, texts: Sequence[str], role: Role) -> NDArray[np.float32]:
        """Encode texts to (len(texts), dimension) float32, in the order given.

        Raises:
            SetupError: not even one text fits into the device's memory.
        """
        import numpy as np

        if not texts:
            return np.zeros((0, self.dimension), dtype=np.float32)
        return self.embed(self.tokenize(texts, role))

    def embed(self, ids: Sequence[list[int]]) -> NDArray[np.float32]:
        """Embed the token ids of `tokenize` in length-sorted batches, without gradients, in the order given.

        `encode` is `tokenize` and then this; whoever has more texts coming can tokenise those in another thread meanwhile.

        Returns:
            (len(ids), dimension) float32.

        Raises:
            SetupError: not even one text fits into the device's memory.
        """
        import numpy as np
        import torch

        out = np.zeros((len(ids), self.dimension), dtype=np.float32)
        rows = 512 if self.device.startswith("cuda") else 32
        done: list[tuple[list[int], torch.Tensor]] = []
        with torch.inference_mode():
            for batch in batches([len(i) for i in ids], self.batch_tokens, rows):
                done.append((batch, self._within_memory([ids[i] for i in batch])))
                if len(done) == BATCHES_IN_FLIGHT:
                    _fetch(done, out)
            _fetch(done, out)
        return out

    def _within_memory(self, ids: list[list[int]]) -> torch.Tensor:
        """Embed a batch; where the device runs out of memory, halve it and say so."""
        import logging

        import torch

        try:
            return self.forward(ids)
        except torch.OutOfMemoryError as error:
            if len(ids) == 1:
                raise SetupError(
                    f"{self.device}: one text of {len(ids[0])} tokens does not fit into its memory; lower the maximum length or use --device cpu"
                ) from error
        self.batch_tokens = max(1, self.batch_tokens // 2)
        logging.getLogger(__name__).warning(
            "%s is out of memory at %d texts; going on with half", self.device, len(ids)
        )
        torch.cuda.empty_cache()
        middle = len(ids) // 2
        return torch.cat([self._within_memory(ids[:middle]), self._within_memory(ids[middle:])])


def _fetch(done: list[tuple[list[int], torch.Tensor]], out: NDArray[np.float32]) -> None:
    for rows, vectors in done:
        out[rows] = vectors.cpu().numpy()
    done.clear()
