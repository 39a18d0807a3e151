from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from expandr_repro.io import faiss_library
from expandr_repro.io.faiss_library import CHOICE, is_old, products

SAPPHIRE_RAPIDS = "processor\t: 0\nvendor_id\t: GenuineIntel\nmodel\t\t: 143\nflags\t\t: fpu fma avx avx2 avx512f avx512dq avx512cd avx512bw avx512vl amx_tile\n\nprocessor\t: 1\n"


@pytest.mark.parametrize(
    ("processor", "chosen"),
    [
        (SAPPHIRE_RAPIDS, "SkylakeX"),
        (SAPPHIRE_RAPIDS.replace("avx512vl ", ""), "Haswell"),
        (SAPPHIRE_RAPIDS.replace("avx2 ", ""), ""),
        (SAPPHIRE_RAPIDS.replace("GenuineIntel", "AuthenticAMD"), ""),
        ("processor\t: 0\nBogoMIPS\t: 50.00\nFeatures\t: fp asimd\n", ""),
        ("", ""),
    ],
)
def test_openblas_is_told_the_products_of_an_intel_processor_and_of_no_other(processor, chosen):
    assert products(processor) == chosen


@pytest.mark.parametrize(
    ("libraries", "old"),
    [
        (["libgomp-e985bcbb.so.1.0.0", "libopenblaso-r0-d77a1985.3.15.so"], True),
        (["libopenblasp-r0-aa17f6f8.3.18.so"], True),
        (["libopenblas-r0-d77a1985.3.19.so"], False),
        (["libopenblaso-r0-d77a1985.3.31.so"], False),
        (["libmkl_rt.so.2"], False),
        ([], False),
    ],
)
def test_only_an_openblas_from_before_0_3_19_is_given_a_choice(libraries, old):
    assert is_old(libraries) is old


def loaded(choice: str | None) -> tuple[str, str]:
    """Return which products Faiss's OpenBLAS uses where Linux names a Sapphire Rapids without AVX-512, and what the environment says afterwards."""
    code = f"""
import os
from expandr_repro.io import faiss_library
faiss_library._processor = lambda: {SAPPHIRE_RAPIDS.replace("avx512vl ", "")!r}
faiss_library.load_faiss().IndexFlatIP(2)
print(os.environ.get({CHOICE!r}))
"""
    env = {k: v for k, v in os.environ.items() if k != CHOICE} | {"OPENBLAS_VERBOSE": "2"}
    if choice:
        env[CHOICE] = choice
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    cores = [line.removeprefix("Core: ") for line in done.stderr.splitlines() if line.startswith("Core: ")]
    if len(cores) < 2 or not is_old(faiss_library._libraries()):
        pytest.skip("this Faiss has no old OpenBLAS of its own")
    return cores[1], done.stdout.strip()


@pytest.mark.skipif(
    not Path("/proc/cpuinfo").exists() or " avx2 " not in Path("/proc/cpuinfo").read_text(encoding="utf-8"),
    reason="needs Linux on a processor with AVX2",
)
class TestLoading:
    def test_faiss_is_loaded_with_these_products_and_the_environment_stays_as_it_was(self):
        assert loaded(None) == ("Haswell", "None")

    def test_a_choice_of_the_users_stays(self):
        assert loaded("Sandybridge") == ("Sandybridge", "Sandybridge")
