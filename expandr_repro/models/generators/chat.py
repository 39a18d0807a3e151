"""From a prompt to the token ids a local model reads: its chat template where it has one, one beginning of sequence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from expandr_repro.core.errors import FormatError


def prompt_ids(
    tokenizer: Any, prompts: Sequence[str], template_values: Mapping[str, Any] | None = None
) -> list[list[int]]:
    """Return the token ids of each prompt.

    A chat template writes the beginning-of-sequence token itself, so its text is tokenised without special tokens (the
    official code of ExpandR lets the tokenizer add a second one). Plain text gets the tokenizer's own, and no end.

    Args:
        tokenizer: of transformers.
        prompts: what the user says.
        template_values: further values for the chat template (`enable_thinking` and the like).

    Raises:
        FormatError: the chat template cannot be rendered.
    """
    if not getattr(tokenizer, "chat_template", None):
        rows = tokenizer(list(prompts), return_attention_mask=False)["input_ids"]
        return [_one_start(_without_end(list(row), tokenizer.eos_token_id), tokenizer.bos_token_id) for row in rows]
    from jinja2 import TemplateError

    try:
        texts = [
            tokenizer.apply_chat_template(
                [{"role": "user", "content": prompt}],
                tokenize=False,
                add_generation_prompt=True,
                **(template_values or {}),
            )
            for prompt in prompts
        ]
    except TemplateError as error:
        raise FormatError(
            str(tokenizer.name_or_path), None, f"its chat template cannot be rendered ({error})"
        ) from error
    rows = tokenizer(texts, add_special_tokens=False, return_attention_mask=False)["input_ids"]
    return [_one_start(list(row), tokenizer.bos_token_id) for row in rows]


def _one_start(ids: list[int], start: int | None) -> list[int]:
    while start is not None and ids[:2] == [start, start]:
        ids = ids[1:]
    return ids


def _without_end(ids: list[int], end: int | None) -> list[int]:
    """Take off the end-of-sequence token that some tokenizers add: nothing is to be said after it."""
    return ids[:-1] if len(ids) > 1 and end is not None and ids[-1] == end else ids
