"""Names of both majors of Pyserini, counted against Pyserini's own tables, and what happens where there are none."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys

import pytest

from expandr_repro.errors import SetupError
from expandr_repro.pyserini import registry, tables

OWN = """
import json, sys
from expandr_repro.pyserini import registry, tables
tables.import_tables()
if not tables.is_remote():
    from expandr_repro.pyserini.jvm import start
    start()
from pyserini import prebuilt_index_info as theirs
print(json.dumps({
    "faiss": [sorted(theirs.FAISS_INDEX_INFO), sorted(registry.faiss_indexes())],
    "lucene": [sorted(theirs.TF_INDEX_INFO), sorted(registry.lucene_indexes())],
}))
"""


@pytest.fixture
def anew():
    """Forget what was read before and after a test that changes where it is read."""

    def forget():
        tables._silent.clear()
        tables._source.cache_clear()
        for cached in ("faiss_indexes", "lucene_indexes", "topics_names", "qrels_names", "_documents"):
            getattr(registry, cached).cache_clear()

    forget()
    yield
    forget()


def own_names(**environment):
    pytest.importorskip("pyserini")
    done = subprocess.run(
        [sys.executable, "-c", OWN], capture_output=True, text=True, check=False, env=os.environ | environment
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.jvm
def test_the_names_of_prebuilt_indexes_are_those_that_pyserini_itself_lists():
    for theirs, ours in own_names().values():
        assert len(ours) > 200
        assert ours == theirs


def test_the_tables_that_ship_have_every_kind_of_name():
    shipped = tables._shipped()

    assert sum(len(t) for name, t in shipped["indexes"].items() if name.startswith("FAISS")) == 409
    assert sum(len(t) for name, t in shipped["indexes"].items() if name.startswith("TF_")) == 204
    assert {"beir-v1.0.0-scifact-test", "dl19-passage"} <= set(shipped["topics"]) & set(shipped["qrels"])
    for table in shipped["indexes"].values():
        for entry in table.values():
            assert len(entry["md5"]) == 32
            assert entry["urls"][0].startswith("https://")
            assert entry["size"] > 0


REMOTE = """
import json
COMMIT = 'abc'

def _url(path):
    return f'https://tables.invalid/{COMMIT}/{path}'

