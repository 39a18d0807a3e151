"""Export encoded queries for stock `pyserini.search.faiss --encoded-queries FOLDER`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from expandr_repro.errors import MismatchError, NotAvailableError
from expandr_repro.io.files import atomic_folder
from expandr_repro.io.manifest import NAME, write_manifest
from expandr_repro.io.outputs import ENCODED_QUERIES
from expandr_repro.io.unpickling import guarded_tables
from expandr_repro.pyserini.jvm import start

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def export_queries(
    folder: str | Path, qids: Sequence[str], titles: Sequence[str], vectors: NDArray[np.float32]
) -> None:
    """Write `embedding.pkl`: a data frame with the columns id, text and embedding, which Pyserini looks up by text.

    Args:
        folder: where to; an earlier export is replaced, anything else is not.
        qids: the topics' ids.
        titles: the topics' titles, as Pyserini's topics reader will give them.
        vectors: (n, dimension), fused or not.

    Raises:
        SetupError: something else is there.
        MismatchError: two topics have the same title and different vectors: Pyserini could not tell them apart.
    """
    import numpy as np
    import pandas as pd

    first: dict[str, int] = {}
    for row, title in enumerate(titles):
        other = first.setdefault(title, row)
        if other != row and not np.array_equal(vectors[other], vectors[row]):
            raise MismatchError(
                f"topics {qids[other]!r} and {qids[row]!r} have the same title and other expansions; Pyserini looks encoded queries up by title alone"
            )
    frame = pd.DataFrame({"id": list(qids), "text": list(titles), "embedding": list(vectors)})
    with atomic_folder(folder, ENCODED_QUERIES) as temporary:
        frame.to_pickle(temporary / "embedding.pkl")
        write_manifest(temporary / NAME, "encoded-queries", {"topics": len(qids), "dimension": int(vectors.shape[1])})


def encoded_queries(folder: str | Path) -> Any:
    """Return what `export_queries` wrote as a `pyserini.encode.QueryEncoder`, for `FaissSearcher` of either Pyserini.

    Its argument is `encoded_query_dir` in 1.6 and `encoded_queries_dir` in 2.4; the pickle may contain a table and nothing else.

    Raises:
        NotAvailableError: no encoded queries are there.
    """
    if not Path(folder, "embedding.pkl").is_file():
        raise NotAvailableError(f"{folder}: no embedding.pkl there; `search --export-queries FOLDER` writes one")
    start()
    from pyserini.encode import QueryEncoder

    with guarded_tables():
        return QueryEncoder(str(folder))
