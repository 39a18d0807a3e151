"""Expansions by name (a packaged set) or path, joined to topics by qid."""

from __future__ import annotations

from pathlib import Path

from expandr_repro.core.errors import NotAvailableError, UnknownNameError
from expandr_repro.core.joining import join_expansions, read_expansions
from expandr_repro.core.specs import resource
from expandr_repro.core.topics import Topic
from expandr_repro.pipeline.collections import TopicSet


def packaged_sets() -> list[str]:
    """Return the names of the packaged sets of expansions."""
    return sorted(p.name for p in resource("expansions").iterdir() if p.is_dir())


def with_expansions(topics: TopicSet, name: str) -> list[Topic]:
    """Return the topics with the expansions of a file or of a packaged set, in place of any they had.

    Raises:
        UnknownNameError: neither a file nor a packaged set.
        NotAvailableError: the set has none for these topics.
        MismatchError: the expansions are of other topics.
    """
    if name in packaged_sets():
        if topics.collection is None:
            raise NotAvailableError(
                f"expansions {name!r}: the packaged sets go with known collections; for {topics.label} give an augmented topics file"
            )
        path = resource("expansions", name, f"{topics.collection.dataset}.{topics.collection.split}.jsonl.gz")
        if not path.is_file():
            there = ", ".join(sorted(p.name.removesuffix(".jsonl.gz") for p in path.parent.glob("*.gz")))
            raise NotAvailableError(f"expansions {name!r}: none for {topics.label}; packaged are those for {there}")
    else:
        path = Path(name)
        if not path.is_file():
            raise UnknownNameError("expansions", name, packaged_sets(), "An augmented topics file will do as well.")
    return join_expansions(topics.topics, read_expansions(path), str(name))
