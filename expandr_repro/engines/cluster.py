"""A Ray cluster: connect to it, and choose where on it workers are to run."""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import socket
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from expandr_repro.console.tables import Table
from expandr_repro.engines.options import EngineOptions
from expandr_repro.errors import ExpandrError, SetupError

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
