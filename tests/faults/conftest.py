"""The fork server and the stages, once for all tests that kill."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator

import pytest

from tests.faults.harness import ForkServer, Stage, Trial
from tests.faults.stages import Inputs, stages
from tests.integration.openai_server import openai_server


@pytest.fixture(scope="session")
def fork_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForkServer]:
    if shutil.which("gcc") is None:
        pytest.skip("no gcc: what is written cannot be watched")
    made = ForkServer(tmp_path_factory.mktemp("fork-server"))
    yield made
    made.close()


@pytest.fixture(scope="session")
def second_server(fork_server: ForkServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForkServer]:
    made = ForkServer(tmp_path_factory.mktemp("second-server"))
    yield made
    made.close()


@pytest.fixture(scope="session")
def inputs(fork_server: ForkServer, tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    return Inputs(tmp_path_factory.mktemp("inputs").resolve(), fork_server)


@pytest.fixture(scope="session")
def all_stages(inputs: Inputs) -> Iterator[dict[str, Stage]]:
    with openai_server() as server:
        yield stages(inputs, server.url)


@pytest.fixture(scope="session")
def trials(
    fork_server: ForkServer, all_stages: dict[str, Stage], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Trial]:
    """Return the trial of a stage, with what it gives undisturbed."""
    made: dict[str, Trial] = {}

    def trial(name: str) -> Trial:
        if name not in made:
            made[name] = Trial(fork_server, all_stages[name], tmp_path_factory.mktemp("trial").resolve())
        return made[name]

    return trial
