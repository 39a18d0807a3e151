"""Fixtures for all tests: a cache of their own, the real collections where they are, commands run in this process."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Result:
    """What a command gave."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one line that a failed command prints; warnings and notes before it do not count."""
        lines = [line for line in self.err.splitlines() if line.startswith("error: ")]
        assert len(lines) == 1, self.err
        assert "Traceback" not in self.err
        return lines[0]


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keep the tests' indexes apart from the user's; $EXPANDR_TEST_CACHE keeps them from one run to the next."""
    kept = os.environ.get("EXPANDR_TEST_CACHE")
    folder = Path(kept) if kept else tmp_path_factory.mktemp("cache")
    before = os.environ.get("EXPANDR_CACHE")
    os.environ["EXPANDR_CACHE"] = str(folder)
    yield folder
    if before is None:
        del os.environ["EXPANDR_CACHE"]
    else:
        os.environ["EXPANDR_CACHE"] = before


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real collections; tests that need it are skipped, by name, where it is not set."""
    folder = os.environ.get("EXPANDR_DATA")
    if not folder:
        pytest.skip("EXPANDR_DATA is not set: the real collections are not here")
    return Path(folder).resolve()


@pytest.fixture(scope="session")
def root() -> Path:
    """The top of the repository."""
    return ROOT


@pytest.fixture(scope="session")
def pocket_index(cache: Path) -> Path:
    """An index of pocket with the default encoder, made once by the command; copy it before changing it."""
    from expandr_repro.encode import __main__ as encode

    folder = cache / f"pocket.minilm{os.environ.get('PYTEST_XDIST_WORKER', '')}"
    assert encode.main(["--corpus", "pocket", "--output", str(folder), "--overwrite", "--quiet"]) == 0
    return folder


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """Run a command in this process, as `python -m expandr_repro.NAME ARGUMENTS` would."""

    def call(name: str, *arguments: object) -> Result:
        capfd.readouterr()
        module = importlib.import_module(f"expandr_repro.{name}.__main__")
        try:
            code = module.main([str(a) for a in arguments])
        except SystemExit as stop:  # argparse
            code = int(stop.code or 0)
        out, err = capfd.readouterr()
        return Result(code, out, err)

    return call


@pytest.fixture
def process() -> Callable[..., Result]:
    """Run `python -m MODULE ARGUMENTS` as a process of its own."""

    def call(
        module: str, *arguments: object, env: dict[str, str | None] | None = None, cwd: Path = ROOT, timeout: int = 300
    ) -> Result:
        variables = dict(os.environ)
        for name, value in (env or {}).items():
            if value is None:
                variables.pop(name, None)
            else:
                variables[name] = value
        done = subprocess.run(
            [sys.executable, "-m", module, *map(str, arguments)],
            capture_output=True, text=True, env=variables, cwd=cwd, timeout=timeout, check=False,
        )  # fmt: skip
        return Result(done.returncode, done.stdout, done.stderr)

    return call


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Let torch compute on one thread: tiny models are slower on two, and ten times slower where another process wants one."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def driver():
    """One browser for all tests of pages."""
    from browser import lacking, open_browser

    if lack := lacking():
        pytest.skip(lack)
    made = open_browser()
    yield made
    made.quit()
