from __future__ import annotations

import subprocess
import sys

import pytest

from expandr_repro.data.specs import datasets
from expandr_repro.pyserini import registry

pytest.importorskip("pyserini")


def test_the_names_of_faiss_indexes_are_known():
    assert "beir-v1.0.0-scifact.bge-base-en-v1.5" in registry.faiss_indexes()


def test_the_names_of_lucene_indexes_are_known():
    assert "beir-v1.0.0-scifact.flat" in registry.lucene_indexes()


def test_an_index_is_either_of_vectors_or_of_words():
    assert registry.faiss_indexes() & registry.lucene_indexes() == set()


def test_the_names_of_topics_are_known():
    assert {"beir-v1.0.0-scifact-test", "dl19-passage", "cacm"} <= registry.topics_names()


def test_the_names_of_judgements_are_known():
    assert {"beir-v1.0.0-scifact-test", "dl19-passage", "cacm"} <= registry.qrels_names()


def test_an_unknown_name_is_not_known():
    for names in (registry.faiss_indexes(), registry.lucene_indexes(), registry.topics_names(), registry.qrels_names()):
        assert "scifact" not in names


def test_every_name_of_pyserini_in_our_collections_is_one():
    splits = [split for dataset in datasets().values() for split in dataset.splits.values()]
    indexes = registry.faiss_indexes() | registry.lucene_indexes()

    assert [
        s.pyserini_topics for s in splits if s.pyserini_topics and s.pyserini_topics not in registry.topics_names()
    ] == []
    assert [
        s.pyserini_qrels for s in splits if s.pyserini_qrels and s.pyserini_qrels not in registry.qrels_names()
    ] == []
    assert [i for d in datasets().values() for i in d.indexes.values() if i not in indexes] == []


def test_asking_for_names_imports_no_pyserini():
    program = (
        "import sys; from expandr_repro.pyserini import registry; registry.topics_names(); registry.lucene_indexes(); "
        "sys.exit(any(name.split('.')[0] in ('pyserini', 'jnius', 'torch') for name in sys.modules))"
    )

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_the_documents_of_a_prebuilt_index_are_those_that_pyserini_states():
    assert registry.index_documents("beir-v1.0.0-scifact.contriever") == 5183
    assert registry.index_documents("scifact") is None
