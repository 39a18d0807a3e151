"""Search the development topics during training: the corpus is encoded again, then searched as `search` does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from expandr_repro.console.progress import progress
from expandr_repro.data.corpus import Corpus
from expandr_repro.data.trec import Qrels
from expandr_repro.encoders.encoder import Encoder
from expandr_repro.encoders.protocol import Role
from expandr_repro.encoders.streaming import encode_stream
from expandr_repro.evaluate.metrics import parse_measures
from expandr_repro.evaluate.scoring import evaluate
from expandr_repro.indexes.build import CHUNK
from expandr_repro.indexes.faiss_index import FaissIndex, new_index
from expandr_repro.search.dense import DenseSearch
from expandr_repro.search.fusion import fusion_named, set_by_alias
from expandr_repro.search.run import final_ranking
from expandr_repro.train_encoder.dev_topics import DevSearch

MEASURE = "nDCG@10"


def encode_in_memory(corpus: Corpus, encoder: Encoder) -> FaissIndex:
    """Encode a corpus into a flat index that is never written."""
    index = new_index(encoder.dimension, "Flat")
    docids: list[str] = []

    def chunks() -> Iterator[tuple[Role, list[str]]]:
        documents = corpus.read()
        while chunk := list(islice(documents, CHUNK)):
            docids.extend(d.docid for d in chunk)
            yield "document", [d.dense_text for d in chunk]

    with progress(None, "encode for development", "docs") as bar:
        for vectors in encode_stream(encoder, chunks(), bar.update):
            index.add(vectors)
    return FaissIndex(Path(corpus.source), index, docids, None)


def measure(
    encoder: Encoder, corpus: Corpus, searches: Sequence[DevSearch], qrels: Qrels, hits: int, alpha: float | None = None
) -> dict[str, float]:
    """Return name -> nDCG@10 of each search, as `search` and `evaluate` would give it.

    Args:
        encoder: as it is now.
        corpus: what is searched.
        searches: topics and fusions.
        qrels: their relevance judgments.
        hits: documents per topic.
        alpha: the query's weight in `mean`.
    """
    (ndcg,) = parse_measures(MEASURE)
    encoder.model.eval()
    counted = dict(encoder.truncated)
    searcher = DenseSearch(encoder, encode_in_memory(corpus, encoder), hits)
    scores = {}
    for s in searches:
        searcher.remove_own = s.remove_own
        scores[s.name] = evaluate(
            final_ranking(
                searcher.run(s.topics, set_by_alias(fusion_named(s.fusion, "dense"), None, {"alpha": alpha}))
            ),
            qrels,
            [ndcg],
        ).mean(ndcg)
    encoder.truncated.update(counted)  # what is cut here is no news
    return scores
