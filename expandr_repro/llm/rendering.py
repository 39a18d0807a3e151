"""How prompts were rendered for a model, as generation records it: a training must read the very tokens that generation read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from expandr_repro.data.topics import Expansion, Topic
from expandr_repro.errors import FormatError, MismatchError, shown

KWARGS = "chat_template_kwargs"
"""Values for the chat template (`enable_thinking` and the like)."""

API = "api"
"""Of an endpoint: `completions` reads the prompt as plain text, without the chat template."""

OTHERS = ("chat_template", "add_generation_prompt", "continue_final_message", "documents", "tools", "messages", "add_special_tokens")  # fmt: skip
"""What else an endpoint may be told through `--extra`, and training cannot do."""


PROMPTS = "prompts"
"""Of a topic's provenance: the prompts that its expansions answer, as they were sent; an expansion says which by its number."""


def recorded_prompt(topic: Topic, expansion: Expansion, source: str) -> str | None:
    """Return the prompt that an expansion answers as it was sent, or None where its topic does not say.

    Args:
        topic: whose expansion it is.
        expansion: the text.
        source: the file, for the error.

    Raises:
        FormatError: there is no such prompt.
        MismatchError: it has a system message, or begins the answer, which a prompt to be trained on cannot.
    """
    if expansion.prompt is None:
        return None
    listed = (topic.provenance or {}).get(PROMPTS)
    record = listed[expansion.prompt] if isinstance(listed, list) and expansion.prompt < len(listed) else None
    if isinstance(record, Mapping) and isinstance(record.get("text"), str):
        return str(record["text"])
    if isinstance(record, Mapping) and "messages" in record:
        raise MismatchError(f"{source}: the expansions of topic {topic.qid!r} answer a prompt of several messages, and training takes one message of the user; generate them without --prompt-bank")  # fmt: skip
    raise FormatError(source, None, f"topic {topic.qid!r}: an expansion answers prompt {expansion.prompt}, and its provenance holds no such prompt")  # fmt: skip


def rendering_of(sampling: Mapping[str, Any], provenance: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what decided how an expansion's prompt was rendered; nothing for the chat template as it is.

    Args:
        sampling: the expansion's.
        provenance: its topic's.
    """
    extra = sampling.get("extra")
    facts = {k: v for k, v in extra.items() if k in (KWARGS, *OTHERS)} if isinstance(extra, Mapping) else {}
    return recorded_rendering({**facts, API: (provenance or {}).get(API)})


def recorded_rendering(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Return the same from a preference pair's provenance."""
    found = {k: provenance[k] for k in (KWARGS, *OTHERS) if provenance.get(k) not in (None, {})}
    return found | ({API: "completions"} if provenance.get(API) == "completions" else {})


def one_rendering(renderings: Iterable[tuple[str, Mapping[str, Any]]], source: str) -> dict[str, Any]:
    """Return the rendering that all share.

    Args:
        renderings: qid and rendering.
        source: for the error.

    Raises:
        MismatchError: they differ; names two topics.
    """
    seen: dict[str, tuple[str, dict[str, Any]]] = {}
    for qid, rendering in renderings:
        seen.setdefault(json.dumps(rendering, sort_keys=True), (qid, dict(rendering)))
        if len(seen) > 1:
            (first, one), (second, other) = seen.values()
            key = next(k for k in (KWARGS, *OTHERS, API) if one.get(k) != other.get(k))
            raise MismatchError(
                f"{source}: the passages were generated from prompts rendered in two ways ({key}: {shown(one.get(key))} for topic {first!r}, "
                f"{shown(other.get(key))} for topic {second!r}), and a model cannot learn both as one; keep them in files of their own"
            )
    return next((rendering for _, rendering in seen.values()), {})
