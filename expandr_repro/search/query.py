"""Search one query from the command line: its best documents with their titles, without and with expansions."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from expandr_repro.data.collections import TopicSet, collection_meant, find_corpus
from expandr_repro.data.corpus import Document
from expandr_repro.data.topics import Expansion, Topic
from expandr_repro.encoders.protocol import TextEncoder
from expandr_repro.errors import ExpandrError, NotAvailableError, UnknownNameError
from expandr_repro.io.files import is_surrogate_free
from expandr_repro.search.fusion import check_alpha, fusion_named
from expandr_repro.search.opening import open_searcher, source_of
from expandr_repro.search.options import HITS, SearchRequest
from expandr_repro.search.run import choose_fusion, final_ranking

WIDTH = 80
"""Characters of a document's text that are shown where it has no title."""


@dataclass(frozen=True)
class Answer:
    """The ranking of one query.

    Attributes:
        fusion: how the query was searched.
        index: what was searched, for people.
        hits: docid, score and title of each document, best first; the title is empty where the documents are not here.
    """

    fusion: str
    index: str
    hits: list[tuple[str, float, str]]


def ask(request: SearchRequest, encoder: TextEncoder | None, held: ExitStack | None = None) -> list[Answer]:
    """Search one query: alone, and where there are expansions with these as well.

    Args:
        request: the query, the texts that expand it, what is searched and how; `topics` may name the collection in place of `index`.
        encoder: for dense retrieval.
        held: as a search is given it.

    Raises:
        ExpandrError: whatever the user can cause; the message says what to do.
    """
    query, expansions = request.query or "", request.expansion_text
    for option, text in (("--query", query), *(("--expansion-text", text) for text in expansions)):
        if not text.strip() or not is_surrogate_free(text):
            raise ExpandrError(f"{option}: is empty or contains what is not a character; write some words")
    check_alpha(request.alpha)
    where = request.index if any(request.index) else tuple(filter(None, [request.topics]))
    if not where:
        raise ExpandrError("--query: which documents? give --index: an index folder, a collection's name or a corpus")
    topic = Topic("query", query, tuple(map(Expansion, expansions)))
    if not request.index and (known := collection_meant(where[0])) and not Path(where[0]).exists():
        where = (known.dataset,)  # topics of a collection mean its documents
    asked, request = request, replace(request, index=where, topics="", qrels=None, remove_query=False)
    fusion = choose_fusion(request, [topic])
    replace(asked, fusion=fusion.name, judged=False).refuse_idle()
    searcher, size, label = open_searcher(request, TopicSet("query", [topic]), fusion, encoder, held=held)
    searcher.hits = min(request.hits or HITS, size)
    fusions = {"none": fusion_named("none", request.retriever), fusion.name: fusion}
    rankings = {name: final_ranking(searcher.run([topic], f))[topic.qid] for name, f in fusions.items()}
    titles = _titles(
        [*where, source_of(request, searcher)], {docid for ranked in rankings.values() for docid in ranked}
    )
    return [
        Answer(name, label, [(docid, score, titles.get(docid, "")) for docid, score in ranked.items()])
        for name, ranked in rankings.items()
    ]


def _titles(names: Sequence[str | None], wanted: set[str]) -> dict[str, str]:
    """Return the titles of documents, or the beginning of their texts, from the first corpus that can be had."""
    for name in names:
        if not name:
            continue
        known = collection_meant(name)
        try:
            corpus = find_corpus(known.dataset if known and not Path(name).exists() else name)
            titles = {document.docid: _title(document) for document in corpus.find(wanted)}
        except (NotAvailableError, UnknownNameError):
            continue
        if titles:
            return titles
    return {}


def _title(document: Document) -> str:
    text = " ".join((document.title or document.text).split())
    return text if len(text) <= WIDTH else f"{text[:WIDTH]}..."
