"""What is known of a local model from its folders, without its weights: its identity, how much it reads, how long a prompt is for it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from expandr_repro.io.files import read_text
from expandr_repro.llm.base import GeneratorOptions, Identity
from expandr_repro.llm.chats import Prompted
from expandr_repro.llm.local.chat import prompt_ids
from expandr_repro.llm.local.loading import load_tokenizer
from expandr_repro.llm.local.weights import Weights, find_weights


def window_of(folder: Path) -> int | None:
    """Return the tokens of prompt and answer together that a model has positions for, as its config.json says; None where it does not."""
    path = folder / "config.json"
    try:
        config = json.loads(read_text(path)) if path.is_file() else {}
    except ValueError:
        return None
    inner = config.get("text_config") if isinstance(config, dict) else None
    for part in (config, inner):
        value = part.get("max_position_embeddings") if isinstance(part, dict) else None
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value
    return None


def prompt_lengths(tokenizer: Any, prompts: Sequence[Prompted], extra: Mapping[str, Any]) -> list[int]:
    """Return the lengths of prompts in tokens, as the model reads them.

    Args:
        tokenizer: of transformers.
        prompts: without the chat template, which is put around them.
        extra: the settings that go to the backend, with values for the chat template perhaps.
    """
    return [len(ids) for ids in prompt_ids(tokenizer, prompts, extra.get("chat_template_kwargs"))]


class LocalModel:
    """A generator's model on this machine.

    Args:
        options: of the generator.
        device: that it runs on.
        weights: the model's folders, where they are known already.
    """

    backend: ClassVar[str]

    def __init__(self, options: GeneratorOptions, device: str, weights: Weights | None = None) -> None:
        self._options, self._device, self._weights = options, device, weights

    @property
    def weights(self) -> Weights:
        """The model's folders, found when first wanted."""
        if self._weights is None:
            self._weights = find_weights(self.backend, self._options, self._device)
        return self._weights

    @property
    def identity(self) -> Identity:
        """What decides the texts."""
        return self.weights.identity

    @property
    def window(self) -> int | None:
        """How many tokens of prompt and answer the model reads; None where its folder does not say."""
        return window_of(self.weights.folder)

    def tokenizer(self) -> Any:
        """Return transformers' tokenizer of the model."""
        return load_tokenizer(self.weights.folder, self._options.trust_remote_code)

    def prompt_lengths(self, prompts: Sequence[Prompted], extra: Mapping[str, Any]) -> list[int]:
        """Return the lengths of prompts in tokens; loads the tokenizer, and no weights."""
        return prompt_lengths(self.tokenizer(), prompts, extra)
