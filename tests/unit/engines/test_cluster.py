"""What needs no cluster: Ray is imported where it is asked for alone."""

from __future__ import annotations

import subprocess
import sys

import pytest

from expandr_repro.engines.cluster import Place, device_of_worker, placement, refuse_too_little_memory
from expandr_repro.errors import ExpandrError, SetupError

PLACES = [Place("n0", "host0", 8, 1, 64_000_000_000), Place("n1", "host1", 8, 1, 16_000_000_000)]


@pytest.mark.parametrize(
    "words",
    [
        ["encode", "--corpus", "pocket", "--output", "o", "--dry-run"],
        ["search", "--topics", "pocket", "--retriever", "dense", "--dry-run"],
        ["expand", "--topics", "pocket", "--model", "m", "--engine", "slurm", "--print"],
    ],
)
def test_nothing_of_ray_is_imported_unless_it_is_the_engine(words):
    program = "import sys, importlib; code = importlib.import_module(f'expandr_repro.{sys.argv[1]}.__main__').main(sys.argv[2:]); sys.exit(code or 'ray' in sys.modules or 'expandr_repro.engines.cluster' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_worker_sees_its_own_gpus_alone():
    assert [device_of_worker(d, PLACES[0]) for d in ("auto", "cuda", "cpu")] == ["cuda", "cuda", "cpu"]
    assert device_of_worker("auto", Place("n", "h", 1, 0, 0)) == "cpu"
    with pytest.raises(ExpandrError, match="give --device cuda, or leave it out"):
        device_of_worker("cuda:1", PLACES[0])
    with pytest.raises(ExpandrError, match="the workers have no GPU"):
        device_of_worker("cuda", Place("n", "h", 1, 0, 0))


def test_workers_that_need_more_memory_than_there_is_are_refused():
    refuse_too_little_memory(PLACES, 16_000_000_000, "its part")
    with pytest.raises(SetupError, match=r"needs 20.0 GB for its part, and on host1 there are 16.0 GB for each"):
        refuse_too_little_memory(PLACES, 20_000_000_000, "its part")


def test_the_placement_names_machines_work_and_time():
    text = placement(PLACES, lambda n: f"part {n}", "1.5 GB", 7200, "as measured")
    assert "host1" in text
    assert "part 1" in text
    assert text.endswith("expected time: about 2.00 hours (as measured)")
    assert "not known (no rate)" in placement(PLACES, str, "", None, "no rate")
