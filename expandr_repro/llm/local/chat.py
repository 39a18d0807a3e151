"""Turn prompts into token ids for a local model, with its chat template if it has one."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from expandr_repro.errors import FormatError
from expandr_repro.llm.answers.markers import opened_reasoning
from expandr_repro.llm.chats import Prompted, messages_of, opens_answer, plain_text

TEMPLATE_DATE = "2024-07-26"
"""What day it is for a chat template that asks (`strftime_now`): always the same, or a seed would give another text tomorrow. Llama 3.1's own default."""

_CLOCK = {
    "%-d": "26", "%-m": "7", "%-I": "12", "%-H": "0", "%-M": "0", "%-S": "0", "%-j": "208", "%#d": "26", "%#m": "7", "%Y": "2024", "%y": "24", "%C": "20", "%m": "07",
    "%B": "July", "%b": "Jul", "%h": "Jul", "%d": "26", "%e": "26", "%j": "208", "%A": "Friday", "%a": "Fri", "%w": "5", "%u": "5", "%H": "00", "%I": "12", "%M": "00",
    "%S": "00", "%f": "000000", "%p": "AM", "%F": "2024-07-26", "%D": "07/26/24", "%x": "07/26/24", "%T": "00:00:00", "%X": "00:00:00", "%R": "00:00",
    "%c": "Fri Jul 26 00:00:00 2024", "%U": "29", "%W": "30", "%V": "30", "%G": "2024", "%Z": "", "%z": "", "%%": "%",
}  # fmt: skip

_END = {False: {"add_generation_prompt": True}, True: {"continue_final_message": True}}
"""How a template ends a chat for the model to go on: with the head of an answer, or within an answer that is begun."""


def prompt_ids(
    tokenizer: Any, prompts: Sequence[Prompted], template_values: Mapping[str, Any] | None = None
) -> list[list[int]]:
    """Return the token ids of each prompt.

    A chat template writes the beginning-of-sequence token itself, so its text is tokenised without special tokens (the
    official code of ExpandR lets the tokenizer add a second one). Plain text gets the tokenizer's own, and no end.

    Args:
        tokenizer: of transformers.
        prompts: what the user says, or messages.
        template_values: further values for the chat template (`enable_thinking` and the like).

    Raises:
        FormatError: the chat template cannot be rendered.
    """
    return _ids(tokenizer, _opened(tokenizer, prompts, template_values))


def reasoning_opened(tokenizer: Any, prompt: Prompted, template_values: Mapping[str, Any] | None = None) -> str:
    """Return the mark of reasoning with which the chat template begins the answer (`<think>`), or "".

    Raises:
        FormatError: the chat template cannot be rendered.
    """
    return opened_reasoning(_opened(tokenizer, [prompt], template_values)[0])


def completion_ids(
    tokenizer: Any,
    prompts: Sequence[str],
    completions: Sequence[str],
    ends: Collection[int],
    template_values: Mapping[str, Any] | None = None,
    unfinished: Sequence[bool] = (),
) -> list[list[int]]:
    """Return the token ids that a model would have to generate after each prompt to say each completion, and stop.

    With a chat template the completion is written, and ended, as the template writes it. Without one it is set apart from
    the prompt by a space where neither brings white space.

    Args:
        tokenizer: of transformers.
        prompts: as for `prompt_ids`, whose ids stay as they are.
        completions: one for each prompt.
        ends: the token ids that stop generation; where a completion ends with none of them, the tokenizer's own is added.
        template_values: as for `prompt_ids`.
        unfinished: of each completion, whether generation was cut off: such a one is not ended.

    Raises:
        FormatError: the chat template cannot be rendered.
    """
    opened = _opened(tokenizer, prompts, template_values)
    open_ended = list(unfinished) or [False] * len(completions)
    if getattr(tokenizer, "chat_template", None):
        chats = [[("user", p), ("assistant", c)] for p, c in zip(prompts, completions, strict=True)]
        whole = _rendered(tokenizer, chats, **(template_values or {}))
        answers = [
            w.removeprefix(o) if w.startswith(o) else c for w, o, c in zip(whole, opened, completions, strict=True)
        ]
    else:
        pairs = zip(prompts, completions, strict=True)
        answers = [c if p[-1:].isspace() or c[:1].isspace() else f" {c}" for p, c in pairs]
    answers = [_until(s, c) if cut else s for s, c, cut in zip(answers, completions, open_ended, strict=True)]
    before = _ids(tokenizer, opened)
    # tokenised as a whole, since some tokenizers begin a text by itself with a space; alone where the two would grow together
    together = _ids(tokenizer, [o + s for o, s in zip(opened, answers, strict=True)])
    alone = tokenizer(answers, add_special_tokens=False, return_attention_mask=False)["input_ids"]
    rows = [
        whole_row[len(start) :] if whole_row[: len(start)] == start else list(row)
        for start, whole_row, row in zip(before, together, alone, strict=True)
    ]
    end = [] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id]
    return [row if cut or set(row[-3:]) & set(ends) else row + end for row, cut in zip(rows, open_ended, strict=True)]


