"""Find the index for a search: a folder, a Pyserini prebuilt index, or a collection's own, built once and cached."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from expandr_repro.data.collections import find_corpus
from expandr_repro.data.corpus import Corpus, CorpusFacts, survey
from expandr_repro.data.specs import datasets
from expandr_repro.encoders.protocol import TextEncoder
from expandr_repro.errors import ExpandrError, NotAvailableError
from expandr_repro.indexes.build import Shard, build_faiss, facts_key, index_facts, is_built, locked
from expandr_repro.indexes.build_lucene import build_lucene, lucene_facts
from expandr_repro.indexes.faiss_index import FaissIndex, is_faiss_folder
from expandr_repro.indexes.lucene import is_lucene_folder
from expandr_repro.indexes.parted import load_parts, parts_of, refuse_sparse, shard_of
from expandr_repro.indexes.parts import COMPUTED_BY, docids_fact
from expandr_repro.io.files import atomic_folder, write_json
from expandr_repro.io.manifest import NAME, key_of, read_manifest, write_manifest
from expandr_repro.io.outputs import FAISS_INDEX
from expandr_repro.io.paths import cache_dir
from expandr_repro.pyserini import registry, resources
from expandr_repro.pyserini.jvm import jar

log = logging.getLogger(__name__)


def corpus_facts(corpus: Corpus) -> CorpusFacts:
    """Return a corpus's count and hash, remembered by its files' names, sizes and times, so that only a changed one is read again."""
    if not corpus.files:
        return survey(corpus)
    if known := remembered_facts(corpus):
        return known
    facts = survey(corpus)
    try:
        write_json(_memo(corpus), asdict(facts))
    except ExpandrError as error:
        log.debug("not remembered: %s", error)
    return facts


def remembered_facts(corpus: Corpus) -> CorpusFacts | None:
    """Return the facts of a corpus whose files are as they were when it was last read, or None."""
    try:
        return CorpusFacts(**json.loads(_memo(corpus).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _memo(corpus: Corpus) -> Path:
    stats = [(str(p.resolve()), p.stat().st_size, p.stat().st_mtime_ns) for p in corpus.files]
    return cache_dir() / "corpora" / f"{key_of({'files': stats, 'version': 1})}.json"


def dense_index(
    name: str | Sequence[str], encoder: TextEncoder, factory: str = "Flat", max_memory: int | None = None
) -> FaissIndex:
    """Find the Faiss index of an encoder by name or path; a collection's own is built if needed.

    Args:
        name: of an index, of a folder of index folders, or several index folders, which are searched as one.
        encoder: that made it.
        factory: of an index that is built.
        max_memory: bytes that the open ones of several may take.

    Raises:
        NotAvailableError: nothing there, or it cannot be fetched.
        MismatchError: the index is of another encoder.
    """
    if folders := parts_of(name):
        return load_parts(
            folders, name, lambda part: part.check_encoder(encoder.dimension, encoder.identity), max_memory
        )
    name = name if isinstance(name, str) else name[0]
    path = Path(name)
    if is_faiss_folder(path):
        index = FaissIndex.load(path)
        if shard := shard_of(path, index.manifest):
            log.warning("%s: is part %d of %d of its corpus (counted from 0), and what the others contain is not found; name all parts, or merge them with `encode --merge`", name, shard.number, shard.count)  # fmt: skip
    elif is_lucene_folder(path):
        raise ExpandrError(f"{name}: is a Lucene index; search it with --retriever bm25")
    elif name in datasets():
        # `cacm` is a collection of ours and an index of Pyserini's: a collection's name means its own index
        index = FaissIndex.load(_own_dense(find_corpus(name), encoder, factory))
    elif name in registry.faiss_indexes():
        index = FaissIndex.load(resources.prebuilt_index(name))
    elif name in registry.lucene_indexes():
        raise ExpandrError(f"{name}: is one of Pyserini's Lucene indexes; search it with --retriever bm25")
    else:
        index = FaissIndex.load(_own_dense(_corpus_for(name), encoder, factory))
    index.check_encoder(encoder.dimension, encoder.identity)
    return index


def _corpus_for(name: str) -> Corpus:
    try:
        return find_corpus(name)
    except NotAvailableError as error:
        if Path(name).is_dir():
            raise NotAvailableError(
                f"{name}: neither an index (`index` and `docid`, or Lucene's segments) nor a corpus is there"
            ) from error
        raise


def _own_dense(corpus: Corpus, encoder: TextEncoder, factory: str) -> Path:
    facts = corpus_facts(corpus)
    folder = cached_place(index_facts(encoder, facts, corpus.source, factory, Shard()))
    if not is_faiss_folder(folder):
        log.info(
            "no index of %s for %s yet: encoding %s documents once, into %s",
            corpus.source,
            encoder.name,
            f"{facts.documents:,}",
            folder,
        )
    build_faiss(corpus, facts, encoder, folder, factory)
    return folder


def cached_place(facts: dict[str, Any]) -> Path:
    """Return the path of a Faiss index in the cache, whether it exists or not."""
    return cache_dir() / "indexes" / f"faiss-{facts_key(facts)}"


def take_from_cache(target: Path, facts: dict[str, Any]) -> bool:
    """Put an index that an earlier search built for itself at `target`, in place of encoding the same once more.

    Returns:
        Whether the cache had it.

    Raises:
        SetupError: the place cannot be written.
    """
    source = cached_place(facts)
    if not (is_faiss_folder(source) and is_built(source, facts)) or is_built(target, facts):
        return False
    with locked(target), atomic_folder(target, FAISS_INDEX) as folder:
        for file in source.iterdir():
            try:
                os.link(file, folder / file.name)  # index files are replaced, never changed, so one copy serves both
            except OSError:
                shutil.copyfile(file, folder / file.name)
        old = read_manifest(folder / NAME) or {}
        kept = {COMPUTED_BY: old[COMPUTED_BY]} if COMPUTED_BY in old else {}
        write_manifest(folder / f"{NAME}.new", "faiss-index", facts | docids_fact(folder) | kept)
        (folder / f"{NAME}.new").replace(folder / NAME)  # the names that this call gave to encoder and corpus
    return True


def _lucene_kind() -> str:
    """Return the cache's kind of Lucene indexes, by Anserini's major version: Lucene 9, under Pyserini 1.x, cannot read what Lucene 10 wrote."""
    match = re.match(r"anserini-(\d+)\.", jar().name)
    return f"lucene.anserini{match[1]}" if match and match[1] != "1" else "lucene"


def lucene_index(name: str | Sequence[str], feedback: bool = False) -> Path:
    """Find the Lucene index by name or path, with the errors of `dense_index`; several are refused."""
    if folders := parts_of(name):
        refuse_sparse(name, folders)
    name = name if isinstance(name, str) else name[0]
    path = Path(name)
    if is_lucene_folder(path):
        return path
    if is_faiss_folder(path):
        raise ExpandrError(f"{name}: is a Faiss index; search it with --retriever dense")
    if name not in datasets() and name in registry.lucene_indexes():
        return resources.prebuilt_index(name)
    if name not in datasets() and name in registry.faiss_indexes():
        raise ExpandrError(f"{name}: is one of Pyserini's Faiss indexes; search it with --retriever dense")
    corpus = _corpus_for(name)
    facts = corpus_facts(corpus)
    folder = cache_dir() / "indexes" / f"{_lucene_kind()}-{facts_key(lucene_facts(facts, corpus.source, feedback))}"
    if not is_lucene_folder(folder):
        log.info(
            "no BM25 index of %s yet: indexing %s documents once, into %s",
            corpus.source,
            f"{facts.documents:,}",
            folder,
        )
    build_lucene(corpus, facts, folder, feedback)
    return folder
