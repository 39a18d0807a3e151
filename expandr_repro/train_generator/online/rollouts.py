"""Texts from the model that is being trained, by the decoder that `expand` uses: each with its own seed, rows at their own length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from expandr_repro.errors import ExpandrError
from expandr_repro.llm.answers.cleaning import Cleaned, clean
from expandr_repro.llm.base import GeneratorOptions, Reply, Request
from expandr_repro.llm.local.loading import end_ids
from expandr_repro.llm.local.transformers import TransformersGenerator
from expandr_repro.llm.sampling import Sampling
from expandr_repro.train_generator.trl.reference import without_dropout


@dataclass(frozen=True)
class Text:
    """A text that the model wrote.

    Attributes:
        prompt_ids: what it read.
        ids: what it wrote, the token that ended it among them.
        finish: "stop", or "length" where it was cut.
        cleaned: the text, as `expand` would keep it.
    """

    prompt_ids: list[int]
    ids: list[int]
    finish: str
    cleaned: Cleaned


class Policy(TransformersGenerator):
    """The model that is being trained, as a generator.

    Args:
        model: of transformers, its adapter's layers within.
        tokenizer: its tokenizer; without a chat template where prompts are plain text.
        device: where it is.
        rows: texts at a time.
    """

    def __init__(self, model: Any, tokenizer: Any, device: str, rows: int) -> None:
        super().__init__(GeneratorOptions("", device=device, batch_size=rows))
        self._loaded = (model, tokenizer)
        self._ids: dict[int, tuple[list[int], list[int]]] = {}

    def _reply(
        self, request: Request, prompt: Sequence[int], tokens: Sequence[int], ends: Sequence[int], tokenizer: Any
    ) -> Reply:
        length = next((i + 1 for i, token in enumerate(tokens) if token in ends), len(tokens))
        self._ids[int(request.ident)] = (list(prompt), list(tokens[:length]))
        return super()._reply(request, prompt, tokens, ends, tokenizer)

    def write(self, prompts: Sequence[str], sampling: Sampling, seeds: Sequence[int]) -> list[Text]:
        """Write a text for each prompt, without dropout.

        Args:
            prompts: without any chat template.
            sampling: its settings.
            seeds: one for each prompt.

        Raises:
            ExpandrError: a prompt leaves no room for its text.
            SetupError: the device's memory is too small.
        """
        model, _ = self.model_and_tokenizer
        self._ids.clear()
        replies: dict[int, Reply] = {}
        requests = (Request(i, p, sampling, s) for i, (p, s) in enumerate(zip(prompts, seeds, strict=True)))
        with without_dropout(model), _ends_as_list(model):
            self.generate(requests, lambda reply: replies.__setitem__(int(reply.request.ident), reply))
        made = []
        for i, prompt in enumerate(prompts):
            reply = replies[i]
            if reply.failure is not None:
                raise ExpandrError(f"a text cannot be written: {reply.failure}")
            made.append(Text(*self._ids[i], reply.finish, clean(reply.text, reply.finish, prompt)))
        return made


@contextmanager
def _ends_as_list(model: Any) -> Iterator[None]:
    """Let the model's own generation settings name the tokens that end a text, and no more."""
    from transformers import GenerationConfig

    before = model.generation_config
    model.generation_config = GenerationConfig(eos_token_id=before.eos_token_id, pad_token_id=before.pad_token_id)
    try:
        yield
    finally:
        model.generation_config = before


def set_ends(model: Any, tokenizer: Any) -> None:
    """Let every token that ends a text for model or tokenizer end it in generation and in training."""
    model.generation_config.eos_token_id = sorted(end_ids(model, tokenizer))