def _until(text_read: str, completion: str) -> str:
    """Leave out what a template writes after a completion, which it may have stripped of white space."""
    for text in (completion, completion.strip()):
        head, end, _ = text_read.rpartition(text)
        if end:
            return head + end
    return completion


def _opened(tokenizer: Any, prompts: Sequence[Prompted], values: Mapping[str, Any] | None = None) -> list[str]:
    """Return the text that a model goes on from."""
    if not getattr(tokenizer, "chat_template", None):
        return [plain_text(p) for p in prompts]
    return [
        text
        for begun, some in itertools.groupby(prompts, opens_answer)
        for text in _rendered(tokenizer, [messages_of(p) for p in some], **_END[begun], **(values or {}))
    ]


def _rendered(tokenizer: Any, chats: Sequence[Sequence[tuple[str, str]]], **values: Any) -> list[str]:
    from jinja2 import TemplateError

    template = tokenizer.get_chat_template() if "strftime_now" in str(tokenizer.chat_template) else None
    if template is not None:
        values["chat_template"] = _with_fixed_clock(template)
    try:
        return [
            tokenizer.apply_chat_template([{"role": r, "content": c} for r, c in chat], tokenize=False, **values)
            for chat in chats
        ]
    except (
        TemplateError,
        ArithmeticError,
        LookupError,
        TypeError,
        ValueError,
        AttributeError,
        RecursionError,
    ) as error:
        raise FormatError(
            str(tokenizer.name_or_path), None, f"its chat template cannot be rendered ({error})"
        ) from error


def _with_fixed_clock(template: str) -> str:
    """Return a chat template for which it is always the same day: a macro takes the place of transformers' function."""
    filters = "".join(f" | replace({pattern!r}, {replacement!r})" for pattern, replacement in _CLOCK.items())
    return f"{{% macro strftime_now(format) %}}{{{{ format{filters} }}}}{{% endmacro %}}\n{template}"


def _ids(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
    """Tokenise what a model reads: a template's own text as it is, plain text with the tokenizer's start."""
    templated = bool(getattr(tokenizer, "chat_template", None))
    rows = tokenizer(list(texts), add_special_tokens=not templated, return_attention_mask=False)["input_ids"]
    end = None if templated else tokenizer.eos_token_id
    return [_one_start(_without_end(list(row), end), tokenizer.bos_token_id) for row in rows]


def _one_start(ids: list[int], start: int | None) -> list[int]:
    while start is not None and ids[:2] == [start, start]:
        ids = ids[1:]
    return ids


def _without_end(ids: list[int], end: int | None) -> list[int]:
    """Remove the end-of-sequence token that some tokenizers add: the model must continue the text."""
    return ids[:-1] if len(ids) > 1 and end is not None and ids[-1] == end else ids
