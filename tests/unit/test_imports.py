"""The rule of the house: commands -> pipeline -> adapters -> models -> core, and nothing heavy before it is needed."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import expandr_repro

ROOT = Path(expandr_repro.__file__).parent
LAYERS = ("core", "models", "adapters", "pipeline")
SHARED = ("__init__", "__main__", "cli")
HEAVY = {"torch", "transformers", "trl", "peft", "faiss", "ranx", "pyserini", "ir_datasets", "jnius"}
MODULES = sorted(ROOT.rglob("*.py"))


def level(parts: tuple[str, ...]) -> int:
    """Return how high a module stands, given its path inside the package: core is 0, a command is 4."""
    return LAYERS.index(parts[0]) if parts and parts[0] in LAYERS else len(LAYERS)


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def imported(tree: ast.AST, *, at_import: bool) -> Iterator[str]:
    """Yield the dotted names that a module imports: all of them, or those that are imported with the module itself."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif not (at_import and (is_type_checking(node) or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))):
            yield from imported(node, at_import=at_import)


def own(names: Iterator[str]) -> Iterator[tuple[str, ...]]:
    yield from (tuple(name.split(".")[1:]) for name in names if name.split(".")[0] == "expandr_repro")


def path_of(module: Path) -> tuple[str, ...]:
    return module.relative_to(ROOT).with_suffix("").parts


@pytest.mark.parametrize("module", MODULES, ids=lambda p: ".".join(path_of(p)))
def test_imports_go_downwards(module: Path):
    here = path_of(module)
    upwards = [
        ".".join(there)
        for there in own(imported(ast.parse(module.read_text(encoding="utf-8")), at_import=False))
        if there != ("__version__",) and level(there) > level(here)
    ]

    assert upwards == []


@pytest.mark.parametrize("module", [m for m in MODULES if level(path_of(m)) == len(LAYERS)], ids=lambda p: p.stem)
def test_commands_never_import_one_another(module: Path):
    others = {m.stem for m in ROOT.glob("*.py")} - {*SHARED, module.stem}
    names = own(imported(ast.parse(module.read_text(encoding="utf-8")), at_import=False))

    assert [".".join(there) for there in names if there and there[0] in others] == []


@pytest.mark.parametrize("module", MODULES, ids=lambda p: ".".join(path_of(p)))
def test_nothing_heavy_is_imported_with_a_module(module: Path):
    names = {name.split(".")[0] for name in imported(ast.parse(module.read_text(encoding="utf-8")), at_import=True)}

    assert names & HEAVY == set()
