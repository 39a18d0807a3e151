"""Use this toolkit's encoders in Pyserini."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from expandr_repro.encoders.protocol import TextEncoder
from expandr_repro.pyserini.jvm import start
from expandr_repro.search.fusion import fuse_vectors

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def query_encoder(encoder: TextEncoder, fusion: str = "mean", alpha: float | None = None) -> Any:
    """Return our encoder as a `pyserini.encode.QueryEncoder`, for `FaissSearcher` and whatever else takes one.

    A query is a string, or `{"query": ..., "expansions": [...]}`; `batch_search` then encodes a whole batch at once.
    """
    start()
    from pyserini.encode import QueryEncoder

    class ExpandedQueryEncoder(QueryEncoder):  # type: ignore[misc]
        """Queries, with or without expansions, as fused vectors."""

        def __init__(self) -> None:
            super().__init__()
            self.has_model = True

        def encode(self, query: str = "", expansions: Sequence[str] = (), **_: Any) -> NDArray[np.float32]:
            """Encode one query: (dimension,)."""
            vector: NDArray[np.float32] = self.encode_batch([{"query": query, "expansions": expansions}])[0]
            return vector

        def encode_batch(self, queries: Sequence[str | Mapping[str, Any]]) -> NDArray[np.float32]:
            """Encode queries: (n, dimension)."""
            items = [{"query": q} if isinstance(q, str) else q for q in queries]
            texts, owners = [], []
            for row, item in enumerate(items):
                for text in item.get("expansions", ()):
                    texts.append(text)
                    owners.append(row)
            plain = encoder.encode([str(i["query"]) for i in items], "query")
            return fuse_vectors(fusion, plain, encoder.encode(texts, "expansion"), owners, alpha) if texts else plain

    return ExpandedQueryEncoder()


def document_encoder(encoder: TextEncoder) -> Any:
    """Return our encoder as a `pyserini.encode.DocumentEncoder`."""
    start()
    from pyserini.encode import DocumentEncoder

    class BatchedDocumentEncoder(DocumentEncoder):  # type: ignore[misc]
        """Documents in length-sorted batches."""

        def encode(self, texts: Sequence[str], titles: Sequence[str] | None = None, **_: Any) -> NDArray[np.float32]:
            """Encode documents, title before text: (n, dimension)."""
            joined = (
                [f"{title} {text}".strip() for title, text in zip(titles, texts, strict=True)]
                if titles is not None
                else list(texts)
            )
            return encoder.encode(joined, "document")

    return BatchedDocumentEncoder()