FAISS_INDEX_INFO_BEIR = _LazyPrebuiltIndexInfoJson(_url('faiss/beir.json'))
FAISS_INDEX_INFO = _PrebuiltIndexCatalog(FAISS_INDEX_INFO_BEIR)
TF_INDEX_INFO_BEIR = _LazyLucenePrebuiltInvertedIndexJson('resources/inverted.json', key_prefixes=('beir-',))
TF_INDEX_INFO_ALIASES = {'old': 'new.flat'}
urlopen = None
"""

BASE = """
EVAL_COMMIT = 'abc'
EVAL_BASE_URL = f'https://tables.invalid/{EVAL_COMMIT}/'
TOPICS_BASE_URL = f'{EVAL_BASE_URL}topics/'
TOPICS_METADATA_FILE = 'topics.json'
TOPICS_ALIASES_METADATA_FILE = 'topics-aliases.json'
LOCAL_TOPICS_ALIASES_METADATA_FILE = 'local-topics-aliases.json'
"""

NETWORK = {
    "https://tables.invalid/abc/faiss/beir.json": {"fetched.bge": {"urls": ["https://x"], "md5": "0", "documents": 7}},
    "https://tables.invalid/abc/topics.json": {"scifact": {"path": "topics.scifact.tsv.gz", "reader_class": "R"}},
    "https://tables.invalid/abc/topics-aliases.json": {"scifact": ["scifact.test"], "absent": ["nothing"]},
}


@pytest.fixture
def remote(tmp_path, monkeypatch, anew):
    """A Pyserini that keeps its tables on the network."""
    root = tmp_path / "pyserini"
    (root / "search").mkdir(parents=True)
    (root / "resources").mkdir()
    (root / "prebuilt_index_info.py").write_text(REMOTE)
    (root / "search" / "_base.py").write_text(BASE)
    (root / "resources" / "inverted.json").write_text(json.dumps([{"name": "new.flat", "documents": 3}]))
    (root / "resources" / "local-topics-aliases.json").write_text(json.dumps({"scifact": ["mine"]}))
    monkeypatch.setattr(tables, "package", lambda: root)
    monkeypatch.setattr(tables, "version", lambda: "2.4.9")
    monkeypatch.setenv("EXPANDR_CACHE", str(tmp_path / "cache"))
    asked = []

    def urlopen(url, timeout):
        asked.append(url)
        if url not in NETWORK:
            raise OSError("no such host")
        return io.BytesIO(json.dumps(NETWORK[url]).encode())

    monkeypatch.setattr(tables.urllib.request, "urlopen", urlopen)
    return asked


def test_tables_on_the_network_are_fetched_once_and_kept(remote):
    assert registry.faiss_indexes() == {"fetched.bge"}
    assert tables.indexes("faiss").own
    assert tables.topics().entries["scifact"]["path"] == "topics.scifact.tsv.gz"
    assert set(tables.topics().entries) == {"scifact", "scifact.test", "mine"}
    assert sorted(remote) == sorted(NETWORK)


def test_tables_in_the_package_and_aliases_need_no_network(remote):
    table = tables.indexes("lucene", fetch=False)

    assert table.entries == {name: {"name": "new.flat", "documents": 3} for name in ("new.flat", "old")}
    assert remote == []


def test_where_the_network_does_not_answer_the_tables_that_ship_do_and_it_is_asked_once(remote, monkeypatch):
    monkeypatch.delitem(NETWORK, "https://tables.invalid/abc/faiss/beir.json")
    table = tables.indexes("faiss")

    assert not table.own
    assert "ship with this toolkit" in table.origin
    assert "beir-v1.0.0-scifact.bge-base-en-v1.5" in table.entries
    assert "beir-v1.0.0-scifact-test" in registry.topics_names()
    assert len(remote) == 1


def test_nothing_is_fetched_for_a_dry_run(remote):
    assert not tables.indexes("faiss", fetch=False).own
    assert not tables.topics(fetch=False).own
    assert remote == []


@pytest.mark.parametrize("source", ["", "FAISS_INDEX_INFO = load_from_somewhere()", "def broken(:"])
def test_a_pyserini_whose_names_are_not_found_is_an_error_that_names_the_version(monkeypatch, tmp_path, anew, source):
    (tmp_path / "search").mkdir()
    (tmp_path / "prebuilt_index_info.py").write_text(source)
    monkeypatch.setattr(tables, "package", lambda: tmp_path)
    monkeypatch.setattr(tables, "version", lambda: "9.9.0")
    for names in (registry.faiss_indexes, registry.lucene_indexes, registry.topics_names, registry.qrels_names):
        with pytest.raises(SetupError, match=r"Pyserini 9\.9\.0 .* run with Pyserini 1\.6 to 2\.4"):
            names()


def test_without_pyserini_no_name_is_known(monkeypatch, anew):
    monkeypatch.setattr(tables, "package", lambda: None)

    assert registry.faiss_indexes() == frozenset()


@pytest.mark.skipif(not tables.is_remote(), reason="this Pyserini has its tables in its source")
def test_what_is_kept_of_a_table_is_what_pyserini_itself_then_lists(tmp_path):
    root = tables.package()
    source = tables._source(root, "prebuilt_index_info.py")
    (address,) = source.locations(source.values["FAISS_INDEX_INFO_BEIR"])
    parts = address.removeprefix("https://").split("/")
    kept = tmp_path.joinpath("pyserini", *parts)
    kept.parent.mkdir(parents=True)
    kept.write_text(json.dumps({"beir-v1.0.0-new.index": {"urls": [], "md5": "0", "size": 1, "filename": "x.tar.gz"}}))

    for kind, (theirs, ours) in own_names(EXPANDR_CACHE=str(tmp_path)).items():
        assert ours == theirs
        assert ("beir-v1.0.0-new.index" in ours) == (kind == "faiss")
