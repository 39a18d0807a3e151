"""A Faiss folder of another toolkit in which a docid stands several times: each document once, with its best score, to the full depth."""

from __future__ import annotations

import faiss
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from expandr_repro.indexes.faiss_index import FaissIndex
from expandr_repro.indexes.lucene import best_scores


def slow(rows, docids, query, hits):
    """Score everything, keep the best of each document, sort."""
    best = {}
    for row, docid in zip(rows, docids, strict=True):
        best[docid] = max(best.get(docid, -np.inf), float(row @ query))
    return dict(sorted(best.items(), key=lambda item: (-item[1], item[0]))[:hits])


@given(
    st.lists(st.tuples(st.integers(0, 12), st.integers(-3, 3), st.integers(-3, 3)), min_size=1, max_size=120),
    st.integers(1, 12),
)
def test_each_document_has_its_best_score_and_ties_are_broken_by_docid(tmp_path_factory, listed, hits):
    rows = np.array([[x, y] for _, x, y in listed], dtype=np.float32)
    docids = [f"d{n}" for n, _, _ in listed]
    folder = tmp_path_factory.mktemp("index")
    index = faiss.IndexFlatIP(2)
    index.add(rows)
    faiss.write_index(index, str(folder / "index"))
    (folder / "docid").write_text("".join(f"{d}\n" for d in docids))
    queries = np.array([[1, 0], [0, 1], [1, 2], [0, 0]], dtype=np.float32)
    found = FaissIndex.load(folder).search(queries, hits)
    for query, ranked in zip(queries, found, strict=True):
        assert list(ranked.items()) == list(slow(rows, docids, query, hits).items())


def test_the_first_of_equal_docids_is_the_best():
    assert best_scores([("a", 3.0), ("b", 2.0), ("a", 1.0)]) == {"a": 3.0, "b": 2.0}
