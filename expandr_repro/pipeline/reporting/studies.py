"""What a report compares: studies, each some runs on the same judgements, the baseline first."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from expandr_repro.core.errors import ExpandrError, UnknownNameError
from expandr_repro.core.files import sha256_file
from expandr_repro.core.manifest import RUN_HASH, read_manifest, run_manifest_path
from expandr_repro.core.specs import collection_named
from expandr_repro.pipeline.comparing import short_names

log = logging.getLogger(__name__)

OWN = "those of the topics"
"""In place of a name: the expansions that the topics' own file carries."""

NONE = "none"
"""On the command line, for a run that searched without expansions."""


@dataclass(frozen=True)
class Entry:
    """One run of a study.

    Attributes:
        name: short, and no other run's in the study.
        path: the run file.
        title: what was done, in words; empty where nobody said.
        expansions: a packaged set, a file, or `OWN`; None where the run used none.
        expansions_title: what to call them.
    """

    name: str
    path: Path
    title: str = ""
    expansions: str | None = None
    expansions_title: str = ""


@dataclass(frozen=True)
class Study:
    """Runs on the same judgements.

    Attributes:
        retriever: what searched, where the runs have that in common; empty where nobody said.
        qrels: the judgements, by name or path.
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
        qrels: judgements, by name or path.
        topics: topics, by name or path; those of the judgements' collection where not given.
        corpus: documents, by name or path; those of the topics' collection where not given.
        expansions: none (the topics' own, if they have any), one for all runs but the baseline, or one for each of these in
            their order, `none` where a run used none.
        baseline: a run's name or path; the first where not given.

    Raises:
        ExpandrError: fewer than two runs, the same run twice, another number of expansions than of runs.
        UnknownNameError: no run has the baseline's name.
    """
    names = short_names(runs)
    if len(names) < 2:
        raise ExpandrError("one run has nothing to be compared with; give two or more")
    first = _position(baseline, names, runs)
    order = [first, *(i for i in range(len(runs)) if i != first)]
    topics = topics or (qrels if _has_topics(qrels) else None)
    if expansions and not topics:
        raise ExpandrError("--expansions belong to topics, and of these judgements none are known; say --topics")
    used = [None, *_spread(expansions, len(runs) - 1)]
    entries = tuple(
        Entry(names[i], Path(runs[i]), title_of(Path(runs[i])), source, Path(source or "").name)
        for i, source in zip(order, used, strict=True)
    )
    return Study("", qrels, topics, corpus, entries)


def _position(baseline: str | None, names: Sequence[str], runs: Sequence[str]) -> int:
    if baseline is None:
        return 0
    for known in (runs, names):
        if baseline in known:
            return known.index(baseline)
    raise UnknownNameError("baseline", baseline, names, "It must be one of the runs.")


def _has_topics(name: str) -> bool:
    """Say whether judgements come with topics: those of a collection do, those in a file do not."""
    return bool(collection_named(name)) or name.startswith("irds:") or Path(name).is_dir()


def _spread(expansions: Sequence[str], runs: int) -> list[str | None]:
    """Return the expansions of each run but the baseline."""
    if not expansions:
        return [OWN] * runs
    if len(expansions) not in (1, runs):
        raise ExpandrError(
            f"--expansions: found {len(expansions)} for {runs} runs beside the baseline; give one for all of them, or one for each "
            f"in their order ({NONE!r} for a run that used none)"
        )
    listed = list(expansions) if len(expansions) == runs else list(expansions) * runs
    return [None if source == NONE else source for source in listed]


def title_of(path: Path) -> str:
    """Return what made a run, in words, from the manifest beside it; empty where there is none."""
    if facts := read_manifest(run_manifest_path(path)):
        if facts.get(RUN_HASH) and facts[RUN_HASH] != sha256_file(path):
            log.warning("%s: the manifest beside it is of another run and is not used", path)
            return ""
        retriever, fusion = facts.get("retriever"), facts.get("fusion")
        return f"{retriever}, fusion {fusion}" if retriever and fusion else ""
    facts = read_manifest(path.with_name(path.name.removesuffix(".gz").removesuffix(".trec") + ".json"))
    title = (facts or {}).get("title")
    return title if isinstance(title, str) else ""
