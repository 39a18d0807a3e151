"""Dense search: encode each text once, fuse, search, and take a topic's own id out before the cut."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from expandr_repro.console.progress import progress
from expandr_repro.data.topics import Topic
from expandr_repro.data.trec import Run, without_own_id
from expandr_repro.encoders.finite import check_finite
from expandr_repro.encoders.protocol import Role, TextEncoder
from expandr_repro.errors import ExpandrError, NotFiniteError
from expandr_repro.evaluate.run_facts import files_sha256, versions
from expandr_repro.indexes.faiss_index import FaissIndex
from expandr_repro.indexes.parted import PartedIndex
from expandr_repro.indexes.parts import COMPUTED_BY, DOCIDS
from expandr_repro.io.files import sha256_file
from expandr_repro.search.fusion import Fusion, fuse_vectors, fusion_named
from expandr_repro.search.searcher import Searcher

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass
class DenseSearch(Searcher):
    """One encoder on one index; texts are encoded once however many fusions are searched, and equal texts of a topic count once.

    Attributes:
        encoder: ours or Pyserini's.
        index: what is searched.
        hits: documents per topic.
        remove_own: whether a topic's own id is taken out of its ranking.
        threads: of Faiss; 0 for all processors.
        batch_size: topics searched together.
        stock: whether Pyserini's own `FaissSearcher` searches, in place of ours.
        searched: a hash of all vectors searched so far with their topics, in whatever order; what a run depends on to the last bit.
    """

    retriever = "dense"
    encoder: TextEncoder
    index: FaissIndex
    hits: int = 1000
    remove_own: bool = False
    threads: int = 0
    batch_size: int = 1024
    stock: bool = False
    searched: int = 0
    _vectors: dict[tuple[Role, str], NDArray[np.float32]] = field(default_factory=dict, repr=False)

    @property
    def folder(self) -> Path:
        """The folder of the index."""
        return self.index.folder

    @property
    def manifest(self) -> Mapping[str, Any]:
        """What the manifest of the index says."""
        return self.index.manifest or {}

    def holds(self, docids: Collection[str]) -> bool:
        """Return whether the index has any of some documents."""
        return not set(docids).isdisjoint(self.index.docids)

    def facts(self, feedback: bool) -> dict[str, Any]:
        """Return what pins the index, the encoder and the vectors that were searched."""
        java = ("pyserini",) if self.stock or feedback or "pyserini_class" in self.encoder.identity else ()
        by = getattr(self.encoder, COMPUTED_BY, None)
        content: dict[str, Any] = {"documents": len(self.index.docids)}
        if isinstance(self.index, PartedIndex):
            content["parts"] = [part.facts | _content(part.folder, part.manifest or {}) for part in self.index.parts]
        else:
            factory = self.manifest.get("factory") or type(self.index.index).__name__
            content = {"factory": factory} | content | _content(self.folder, self.manifest)
        return {
            "encoder": self.encoder.identity,
            **({COMPUTED_BY: by} if by else {}),
            # in other batches, on another device or from the cache, a vector may differ in its last bit, and a run with it
            "query_vectors_sha256": f"{self.searched:064x}",
            "corpus": self.corpus_facts(),
            "index": content,
            **({} if self.stock else {"batch_size": self.batch_size}),
            "versions": versions(
                "faiss-cpu", "faiss-gpu", "torch", "transformers", "onnxruntime", "tokenizers", "numpy", *java
            ),
        }

    def _fused(self, topics: Sequence[Topic], chosen: Fusion) -> Run:
        return self._search([t.qid for t in topics], self.vectors(topics, chosen))

    def _expansions(self, qids: Sequence[str], texts: Sequence[str]) -> Run:
        return self._search(qids, self._encode(texts, "expansion", qids))

    def vectors(self, topics: Sequence[Topic], fusion: str | Fusion) -> NDArray[np.float32]:
        """Return the (topics, dimension) vectors that a fusion searches with, where it is not one of runs."""
        chosen = fusion_named(fusion, "dense")
        queries = self._encode([t.title for t in topics], "query", [t.qid for t in topics])
        if chosen.of == "feedback":
            moved: NDArray[np.float32] = chosen(self.index, queries)
            return moved
        if not chosen.expands:
            return queries
        if chosen.of == "texts":  # one text stands for all expansions of its topic
            supplied = self._supplied(chosen)
            rows = [row for row, t in enumerate(topics) if t.texts]
            texts = [chosen(topics[row].title, topics[row].distinct, **supplied) for row in rows]
            fused = fuse_vectors(
                "expansion", queries, self._encode(texts, "joined", [topics[r].qid for r in rows]), rows
            )
        else:
            rows = [row for row, t in enumerate(topics) for _ in t.distinct]
            texts = [text for t in topics for text in t.distinct]
            fused = fuse_vectors(chosen, queries, self._encode(texts, "expansion", [topics[r].qid for r in rows]), rows)
        vectors: NDArray[np.float32] = fused
        return vectors

    def encoded(self, topics: Sequence[Topic]) -> tuple[NDArray[np.float32], list[NDArray[np.float32]]]:
        """Return the vectors of topics: (topics, dimension) of the queries, and per topic (texts, dimension) of its different expansions."""
        queries = self._encode([t.title for t in topics], "query", [t.qid for t in topics])
        return queries, [self._encode(t.distinct, "expansion", [t.qid] * len(t.distinct)) for t in topics]

    def _supplied(self, chosen: Fusion) -> dict[str, str]:
        """Return what a fusion of texts wants of the encoder."""
        if "separator" not in chosen.supplied:
            return {}
        if not self.encoder.separator:
            raise ExpandrError(
                f"fusion {chosen.name!r}: the tokenizer of {self.encoder.name} has no separator token; use --fusion mean"
            )
        return {"separator": self.encoder.separator}

    def forget(self) -> None:
        """Release the vectors of the texts that were searched."""
        self._vectors.clear()

    def _encode(self, texts: Sequence[str], role: Role, qids: Sequence[str]) -> NDArray[np.float32]:
        """Encode texts, each of the topic of the same place; equal ones once."""
        import numpy as np

        missing = list(dict.fromkeys(t for t in texts if (role, t) not in self._vectors))
        with progress(len(missing), f"encode {role}", "texts") as bar:
            for begin in range(0, len(missing), 4096):
                part = missing[begin : begin + 4096]
                try:
                    vectors = self.encoder.encode(part, role)
                    check_finite(vectors, str, str(self.encoder.identity.get("precision", "fp32")))
                except NotFiniteError as error:
                    qid = qids[texts.index(part[error.row])]
                    raise NotFiniteError(f"topic {qid!r}, its {role}", error.row, error.advice) from error
                self._vectors.update(zip(((role, text) for text in part), vectors, strict=True))
                bar.update(len(part))
        if not texts:
            return np.zeros((0, self.encoder.dimension), dtype=np.float32)
        return np.stack([self._vectors[role, t] for t in texts])

    def _search(self, qids: Sequence[str], vectors: NDArray[np.float32]) -> Run:
        depth = self.hits + 1 if self.remove_own else self.hits
        for qid, vector in zip(qids, vectors, strict=True):
            digest = hashlib.sha256(qid.encode("utf-8", "surrogatepass") + b"\0" + vector.tobytes()).digest()
            self.searched = (self.searched + int.from_bytes(digest)) % 2**256
        if self.stock:
            from expandr_repro.pyserini.stock import faiss_search

            run = faiss_search(self.index.folder, qids, vectors, depth, self.threads)
        else:
            run = {}
            for begin in range(0, len(qids), self.batch_size):
                hits = self.index.search(vectors[begin : begin + self.batch_size], depth, self.threads)
                run.update(zip(qids[begin : begin + self.batch_size], hits, strict=True))
        return without_own_id(run, self.hits) if self.remove_own else run


def _content(folder: Path, manifest: Mapping[str, Any]) -> dict[str, str]:
    """Return the hashes of an index, or of a part of one."""
    docids = manifest.get(DOCIDS) or sha256_file(folder / "docid")
    return {"docids_sha256": docids, "sha256": files_sha256(folder, ["docid"])}
