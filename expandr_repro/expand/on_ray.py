"""Generate by the workers of a Ray cluster: they answer requests, and whoever asks keeps the texts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from expandr_repro.engines.cluster import Work, Workers, connected, device_of_worker, placed, placement
from expandr_repro.errors import ExpandrError
from expandr_repro.expand.options import ExpandRequest
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
        identity: of the generator that each of them has.
        workers: on a cluster that is connected.
    """

    identity: Identity
    workers: Workers[Request, Reply]

    def generate(self, requests: Iterator[Request], deliver: Callable[[Reply], None]) -> None:
        """Have each request answered; see `Generator`. What a worker had that died is asked of another."""
        asked: dict[int, Request] = {}

        def orders() -> Iterator[Request]:
            for number, request in enumerate(requests):
                asked[number] = request
                yield replace(request, ident=None)

        for number, reply in self.workers.run(orders()):
            deliver(replace(reply, request=asked.pop(number)))


def at_a_time(request: ExpandRequest) -> int:
    """Return how many requests a worker is given: twice what it asks for, or generates, at once."""
    options = request.generator
    local = "concurrency" not in BACKENDS.find(request.backend).options
    return 2 * ((options.batch_size or 32) if local else options.concurrency)


def spread(request: ExpandRequest, generator: Generator) -> SpreadGenerator:
    """Return a generator like this one whose requests workers answer, on a cluster that is connected.

    Raises:
        ExpandrError: an option that starts processes or chooses a GPU, which is for Ray to do.
    """
    options = request.generator
    if options.data_parallel > 1:
        raise ExpandrError("--data-parallel: each worker of Ray is a copy of the model; give --workers in its place")
    places = placed(request.engine)
    if "device" in BACKENDS.find(request.backend).options:
        options = replace(options, device=device_of_worker(options.device, places[0]))
    workers: Workers[Request, Reply] = Workers(
        places,
        partial(generating, request.backend, options),
        at_a_time(request),
        (options.api_key_env,),
    )
    return SpreadGenerator(generator.identity, workers.__enter__())


def dry_run(request: ExpandRequest) -> None:
    """Print which worker would get what."""
    with connected(request.engine):
        places = placed(request.engine)
    each = f"{at_a_time(request)} requests at a time, each as it is free"
    why = "the tokens a second of the model on these machines are not known; docs/expand.md has some"
    print(placement(places, lambda _: each, "the model's", None, why))
