"""Which expansions of a topic a retriever is given: keywords suit BM25, passages an encoder, questions and rewrites both."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from expandr_repro.data.topics import TYPES, Topic
from expandr_repro.errors import ExpandrError, UnknownNameError

log = logging.getLogger(__name__)

SUITS = {"bm25": ("keywords", "question", "rewrite"), "dense": ("passage", "question", "rewrite")}
"""What a retriever is given of topics whose expansions are of several types."""


def parse_types(text: str) -> tuple[str, ...]:
    """Parse the names of types, separated by commas.

    Raises:
        UnknownNameError: no such type.
        ExpandrError: there are none.
    """
    named = tuple(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))
    for name in named:
        if name not in TYPES:
            raise UnknownNameError("type of expansions", name, TYPES)
    if not named:
        raise ExpandrError(f"--types: names no type; wanted some of {', '.join(TYPES)}, with commas between them")
    return named


def select_types(
    topics: Sequence[Topic], retriever: str, types: str | None = None
) -> tuple[list[Topic], dict[str, Any]]:
    """Return topics with the expansions that a retriever is to use, and what the run's manifest says of it.

    Without `types` a topic keeps what suits the retriever (`SUITS`), and all of its expansions where none of them does: passages alone are
    searched with BM25 as well. Where all expansions are passages nothing changes, and the manifest says nothing.

    Args:
        topics: with their expansions.
        retriever: `bm25` or `dense`.
        types: names of types with commas between them, to use these in place of what suits the retriever.

    Raises:
        ExpandrError: no expansion is of the types that were asked for.
    """
    named = parse_types(types) if types is not None else None
    there = Counter(e.type for t in topics for e in t.expansions)
    if set(there) <= set(named or TYPES[:1]):
        return list(topics), {"expansion_types": {"used": sorted(there), "left_out": {}}} if set(there) - {
            TYPES[0]
        } else {}
    if named and not set(there) & set(named):
        raise ExpandrError(f"--types {types}: none of the {there.total()} expansions is of such a type; there are: {', '.join(sorted(there))}")  # fmt: skip
    kept, unsuited = [], 0
    for topic in topics:
        some = tuple(e for e in topic.expansions if e.type in (named or SUITS[retriever]))
        if named is None and topic.expansions and not some:
            some, unsuited = topic.expansions, unsuited + 1
        kept.append(replace(topic, expansions=some))
    used = Counter(e.type for t in kept for e in t.expansions)
    left_out = {kind: there[kind] - used[kind] for kind in sorted(there) if there[kind] > used[kind]}
    for kind, count in left_out.items():
        log.info("%d of %d expansions of type %s are not used%s", count, there[kind], kind, "" if named else f": they do not suit {retriever} (--types {','.join(sorted(there))} uses all)")  # fmt: skip
    if unsuited and set(used) - set(SUITS[retriever]) - {TYPES[0]}:
        log.info("%d topics have no expansion of a type that suits %s; all of theirs are used", unsuited, retriever)
    return kept, {"expansion_types": {"used": sorted(used), "left_out": left_out}}
