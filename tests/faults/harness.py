"""Commands that are killed, or run out of room, at a given step of what they write."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
NAP, COUNT, KILL, TEAR, MOVE = range(-1, 4)
"""What happens at the step, or the number of an error that it and the later ones meet with; see shim.c."""

LIMIT = 300
"""Seconds after which a command hangs."""

Snapshot = dict[str, str]


@dataclass(frozen=True)
class Ended:
    """How a command ended: the signal that killed it or 0, its exit code, its steps, what it said."""

    signal: int
    code: int
    steps: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one line that a failed command prints."""
        lines = [line for line in self.err.splitlines() if line.startswith("error: ")]
        assert len(lines) == 1, self.err
        assert "Traceback" not in self.err
        return lines[0]


class ForkServer:
    """Starts commands quickly; see `fork_server.py`."""

    def __init__(self, folder: Path) -> None:
        shim = folder / "shim.so"
        subprocess.run(["gcc", "-O1", "-shared", "-fPIC", "-o", shim, ROOT / "tests/faults/shim.c", "-ldl"], check=True)
        self.folder = folder
        env = {
            **os.environ,
            "LD_PRELOAD": str(shim),
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
            "HF_HUB_OFFLINE": "1",
            "MPLBACKEND": "Agg",
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.fork_server"], cwd=ROOT, env=env, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )  # fmt: skip
        assert (
            self._answer()["threads"] <= 2
        )  # one of Arrow's memory allocator, which is ready for forks; others would be lost

    def _answer(self) -> dict[str, Any]:
        line = self._process.stdout.readline()
        assert line, "the fork server has died"
        return json.loads(line)

    def run(
        self, command: str, arguments: Sequence[object], root: Path, at: int = 0, mode: int = COUNT, env: Mapping[str, str] | None = None,
        settings: Mapping[str, Any] | None = None, watch: str = "", megabytes: int = 0,
    ) -> Ended:  # fmt: skip
        """Run a command in `root` to its end or its fault; steps are counted in all of `root`, or below `watch` in it.

        With `megabytes`, no more than so much can be allocated beyond what is there when the command begins.
        """
        out, err = self.folder / "out.txt", self.folder / "err.txt"
        request = {
            "command": command, "arguments": [str(a) for a in arguments], "cwd": str(root), "root": str(root / watch), "at": at, "mode": mode,
            "env": {"EXPANDR_CACHE": str(root / "cache"), **(env or {})}, "out": str(out), "err": str(err), "limit": LIMIT, "settings": dict(settings or {}), "megabytes": megabytes,
        }  # fmt: skip
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer = self._answer()
        assert answer["signal"] != signal.SIGALRM, f"{command} hangs"
        return Ended(**answer, out=out.read_text(), err=err.read_text())

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait(timeout=60)


def snapshot(root: Path, names: Sequence[str]) -> Snapshot:
    """Return the hash of every file of the names in `root`, which may be files or folders."""
    found: Snapshot = {}
    for name in names:
        path = root / name
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file():
                found[str(file.relative_to(root))] = hashlib.sha256(file.read_bytes()).hexdigest()
    return found


@dataclass(frozen=True)
class Stage:
    """A command whose end is to be the same however often it was killed before.

    Attributes:
        command: its name.
        arguments: what follows it; paths within the folder it runs in are relative.
        finals: what it leaves there, each a file or a folder that is whole, or as it was before.
        prepare: puts into an empty folder what is there before.
        optional: finals that may vanish while another is replaced, since they speak of it (a manifest of the old run).
        env: variables besides.
        settings: constants of the package that are set to other values, by their full names.
        failing: the exit code where it cannot do its work.
        look: what is compared of a final, where its bytes are not the same each time.
    """

    command: str
    arguments: Sequence[object]
    finals: Sequence[str]
    prepare: Callable[[Path], object] = lambda folder: None
    optional: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    failing: int = 2
    look: Callable[[Snapshot], Snapshot] = lambda found: found


@dataclass
class Trial:
    """A stage, what it gives undisturbed, and how many steps that takes."""

    server: ForkServer
    stage: Stage
    folder: Path

    def __post_init__(self) -> None:
        root = self.fresh()
        self.before = self.finals(root)
        ended = self.run(root)
        assert ended.code == 0, ended.err
        self.steps, self.after = ended.steps, self.finals(root)
        assert all(self.after.values()), self.after
        assert litter(root) == []
        again = self.fresh()
        assert self.run(again).code == 0
        assert self.finals(again) == self.after, "an undisturbed run is not repeatable"

    def fresh(self) -> Path:
        root = self.folder / "work"
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir()
        self.stage.prepare(root)
        return root

    def run(
        self,
        root: Path,
        at: int = 0,
        mode: int = COUNT,
        watch: str = "",
        server: ForkServer | None = None,
        megabytes: int = 0,
    ) -> Ended:
        stage = self.stage
        return (server or self.server).run(
            stage.command, stage.arguments, root, at, mode, stage.env, stage.settings, watch, megabytes
        )

    def finals(self, root: Path) -> dict[str, Snapshot]:
        return {name: self.stage.look(snapshot(root, [name])) for name in self.stage.finals}

    def points(self, count: int, watch: str = "") -> list[int]:
        """Return steps to be disturbed at: the first, the last few, where finals are renamed, and others at random, the same each time."""
        steps = self.run(self.fresh(), watch=watch).steps if watch else self.steps
        chosen = {1, *range(max(1, steps - min(5, count // 4)), steps + 1)}
        others = [n for n in range(1, steps + 1) if n not in chosen]
        return sorted(
            {*chosen, *random.Random(self.stage.command).sample(others, min(len(others), max(0, count - len(chosen))))}
        )

    def kill(self, at: int, mode: int) -> None:
        """Kill the stage at a step, look at what is there, run it again, and look again."""
        root = self.fresh()
        ended = self.run(root, at, mode)
        assert ended.signal == signal.SIGKILL or ended.steps < at, (at, ended)
        self.check_whole(root, at)
        ended = self.run(root)
        assert ended.code == 0, (at, ended.err)
        assert self.finals(root) == self.after, at
        assert litter(root) == [], at

    def starve(self, at: int, mode: int, watch: str = "") -> bool:
        """Let a fault last from a step on, look at what is there and what was said, fix it and run the stage again.

        Returns:
            Whether the fault ended the command.
        """
        root = self.fresh()
        ended = self.run(root, at, mode, watch)
        self.check_whole(root, at)
        if ended.code:
            assert ended.code == self.stage.failing, (at, ended)
            assert "Traceback" not in ended.err, (at, ended.err)
            if self.stage.failing == 2:
                assert ended.error
        else:  # only a cache was starved, which is no reason to fail
            assert self.finals(root) == self.after, (at, ended.err)
        again = self.run(root)
        assert again.code == 0, (at, again.err)
        assert self.finals(root) == self.after, at
        return bool(ended.code)

    def beside(self, other: ForkServer, at: int) -> int:
        """Run the stage twice at once, the one with a nap at a step; return how many of the two did the work or found it done."""
        root = self.fresh()
        with ThreadPoolExecutor(2) as pool:
            first = pool.submit(self.run, root, at, NAP)
            second = pool.submit(self.run, root, server=other)
        both = [first.result(), second.result()]
        for ended in both:
            if ended.code:
                assert ended.code == 2, (at, ended)
                assert "another process" in ended.error, (at, ended.err)
        assert self.finals(root) == self.after, (at, [e.err for e in both])
        assert litter(root) == [], at
        return sum(not e.code for e in both)

    def check_whole(self, root: Path, at: int) -> None:
        for name, found in self.finals(root).items():
            allowed = [self.before[name], self.after[name], *([{}] if name in self.stage.optional else [])]
            assert found in allowed, f"step {at}: {name} is neither what it was nor what it is to be: {sorted(found)}"


def litter(root: Path) -> list[str]:
    """Return what no command should leave behind."""
    return sorted(str(p.relative_to(root)) for p in root.rglob(".*") if p.name.endswith((".tmp", ".partial", ".training")))  # fmt: skip
