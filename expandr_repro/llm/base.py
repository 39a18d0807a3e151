"""The interface of LLM backends, and the registry of backends by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from functools import partial
from typing import Any, Protocol, TypeVar

from expandr_repro.console.options import option, positive
from expandr_repro.errors import ExpandrError, UnknownNameError
from expandr_repro.llm.chats import Prompted
from expandr_repro.llm.sampling import Sampling
from expandr_repro.registry import Registry, summary_of

G = TypeVar("G", bound=Callable[..., Any])


@dataclass(frozen=True)
class Request:
    """One text to be generated.

    Attributes:
        ident: whatever the caller knows it by.
        prompt: the rendered prompt, without any chat template: what the user says, or messages.
        sampling: its settings.
        seed: its own seed.
    """

    ident: Any
    prompt: Prompted
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
        seconds: from the request to its answer; 0 where the backend does not tell.
    """

    request: Request
    text: str = ""
    finish: str = ""
    tokens_in: int = 0
    tokens_out: int = 0
    retries: int = 0
    failure: str | None = None
    seconds: float = 0.0


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
        template_date: the date that the model's chat template is given; None where it does not ask for one.
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


what, endpoint, local = (
    partial(option, group=title) for title in ("what", "backend openai", "backends transformers and vllm")
)


@dataclass(frozen=True)
class GeneratorOptions:
    """What the command line may say of a generator.

    Raises:
        ExpandrError: a negative number, or no time for an answer.
    """

    model: str = what(metavar="M", help="the endpoint's model, a hub name or a model folder")
    revision: str | None = what(None, metavar="R", help="revision on the hub; for an endpoint, a label of your own")
    base_url: tuple[str, ...] = endpoint((), metavar="URL", again=True, help="address of the endpoint, e.g. http://localhost:8000/v1; may be repeated to use several (default: $OPENAI_BASE_URL, else OpenAI's)")  # fmt: skip
    api_key_env: str = endpoint(
        "OPENAI_API_KEY", parse=str, metavar="NAME", help="environment variable that contains the key"
    )
    api: str = endpoint(
        "chat", choices=("chat", "completions"), help="chat, or completions for base models (plain text)"
    )
    concurrency: int = endpoint(32, metavar="N", parse=positive, help="requests at a time")
    timeout: float = endpoint(120.0, metavar="S", help="seconds per request")
    retries: int = endpoint(8, metavar="N", help="retries per request")
    backoff: float = endpoint(0.5, metavar="S", help="seconds before the first retry; doubled for each further one")
    adapter: str | None = local(None, metavar="A", help="a LoRA adapter: a folder or a hub name")
    device: str = local("auto", help="cpu, cuda, cuda:N or auto")
    precision: str = local("auto", help="bf16, fp16, fp32 or auto: bf16 on a GPU (default: {default})")
    batch_size: int | None = local(None, metavar="N", parse=positive, help="texts at a time (default: 32; vllm 256)")
    tensor_parallel: int = local(1, metavar="N", parse=positive, help="vllm: GPUs that share one copy")
    data_parallel: int = local(1, metavar="N", parse=positive, help="copies of the model, each in a process with its own GPUs")  # fmt: skip
    trust_remote_code: bool = local(False, help="run the model's own code; only for models you trust")

    def __post_init__(self) -> None:
        """Refuse numbers that make no sense."""
        if self.timeout <= 0 or self.retries < 0 or self.backoff < 0:
            raise ExpandrError("--timeout is above 0, --retries and --backoff are 0 or more")


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


@dataclass(frozen=True)
class Backend:
    """What makes generators.

    Attributes:
        make: from the options to a generator.
        options: the fields of `GeneratorOptions` that it uses besides model and revision.
    """

    make: Callable[[GeneratorOptions], Generator]
    options: frozenset[str] = frozenset()

    @property
    def summary(self) -> str:
        """What it is: the first sentence of its docstring."""
        return summary_of(self.make)


BACKENDS: Registry[Backend] = Registry(
    "backend", "expandr_repro.generators", "expandr_repro.llm.openai", "expandr_repro.llm.local"
)


def generator(name: str, *, options: Iterable[str] = ()) -> Callable[[G], G]:
    """Register a class, or a function, that makes a `Generator` of `GeneratorOptions`.

    Args:
        name: as typed after `--backend`.
        options: the fields of `GeneratorOptions` that it uses besides model and revision; the others are refused.

    Raises:
        ExpandrError: the name is taken, or there is no such option.
    """
    known = {f.name for f in fields(GeneratorOptions)}
    if unknown := set(options) - known:
        raise UnknownNameError(f"option of backend {name!r}", min(unknown), known)

    def register(make: G) -> G:
        BACKENDS.add(name, Backend(make, frozenset(options)), make.__module__)
        return make

    return register


def load_generator(backend: str, options: GeneratorOptions) -> Generator:
    """Return a generator.

    Raises:
        UnknownNameError: no such backend.
        ExpandrError: an option that this backend has no use for.
    """
    factory = BACKENDS.find(backend)
    plain = GeneratorOptions(model="")
    for name in (f.name for f in fields(options) if f.name not in ("model", "revision", *factory.options)):
        if getattr(options, name) != getattr(plain, name):  # a mistake that should not pass in silence
            flag = "--" + name.replace("_", "-")
            raise ExpandrError(f"{flag} has no meaning for --backend {backend}; leave it out or choose another backend")
    return factory.make(options)
