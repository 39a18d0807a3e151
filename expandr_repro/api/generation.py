"""Generation: an LLM writes expansions for topics; each text is kept in the store, and asked for once."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from expandr_repro.api.calls import api
from expandr_repro.api.topics import Topics, as_topics
from expandr_repro.errors import ExpandrError, UnknownNameError
from expandr_repro.expand.run import ExpandRequest, explained, prepared
from expandr_repro.io.paths import cache_dir
from expandr_repro.llm.base import GeneratorOptions

log = logging.getLogger(__name__)


@api
def generate(
    topics: Topics | Any,
    *,
    model: str,
    prompt: str | Path = "q2d",
    backend: str = "openai",
    base_url: str | Sequence[str] | None = None,
    preset: str = "expandr-eval",
    temperature: float | Sequence[float] | None = None,
    samples: int | None = None,
    top_p: float | None = None,
    max_tokens: int | None = None,
    seed: int | None = None,
    extra: Mapping[str, Any] | None = None,
    passages: str | Path | None = None,
    examples_from: str | None = None,
    language: str | None = None,
    store: str | Path | None = None,
    keep_refusals: bool = False,
    retry_refused: bool = False,
    revision: str | None = None,
    adapter: str | Path | None = None,
    api_key_env: str = "OPENAI_API_KEY",
    api: str = "chat",
    concurrency: int = 32,
    timeout: float = 120.0,
    retries: int = 8,
    device: str = "auto",
    precision: str = "auto",
    batch_size: int | None = None,
    tensor_parallel: int = 1,
    trust_remote_code: bool = False,
) -> Topics:
    """Generate expansions of topics with an LLM; works in a notebook as well.

    Args:
        topics: of `load_topics` or `Topics`, or what `Topics` takes.
        model: the endpoint's model, a hub name or a model folder.
        prompt: q2d, q2a, hyde, ... or a .yaml or .txt file.
        backend: `openai` (any OpenAI-compatible endpoint), `transformers` or `vllm`.
        base_url: of the endpoint, e.g. `http://localhost:8000/v1`; several are served in turn.
        preset: `expandr-eval` (1 sample at temperature 1.0) or `expandr-candidates` (8 at each of four temperatures).
        temperature: one or several.
        samples: texts at each temperature.
        top_p: of the sampling.
        max_tokens: new tokens at most.
        seed: from which each text's seed is derived.
        extra: more settings for the backend.
        passages: gold passages, for a prompt that needs them.
        examples_from: training topics for few-shot examples.
        language: for a prompt with {language}.
        store: the file that keeps the texts; `expansions.sqlite` in the cache where not given.
        keep_refusals: keep refusals as expansions.
        retry_refused: ask again for what was refused or came out empty.
        revision: the hub revision; for an endpoint a label.
        adapter: a LoRA adapter.
        api_key_env: environment variable that holds the key.
        api: `chat` or `completions`.
        concurrency: requests at a time.
        timeout: seconds for one answer.
        retries: further tries of a request.
        device: cpu, cuda, cuda:N or auto.
        precision: bf16, fp16, fp32 or auto.
        batch_size: texts at a time, on this machine.
        tensor_parallel: vllm: GPUs that share one copy.
        trust_remote_code: let the model's own code run.

    Returns:
        The topics with what was generated in place of any expansions they had; what is missing is warned of.

    Raises:
        UnknownNameError: no such prompt, backend or keyword; offers the nearest.
        NotAvailableError: the endpoint or the model cannot be used.
        ExpandrError: not one expansion came of it.

    Example:
        >>> fresh = ex.generate({"1": "why do cats purr"}, prompt="q2d", model="mock", base_url=URL)
        >>> len(fresh[0].texts)
        1
    """
    topics = as_topics(topics)
    urls = () if base_url is None else (base_url,) if isinstance(base_url, str) else tuple(base_url)
    heat = temperature if temperature is None or isinstance(temperature, Sequence) else (temperature,)
    if timeout <= 0 or retries < 0 or concurrency < 1:
        raise ExpandrError("timeout is above 0, retries is 0 or more, concurrency is 1 or more")
    if extra is not None and not isinstance(extra, Mapping):
        raise ExpandrError(f"extra {extra!r}: wanted a dict of settings")
    if api not in ("chat", "completions"):
        raise UnknownNameError("api", str(api), ("chat", "completions"))
    if samples is not None and samples < 1:
        raise ExpandrError(f"samples {samples}: wanted 1 or more")
    request = ExpandRequest(
        topics=topics._name, prompt=str(prompt), backend=backend,
        options=GeneratorOptions(
            model=str(model), revision=revision, adapter=None if adapter is None else str(adapter), base_url=urls, api_key_env=api_key_env, api=api,
            concurrency=concurrency, timeout=timeout, retries=retries, device=device, precision=precision, batch_size=batch_size,
            tensor_parallel=tensor_parallel, trust_remote_code=trust_remote_code,
        ),
        store=Path(store) if store else cache_dir() / "expansions.sqlite", preset=preset,
        plan={"temperatures": None if heat is None else tuple(float(t) for t in heat), "samples": samples, "top_p": top_p, "max_tokens": max_tokens,
              "seed": seed, "extra": None if extra is None else dict(extra)},
        passages=None if passages is None else str(passages), examples_from=examples_from, language=language,
        keep_refusals=keep_refusals, retry_refused=retry_refused,
    )  # fmt: skip
    with prepared(request, topics._set) as ready:
        made = ready.generate()
    if made is None:
        raise ExpandrError(
            "generate puts the topics together in the first of several processes alone; use the command expand here"
        )
    lines = list(explained(made.failures)) if made.failures else []
    if not made.texts:
        raise ExpandrError("; ".join(lines) or "not one expansion was generated")
    for line in lines:
        log.warning("%s", line)
    fresh = topics._with(made.topics, own=True)
    fresh._trained_on = ready.record
    return fresh
