"""Write a flat Faiss index chunk by chunk, without the index in memory."""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from expandr_repro.indexes.faiss_index import new_index, save_index, writing_index
from expandr_repro.io.faiss_library import load_faiss

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FLAT_HEADER = "<4siq21sQ"
"""Kind, dimension, vectors, what does not depend on these, floats."""


def save_flat(dimension: int, chunks: Iterable[NDArray[np.float32]], docids: Sequence[str], folder: Path) -> None:
    """Write what `save_index` writes of a `Flat` index of these vectors, with no more than one chunk in memory.

    A flat index is a file of a header and the vectors. The header is that of an empty index, as this Faiss writes it, with the counts filled in; where
    it is not laid out as expected, the index is made in memory after all.

    Args:
        dimension: of a vector.
        chunks: (n, dimension) float32 each, in the order of `docids`.
        docids: one a vector.
        folder: where the files go.

    Raises:
        SetupError: no room, or not allowed.
    """
    import numpy as np

    faiss = load_faiss()
    index = new_index(dimension, "Flat")
    header = faiss.serialize_index(index).tobytes()
    expected = struct.pack(FLAT_HEADER, b"IxFI", dimension, 0, header[16:37], 0)
    if sys.byteorder != "little" or header != expected:
        for chunk in chunks:
            index.add(chunk)
        save_index(index, docids, folder)
        return
    count = len(docids)
    with writing_index(docids, folder), (folder / "index").open("wb") as file:
        file.write(struct.pack(FLAT_HEADER, b"IxFI", dimension, count, header[16:37], count * dimension))
        for chunk in chunks:
            np.ascontiguousarray(chunk, dtype="<f4").tofile(file)
