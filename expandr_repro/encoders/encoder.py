"""Encode texts with a transformers checkpoint: tokenise, pool, normalise; in large batches for search, with gradients for training.

An encoder that is not trained computes in fp32 on a CPU with ONNX Runtime, where its architecture is known there; else with torch.
"""

from __future__ import annotations

import contextlib
import math
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from expandr_repro.data.specs import EncoderSpec
from expandr_repro.encoders.batching import batches, packs, padded
from expandr_repro.encoders.checkpoints.checkpoint import fingerprint
from expandr_repro.encoders.checkpoints.head import Head
from expandr_repro.encoders.checkpoints.model_files import inside_of
from expandr_repro.encoders.checkpoints.own_code import refuse_adapter, refuse_kernels
from expandr_repro.encoders.checkpoints.weights import load_model, position_limit
from expandr_repro.encoders.compute import packed, relative
from expandr_repro.encoders.compute.launched import Launched
from expandr_repro.encoders.compute.onnx_models import OnnxModel, load_onnx
from expandr_repro.encoders.finite import check_finite
from expandr_repro.encoders.pooling import pool
from expandr_repro.encoders.protocol import PRECISIONS, Role, as_texts, check_role, pick_device
from expandr_repro.encoders.streaming import encode_stream
from expandr_repro.encoders.tokenizing import TextTokenizer, load_tokenizer, put_in_lower_case
from expandr_repro.errors import ExpandrError, MismatchError, SetupError, reason_of

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

PART = 2048
"""Texts that `encode` tokenises together on a GPU, while the model works on earlier ones; a CPU has nothing to gain."""

DECIDING = ("pooling", "normalize", "query_prefix", "document_prefix", "query_max_length", "document_max_length")
"""Fields of the spec that are in an encoder's identity, whatever they are."""

BATCH_TOKENS = {"cuda": 131_072, "cpu": 2_048}
"""Tokens a batch, by device: on a CPU the states of more leave its caches; a GPU gains 1 % from twice as many."""


