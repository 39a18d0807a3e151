"""What dense and BM25 search have in common: fusions of runs, and what the index says of its documents."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from expandr_repro.data.topics import Topic
from expandr_repro.data.trec import Run
from expandr_repro.search.fusion import Fusion, fusion_named


class Searcher(ABC):
    """An index, and how it is searched; `DenseSearch` says what the fields are."""

    retriever: ClassVar[str]
    hits: int
    remove_own: bool
    searched: int

    @property
    @abstractmethod
    def folder(self) -> Path:
        """The folder of the index."""

    @property
    @abstractmethod
    def manifest(self) -> Mapping[str, Any]:
        """What the manifest of the index says; empty where there is none."""

    @abstractmethod
    def holds(self, docids: Collection[str]) -> bool:
        """Return whether the index has any of some documents."""

    @abstractmethod
    def facts(self, feedback: bool) -> dict[str, Any]:
        """Return what pins the index and what searched it, for the manifest of a run; `feedback`: its fusion was one of feedback."""

    @property
    def corpus(self) -> Mapping[str, Any]:
        """What the manifest of the index says of its documents."""
        made_of = self.manifest.get("corpus")
        return made_of if isinstance(made_of, Mapping) else {}

    def corpus_facts(self) -> dict[str, Any] | None:
        """Return the same for the manifest of a run: an index in the cache may have been built under another name."""
        return {key: value for key, value in self.corpus.items() if key != "source"} or None

    def run(self, topics: Sequence[Topic], fusion: str | Fusion, alone: Run | None = None) -> Run:
        """Search topics with a fusion.

        Args:
            topics: what is searched.
            fusion: how: a name, perhaps with parameters (`mean:alpha=0.3`), or a fusion.
            alone: the run of the queries alone, where it is there already; a fusion of runs takes it over.

        Raises:
            UnknownNameError: no such fusion.
            ExpandrError: the fusion is not for this retriever, or the encoder lacks what it needs.
        """
        chosen = fusion_named(fusion, self.retriever)
        if chosen.of != "runs":
            return self._fused(topics, chosen)
        runs = [self.run(topics, "none") if alone is None else alone]
        for number in range(max((len(t.distinct) for t in topics), default=0)):
            having = [t for t in topics if len(t.distinct) > number]
            runs.append(self._expansions([t.qid for t in having], [t.distinct[number] for t in having]))
        run: Run = chosen(runs, self.hits)
        return run

    @abstractmethod
    def _fused(self, topics: Sequence[Topic], chosen: Fusion) -> Run:
        """Search topics once, with a fusion that is not one of runs."""

    @abstractmethod
    def _expansions(self, qids: Sequence[str], texts: Sequence[str]) -> Run:
        """Search expansions as they are, one of each topic."""

    def forget(self) -> None:  # noqa: B027 - not all searchers keep anything
        """Release what is kept of the texts that were searched."""
