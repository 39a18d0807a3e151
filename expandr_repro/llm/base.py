"""What a generator is: requests in, each text handed over as it arrives; and the backends, by name."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from expandr_repro.errors import ExpandrError, UnknownNameError
from expandr_repro.llm.sampling import Sampling


@dataclass(frozen=True)
class Request:
    """One text to be generated.

    Attributes:
        ident: whatever the caller knows it by.
        prompt: the rendered prompt, without any chat template.
        sampling: its settings.
        seed: its own seed.
    """

    ident: Any
    prompt: str
    sampling: Sampling
    seed: int


@dataclass(frozen=True)
class Reply:
    """What came of a request: a text, or why there is none.

    Attributes:
        request: the request.
        text: as generated; empty where the request failed.
        finish: why it ended: "stop", "length" (cut at the limit), or the backend's own word.
        tokens_in: of the prompt; 0 where the backend does not say.
        tokens_out: of the text.
        retries: requests sent beyond the first.
        failure: why there is no text; None where there is one (which may be empty).
    """

    request: Request
    text: str = ""
    finish: str = ""
    tokens_in: int = 0
    tokens_out: int = 0
    retries: int = 0
    failure: str | None = None


@dataclass(frozen=True)
class Identity:
    """What decides a generator's texts; part of the store's key and of the provenance.

    Attributes:
        backend: its name.
        model: as asked for; of a folder its name.
        revision: the hub's commit, or `sha256:...` over a folder's files; None where an endpoint serves the model.
        adapter: name of the LoRA adapter, or None.
        adapter_sha256: hash over the adapter's files, or None.
        precision: of the arithmetic; None where an endpoint decides.
        api: of an endpoint: chat or completions.
        template_date: the date that the model's chat template is told; None where it does not ask.
        decoding: how token ids become text, where the model has marks of reasoning: "marks kept".
        sampler: which version of our own sampling; None where the backend has its own.
    """

    backend: str
    model: str
    revision: str | None = None
    adapter: str | None = None
    adapter_sha256: str | None = None
    precision: str | None = None
    api: str | None = None
    template_date: str | None = None
    decoding: str | None = None
    sampler: str | None = None

    def record(self) -> dict[str, Any]:
        """Return the facts that are known."""
        return {k: v for k, v in asdict(self).items() if v is not None}

    def key(self) -> dict[str, Any]:
        """Return what goes into the store's key: a fact that came later is left out where it is as it always was, so that old keys stay."""
        facts = asdict(self)
        del facts["adapter"]  # its hash says which it is
        later = {"api": "chat", "template_date": None, "decoding": None, "sampler": None}
        return {k: v for k, v in facts.items() if k not in later or v not in (None, later[k])}


@dataclass(frozen=True)
class GeneratorOptions:
    """What the command line may say of a generator; the names mean what they mean there."""

    model: str
    revision: str | None = None
    adapter: str | None = None
    base_url: tuple[str, ...] = ()
    api_key_env: str = "OPENAI_API_KEY"
    api: str = "chat"
    concurrency: int = 32
    timeout: float = 120.0
    retries: int = 8
    backoff: float = 0.5
    device: str = "auto"
    precision: str = "auto"
    batch_size: int | None = None
    tensor_parallel: int = 1
    trust_remote_code: bool = False


class Generator(Protocol):
    """An LLM. Making one is cheap: weights are loaded and endpoints asked when the first text is wanted."""

    @property
    def identity(self) -> Identity:
        """What decides its texts."""

    def generate(self, requests: Iterator[Request], deliver: Callable[[Reply], None]) -> None:
        """Generate each request's text and hand it over as soon as it is there, in any order.

        A request is taken from the iterator only when it can be worked on.

        Raises:
            ExpandrError: nothing can be generated at all (no such model, a refused key, a dead endpoint).
        """


BACKENDS = {
    "openai": ("expandr_repro.llm.openai.client", "OpenAIGenerator"),
    "transformers": ("expandr_repro.llm.local.transformers", "TransformersGenerator"),
    "vllm": ("expandr_repro.llm.local.vllm", "VllmGenerator"),
}

_ELSEWHERE = {
    "openai": ("adapter", "precision", "device", "tensor_parallel", "trust_remote_code"),
    "transformers": ("base_url", "tensor_parallel"),
    "vllm": ("base_url", "device"),
}
"""Options that a backend has no use for; to set one is a mistake that should not pass in silence."""


def load_generator(backend: str, options: GeneratorOptions) -> Generator:
    """Return a generator.

    Raises:
        UnknownNameError: no such backend.
        ExpandrError: an option that this backend has no use for.
    """
    if backend not in BACKENDS:
        raise UnknownNameError("backend", backend, BACKENDS)
    plain = GeneratorOptions(model="")
    for name in _ELSEWHERE[backend]:
        if getattr(options, name) != getattr(plain, name):
            flag = "--" + name.replace("_", "-")
            raise ExpandrError(f"{flag} has no meaning for --backend {backend}; leave it out or choose another backend")
    module, name = BACKENDS[backend]
    made: Generator = getattr(importlib.import_module(module), name)(options)
    return made
