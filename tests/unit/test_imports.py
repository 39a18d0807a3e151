"""The rules of the house: shared rooms import downwards only, features import shared rooms, and nothing heavy is imported before it is needed."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import expandr_repro

ROOT = Path(expandr_repro.__file__).parent
SHARED = ("errors", "registry", "io", "console", "engines", "data", "encoders", "llm", "indexes", "evaluate")
"""From the lowest to the highest."""

PYSERINI = {"java": "data", "jvm": "data", "tables": "data", "registry": "data", "resources": "data", "encoders": "encoders",
            "feedback": "indexes", "queries": "indexes", "stock": "indexes"}  # fmt: skip
"""Among which shared room a module of `pyserini` stands; the others stand above the features."""

FEATURES = {"search", "encode", "expand", "compare", "fuse", "gate", "prefer", "training", "train_encoder", "train_generator", "report", "regress", "board", "doctor", "preview"}  # fmt: skip
"""A folder for each thing that a user does; `training` is what both trainings share."""

ACROSS = {
    ("search", "preview"), ("encode", "preview"), ("expand", "preview"), ("expand", "search"),
    ("prefer", "search"), ("prefer", "training"), ("train_encoder", "search"), ("train_encoder", "training"),
    ("fuse", "search"), ("gate", "search"), ("gate", "training"),
    ("train_generator", "training"), ("train_generator", "prefer"), ("train_generator", "search"), ("report", "compare"), ("report", "regress"), ("report", "search"),
    ("regress", "board"), ("board", "regress"), ("board", "report"), ("board", "search"),
}  # fmt: skip
"""Which feature imports which other."""

API = {"api", "__init__"}
"""What stands above the features, and imports any of them."""

HEAVY = {
    "torch",
    "transformers",
    "trl",
    "peft",
    "faiss",
    "ranx",
    "sklearn",
    "pyserini",
    "ir_datasets",
    "jnius",
    "pandas",
    "matplotlib",
    "aiohttp",
    "openai",
    "ray",
}
MODULES = sorted(p for p in ROOT.rglob("*.py") if "resources" not in p.parts)


def level(parts: tuple[str, ...]) -> float:
    """Return how high a module stands, given its path inside the package."""
    room = parts[0] if parts else "__init__"
    if room in API:
        return len(SHARED) + 1
    if room == "pyserini" and len(parts) > 1:
        return SHARED.index(PYSERINI[parts[1]]) if parts[1] in PYSERINI else len(SHARED)
    if parts[-1] == "__main__":
        return len(SHARED)
    return SHARED.index(room) if room in SHARED else len(SHARED)


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


def imports_of(module: Path) -> list[tuple[str, ...]]:
    return list(own(imported(ast.parse(module.read_text(encoding="utf-8")), at_import=False)))


@pytest.mark.parametrize("module", MODULES, ids=lambda p: ".".join(path_of(p)))
def test_shared_rooms_import_downwards(module: Path):
    here = path_of(module)
    upwards = [
        ".".join(there) for there in imports_of(module) if there != ("__version__",) and level(there) > level(here)
    ]

    assert upwards == []


@pytest.mark.parametrize(
    "module", [m for m in MODULES if path_of(m)[0] in FEATURES], ids=lambda p: ".".join(path_of(p))
)
def test_a_feature_imports_another_only_where_it_is_listed(module: Path):
    here = path_of(module)[0]
    others = {there[0] for there in imports_of(module) if there and there[0] in FEATURES} - {here}

    assert {(here, other) for other in others} <= ACROSS


def test_every_listed_import_across_features_exists():
    found = {
        (path_of(m)[0], there[0]) for m in MODULES if path_of(m)[0] in FEATURES for there in imports_of(m) if there
    }

    assert found >= ACROSS


@pytest.mark.parametrize("module", MODULES, ids=lambda p: ".".join(path_of(p)))
def test_nothing_heavy_is_imported_with_a_module(module: Path):
    names = {name.split(".")[0] for name in imported(ast.parse(module.read_text(encoding="utf-8")), at_import=True)}

    assert names & HEAVY == set()


def test_no_folder_holds_more_than_a_dozen_modules():
    crowded = {}
    for folder in {m.parent for m in MODULES}:
        count = sum(1 for p in folder.glob("*.py") if p.name != "__init__.py")
        if count > 12:
            crowded[folder.relative_to(ROOT).as_posix()] = count

    assert crowded == {}


def test_every_folder_of_unit_tests_is_a_package_so_that_files_of_one_name_do_not_clash():
    folders = {path.parent for path in Path(__file__).parent.rglob("test_*.py")}
    assert sorted(str(folder) for folder in folders if not (folder / "__init__.py").is_file()) == []
