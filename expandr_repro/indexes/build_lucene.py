"""Build Pyserini's Lucene index of a corpus for BM25."""

from __future__ import annotations

import logging
from dataclasses import asdict
from pathlib import Path
from typing import Any

from expandr_repro.data.corpus import Corpus, CorpusFacts
from expandr_repro.errors import ExpandrError
from expandr_repro.indexes.build import EMPTY, is_built, locked
from expandr_repro.indexes.faiss_index import cores
from expandr_repro.io.files import atomic_folder
from expandr_repro.io.manifest import NAME, write_manifest
from expandr_repro.io.outputs import LUCENE_INDEX
from expandr_repro.io.replacing import clear_leftovers

log = logging.getLogger(__name__)


def build_lucene(corpus: Corpus, facts: CorpusFacts, target: Path, feedback: bool = False, threads: int = 0) -> bool:
    """Build Pyserini's Lucene index of a corpus for BM25, unless it is there already; with the errors of `build_faiss`."""
    from expandr_repro.indexes import lucene

    made_from = lucene_facts(facts, corpus.source, feedback)
    with locked(target):
        if lucene.is_lucene_folder(target) and is_built(target, made_from):
            clear_leftovers(target)
            return False
        with atomic_folder(target, LUCENE_INDEX) as folder:
            empty = lucene.build(corpus.read(), facts.documents, folder, feedback, threads or cores())
            count = lucene.document_count(folder)
            if count != facts.documents - empty:
                raise ExpandrError(
                    f"{corpus.source}: Lucene indexed {count} of {facts.documents - empty} documents; is there room on the disk? Run the command again"
                )
            write_manifest(folder / NAME, "lucene-index", made_from | ({EMPTY: empty} if empty else {}))
    if empty:
        log.info(
            "%s: %s of %s documents have no text and are not indexed",
            corpus.source,
            f"{empty:,}",
            f"{facts.documents:,}",
        )
    return True


def lucene_facts(facts: CorpusFacts, source: str, feedback: bool) -> dict[str, Any]:
    """Return what makes a Lucene index what it is."""
    return {
        "corpus": {"source": source, **asdict(facts)},
        "field": "contents = title, line end, text",
        "analyzer": "Anserini's default (English)",
        "feedback": feedback,
    }
