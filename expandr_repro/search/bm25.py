"""BM25 search with expansions: fuse the texts or the runs, search, and take a topic's own id out before the cut."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from expandr_repro.data.topics import Topic
from expandr_repro.data.trec import Run, without_own_id
from expandr_repro.evaluate.run_facts import files_sha256, versions
from expandr_repro.indexes import lucene
from expandr_repro.indexes.faiss_index import cores
from expandr_repro.indexes.lucene import Bm25
from expandr_repro.io.manifest import NAME, read_manifest
from expandr_repro.search.fusion import Fusion
from expandr_repro.search.searcher import Searcher


@dataclass
class Bm25Search(Searcher):
    """One Lucene index and the settings of its searches; see `DenseSearch` for what the fields have in common."""

    retriever = "bm25"
    index: Path
    settings: Bm25 = field(default_factory=Bm25)
    hits: int = 1000
    remove_own: bool = False
    threads: int = 0
    stock: bool = False
    searched: int = 0

    @property
    def folder(self) -> Path:
        """The folder of the index."""
        return self.index

    @cached_property
    def manifest(self) -> Mapping[str, Any]:
        """What the manifest of the index says."""
        return read_manifest(self.folder / NAME) or {}

    def holds(self, docids: Collection[str]) -> bool:
        """Return whether the index has any of some documents."""
        return lucene.holds_any(self.folder, docids)

    def facts(self, feedback: bool) -> dict[str, Any]:
        """Return what pins the index and the settings; Lucene is in the versions anyway, so that feedback adds nothing."""
        corpus, content = self.corpus_facts(), lucene.lucene_facts(self.folder)
        # Lucene writes other bytes each time, so an index of ours is known by its corpus, and by what Lucene counts in it
        if not (corpus and corpus.get("sha256")):
            content["sha256"] = files_sha256(self.folder)
        settings = {"k1": self.settings.k1, "b": self.settings.b}
        return {**settings, "corpus": corpus, "index": content, "versions": versions("pyserini")}

    def _fused(self, topics: Sequence[Topic], chosen: Fusion) -> Run:
        qids = [t.qid for t in topics]
        if chosen.of == "feedback":
            return self._search(qids, [t.title for t in topics], chosen(self.settings))
        return self._search(qids, [chosen(t.title, t.texts) if t.texts else t.title for t in topics], self.settings)

    def _expansions(self, qids: Sequence[str], texts: Sequence[str]) -> Run:
        return self._search(qids, texts, self.settings)

    def _search(self, qids: Sequence[str], texts: Sequence[str], settings: Bm25) -> Run:
        depth = self.hits + 1 if self.remove_own else self.hits
        if self.stock:
            from expandr_repro.pyserini.stock import lucene_search

            run = lucene_search(self.folder, qids, texts, depth, settings, self.threads)
        else:
            run = lucene.search(self.folder, qids, texts, depth, settings, self.threads or cores())
        return without_own_id(run, self.hits) if self.remove_own else run
