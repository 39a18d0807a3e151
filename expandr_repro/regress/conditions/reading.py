"""Read regression files; errors name the key."""

from __future__ import annotations

import re
import shlex
from fnmatch import fnmatchcase
from pathlib import Path
from string import Template

from expandr_repro.data.specs import collection_named
from expandr_repro.errors import ExpandrError, FormatError, NotAvailableError, UnknownNameError, nearest
from expandr_repro.evaluate.metrics import parse_measure
from expandr_repro.io.strict_yaml import build, read_yaml
from expandr_repro.regress.conditions.shapes import VARIABLES, Condition, Regression

_NAME = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+){2,3}")
_HASH = re.compile(r"[0-9a-f]{16,64}")


def load(path: Path) -> Regression:
    """Read one file.

    Raises:
        FormatError: an unknown or missing key, a wrong type, an impossible value, an unknown metric or variable.
        NotAvailableError: the file cannot be read.
    """
    if not _NAME.fullmatch(path.stem):
        raise FormatError(
            path,
            None,
            "wanted a name such as scifact.minilm.none.yaml: collection, retriever, expansion, perhaps fusion",
        )
    read = build(Regression, read_yaml(path), path, "condition")
    try:
        _check_metrics(read)
        _check_hashes(read)
        _check_stages(read)
    except ExpandrError as error:
        raise FormatError(path, None, f"condition.{error}") from error
    return read


def _check_metrics(read: Regression) -> None:
    if not read.metrics and read.tier != "manual":
        raise ExpandrError(f"metrics: empty; tier {read.tier} needs at least one metric")
    level = _relevance_level(read.qrels.name)
    for name in [*read.metrics, *(p.metric for p in read.published)]:
        try:
            spelled = str(parse_measure(name, level))
        except ExpandrError as error:
            raise ExpandrError(f"metrics: {error}") from error
        if spelled != name:
            raise ExpandrError(f"metrics: found {name!r}, wanted it spelled {spelled!r}")
    for name, pin in read.metrics.items():
        if pin.value is not None and round(pin.value, 4) != pin.value:
            raise ExpandrError(f"metrics.{name}.value: found {pin.value}, wanted four decimals")


def _relevance_level(qrels: str) -> int:
    """Return the least relevant grade of a known collection, under which a metric is spelled; whether the name is one is checked elsewhere."""
    try:
        known = collection_named(qrels)
    except ExpandrError:
        return 1
    return known.spec.relevance_level if known else 1


def _check_hashes(read: Regression) -> None:
    pins = {key: getattr(read, key) for key in ("collection", "topics", "qrels", "expansions")}
    for where, pin in pins.items():
        digest = pin.sha256 if pin else None
        if digest is not None and not _HASH.fullmatch(digest):
            raise ExpandrError(f"{where}.sha256: found {digest!r}, wanted 16 to 64 hex digits")


def _check_stages(read: Regression) -> None:
    used = {stage: _variables(f"stages.{stage}", command) for stage, command in read.stages.listed()}
    wanted = (("search", "run"), ("evaluate", "run"), ("index", "index"), ("expand", "expansions"))
    for stage, variable in wanted:  # what one stage writes, another reads; a name typed wrong would read something else
        if stage in used and variable not in used[stage]:
            raise ExpandrError(f"stages.{stage}: does not use ${variable}")
    for stage, variable in (("index", "index"), ("expand", "expansions")):
        if stage not in used and variable in used["search"]:
            raise ExpandrError(f"stages.search: uses ${variable}, but no stage {stage} makes it")


def _variables(where: str, command: str) -> set[str]:
    """Return the variables of a command, after a look at whether it is one and knows them."""
    try:
        parts = shlex.split(command)
    except ValueError as error:
        raise ExpandrError(f"{where}: not a command line ({error})") from error
    if not parts:
        raise ExpandrError(f"{where}: empty; leave the key out or write a command")
    used: set[str] = set()
    for part in parts:
        template = Template(part)
        if not template.is_valid():
            raise ExpandrError(f"{where}: {part!r} has a $ that begins no name")
        used.update(template.get_identifiers())
    for name in sorted(used - set(VARIABLES)):
        close = nearest(name, VARIABLES)
        advice = f"did you mean ${close}?" if close else "known: " + ", ".join(f"${v}" for v in VARIABLES)
        raise ExpandrError(f"{where}: unknown variable ${name}; {advice}")
    return used


def conditions(folder: Path) -> list[Condition]:
    """Read all files of a folder, by name; one that cannot be read is there too, with its fault.

    Raises:
        NotAvailableError: no such folder, or nothing in it.
    """
    if not folder.is_dir():
        raise NotAvailableError(
            f"{folder}: no such folder; run in a checkout of the repository, or give --regressions FOLDER"
        )
    read = [condition_at(path) for path in sorted(folder.glob("*.yaml"))]
    if not read:
        raise NotAvailableError(f"{folder}: contains no .yaml files")
    return read


def condition_at(path: Path) -> Condition:
    """Read one file, keeping its fault where it has one."""
    try:
        return Condition(path.stem, path, load(path))
    except ExpandrError as error:
        return Condition(path.stem, path, None, str(error))


def named(folder: Path, name: str) -> list[Condition]:
    """Return the conditions that a name, a pattern (`scifact.*`) or a path of a file means; reads no others than it must.

    Raises:
        UnknownNameError: none has that name.
        NotAvailableError: no such folder.
    """
    if name.endswith((".yaml", ".yml")) and Path(name).is_file():
        return [condition_at(Path(name))]
    if Path(name).name == name and (folder / f"{name}.yaml").is_file():
        return [condition_at(folder / f"{name}.yaml")]
    known = conditions(folder)
    matching = [c for c in known if fnmatchcase(c.name, name)]
    if not matching:
        raise UnknownNameError("regression", name, [c.name for c in known])
    return matching
