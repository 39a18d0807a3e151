"""The searches of a hybrid: one for each retriever, of the same topics, as `search` does them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from expandr_repro.encoders.protocol import TextEncoder
from expandr_repro.errors import ExpandrError, UnknownNameError
from expandr_repro.fuse.fusing import Input
from expandr_repro.search.fusion import fusion_named
from expandr_repro.search.fusion.registry import RETRIEVERS
from expandr_repro.search.options import SearchRequest
from expandr_repro.search.run import search


def split_retrievers(text: str) -> list[tuple[str, str | None]]:
    """Split searches as typed: retrievers with commas between them, each perhaps with a fusion of query and expansions.

    Raises:
        UnknownNameError: no such retriever, or no such fusion.
        ExpandrError: fewer than two, or the same twice.

    Example:
        >>> split_retrievers("bm25,dense:mean:alpha=0.3")
        [('bm25', None), ('dense', 'mean:alpha=0.3')]
    """
    parts = re.split(r",(?=[^,=:]*(?:[:,]|$))", text)  # a comma before PARAMETER=VALUE is the fusion's
    searches: list[tuple[str, str | None]] = []
    for part in parts:
        name, _, fusion = part.strip().partition(":")
        if name not in RETRIEVERS:
            raise UnknownNameError("retriever", name, RETRIEVERS, "Write e.g. bm25,dense or bm25:repeat,dense:mean.")
        if fusion:
            fusion_named(fusion, name)
        if (name, fusion or None) in searches:
            raise ExpandrError(f"--retrievers {text}: {part.strip()} is there twice; name each search once")
        searches.append((name, fusion or None))
    if len(searches) < 2:
        raise ExpandrError(f"--retrievers {text}: one search has nothing to be fused with; name two or more, e.g. bm25,dense")  # fmt: skip
    return searches


def search_all(
    request: SearchRequest,
    retrievers: Sequence[tuple[str, str | None]],
    index: Sequence[str],
    encoder: TextEncoder | None,
) -> list[Input]:
    """Search the same topics once for each retriever.

    Args:
        request: topics, expansions and settings; its retriever, fusion and index do not count.
        retrievers: of `split_retrievers`.
        index: one for all, or one for each; none for the topics' own collection.
        encoder: for dense retrieval.

    Raises:
        ExpandrError: whatever `search` refuses.
    """
    searches = []
    where = list(index) if len(index) == len(retrievers) else [*index, *[None] * len(retrievers)][:1] * len(retrievers)
    for (retriever, fusion), name in zip(retrievers, where, strict=True):
        without = fusion is not None and not fusion_named(fusion, retriever).expands
        one = replace(request, retriever=retriever, fusion=fusion, index=(name,) if name else (), baseline=False, expansions=() if without else request.expansions)  # fmt: skip
        outcome = search(one, encoder if retriever == "dense" else None)
        searches.append(Input(f"{retriever}:{outcome.chosen}", outcome.run, outcome.facts, outcome.overlap))
    return searches
