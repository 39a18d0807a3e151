"""Find expansions by name (a packaged set) or path, and join them to topics by qid."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from expandr_repro.data.collections import TopicSet
from expandr_repro.data.joining import append_expansions, join_expansions, read_expansions, same_title
from expandr_repro.data.topics import Topic
from expandr_repro.errors import ExpandrError, MismatchError, NotAvailableError, UnknownNameError
from expandr_repro.io.files import sha256_file
from expandr_repro.io.paths import resource

log = logging.getLogger(__name__)

ENDING = ".jsonl.gz"


@dataclass(frozen=True)
class Joined:
    """Topics with expansions, and where these are from.

    Attributes:
        topics: all of them, in their order.
        sources: for the manifest: each source's name, without the folder it is in, and SHA-256.
        from_several: topics that have texts from more than one source.
    """

    topics: list[Topic]
    sources: list[dict[str, str]]
    from_several: int = 0


def packaged_sets() -> list[str]:
    """Return the names of the packaged sets of expansions."""
    return sorted(p.name for p in resource("expansions").iterdir() if p.is_dir())


def with_expansions(topics: TopicSet, name: str) -> list[Topic]:
    """Return the topics with the expansions of a file or of a packaged set, in place of any they had.

    Raises:
        UnknownNameError: neither a file nor a packaged set.
        NotAvailableError: the set has none for these topics.
        MismatchError: the expansions are of other topics.
        FormatError: the file contains no expansion.
    """
    return join_sources(topics, [name]).topics


def join_sources(topics: TopicSet, names: Sequence[str]) -> Joined:
    """Join the expansions of one or several sources to topics, with the errors of `with_expansions`.

    Different topics of several sources are united; a topic that several have gets the texts of all, in the order of the sources.

    Raises:
        ExpandrError: a source is named twice, or none of several has an expansion for any of the topics.
    """
    expanded = [replace(t, expansions=(), provenance=None) for t in topics.topics]
    sources: list[dict[str, str]] = []
    having: Counter[str] = Counter()
    for name in names:
        path = expansions_path(topics, name)
        source = {"name": name if name in packaged_sets() else path.name, "sha256": sha256_file(path)}
        if source["sha256"] in (s["sha256"] for s in sources):
            raise ExpandrError(f"--expansions {name}: occurs twice; name each source once")
        sources.append(source)
        joined = join_expansions(topics.topics, read_expansions(path), name)
        having.update(t.qid for t in joined if t.texts)
        expanded = append_expansions(expanded, joined)
    if not having:
        raise MismatchError(
            f"{' and '.join(names)}: none of the {len(expanded)} topics of {topics.label} has an expansion there; generate them, or leave --expansions out"
        )
    several = sum(count > 1 for count in having.values())
    if several:
        log.info("%d topics have texts from several sources; these are used together, in the order given", several)
    return Joined(expanded, sources, several)


def expansions_path(topics: TopicSet, name: str) -> Path:
    """Return the file that expansions are in: the one named, or of a packaged set the one for these topics.

    Raises:
        UnknownNameError: neither a file nor a packaged set.
        NotAvailableError: the set has none for these topics.
    """
    if name not in packaged_sets():
        path = Path(name)
        if not path.is_file():
            raise UnknownNameError("expansions", name, packaged_sets(), "An augmented topics file works as well.")
        return path
    folder = resource("expansions", name)
    if topics.collection:
        path = folder / f"{topics.collection.dataset}.{topics.collection.split}{ENDING}"
        if path.is_file():
            return path
    # topics from a file may be some of a known collection's: their ids and titles tell
    matches = {path: _agreeing(topics.topics, path) for path in sorted(folder.glob(f"*{ENDING}"))}
    best = max(matches, key=lambda path: matches[path])
    if not matches[best]:
        there = ", ".join(path.name.removesuffix(ENDING) for path in matches)
        raise NotAvailableError(
            f"expansions {name!r}: none for {topics.label}; packaged are those for {there}. For other topics give an augmented topics file"
        )
    return best


def _agreeing(topics: Sequence[Topic], path: Path) -> int:
    expansions = read_expansions(path)
    pairs = ((t, expansions[t.qid]) for t in topics if t.qid in expansions)
    return sum(same_title(topic, *expanded) for topic, expanded in pairs)
