"""Workers on a Ray cluster: orders are handed out to them, and again to others where a worker dies.

Nothing but Ray's actors is used, so that the library needs none of Ray's extras. The calling process keeps all that is to be kept; a worker has
nothing to lose but the orders that it is working on.
"""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import queue
import re
import signal
import socket
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from expandr_repro.console.progress import counted
from expandr_repro.console.tables import Table
from expandr_repro.engines.options import EngineOptions
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


FAULTS = (signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGTRAP, signal.SIGABRT)
"""Signals of a process's own faults."""

SETTINGS = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0", "RAY_worker_niceness": "0"}
"""Of Ray, where nothing else is set: it reports nothing to its makers, prints no advice, and workers started here have the command's priority, not the lowest."""


@dataclass(frozen=True)
class Place:
    """Where a worker runs.

    Attributes:
        node: Ray's id of the machine.
        host: its name.
        cpus: processors of the machine that are the worker's.
        gpus: the worker's.
        memory: bytes that Ray lends out on the machine, divided by its workers.
    """

    node: str
    host: str
    cpus: float
    gpus: float
    memory: int


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


@contextmanager
def connected(options: EngineOptions) -> Iterator[None]:
    """Connect to the cluster, or start one on this machine for as long as this lasts.

    Raises:
        SetupError: there is none at that address.
    """
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    if any(map(os.environ.get, ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"))) or Path("~/.ray/auth_token").expanduser().is_file():  # fmt: skip
        os.environ.setdefault("RAY_AUTH_MODE", "token")  # which `ray start` uses by default, and ray.init(address) not
    with _signals_kept():
        import ray

    if ray.is_initialized():
        yield
        return
    address = options.address or os.environ.get("RAY_ADDRESS") or "local"
    how = "start one with `ray start --head`, and name it with --address HOST:PORT; without --address Ray is started on this machine"
    if address not in ("local", "auto"):
        host, _, port = address.removeprefix("ray://").rpartition(":")
        if not host or not port.isdigit() or int(port) > 65535:
            raise SetupError(f"--address {address}: wanted HOST:PORT, such as 10.0.0.1:6379, or auto")
        try:
            socket.create_connection((host, int(port)), timeout=5).close()
        except OSError as error:
            raise SetupError(f"no Ray cluster answers at {address} ({error.strerror or error}); {how}") from error
    try:
        with _silent(), _signals_kept():
            ray.init(address, log_to_driver=False, logging_level=logging.ERROR, **({"include_dashboard": False} if address == "local" else {}))  # fmt: skip
    except (ray.exceptions.RayError, ValueError, RuntimeError, OSError) as error:
        reason = " ".join(str(error).split())[:300]
        raise SetupError(
            f"the Ray cluster at {address} cannot be used ({reason}); {how}. Where it asks for a token, copy its ~/.ray/auth_token to here"
        ) from error
    try:
        yield
    finally:
        with _signals_kept():
            ray.shutdown()


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Put back the handlers of signals for faults: Ray sets its own, and Java, which stops its threads by such a fault, then ends the process."""
    libc = ctypes.CDLL(None)
    kept = {number: ctypes.create_string_buffer(256) for number in FAULTS}  # struct sigaction is smaller
    for number, action in kept.items():
        libc.sigaction(number, None, action)
    try:
        yield
    finally:
        for number, action in kept.items():
            libc.sigaction(number, action, None)


@contextmanager
def _silent() -> Iterator[None]:
    """Hide what Ray's own code prints to standard error while it connects; what it raises says why it could not."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def placed(options: EngineOptions, most: int | None = None) -> list[Place]:
    """Return where the workers are to run, spread over the machines.

    Args:
        options: how many are wanted, and what each needs.
        most: more workers have nothing to do.

    Raises:
        SetupError: the cluster is too small.
    """
    import ray

    nodes = [n for n in ray.nodes() if n["Alive"] and n["Resources"].get("CPU")]
    gpus = {n["NodeID"]: n["Resources"].get("GPU", 0.0) for n in nodes}
    each = options.gpus_per_worker
    if each is None:
        each = 1.0 if any(gpus.values()) else 0.0
    room = {node: int(count / each) if each else 1 for node, count in gpus.items()}
    count = options.workers or sum(room.values()) or 1
    if (each and count > sum(room.values())) or not nodes:
        raise SetupError(
            f"{count} workers with {each:g} GPUs each do not fit into the Ray cluster: it has {sum(gpus.values()):g} GPUs on {len(nodes)} machines; "
            "lower --workers or --gpus-per-worker, or add machines (`ray start --address HOST:PORT` on each)"
        )
    count = min(count, most or count)
    taken: Counter[str] = Counter()
    order = []
    for _ in range(count):  # the machine that has the most for each of its workers; of two such the one with fewer
        free = [n for n in nodes if not each or taken[n["NodeID"]] < room[n["NodeID"]]]
        node = max(
            free,
            key=lambda n: (
                n["Resources"].get("GPU" if each else "CPU", 0.0) / (taken[n["NodeID"]] + 1),
                -taken[n["NodeID"]],
            ),
        )
        taken[node["NodeID"]] += 1
        order.append(node)
    return [
        Place(n["NodeID"], n["NodeManagerHostname"], n["Resources"]["CPU"] / taken[n["NodeID"]], each, int(n["Resources"].get("memory", 0) / taken[n["NodeID"]]))
        for n in order
    ]  # fmt: skip


def device_of_worker(device: str, worker: Place) -> str:
    """Return --device as it holds on a worker, which sees its own GPUs alone.

    Raises:
        ExpandrError: it has a number, or there is no GPU.
    """
    if ":" in device:
        raise ExpandrError(f"--device {device}: each worker of Ray has GPUs of its own (--gpus-per-worker); give --device cuda, or leave it out")  # fmt: skip
    if device == "cuda" and not worker.gpus:
        raise ExpandrError("--device cuda: the workers have no GPU; give --gpus-per-worker 1, or leave --device out")
    return "cuda" if worker.gpus and device != "cpu" else "cpu"


def refuse_too_little_memory(places: Iterable[Place], needed: int, what: str) -> None:
    """Refuse workers that need more memory than they have.

    Raises:
        SetupError: says how much is there.
    """
    for worker in places:
        if worker.memory and needed > worker.memory:
            raise SetupError(f"a worker needs {needed / 1e9:.1f} GB for {what}, and on {worker.host} there are {worker.memory / 1e9:.1f} GB for each; lower --workers, or add machines")  # fmt: skip


def placement(places: list[Place], work: Callable[[int], str], memory: str, seconds: float | None, known: str) -> str:
    """Return who would get what, as `--dry-run` prints it.

    Args:
        places: of the workers.
        work: from a worker's number to what it would do.
        memory: that a worker needs.
        seconds: that the work would take; None where nothing is known of it.
        known: where these are from, or why nothing is known.
    """
    rows = [(n, p.host, f"{p.cpus:g}", f"{p.gpus:g}", memory, work(n)) for n, p in enumerate(places)]
    table = Table(["worker", "machine", "processors", "GPUs", "memory", "work"], rows).render("text")
    took = "not known" if seconds is None else f"about {seconds / 3600:.2f} hours" if seconds > 3600 else f"about {seconds:.0f} seconds"  # fmt: skip
    return f"{table}\n\nexpected time: {took} ({known})"


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
