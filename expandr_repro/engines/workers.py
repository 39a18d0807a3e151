"""Workers of a Ray cluster: orders are handed out to them, and again to others where a worker dies.

Nothing but Ray's actors is used, so that the library needs none of Ray's extras. The calling process keeps all that is to be kept; a worker has
nothing to lose but the orders that it is working on.
"""

from __future__ import annotations

import asyncio
import logging
import os
import queue
import re
import socket
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from expandr_repro.console.progress import counted
from expandr_repro.engines.cluster import Place
from expandr_repro.errors import ExpandrError, SetupError, is_memory_fault, missing_library, unforeseen

log = logging.getLogger(__name__)

T = TypeVar("T")
R = TypeVar("R")

Work = Callable[[Iterator[tuple[int, T]], Callable[[int, R], None]], None]
"""Does orders as they come, each with its number, and delivers each one's result by that number, in any order."""

PATIENCE = 120.0
"""Seconds in which a first worker must start, or one again where all have died."""

GRACE = 0.05
"""Seconds that a worker waits for one more order before it finishes those that it has."""

DEATHS = 5
"""After so many deaths of workers that had an order, the order is taken for their cause."""

CARRIED = ("EXPANDR_", "HF_", "HUGGINGFACE_", "TRANSFORMERS_", "IR_DATASETS_", "OMP_", "MKL_", "TOKENIZERS_", "OPENAI_")
"""How the environment variables begin that hold on the workers as they do here."""


