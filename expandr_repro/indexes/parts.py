"""Check that the files of an index folder belong together: vectors, docids and manifest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from expandr_repro.errors import FormatError, MismatchError
from expandr_repro.io.faiss_library import load_faiss
from expandr_repro.io.files import sha256_file
from expandr_repro.io.manifest import NAME

COMPUTED_BY = "computed_by"
"""Where a manifest names the library that ran the model; no part of what decides an index: vectors agree to about 1e-6."""

DOCIDS = "docids_sha256"
"""Where a manifest has the hash of the file of docids; no part of what decides an index, but what tells it from another's."""


def docids_fact(folder: Path) -> dict[str, str]:
    """Return the hash of an index folder's docids, for its manifest."""
    return {DOCIDS: sha256_file(folder / "docid")}


def check_parts(folder: Path, index: Any, docids: Sequence[str], manifest: Mapping[str, Any] | None) -> None:
    """Refuse a folder whose files are of different indexes.

    Args:
        folder: of the index.
        index: as Faiss read it.
        docids: one a vector.
        manifest: None where there is none.

    Raises:
        FormatError: docids and vectors are not equally many.
        MismatchError: the index measures something else than inner products, or the manifest is of another one; says what differs.
    """
    faiss = load_faiss()
    if len(docids) != index.ntotal:
        raise FormatError(
            folder / "docid", None, f"{len(docids)} ids for {index.ntotal} vectors; build the index again"
        )
    if index.metric_type != faiss.METRIC_INNER_PRODUCT:
        raise MismatchError(
            f"{folder}: the index measures distances (Faiss metric {index.metric_type}), under which the best documents would come last; wanted inner products"
        )
    if manifest is None:
        return
    encoder = manifest.get("encoder")
    recorded = {
        "vectors": manifest.get("documents"),
        "dimensions": encoder.get("dimension") if isinstance(encoder, Mapping) else None,
    }
    for what, actual in {"vectors": index.ntotal, "dimensions": index.d}.items():
        if recorded[what] is not None and recorded[what] != actual:
            raise MismatchError(
                f"{folder}: {NAME} is of another index ({recorded[what]} {what} there, {actual} in the index); build the index again"
            )
    if manifest.get(DOCIDS) and manifest[DOCIDS] != (actual := sha256_file(folder / "docid")):
        raise MismatchError(
            f"{folder}: `docid` is of another index (SHA-256 {str(manifest[DOCIDS])[:16]} in {NAME}, {actual[:16]} found); build the index again"
        )
