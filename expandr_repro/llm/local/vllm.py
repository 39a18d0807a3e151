"""Generate texts with vLLM in this process; not tested here, for want of a GPU."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from typing import Any

from expandr_repro.encoders.protocol import PRECISIONS
from expandr_repro.errors import NotAvailableError, SetupError, reason_of
from expandr_repro.llm.answers.finishes import finish_of
from expandr_repro.llm.base import GeneratorOptions, Reply, Request, generator
from expandr_repro.llm.local.chat import prompt_ids, reasoning_opened
from expandr_repro.llm.local.weights import Weights
from expandr_repro.llm.local.window import LocalModel

ROWS = 256
"""Texts generated together where --batch-size says nothing."""

WINDOW = 8
"""So many batches of requests go to the engine together; their texts are kept when all of them are there."""

LAUNCHER = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""A launcher's variables: taken away before the engine starts, since each process has an engine of its own."""


@generator(
    "vllm", options=("adapter", "precision", "batch_size", "data_parallel", "trust_remote_code", "tensor_parallel")
)
class VllmGenerator(LocalModel):
    """A causal language model in vLLM's engine.

    Args:
        options: model, revision, adapter, precision, batch size, GPUs that share one copy (`tensor_parallel`).
    """

    backend = "vllm"

    def __init__(self, options: GeneratorOptions) -> None:
        super().__init__(options, "auto")
        self._rows = options.batch_size or ROWS
        self._engine: Any = None

    def _start(self) -> Any:
        try:
            from vllm import LLM
        except ImportError as error:
            raise SetupError(
                "--backend vllm needs vLLM; run `pip install expandr-repro[vllm]` (Linux, CUDA)"
            ) from error
        for variable in LAUNCHER:
            os.environ.pop(variable, None)
        weights, options = self.weights, self._options
        try:
            return LLM(
                model=str(weights.folder),
                dtype=PRECISIONS[weights.precision],
                tensor_parallel_size=options.tensor_parallel,
                trust_remote_code=options.trust_remote_code,
                load_format="safetensors",
                enable_lora=weights.adapter is not None,
                **({"max_lora_rank": _rank(weights)} if weights.adapter else {}),
                max_num_seqs=self._rows,
                generation_config="vllm",  # not the checkpoint's: the command line says how to sample
                disable_log_stats=True,
            )
        except (OSError, ValueError, RuntimeError) as error:
            raise NotAvailableError(f"{weights.folder}: vLLM cannot load it ({reason_of(error)})") from error

    def generate(self, requests: Iterator[Request], deliver: Callable[[Reply], None]) -> None:
        """Generate each request's text; see `Generator`."""
        while window := list(itertools.islice(requests, self._rows * WINDOW)):
            self._engine = self._engine or self._start()
            for reply in self._replies(window):
                deliver(reply)

    def _replies(self, window: list[Request]) -> Iterator[Reply]:
        from vllm import SamplingParams
        from vllm.lora.request import LoRARequest

        values = window[0].sampling.extra.get("chat_template_kwargs")
        tokenizer = self._engine.get_tokenizer()
        ids = prompt_ids(tokenizer, [r.prompt for r in window], values)
        opening = reasoning_opened(tokenizer, window[0].prompt, values)
        params = [
            SamplingParams(
                temperature=r.sampling.temperature,
                top_p=r.sampling.top_p,
                max_tokens=r.sampling.max_tokens,
                seed=r.seed,
                # special tokens may mark reasoning and channels, which the cleaner has to see
                **{"skip_special_tokens": False}
                | {k: v for k, v in r.sampling.extra.items() if k != "chat_template_kwargs"},
            )
            for r in window
        ]
        lora = LoRARequest("adapter", 1, str(self.weights.adapter)) if self.weights.adapter else None
        outputs = self._engine.generate(
            [{"prompt_token_ids": row} for row in ids], params, lora_request=lora, use_tqdm=False
        )
        for request, row, output in zip(window, ids, outputs, strict=True):
            first = output.outputs[0]
            finish = finish_of(first.finish_reason)
            if finish is None:
                yield Reply(request, failure=f"vLLM ended it with {first.finish_reason!r}")
            else:
                yield Reply(request, opening + first.text, finish, len(row), len(first.token_ids))


def _rank(weights: Weights) -> int:
    """Return the least rank vLLM has room for that holds the adapter."""
    import json

    from expandr_repro.io.files import read_text

    path = weights.adapter / "adapter_config.json" if weights.adapter else weights.folder
    rank = int(json.loads(read_text(path)).get("r", 16))
    return next((n for n in (8, 16, 32, 64, 128, 256, 320, 512) if n >= rank), rank)
