"""Studies of a report: runs on the same qrels, the baseline first."""

from __future__ import annotations

import glob
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from expandr_repro.compare.comparison import short_names
from expandr_repro.data.collections import has_topics
from expandr_repro.data.expansions import packaged_sets
from expandr_repro.errors import ExpandrError, MismatchError, UnknownNameError
from expandr_repro.evaluate.run_facts import facts_beside
from expandr_repro.io.files import sha256_file
from expandr_repro.io.manifest import read_manifest
from expandr_repro.search.outputs import OWN

log = logging.getLogger(__name__)

NONE = "none"
"""On the command line, for a run that searched without expansions."""


@dataclass(frozen=True)
class Entry:
    """One run of a study.

    Attributes:
        name: short, and no other run's in the study.
        path: the run file.
        title: what was done, in words; empty where that is not known.
        expansions: what tells them from others' (a packaged set, files, or `OWN`); None where the run used none.
        expansions_title: what to call them.
        sources: the packaged sets and files that they are joined from; empty for the one that `expansions` names.
        facts: of the manifest next to the run; empty where there is none.
    """

    name: str
    path: Path
    title: str = ""
    expansions: str | None = None
    expansions_title: str = ""
    sources: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Study:
    """Runs on the same qrels.

    Attributes:
        retriever: what searched, where the runs have that in common; empty where that is not known.
        qrels: the relevance judgments, by name or path.
        topics: the topics; None where they are not known.
        corpus: the documents, where they are not simply those of the topics.
        entries: two or more, the baseline first.
    """

    retriever: str
    qrels: str
    topics: str | None
    corpus: str | None
    entries: tuple[Entry, ...]


def study_of(
    runs: Sequence[str],
    qrels: str,
    topics: str | None = None,
    corpus: str | None = None,
    expansions: Sequence[str] = (),
    baseline: str | None = None,
) -> Study:
    """Return the study of run files.

    Args:
        runs: TREC run files.
        qrels: relevance judgments, by name or path.
        topics: topics, by name or path; those of the qrels' collection where not given.
        corpus: documents, by name or path; those of the topics' collection where not given.
        expansions: of runs without a manifest: none (the topics' own, if they have any), one for all runs but the baseline, or one for
            each of these in their order, `none` where a run used none. A manifest says itself what its run used, which is then checked.
        baseline: a run's name or path; the first where not given.

    Raises:
        ExpandrError: fewer than two runs, the same run twice, another number of expansions than of runs.
        MismatchError: a manifest is of another run, or says that its run used other expansions.
        UnknownNameError: no run has the baseline's name.
    """
    names = short_names(runs)
    if len(names) < 2:
        raise ExpandrError("one run has nothing to be compared with; give two or more")
    first = _position(baseline, names, runs)
    order = [first, *(i for i in range(len(runs)) if i != first)]
    topics = topics or (qrels if has_topics(qrels) else None)
    if expansions and not topics:
        raise ExpandrError("--expansions belong to topics, and of these qrels none are known; give --topics")
    given = [None, *_spread(expansions, len(runs) - 1)]
    entries = tuple(
        _entry(names[i], Path(runs[i]), source, first=i == first, by_hand=bool(expansions))
        for i, source in zip(order, given, strict=True)
    )
    return Study("", qrels, topics, corpus, entries)


def _entry(name: str, path: Path, given: str | None, first: bool, by_hand: bool) -> Entry:
    facts = facts_beside(path)
    title = title_of(path, facts)
    if "fusion" not in facts:
        return Entry(name, path, title, given, Path(given or "").name, facts=facts)
    used = facts.get("expansions")
    used = [{"name": used}] if isinstance(used, str) else used or []
    if not used:
        return Entry(name, path, title, facts=facts)
    label = " + ".join(str(source.get("name")) for source in used)
    if by_hand and not first:
        if not _is_of(given, used):
            raise MismatchError(
                f"{path}: its manifest says that it was searched with the expansions {label}, not with {given or NONE}; leave --expansions out, or name that"
            )
        if given and Path(given).is_file() and len(used) == 1:
            return Entry(name, path, title, given, label, facts=facts)
    if label == OWN:
        return Entry(name, path, title, OWN, OWN, facts=facts)
    sources = [_located(source, path) for source in used]
    if lacking := [
        str(source.get("name")) for source, source_read in zip(used, sources, strict=True) if source_read is None
    ]:
        log.warning(
            "%s: its expansions, %s, %s; the page goes without them (--expansions names them)",
            path,
            lacking[0],
            "have changed since it was searched"
            if any(_places(lacking[0], path))
            else "are neither next to the run nor in the working folder, nor in a folder of these",
        )
        return Entry(name, path, title, facts=facts)
    source_read = tuple(str(source) for source in sources)
    return Entry(name, path, title, " + ".join(source_read), label, source_read, facts)


def _is_of(given: str | None, used: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether expansions named by hand are among those that a manifest names: by content, of a packaged set by name."""
    if given is None:
        return False
    digest = sha256_file(given) if Path(given).is_file() else None
    return any(
        given == source.get("name") or (digest is not None and digest == source.get("sha256")) for source in used
    )


def _located(source: Mapping[str, Any], run: Path) -> str | None:
    """Return a packaged set's name, or the path of a file of the content that a manifest names; None where it is not found."""
    name, digest = str(source.get("name")), source.get("sha256")
    if name in packaged_sets():
        return name
    return next((str(path) for path in _places(name, run) if digest in (None, sha256_file(path))), None)


def _places(name: str, run: Path) -> Iterator[Path]:
    """Yield the files of a name next to a run, in the working folder, and in folders of these."""
    plain = Path(name).name
    for base in (run.parent, run.parent.parent, Path()):
        for path in (base / plain, *sorted(base.glob(f"*/{glob.escape(plain)}"))):
            if path.is_file():
                yield path


def _position(baseline: str | None, names: Sequence[str], runs: Sequence[str]) -> int:
    if baseline is None:
        return 0
    for known in (runs, names):
        if baseline in known:
            return known.index(baseline)
    raise UnknownNameError("baseline", baseline, names, "It must be one of the runs.")


def _spread(expansions: Sequence[str], runs: int) -> list[str | None]:
    """Return the expansions of each run but the baseline."""
    if not expansions:
        return [OWN] * runs
    if len(expansions) not in (1, runs):
        raise ExpandrError(
            f"--expansions: found {len(expansions)} for {runs} runs other than the baseline; give one for all of them, or one for each "
            f"in their order ({NONE!r} for a run that used none)"
        )
    listed = list(expansions) if len(expansions) == runs else list(expansions) * runs
    return [None if source == NONE else source for source in listed]


def title_of(path: Path, facts: Mapping[str, Any] | None = None) -> str:
    """Return what made a run, in words, from the manifest next to it (`facts`, where it was read before); empty where there is none."""
    facts = facts_beside(path) if facts is None else facts
    if facts:
        retriever, fusion = facts.get("retriever"), facts.get("fusion")
        return f"{retriever}, fusion {fusion}" if retriever and fusion else ""
    reference = read_manifest(path.with_name(path.name.removesuffix(".gz").removesuffix(".trec") + ".json"))
    title = (reference or {}).get("title")
    return title if isinstance(title, str) else ""
