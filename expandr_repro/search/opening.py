"""Open what a request searches: the index of its documents, with the settings of the search and the checks that they belong together."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from expandr_repro.data.collections import TopicSet, collection_meant
from expandr_repro.data.specs import CollectionName
from expandr_repro.data.trec import Qrels
from expandr_repro.encoders.protocol import TextEncoder
from expandr_repro.errors import ExpandrError
from expandr_repro.indexes.compatibility import (
    judged_documents,
    refuse_foreign,
    refuse_other_count,
    refuse_other_version,
)
from expandr_repro.indexes.faiss_index import FaissIndex
from expandr_repro.indexes.find import dense_index, lucene_index
from expandr_repro.indexes.lucene import Bm25, document_count
from expandr_repro.indexes.parted import PartedIndex, label
from expandr_repro.search.bm25 import Bm25Search
from expandr_repro.search.dense import DenseSearch
from expandr_repro.search.fusion import Fusion
from expandr_repro.search.options import SearchRequest
from expandr_repro.search.searcher import Searcher


def open_searcher(
    request: SearchRequest,
    topics: TopicSet,
    fusion: Fusion,
    encoder: TextEncoder | None,
    opened: FaissIndex | None = None,
    held: ExitStack | None = None,
) -> tuple[DenseSearch | Bm25Search, int, str]:
    """Return what searches, how many documents it searches, and what to call it.

    Raises:
        ExpandrError: no documents are named, or there is no index of them.
    """
    where = request.index if any(request.index) else topics.documents
    if where is None:
        raise ExpandrError(
            f"{topics.label}: which documents? give --index: an index folder, a collection's name, a corpus, or a Pyserini prebuilt index"
        )
    if request.retriever == "bm25":
        folder = lucene_index(where, feedback=fusion.of == "feedback")
        settings = Bm25(request.k1, request.b)
        sparse = Bm25Search(folder, settings, threads=request.threads, stock=request.stock)
        sparse.remove_own = _removes(request, topics, sparse)
        return sparse, document_count(folder), f"BM25 (k1 {request.k1:g}, b {request.b:g})"
    if encoder is None:
        raise ExpandrError("dense retrieval needs an encoder")
    if request.engine.engine == "ray" and not opened and held:
        from expandr_repro.search.on_ray import spread_index

        index = spread_index(where, encoder, request, held)
    else:
        index = opened or dense_index(where, encoder, request.factory, request.max_memory)
    if request.stock and isinstance(index, PartedIndex):
        raise ExpandrError("--searcher pyserini: Pyserini's FaissSearcher searches one index folder; merge the parts (encode --merge), or leave it out")  # fmt: skip
    if request.search_params:
        index.set_parameters(request.search_params)
    dense = DenseSearch(encoder, index, threads=request.threads, batch_size=request.batch_size, stock=request.stock)
    dense.remove_own = _removes(request, topics, dense)
    return dense, int(index.index.ntotal), f"{encoder.name} ({encoder.dimension} dimensions)"


def _removes(request: SearchRequest, topics: TopicSet, searcher: Searcher) -> bool:
    """Return whether own ids are taken out: as asked, or as the collection has it however it is named."""
    if request.remove_query is not None:
        return request.remove_query
    known = collection_of(request, topics, searcher)
    return bool(known and known.spec.remove_query)


def collection_of(request: SearchRequest, topics: TopicSet, searcher: Searcher) -> CollectionName | None:
    """Return the known collection that is searched, by any of the names that say it."""
    named = (request.topics, request.qrels, *request.index, source_of(request, searcher))
    return topics.collection or collection_meant(*named)


def source_of(request: SearchRequest, searcher: Searcher) -> str | None:
    """Return what the manifest of an index folder that was named calls its corpus; one in the cache may have been built under any name."""
    if not request.index or Path(label(request.index)) != searcher.folder:
        return None
    source = searcher.corpus.get("source")
    return source if isinstance(source, str) else None


def check_pairing(searcher: Searcher, size: int, topics: TopicSet, qrels: Qrels | None) -> None:
    """Refuse an index of other documents than those that the topics are judged on, before anything is searched."""
    if isinstance(searcher, Bm25Search):
        refuse_other_count(searcher.folder, searcher.manifest, size)
    refuse_other_version(searcher.folder, searcher.manifest, topics.documents)
    if qrels:
        judged = judged_documents(qrels, topics.topics)
        refuse_foreign(searcher.folder, judged, searcher.holds, "name another --index, or other --qrels")
