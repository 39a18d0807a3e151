"""BM25 search with expansions: fuse the texts or the runs, search, and take a topic's own id out before the cut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from expandr_repro.data.topics import Topic
from expandr_repro.data.trec import Run, without_own_id
from expandr_repro.indexes import lucene
from expandr_repro.indexes.faiss_index import cores
from expandr_repro.indexes.lucene import Bm25
from expandr_repro.search.fusion import Fusion, fusion_named


@dataclass
class Bm25Search:
    """One Lucene index and the settings of its searches; see `DenseSearch` for what the fields have in common."""

    index: Path
    settings: Bm25 = field(default_factory=Bm25)
    hits: int = 1000
    remove_own: bool = False
    threads: int = 0
    stock: bool = False
    searched: int = 0

    def run(self, topics: Sequence[Topic], fusion: str | Fusion, alone: Run | None = None) -> Run:
        """Search topics with a fusion; the arguments are those of `DenseSearch.run`.

        Raises:
            UnknownNameError: no such fusion.
            ExpandrError: the fusion is not for BM25.
        """
        chosen = fusion_named(fusion, "bm25")
        qids = [t.qid for t in topics]
        if chosen.of == "runs":
            runs = [self.run(topics, "none") if alone is None else alone]
            for number in range(max((len(t.distinct) for t in topics), default=0)):
                having = [t for t in topics if len(t.distinct) > number]
                runs.append(self._search([t.qid for t in having], [t.distinct[number] for t in having], self.settings))
            found: Run = chosen(runs, self.hits)
            return found
        if chosen.of == "feedback":
            return self._search(qids, [t.title for t in topics], chosen(self.settings))
        return self._search(qids, [chosen(t.title, t.texts) if t.texts else t.title for t in topics], self.settings)

    def forget(self) -> None:
        """Nothing is kept; see `DenseSearch.forget`."""

    def _search(self, qids: Sequence[str], texts: Sequence[str], settings: Bm25) -> Run:
        depth = self.hits + 1 if self.remove_own else self.hits
        if self.stock:
            from expandr_repro.pyserini.stock import lucene_search

            run = lucene_search(self.index, qids, texts, depth, settings, self.threads)
        else:
            run = lucene.search(self.index, qids, texts, depth, settings, self.threads or cores())
        return without_own_id(run, self.hits) if self.remove_own else run
