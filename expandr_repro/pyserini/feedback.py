"""Vector feedback through Pyserini's own classes (Li et al., TOIS 2022), with its command line's default weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from expandr_repro.indexes.faiss_index import FaissIndex, faiss_threads
from expandr_repro.pyserini.jvm import start

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def feed_back(
    index: FaissIndex,
    vectors: NDArray[np.float32],
    method: str,
    depth: int,
    query_weight: float = 0.9,
    documents_weight: float = 0.1,
) -> NDArray[np.float32]:
    """Return query vectors moved towards their first `depth` documents.

    Args:
        index: what is searched.
        vectors: (n, dimension) query vectors.
        method: `rocchio` or `average`.
        depth: how many documents are taken as relevant.
        query_weight: of `rocchio`.
        documents_weight: of `rocchio`, shared by the documents.

    Returns:
        (n, dimension) float32.
    """
    start()
    from pyserini.search.faiss import DenseVectorAveragePrf, DenseVectorRocchioPrf, PrfDenseSearchResult

    rule = (
        DenseVectorAveragePrf()
        if method == "average"
        else DenseVectorRocchioPrf(query_weight, documents_weight, 0.1, depth, 0)
    )
    with faiss_threads():
        scores, rows, neighbours = index.index.search_and_reconstruct(vectors, min(depth, index.index.ntotal))
    qids = [str(i) for i in range(len(vectors))]
    candidates = {
        qid: [
            PrfDenseSearchResult(index.docids[r], s, v)
            for s, r, v in zip(scores[i], rows[i], neighbours[i], strict=True)
            if r >= 0
        ]
        for i, qid in enumerate(qids)
    }
    moved: NDArray[np.float32] = rule.get_batch_prf_q_emb(qids, vectors, candidates)
    return moved
