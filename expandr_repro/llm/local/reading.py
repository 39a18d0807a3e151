"""How much a local model reads, and how long a prompt is for it: known from its folder, without its weights."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from expandr_repro.io.files import read_text
from expandr_repro.llm.chats import Prompted
from expandr_repro.llm.local.chat import prompt_ids


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
