"""Generate expansions with an LLM; each text is kept in the store, and asked for once."""

from __future__ import annotations

import logging
from typing import Any

from expandr_repro.api.calls import api, takes
from expandr_repro.api.topics import Topics, as_topics
from expandr_repro.console.parsing import with_options
from expandr_repro.errors import ExpandrError
from expandr_repro.expand.options import ExpandRequest
from expandr_repro.expand.run import explained, prepared

log = logging.getLogger(__name__)


@api
@takes(
    ExpandRequest, "model", "prompt", "method", "context", "context_encoder", "corpus", "prompt_bank", "window", "backend", "base_url", "preset", "temperature", "samples", "top_p", "max_tokens", "seed", "extra", "passages",
    "examples_from", "language", "store", "keep_refusals", "retry_refused", "revision", "adapter", "api_key_env", "api", "concurrency", "timeout",
    "retries", "backoff", "device", "precision", "batch_size", "tensor_parallel", "trust_remote_code"
)  # fmt: skip
def generate(topics: Topics | Any, **options: Any) -> Topics:
    """Generate expansions of topics with an LLM; works in a notebook as well.

    `context` may also be a function from topics, with their texts so far, to passages by qid: texts, or pairs of docid and text.

    Args:
        topics: of `load_topics` or `Topics`, or what `Topics` takes.
        **options: those of the command `expand`; `model` is required.

    Returns:
        The topics with what was generated in place of any expansions they had; what is missing is warned of.

    Raises:
        UnknownNameError: no such prompt, backend or keyword; offers the nearest.
        NotAvailableError: the endpoint or the model cannot be used.
        ExpandrError: no expansion was generated.

    Example:
        >>> fresh = ex.generate({"1": "why do cats purr"}, prompt="q2d", model="mock", base_url=URL)
        >>> len(fresh[0].texts)
        1
    """
    topics = as_topics(topics)
    function = options.pop("context") if callable(options.get("context")) else None
    if function and not options.get("method"):
        raise ExpandrError("context: applies only with method; leave it out")
    request = with_options(ExpandRequest, options, topics=topics._name)
    request.refuse_idle()
    if request.method and options.get("prompt") is not None:
        raise ExpandrError("prompt and method exclude each other; leave one of the two out")
    with prepared(request, topics._set, function) as ready:
        assembly = ready.generate()
    if assembly is None:
        raise ExpandrError("ex.generate runs in one process only; use the command `expand` for several processes")
    lines = list(explained(assembly.failures)) if assembly.failures else []
    if not assembly.texts:
        raise ExpandrError("; ".join(lines) or "no expansion was generated")
    for line in lines:
        log.warning("%s", line)
    fresh = topics._with(assembly.topics, own=True)
    fresh._trained_on = ready.record
    return fresh
