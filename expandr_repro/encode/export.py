"""Export the docids and vectors of Faiss indexes to one Parquet file, from which vector databases load them."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from expandr_repro import __version__
from expandr_repro.console.progress import progress
from expandr_repro.encoders.finite import check_finite
from expandr_repro.errors import ExpandrError
from expandr_repro.indexes.faiss_index import FaissIndex
from expandr_repro.indexes.parted import PartedIndex, load_parts, parts_of
from expandr_repro.io.faiss_library import load_faiss
from expandr_repro.io.files import atomic_bytes
from expandr_repro.io.manifest import run_manifest_path, write_manifest
from expandr_repro.io.outputs import VECTORS, check_output, manifest_kind

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

log = logging.getLogger(__name__)

ROWS = 32768
"""Vectors in a row group, and in memory at a time."""

KIND = "exported-vectors"


def export_parquet(names: Sequence[str], target: Path) -> int:
    """Write a Parquet file with the columns `docid` (string) and `vector` (float32 list of fixed size), in the order of the index.

    The file's metadata has under `expandr_repro` what its manifest says: encoder, corpus, kind of index, and whether the vectors are the encoder's.

    Args:
        names: of an index folder, a folder of them, or several.
        target: the file; its manifest is written next to it.

    Returns:
        The number of vectors.

    Raises:
        SetupError: the place cannot be written, or something else is there.
        NotAvailableError: one of the names is not a Faiss index.
        MismatchError: the indexes do not belong together.
        ExpandrError: an index does not return its vectors.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    manifest = run_manifest_path(target)
    check_output("--output", target, VECTORS, names)
    check_output("--output", manifest, manifest_kind(KIND), names)
    folders = parts_of(names)
    index = load_parts(folders, names, lambda _: None) if folders else FaissIndex.load(names[0], mapped=True)
    opened = [part for _, part in index.index.opened()] if isinstance(index, PartedIndex) else [index.index]
    exact = [_prepare(part, index.folder) for part in opened]
    if index.manifest is None:
        log.warning("%s: has no manifest, so that the file does not state which encoder made its vectors", index.folder)
    dimension = int(index.index.d)
    facts = {**(index.manifest or {}), "dimension": dimension, "documents": len(index.docids), "exact": all(exact)}
    facts = {key: value for key, value in facts.items() if key not in ("kind", "made_by")}
    described = json.dumps({"kind": KIND, "made_by": f"expandr_repro {__version__}", **facts}, sort_keys=True)
    fields = [pa.field("docid", pa.string(), False), pa.field("vector", pa.list_(pa.float32(), dimension), False)]
    schema = pa.schema(fields, {"expandr_repro": described})
    about = {manifest: lambda: write_manifest(manifest, KIND, facts)}
    begin = 0
    layout = {"compression": "none", "use_dictionary": False, "write_statistics": ["docid"]}
    with (
        atomic_bytes(target, about, VECTORS) as file,
        pq.ParquetWriter(file, schema, **layout) as writer,
        progress(len(index.docids), "export", "docs") as bar,
    ):
        for vectors in _vectors(opened, index.folder):
            docids = index.docids[begin : begin + len(vectors)]
            check_finite(vectors, lambda row, docids=docids: f"{index.folder}: document {docids[row]!r}")  # type: ignore[misc]
            columns = [pa.array(docids, pa.string()), pa.FixedSizeListArray.from_arrays(pa.array(np.ravel(vectors)), dimension)]  # fmt: skip
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))
            begin += len(vectors)
            bar.update(len(vectors))
    return begin


def _prepare(index: Any, folder: Path) -> bool:
    """Let an index of lists find its rows; return whether it keeps vectors as they were added, and warn where it does not."""
    faiss = load_faiss()
    if lists := faiss.try_extract_index_ivf(index):
        lists.make_direct_map()
    inner = faiss.downcast_index(index)
    while nested := getattr(inner, "storage", None) or getattr(inner, "refine_index", None):
        inner = faiss.downcast_index(nested)
    if isinstance(inner, faiss.IndexFlat | faiss.IndexIVFFlat):
        return True
    log.warning("%s: %s vectors are decoded from the codes of a compressed index (%s), so they are near the encoder's and not equal; a Flat index has the encoder's own", folder, f"{index.ntotal:,}", type(inner).__name__)  # fmt: skip
    return False


def _vectors(indexes: Sequence[Any], folder: Path) -> Iterator[NDArray[np.float32]]:
    import numpy as np

    for index in indexes:
        for begin in range(0, index.ntotal, ROWS):
            try:
                yield index.reconstruct_batch(np.arange(begin, min(begin + ROWS, index.ntotal)))
            except RuntimeError as error:
                kind = type(index).__name__
                raise ExpandrError(f"{folder}: an index of this kind ({kind}) does not return its vectors; export a Flat index of the corpus") from error  # fmt: skip
