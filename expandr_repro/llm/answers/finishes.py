"""Translate a backend's finish reason: stop, length, content_filter, refusal."""

from __future__ import annotations

STOPPED = (
    "", "stop", "eos", "eos_token", "end_turn", "end_of_turn", "end", "stop_sequence", "stop_token", "stop_str", "stop_string", "complete", "completed", "finished",
    "finish_reason_stop", "done", "normal",
)  # fmt: skip
CUT = (
    "length", "max_tokens", "max_new_tokens", "max_length", "max_output_tokens", "model_length", "token_limit", "context_length", "context_length_exceeded",
    "model_context_window_exceeded", "limit",
)  # fmt: skip
REFUSED = (
    "content_filter", "content_filtered", "contentfilter", "safety", "prohibited_content", "blocklist", "recitation", "sensitive", "spii",
    "guardrail_intervened", "moderation", "image_safety", "language",
)  # fmt: skip


def finish_of(word: object) -> str | None:
    """Return "stop", "length", "content_filter" or "refusal" for a backend's word, or None for one that is no end of a text ("error", "abort", ...).

    >>> finish_of("MAX_TOKENS"), finish_of(None), finish_of("error")
    ('length', 'stop', None)
    """
    known = str(word or "").strip().lower().rpartition(".")[2].replace("-", "_")
    for words, finish in ((STOPPED, "stop"), (CUT, "length"), (REFUSED, "content_filter"), (("refusal",), "refusal")):
        if known in words:
            return finish
    return None
