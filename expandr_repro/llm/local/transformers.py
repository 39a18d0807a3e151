"""Generate texts with transformers: in batches sorted by length, each text with its own seed."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from expandr_repro.encoders.batching import batches
from expandr_repro.encoders.protocol import PRECISIONS, pick_device
from expandr_repro.engines.launcher import launched
from expandr_repro.errors import SetupError, UnknownNameError
from expandr_repro.llm.base import GeneratorOptions, Reply, Request, generator
from expandr_repro.llm.local.chat import prompt_ids, reasoning_opened
from expandr_repro.llm.local.decoder import Decoder, UnsupportedModelError, supports
from expandr_repro.llm.local.decoding import Job, decode
from expandr_repro.llm.local.loading import end_ids, load_causal_lm, load_tokenizer, with_adapter
from expandr_repro.llm.local.seeded import SeededSampling
from expandr_repro.llm.local.weights import Weights
from expandr_repro.llm.local.window import LocalModel

log = logging.getLogger(__name__)

ROWS = 32
"""Texts generated together where --batch-size says nothing."""

WINDOW = 16
"""So many batches of requests are sorted by length together."""

EXTRA = ("repetition_penalty", "no_repeat_ngram_size", "min_new_tokens", "chat_template_kwargs")
"""What --extra may hold here; top_k and the like are settings of another sampler."""


@generator(
    "transformers", options=("adapter", "precision", "batch_size", "data_parallel", "trust_remote_code", "device")
)
class TransformersGenerator(LocalModel):
    """Causal language model on this machine.

    Args:
        options: model, revision, adapter, device, precision, batch size.
        weights: the model's folders, where they are known already.

    Raises:
        SetupError: a GPU is asked for and there is none.
    """

    backend = "transformers"

    def __init__(self, options: GeneratorOptions, weights: Weights | None = None) -> None:
        super().__init__(options, launched().gpu(pick_device(options.device)), weights)
        self._rows = options.batch_size or ROWS
        self._loaded: tuple[Any, Any] | None = None
        self._opening = ""
        self._supported: bool | None = None

    @property
    def model_and_tokenizer(self) -> tuple[Any, Any]:
        """The model, adapter merged, and its tokenizer; loaded when first wanted."""
        if self._loaded is None:
            self._loaded = _load(self.weights, self._device, self._options.trust_remote_code)
        return self._loaded

    def tokenizer(self) -> Any:
        """Return the tokenizer."""
        return self._loaded[1] if self._loaded else super().tokenizer()

    def generate(self, requests: Iterator[Request], deliver: Callable[[Reply], None]) -> None:
        """Generate each request's text; see `Generator`."""
        while window := list(itertools.islice(requests, self._rows * WINDOW)):
            for name in window[0].sampling.extra:
                if name not in EXTRA:
                    raise UnknownNameError("setting in --extra for --backend transformers", name, EXTRA)
            _, tokenizer = self.model_and_tokenizer
            values = window[0].sampling.extra.get("chat_template_kwargs")
            ids = prompt_ids(tokenizer, [r.prompt for r in window], values)
            self._opening = reasoning_opened(tokenizer, window[0].prompt, values)
            fitting = [i for i, row in enumerate(ids) if self._fits(window[i], len(row), deliver)]
            if self._decodes and not set(window[0].sampling.extra) - {"chat_template_kwargs"}:
                left = self._decode([window[i] for i in fitting], [ids[i] for i in fitting], deliver)
                fitting = [fitting[i] for i in left]
            for batch in batches([len(ids[i]) for i in fitting], 1 << 62, self._rows):
                chosen = [fitting[i] for i in batch]
                for reply in self._within_memory([window[i] for i in chosen], [ids[i] for i in chosen]):
                    deliver(reply)

    def _fits(self, request: Request, length: int, deliver: Callable[[Reply], None]) -> bool:
        model, _ = self.model_and_tokenizer
        limit = getattr(model.config, "max_position_embeddings", None) or 1 << 62
        if length + request.sampling.max_tokens <= limit:
            return True
        wanted = f"{length} tokens of prompt and {request.sampling.max_tokens} new ones"
        deliver(Reply(request, failure=f"{wanted} are more than the model's {limit}; lower --max-tokens"))
        return False

    @property
    def _decodes(self) -> bool:
        """Whether the model's rows can be decoded one by one; else whole batches go through `generate`."""
        if self._supported is None:
            self._supported = supports(self.model_and_tokenizer[0])
        return self._supported

    def _decode(
        self, requests: Sequence[Request], ids: Sequence[list[int]], deliver: Callable[[Reply], None]
    ) -> list[int]:
        """Decode texts, longest prompts first; where the device runs out of memory, with half the rows.

        Returns:
            The requests that are left to `generate`: their texts grow beyond a window of the model's attention.
        """
        import torch

        model, tokenizer = self.model_and_tokenizer
        ends = model.generation_config.eos_token_id
        order = sorted(range(len(ids)), key=lambda i: -len(ids[i]))
        waiting = {
            i: Job(i, ids[i], requests[i].seed, s.temperature, s.top_p, s.max_tokens)
            for i in order
            for s in (requests[i].sampling,)
        }

        def hand_over(job: Job, tokens: list[int]) -> None:
            del waiting[job.ident]
            deliver(self._reply(requests[job.ident], ids[job.ident], tokens, ends, tokenizer))

        while waiting:
            decoder = None
            jobs = list(waiting.values())
            longest, rows = max(j.limit for j in jobs), min(self._rows, len(jobs))
            try:
                decoder = Decoder(model, rows, max(len(j.prompt) + j.limit for j in jobs), ends)
                decode(decoder, iter(jobs), longest, hand_over)
                return []
            except UnsupportedModelError:
                self._supported = False
                return list(waiting)
            except torch.OutOfMemoryError as error:
                if rows == 1:
                    raise SetupError(
                        f"{self._device}: one text does not fit into its memory; lower --max-tokens or --precision"
                    ) from error
            self._rows = max(1, rows // 2)
            log.warning("%s is out of memory at %d texts; going on with %d", self._device, rows, self._rows)
            decoder = None
            torch.cuda.empty_cache()
        return []

    def _within_memory(self, requests: list[Request], ids: list[list[int]]) -> list[Reply]:
        """Generate a batch; where the device runs out of memory, halve it and say so."""
        import torch

        try:
            return self._batch(requests, ids)
        except torch.OutOfMemoryError as error:
            if len(requests) == 1:
                raise SetupError(
                    f"{self._device}: one text does not fit into its memory; lower --max-tokens or --precision"
                ) from error
        self._rows = max(1, len(requests) // 2)
        log.warning("%s is out of memory at %d texts; going on with %d", self._device, len(requests), self._rows)
        torch.cuda.empty_cache()
        middle = len(requests) // 2
        return self._within_memory(requests[:middle], ids[:middle]) + self._within_memory(
            requests[middle:], ids[middle:]
        )

    def _batch(self, requests: Sequence[Request], ids: Sequence[list[int]]) -> list[Reply]:
        import torch
        from transformers import GenerationConfig

        model, tokenizer = self.model_and_tokenizer
        width, steps = max(map(len, ids)), max(r.sampling.max_tokens for r in requests)
        ends, pad = model.generation_config.eos_token_id, model.generation_config.pad_token_id
        tokens = torch.full((len(ids), width), pad, dtype=torch.long)
        mask = torch.zeros((len(ids), width), dtype=torch.long)
        for row, values in enumerate(ids):  # on the left, so that every text goes on where its prompt ends
            tokens[row, width - len(values) :] = torch.tensor(values, dtype=torch.long)
            mask[row, width - len(values) :] = 1
        sampler = SeededSampling([r.sampling for r in requests], [r.seed for r in requests], steps, self._device)
        extra = {k: v for k, v in requests[0].sampling.extra.items() if k != "chat_template_kwargs"}
        config = GenerationConfig(max_new_tokens=steps, do_sample=False, eos_token_id=ends, pad_token_id=pad, **extra)
        with torch.inference_mode():
            whole = model.generate(
                input_ids=tokens.to(self._device),
                attention_mask=mask.to(self._device),
                generation_config=config,
                logits_processor=[sampler],
            )
        new = whole[:, width:].tolist()
        return [self._reply(*parts, ends, tokenizer) for parts in zip(requests, ids, new, strict=True)]

    def _reply(
        self, request: Request, prompt: Sequence[int], tokens: Sequence[int], ends: Sequence[int], tokenizer: Any
    ) -> Reply:
        """Return the text of sampled tokens, up to the first that ends it."""
        length = next((i for i, token in enumerate(tokens) if token in ends), None)
        # special tokens may mark reasoning and channels: what is cleaned has them, and what the template put before the text
        text = self._opening + tokenizer.decode(tokens[:length], skip_special_tokens=False)
        finish = "length" if length is None else "stop"
        return Reply(request, text, finish, len(prompt), len(tokens) if length is None else length + 1)


def _load(weights: Weights, device: str, trust: bool) -> tuple[Any, Any]:
    import torch
    from transformers import GenerationConfig

    tokenizer = load_tokenizer(weights.folder, trust)
    model = load_causal_lm(weights.folder, getattr(torch, PRECISIONS[weights.precision]), trust).to(device)
    ends = end_ids(model, tokenizer)
    own = model.generation_config
    pad = next((i for i in (tokenizer.pad_token_id, own.pad_token_id, *sorted(ends)) if i is not None and i >= 0), 0)
    if weights.adapter:  # on the device: on processors, merging a model of 1.5 billion weights took 40 s
        model = with_adapter(model, weights.adapter, weights.folder).merge_and_unload()
    # the command line says how to sample; a checkpoint's own temperature or penalty would creep in otherwise
    model.generation_config = GenerationConfig(eos_token_id=sorted(ends), pad_token_id=pad)
    return model.eval(), tokenizer
