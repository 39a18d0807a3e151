"""`doctor` looks at the versions together."""

from __future__ import annotations

import importlib.metadata
import tomllib

import pytest

from expandr_repro.doctor import health
from expandr_repro.errors import SetupError
from expandr_repro.pyserini import tables


def test_the_bounds_that_messages_name_are_those_of_the_project(root):
    wanted = tomllib.loads((root / "pyproject.toml").read_text())["project"]["dependencies"]

    assert f"pyserini{tables.BOUNDS}" in wanted


def test_constraints_hold_one_version_of_pyserini_for_each_python_within_the_bounds(root):
    from packaging.requirements import Requirement

    lines = [line for line in (root / "constraints.txt").read_text().splitlines() if line.startswith("pyserini==")]
    for python, version in {"3.11": "1.6.0", "3.12": "2.4.0", "3.13": "2.4.0"}.items():
        chosen = [r for r in map(Requirement, lines) if r.marker.evaluate({"python_version": python})]
        assert [str(r.specifier) for r in chosen] == [f"=={version}"]
        assert Requirement(f"pyserini{tables.BOUNDS}").specifier.contains(version)


def test_pyserini_is_shown_with_the_number_of_names_it_knows():
    pytest.importorskip("pyserini")
    finding = health._pyserini()

    assert finding.state == "ok"
    assert "409 Faiss and" in finding.found


def test_a_pyserini_without_names_is_broken(monkeypatch):
    def none(*_, **__):
        raise SetupError("Pyserini 9.9.0 has no names")

    monkeypatch.setattr(tables, "indexes", none)
    finding = next(f for f in health.examine() if f.what == "pyserini")

    assert (finding.state, finding.found) == ("broken", "Pyserini 9.9.0 has no names")


def test_a_version_outside_what_this_toolkit_asks_for_is_named(monkeypatch):
    monkeypatch.setattr(
        importlib.metadata, "requires", lambda _: ["numpy<1", 'vllm>=0.11; extra == "vllm"', "absent>=1"]
    )
    finding = health._versions()

    assert finding.state == "without"
    assert finding.found.startswith("numpy ")
    assert finding.found.endswith("(wanted <1)")


@pytest.fixture
def two_runtimes(monkeypatch, tmp_path):
    for name in ("torch", "faiss"):
        (tmp_path / name / ".dylibs").mkdir(parents=True)
        (tmp_path / name / "__init__.py").write_text("")
        (tmp_path / name / ".dylibs" / "libomp.dylib").write_text("")

    class Spec:
        def __init__(self, name):
            self.origin = str(tmp_path / name / "__init__.py")

    monkeypatch.setattr(health.importlib.util, "find_spec", Spec)
    monkeypatch.setenv("KMP_DUPLICATE_LIB_OK", "")
    monkeypatch.delenv("KMP_DUPLICATE_LIB_OK")


def test_two_openmp_runtimes_on_macos_are_named_with_the_way_out(two_runtimes, monkeypatch):
    monkeypatch.setattr(health.sys, "platform", "darwin")
    finding = health._openmp()

    assert finding.state == "without"
    assert "torch brings libomp.dylib; faiss brings libomp.dylib" in finding.found
    assert "pyserini#2613" in finding.found
    assert "KMP_DUPLICATE_LIB_OK=TRUE" in finding.cure
    assert health._openmp().state == "ok"  # set for what doctor itself loads next


def test_two_openmp_runtimes_elsewhere_are_harmless(two_runtimes, monkeypatch):
    monkeypatch.setattr(health.sys, "platform", "linux")

    assert health._openmp().state == "ok"


@pytest.mark.parametrize(
    ("cuda", "gpu", "says"),
    [("13.0", False, "takes"), ("13.0", True, "driver"), (None, True, "has no CUDA"), (None, False, "")],
)
def test_a_build_of_torch_that_does_not_fit_the_machine_is_named(monkeypatch, cuda, gpu, says):
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.version, "cuda", cuda)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(health, "_has_gpu", lambda: gpu)
    finding = health._torch()

    assert finding.state == "ok"
    assert (says in finding.cure) if says else not finding.cure


def test_the_size_of_the_environment_is_shown():
    assert " GB" in health._python().found