class Encoder:
    """A transformers checkpoint as a dense encoder.

    Args:
        spec: pooling, normalisation, prefixes and lengths.
        folder: the checkpoint.
        device: `cpu`, `cuda`, `cuda:1` or `auto`.
        precision: `fp32` (exact), `bf16` or `fp16`.
        batch_tokens: tokens that go through the model together; 0 for a good value for the device.
        compiled: let torch.compile fuse the model's small steps, which takes half a minute first; half precision on a GPU alone.
        frozen: it will not be trained, so that ONNX Runtime may do torch's work.

    Raises:
        NotAvailableError: no weights there, or not as safetensors.
        MismatchError: the weights are not all of the model that `config.json` describes.
        FormatError: the model needs code from elsewhere, and may not have it; or is an adapter.
        ExpandrError: pooling and architecture do not fit.
    """

    def __init__(
        self,
        spec: EncoderSpec,
        folder: Path,
        device: str = "auto",
        precision: str = "fp32",
        batch_tokens: int = 0,
        compiled: bool = False,
        frozen: bool = False,
    ) -> None:
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
        if precision not in PRECISIONS:
            raise ExpandrError(f"--precision {precision!r}: wanted one of {', '.join(PRECISIONS)}")
        self.folder, self.precision, self.frozen = folder, precision, frozen
        self.name = folder.name
        self.device = pick_device(device)
        self.on_gpu = self.device.startswith("cuda")
        trust = spec.trust_remote_code
        checkpoint = inside_of(folder, spec.subfolder, folder)
        refuse_kernels(checkpoint, trust)
        refuse_adapter(checkpoint)
        light = frozen and self.device == "cpu" and precision == "fp32" and not compiled and not trust
        self._onnx: OnnxModel | None = load_onnx(checkpoint, spec) if light else None
        self.tokenizer: Any = load_tokenizer(checkpoint, trust, plain=self._onnx is not None)
        self.packs = self.mixed = False
        self._multiple = 1
        sizes = self._onnx.sizes(spec.pooling) if self._onnx else self._load_torch(checkpoint, spec, compiled)
        full, words, self.longest = sizes
        self.spec = spec = spec.within(self.longest)
        self.dimension = min(full, spec.truncate_dim or full)
        """Length of a vector."""
        if spec.lower_case:
            put_in_lower_case(self.tokenizer, folder)
        self.batch_tokens = batch_tokens or BATCH_TOKENS["cuda" if self.on_gpu else "cpu"]
        self.truncated: dict[str, int] = {"query": 0, "expansion": 0, "document": 0}
        self._texts = TextTokenizer(self.tokenizer)
        special = len(self._texts.ids([""], 512)[0][0])
        shortest = min(spec.query_max_length, spec.document_max_length)
        if shortest <= special:
            raise ExpandrError(
                f"{folder}: a maximum length of {shortest} leaves no room for a text next to {special} special tokens; use --max-length {special + 1} or more"
            )
        self._words = words if words is not None and len(self.tokenizer) > words else None
        self._prompts: dict[str, int] = {}
        self._counting = threading.Lock()
        self._fingerprint: str | None = None

    def _load_torch(self, checkpoint: Path, spec: EncoderSpec, compiled: bool) -> tuple[int, int | None, int | None]:
        """Load the model with transformers; return the length of a vector, and how many words and positions the model knows."""
        import torch
        from transformers.utils import logging as noise

        noise.disable_progress_bar()
        self.model: Any
        config, self.model = load_model(checkpoint, spec.trust_remote_code)
        if (spec.pooling == "first-decoder") != bool(getattr(config, "is_encoder_decoder", False)):
            raise ExpandrError(
                f"{self.folder}: pooling {spec.pooling!r} does not fit a {config.model_type} model; first-decoder is for encoder-decoders, and they have no other"
            )
        width = getattr(config, "hidden_size", None) or getattr(config, "d_model", None)
        if not isinstance(width, int):
            raise ExpandrError(
                f"{self.folder}: a {config.model_type} model is not a text encoder; wanted one with a state of each token"
            )
        # on a CPU bf16 is for the matrix products alone: a twelfth slower than bf16 throughout, and three times as near to fp32
        self.mixed = self.precision == "bf16" and not self.on_gpu
        self.model.to(self.device, torch.float32 if self.mixed else getattr(torch, PRECISIONS[self.precision])).eval()
        self.packs = packed.can_pack(config, self.device, self.precision) and packed.can_pool(spec)
        if self.packs:
            packed.register()
            self.model.set_attn_implementation(packed.ATTENTION)
        if compiled and not self.packs:
            raise ExpandrError(
                f"--compile: for {', '.join(packed.FIRST_POSITION)} models in bf16 or fp16 on a GPU; this is {config.model_type} in {self.precision} on {self.device}"
            )
        self._run: Any = torch.compile(self.model, dynamic=True) if compiled else self.model
        words = getattr(self.model.get_input_embeddings(), "num_embeddings", None)
        longest = position_limit(self.model)
        if self.frozen and relative.can_fuse(self.model, self.device, self.precision):
            relative.lay_over(self.model)
            # never beyond the table of positions: some tokenizers pad with a token that MPNet counts as one of the text
            self._multiple = math.gcd(relative.MULTIPLE, longest or 0)
        self.head = Head(self.folder, spec.modules, width * (spec.pooling.count("+") + 1), self.device)
        return self.head.dimension, words, longest

    @property
    def computed_by(self) -> str:
        """The library that runs the model."""
        return "onnxruntime" if self._onnx else "torch"

    @property
    def separator(self) -> str:
        """The tokenizer's separator ([SEP]), or its end-of-sequence token."""
        return str(self.tokenizer.sep_token or self.tokenizer.eos_token or "")

    @property
    def identity(self) -> dict[str, Any]:
        """What decides the vectors."""
        self._fingerprint = self._fingerprint or fingerprint(self.folder)
        spec = self.spec
        # what most encoders do not have is left out where it is not there: the keys of their indexes stay as they are
        rare = {
            "expansion_prefix": spec.expansion_prefix,
            "modules": spec.modules or None,
            "truncate_dim": spec.truncate_dim,
            "include_prompt": None if spec.include_prompt else False,
            "lower_case": spec.lower_case or None,
            "subfolder": spec.subfolder or None,
            "pooling_origin": spec.pooling_origin or None,
        }
        return {
            "name": self.name,
            "fingerprint": self._fingerprint,
            "dimension": self.dimension,
            **{name: getattr(spec, name) for name in DECIDING},
            "precision": self.precision,
            **{key: value for key, value in rare.items() if value is not None},
        }

    def shape_of(self, role: Role) -> tuple[str, int]:
        """Return (prefix, maximum length in tokens) of a role.

        Raises:
            UnknownNameError: no such role.
        """
        spec = self.spec
        check_role(role)
        if role == "document":
            return spec.document_prefix, spec.document_max_length
        if role == "query":
            return spec.query_prefix, spec.query_max_length
        prefix = spec.query_prefix if spec.expansion_prefix is None or role == "joined" else spec.expansion_prefix
        return prefix, spec.document_max_length

    def tokenize(self, texts: Sequence[str], role: Role) -> list[list[int]]:
        """Return token ids with special tokens, cut at the role's maximum length; cuts are counted in `truncated`.

        Where a prompt is not part of what is pooled (`include_prompt` false), the number of its tokens stands before the ids.

        Raises:
            UnknownNameError: no such role.
            MismatchError: a token that the model has no embedding of.
        """
        prefix, length = self.shape_of(role)
        texts = as_texts(texts)
        ids, cut = self._texts.ids([prefix + text for text in texts] if prefix else texts, length)
        with self._counting:
            self.truncated[role] = self.truncated.get(role, 0) + cut
        if self._words is not None and (beyond := [max(row) for row in ids if max(row, default=0) >= self._words]):
            raise MismatchError(
                f"{self.folder}: the tokenizer gives the token {max(beyond)}, and the model has {self._words} embeddings; wanted both of one model"
            )
        if not self.spec.include_prompt:
            return [[self._prompt_tokens(prefix, length), *row] for row in ids]
        return ids

    def _prompt_tokens(self, prefix: str, length: int) -> int:
        """Return how many tokens stand before the text itself: those of the prefix, and what begins every text."""
        if not prefix:
            return 0
        if prefix not in self._prompts:
            (row,), _ = self._texts.ids([prefix], length)
            self._prompts[prefix] = len(row) - (row[-1] in self.tokenizer.all_special_ids)
        return self._prompts[prefix]

    def _to_device(self, tensor: torch.Tensor) -> torch.Tensor:
        if self.on_gpu:
            # from pinned memory the copy does not wait for the batch that is being computed
            return tensor.pin_memory().to(self.device, non_blocking=True)
        return tensor.to(self.device)

    def forward(self, ids: Sequence[Sequence[int]]) -> torch.Tensor:
        """Embed token ids, right padded: (texts, dimension) on the device, with gradients where torch has them on.

        Raises:
            ExpandrError: gradients are on, and the encoder is frozen.
        """
        import torch

        if self.frozen and (self._onnx or torch.is_grad_enabled()):
            raise ExpandrError(f"{self.name}: loaded to search with, not to be trained; load it with training=True")
        skipped = None
        if not self.spec.include_prompt:
            skipped = torch.tensor([row[0] for row in ids], device=self.device)
            ids = [row[1:] for row in ids]
        tokens, mask = (self._to_device(t) for t in padded(ids, self.tokenizer.pad_token_id or 0, self._multiple))
        inputs: dict[str, Any] = {"input_ids": tokens, "attention_mask": mask}
        if self.spec.pooling == "first-decoder":
            inputs["decoder_input_ids"] = torch.full(
                (len(ids), 1), int(self.model.config.decoder_start_token_id), device=self.device
            )
        try:
            states = self.model(**inputs).last_hidden_state
        except (AttributeError, TypeError, ValueError) as error:
            raise ExpandrError(
                f"{self.folder}: a {self.model.config.model_type} model gives no state of each token of a text ({reason_of(error)}); wanted a text encoder"
            ) from error
        return self._finished(pool(states.float(), mask, self.spec.pooling, skipped))

    def _finished(self, vectors: torch.Tensor) -> torch.Tensor:
        """Make vectors of what comes from pooling."""
        import torch

        vectors = self.head(vectors)[:, : self.dimension]
        return torch.nn.functional.normalize(vectors, dim=-1) if self.spec.normalize else vectors

    def encode(self, texts: Sequence[str], role: Role) -> NDArray[np.float32]:
        """Encode texts to (len(texts), dimension) float32, in the order given; one text by itself is a list of one.

        Raises:
            UnknownNameError: no such role.
            NotFiniteError: a vector contains NaN or infinity.
            SetupError: not even one text fits into the device's memory.
        """
        import numpy as np

        check_role(role)
        texts = as_texts(texts)
        if not texts:
            return np.zeros((0, self.dimension), dtype=np.float32)
        size = PART if self.on_gpu else len(texts)
        vectors = np.concatenate(
            list(encode_stream(self, ((role, texts[n : n + size]) for n in range(0, len(texts), size))))
        )
        check_finite(vectors, lambda row: f"the {role} {texts[row][:60]!r}", self.precision)
        return vectors

    def embed(self, ids: Sequence[list[int]]) -> NDArray[np.float32]:
        """Embed the token ids of `tokenize`, without gradients, in the order given: (len(ids), dimension) float32.

        Raises:
            SetupError: not even one text fits into the device's memory.
        """
        return self.launch(ids).fetch()

    def launch(self, ids: Sequence[list[int]], done: Callable[[int], object] | None = None) -> Launched:
        """Give token ids to the device in batches of like length, without gradients; whoever wants the vectors fetches them.

        Texts of the same ids are computed once: in two batches their vectors would differ in the last digits, and so would what ought
        to be a tie, which docids decide.

        Args:
            ids: of `tokenize`.
            done: called with the number of texts of each batch that was given away.

        Raises:
            SetupError: not even one text fits into the device's memory.
        """
        order: list[int] = []
        parts: list[Any] = []
        rows, same, grouped = self._grouped(ids)
        copies = Counter(same)
        embed = self._with_onnx if self._onnx else self._within_memory
        with contextlib.nullcontext() if self._onnx else self._without_gradients():
            for batch in grouped:
                order += batch
                parts.append(embed([rows[i] for i in batch]))
                if done:
                    done(sum(copies[i] for i in batch))
            return Launched.of(order, parts, self.dimension, same if len(rows) < len(ids) else None)

    def _grouped(self, ids: Sequence[list[int]]) -> tuple[list[tuple[int, ...]], list[int], Iterator[list[int]]]:
        """Return what is different among token ids, which of these each text has, and batches of their numbers."""
        numbers: dict[tuple[int, ...], int] = {}
        same = [numbers.setdefault(tuple(row), len(numbers)) for row in ids]
        lengths = [len(row) for row in numbers]
        grouped = packs(lengths, self.batch_tokens) if self.packs else batches(lengths, self.batch_tokens, 512)
        return list(numbers), same, grouped

    def divided(self, texts: Sequence[str], role: Role, count: int) -> list[list[int]]:
        """Divide texts into at most `count` lists of about equal work, each of which by itself gets the vectors that it has among all.

        A list has whole batches, in their order, so that the same batches are formed of it alone.

        Args:
            texts: that would be encoded together.
            role: of them.
            count: of lists.

        Returns:
            The positions of each list's texts.
        """
        _, same, grouped = self._grouped(self.tokenize(texts, role))
        formed = list(grouped)
        where = {row: n * count // len(formed) for n, batch in enumerate(formed) for row in batch}
        lists: list[list[int]] = [[] for _ in range(count)]
        for position, row in enumerate(same):
            lists[where[row]].append(position)
        return [some for some in lists if some]

    @contextlib.contextmanager
    def _without_gradients(self) -> Iterator[None]:
        import torch

        mixed = torch.autocast(self.device.partition(":")[0], torch.bfloat16, enabled=self.mixed)
        with torch.inference_mode(), mixed:
            yield

    def _with_onnx(self, ids: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        import numpy as np

        assert self._onnx is not None
        vectors = self._onnx.pooled(ids, self.spec.pooling)[:, : self.dimension]
        if not self.spec.normalize:
            return vectors
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        return np.asarray(vectors / np.maximum(lengths, 1e-12), dtype=np.float32)

    def _vectors(self, ids: Sequence[Sequence[int]]) -> torch.Tensor:
        """Embed a batch without gradients, end to end where the model can, padded where not."""
        if not self.packs:
            return self.forward(ids)
        pad = self.tokenizer.pad_token_id or 0
        return self._finished(packed.forward(self._run, ids, self.spec.pooling, pad, self.device))

    def _within_memory(self, ids: Sequence[Sequence[int]]) -> torch.Tensor:
        """Embed a batch; where the device runs out of memory, halve it, and all that are as large from then on."""
        import logging

        import torch

        size = sum(map(len, ids)) if self.packs else len(ids) * max(map(len, ids))
        if len(ids) > 1 and size > self.batch_tokens:  # planned before a batch of this group had to be halved
            return self._halves(ids)
        try:
            return self._vectors(ids)
        except torch.OutOfMemoryError as error:
            if len(ids) == 1:
                raise SetupError(
                    f"{self.device}: one text of {len(ids[0])} tokens does not fit into its memory; lower the maximum length or use --device cpu"
                ) from error
        while (
            self.batch_tokens >= size
        ):  # such a batch is not planned again, and those of its group are split before they fail
            self.batch_tokens //= 2
        logging.getLogger(__name__).warning(
            "%s is out of memory at %d texts; going on with half", self.device, len(ids)
        )
        torch.cuda.empty_cache()
        return self._halves(ids)

    def _halves(self, ids: Sequence[Sequence[int]]) -> torch.Tensor:
        import torch

        middle = len(ids) // 2
        return torch.cat([self._within_memory(ids[:middle]), self._within_memory(ids[middle:])])