class _Worker:
    """The actor: it gives orders to one thread, which does them as a stream, and returns each result as it is there."""

    def __init__(self, make: Callable[[], Work[Any, Any]], environment: dict[str, str]) -> None:
        os.environ.update(environment)
        self._make, self._orders = make, queue.SimpleQueue[tuple[int, Any]]()
        self._waiting: dict[int, asyncio.Future[tuple[str, Any]]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    async def ready(self) -> str:
        """Tell the process, once it is there."""
        return f"{socket.gethostname()}, process {os.getpid()}"

    async def do(self, number: int, order: Any) -> tuple[str, Any]:
        """Return what went wrong, or nothing, and the result."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            threading.Thread(target=self._run, daemon=True).start()
        self._waiting[number] = future = self._loop.create_future()
        self._orders.put((number, order))
        answer: tuple[str, Any] = await future
        return answer

    def _run(self) -> None:
        try:
            work = self._make()
            while True:
                work(self._stream(self._orders.get()), lambda number, result: self._answer(number, ("", result)))
        except BaseException as error:  # noqa: BLE001 - whatever it is, the command that waits for it has to know
            problem = str(error) if isinstance(error, ExpandrError) else missing_library(error) or unforeseen(error)
            if is_memory_fault(error):
                problem = "out of memory; lower --batch-size or --batch-tokens, or give each worker more (--workers, --gpus-per-worker)"
            while True:
                for number in list(self._waiting):
                    self._answer(number, (problem, None))
                time.sleep(GRACE)

    def _stream(self, order: tuple[int, Any]) -> Iterator[tuple[int, Any]]:
        yield order
        while True:
            try:
                yield self._orders.get(timeout=GRACE)
            except queue.Empty:
                return

    def _answer(self, number: int, answer: tuple[str, Any]) -> None:
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._waiting.pop(number).set_result, answer)


def _reason(error: Exception) -> str:
    """Return the line of what Ray says of a dead worker that names the error."""
    lines = [line.strip() for line in re.sub(r"\x1b\[[0-9;]*m", "", str(error)).splitlines() if line.strip()]
    return next((line for line in reversed(lines) if "Error" in line), lines[0] if lines else type(error).__name__)[:300]  # fmt: skip


@dataclass
class _Hired:
    """A worker as the calling process sees it."""

    number: int
    place: Place
    actor: Any
    starting: Any
    died: bool = False
    has: int = 0


@dataclass
class Workers(Generic[T, R]):
    """Workers that do orders; a context, at whose end they are gone.

    Attributes:
        places: one for each worker.
        make: makes what does the orders, in the worker; can be pickled.
        ahead: orders that a worker has at a time.
        environment: names of further variables that hold on the workers.
    """

    places: list[Place]
    make: Callable[[], Work[T, R]]
    ahead: int = 2
    environment: Iterable[str] = ()
    _hired: list[_Hired] = field(default_factory=list)
    _next: int = 0
    _unborn: int = 0

    def __enter__(self) -> Workers[T, R]:
        """Have the workers started."""
        self._hired = [self._hire(number, where) for number, where in enumerate(self.places)]
        return self

    def __exit__(self, *_: object) -> None:
        """End them."""
        import ray

        for worker in self._hired:
            with suppress(ray.exceptions.RayError):
                ray.kill(worker.actor)

    def _hire(self, number: int, where: Place, again: bool = False) -> _Hired:
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        variables = {k: v for k, v in os.environ.items() if k.startswith(CARRIED) or k in self.environment}
        if not where.gpus:
            variables.setdefault("OMP_NUM_THREADS", str(max(1, int(where.cpus))))
        # soft: Ray may start it on another machine, which is right only where the last one died, perhaps with its machine
        # processors are not reserved: as many workers as are asked for start, on whatever else runs there
        actor = ray.remote(_Worker).options(
            num_cpus=0, num_gpus=where.gpus, max_restarts=0, max_concurrency=self.ahead + 8,
            scheduling_strategy=NodeAffinitySchedulingStrategy(where.node, soft=again),
        ).remote(self.make, variables)  # fmt: skip
        return _Hired(number, where, actor, actor.ready.remote())

    def run(self, orders: Iterable[T], home: Callable[[T], int] | None = None) -> Iterator[tuple[int, R]]:
        """Have orders done, and yield the position of each in the row with its result, as they come.

        Args:
            orders: taken as there is a worker for them.
            home: the worker that is to do an order; others do where it has died. None for whichever is free.

        Raises:
            ExpandrError: an order cannot be done, or there is no worker any more.
        """
        import ray

        waiting: deque[tuple[int, T]] = deque()
        source, first = enumerate(orders), self._next
        given: dict[Any, tuple[_Hired, int, T]] = {}
        deaths: Counter[int] = Counter()
        more, alive = True, time.monotonic()
        while True:
            handed = True
            while handed:
                handed = False
                for worker in self._free():
                    at = next((i for i, (_, o) in enumerate(waiting) if self._may(worker, o, home)), None)
                    while at is None and more and len(waiting) < self.ahead * len(self._hired):
                        if (taken := next(source, None)) is None:
                            more = False
                            break
                        waiting.append(taken)
                        at = len(waiting) - 1 if self._may(worker, taken[1], home) else None
                    if at is not None:
                        position, order = waiting[at]
                        del waiting[at]
                        given[worker.actor.do.remote(first + position, order)] = worker, position, order
                        worker.has += 1
                        self._next = max(self._next, first + position + 1)
                        handed = True
            if not given and not waiting and not more:
                return
            starting = {w.starting: w for w in self._hired if w.starting is not None}
            done, _ = ray.wait([*given, *starting], num_returns=1, timeout=1.0)
            if done or any(w.starting is None for w in self._hired):
                alive = time.monotonic()
            elif time.monotonic() - alive > PATIENCE:
                free = ", ".join(f"{v:g} {k}" for k, v in sorted(ray.available_resources().items()) if k in ("CPU", "GPU")) or "nothing"  # fmt: skip
                raise SetupError(f"no worker started within {PATIENCE:.0f} seconds: of the Ray cluster {free} is free; wait for other jobs, lower --workers or --gpus-per-worker, or add machines")  # fmt: skip
            for ref in done:
                worker = starting.get(ref) or given[ref][0]
                try:
                    value = ray.get(ref)
                except ray.exceptions.RayTaskError as error:
                    raise ExpandrError(f"a worker on {worker.place.host} failed: {' '.join(str(error.cause).split())[:500]}") from error  # fmt: skip
                except ray.exceptions.RayError as error:
                    self._replace(worker, given, waiting, deaths, _reason(error))
                    break
                if ref in starting:
                    worker.starting = None
                    log.debug("worker %d: %s", worker.number, value)
                    continue
                _, position, _ = given.pop(ref)
                worker.has -= 1
                problem, result = value
                if problem:
                    raise ExpandrError(f"a worker on {worker.place.host}: {problem}")
                yield position, result

    def _free(self) -> list[_Hired]:
        """Return who can have one more order, those with the fewest first."""
        return sorted((w for w in self._hired if w.starting is None and w.has < self.ahead), key=lambda w: w.has)

    def _may(self, worker: _Hired, order: T, home: Callable[[T], int] | None) -> bool:
        return home is None or (own := home(order)) == worker.number or self._hired[own].died

    def _replace(
        self, dead: _Hired, given: dict[Any, Any], waiting: deque[tuple[int, T]], deaths: Counter[int], reason: str
    ) -> None:
        """Put back what a dead worker had, and start another in its position."""
        if dead.starting is not None:
            self._unborn += 1
            if self._unborn == DEATHS:
                raise SetupError(f"workers on {dead.place.host} do not start ({reason}); is the same version of this toolkit installed there?")  # fmt: skip
        lost = [(ref, position, order) for ref, (worker, position, order) in given.items() if worker is dead]
        for ref, position, order in reversed(lost):
            del given[ref]
            waiting.appendleft((position, order))
            deaths[position] += 1
            if deaths[position] == DEATHS:
                raise ExpandrError(f"{DEATHS} workers died with the same work, the last on {dead.place.host}; is there too little memory? Lower --batch-size or --batch-tokens, or --workers")  # fmt: skip
        log.warning("a worker on %s died; what it had is done again (%s), and another is started", dead.place.host, counted(len(lost), "piece") + " of work")  # fmt: skip
        self._hired[dead.number] = self._hire(dead.number, dead.place, again=True)
        self._hired[dead.number].died = True
