"""How prompts were rendered for a model, as generation records it: a training must read the very tokens that generation read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from expandr_repro.errors import MismatchError, shown

KWARGS = "chat_template_kwargs"
"""Values for the chat template (`enable_thinking` and the like)."""

API = "api"
"""Of an endpoint: `completions` reads the prompt as plain text, without the chat template."""

OTHERS = ("chat_template", "add_generation_prompt", "continue_final_message", "documents", "tools", "messages", "add_special_tokens")  # fmt: skip
"""What else an endpoint may be told through `--extra`, and training cannot do."""


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
