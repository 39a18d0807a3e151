"""Generate by the workers of a Ray cluster: they answer requests, and whoever asks keeps the texts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from expandr_repro.engines.cluster import connected, device_of_worker, placed, placement
from expandr_repro.engines.options import EngineOptions
from expandr_repro.engines.workers import Work, Workers
from expandr_repro.errors import ExpandrError
from expandr_repro.llm.base import BACKENDS, Generator, GeneratorOptions, Identity, Reply, Request, load_generator


def generating(backend: str, options: GeneratorOptions) -> Work[Request, Reply]:
    """Return what answers requests on a worker."""
    generator = load_generator(backend, options)

    def work(orders: Iterator[tuple[int, Request]], deliver: Callable[[int, Reply], None]) -> None:
        numbered = (replace(request, ident=number) for number, request in orders)
        generator.generate(numbered, lambda reply: deliver(reply.request.ident, replace(reply, request=_NOBODYS)))

    return work


_NOBODYS: Any = None
"""In place of a request that need not travel back."""


@dataclass
class SpreadGenerator:
    """A generator whose requests are answered by workers.

    Attributes:
        here: the generator of this process, which says what each of them is, and generates nothing.
        workers: on a cluster that is connected.
    """

    here: Generator
    workers: Workers[Request, Reply]

    @property
    def identity(self) -> Identity:
        """What decides its texts."""
        return self.here.identity

    def __getattr__(self, name: str) -> Any:
        """Look up what else is asked of a generator: its weights, its window."""
        return getattr(self.here, name)

    def generate(self, requests: Iterator[Request], deliver: Callable[[Reply], None]) -> None:
        """Have each request answered; see `Generator`. What a worker had that died is asked of another."""
        asked: dict[int, Request] = {}

        def orders() -> Iterator[Request]:
            for number, request in enumerate(requests):
                asked[number] = request
                yield replace(request, ident=None)

        for number, reply in self.workers.run(orders()):
            deliver(replace(reply, request=asked.pop(number)))


def at_a_time(backend: str, options: GeneratorOptions) -> int:
    """Return how many requests a worker is given: twice what it asks for, or generates, at once."""
    takes = BACKENDS.find(backend).options
    usual = 256 if "tensor_parallel" in takes else 32
    return 2 * (options.concurrency if "concurrency" in takes else options.batch_size or usual)


def spread(
    generator: Generator, backend: str, options: GeneratorOptions, engine: EngineOptions, held: ExitStack
) -> SpreadGenerator:
    """Return a generator like this one whose requests workers answer, on a cluster that is connected.

    Args:
        generator: which this process has.
        backend: its name.
        options: it was made of.
        engine: what the workers are to be.
        held: ends them.

    Raises:
        ExpandrError: an option that starts processes or chooses a GPU, which is for Ray to do.
    """
    if options.data_parallel > 1:
        raise ExpandrError("--data-parallel: each worker of Ray is a copy of the model; give --workers in its place")
    places = placed(engine)
    if "device" in BACKENDS.find(backend).options:
        options = replace(options, device=device_of_worker(options.device, places[0]))
    workers: Workers[Request, Reply] = Workers(
        places, partial(generating, backend, options), at_a_time(backend, options), (options.api_key_env,)
    )
    return SpreadGenerator(generator, held.enter_context(workers))


def dry_run(backend: str, options: GeneratorOptions, engine: EngineOptions) -> None:
    """Print which worker would get what."""
    with connected(engine):
        places = placed(engine)
    each = f"{at_a_time(backend, options)} requests at a time, each as it is free"
    why = "the tokens a second of the model on these machines are not known; docs/expand.md has some"
    print(placement(places, lambda _: each, "the model's", None, why))
