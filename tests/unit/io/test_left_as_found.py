"""What this package changes in other libraries for a moment is afterwards as it was: after errors, and with several threads."""

from __future__ import annotations

import logging
import os
import pickle
import sys
import tarfile
import threading
from types import SimpleNamespace

import pytest

from expandr_repro.data import irds
from expandr_repro.errors import NotAvailableError, UnknownNameError
from expandr_repro.evaluate.metrics import parse_measures
from expandr_repro.evaluate.scoring import evaluate
from expandr_repro.io.archives import guarded_archives
from expandr_repro.io.patching import patched
from expandr_repro.io.unpickling import guarded_records


def state():
    """What this package touches, or touched once for good."""
    ranx = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "ranx"}
    stores = [sys.modules[name] for name in sorted(sys.modules) if name.startswith("ir_datasets.indices.")]
    return (
        ranx,
        [vars(module).get("pickle") for module in stores if hasattr(module, "pickle")],
        vars(tarfile.TarFile).get("extraction_filter"),
        list(logging.getLogger("ir_datasets").filters),
        {name: value for name, value in os.environ.items() if name.startswith(("IR_DATASETS", "NUMBA"))},
        sys.stdout,
    )


@pytest.fixture
def unchanged():
    pytest.importorskip("ir_datasets")
    import ir_datasets.indices.indexed_tsv_docstore
    import ir_datasets.indices.lz4_pickle
    import ir_datasets.indices.zpickle_docstore  # noqa: F401

    before = state()
    yield
    assert state() == before


@pytest.mark.usefixtures("unchanged")
def test_metrics_leave_ranx_to_whoever_imports_it():
    for _ in range(2):
        figures = evaluate({"1": {"a": 2.0, "b": 1.0}}, {"1": {"b": 1}}, parse_measures("nDCG@10,R@100"))
        assert [round(float(v.mean()), 4) for v in figures.per_topic.values()] == [0.6309, 1.0]


@pytest.mark.usefixtures("unchanged")
def test_metrics_of_several_threads_are_each_their_own():
    found = []

    def score(grade):
        found.append(evaluate({"1": {"a": 1.0}}, {"1": {"a": grade, "b": 0}}, parse_measures("R@10")).missing)

    threads = [threading.Thread(target=score, args=(1,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [[]] * 8


@pytest.mark.usefixtures("unchanged")
def test_ir_datasets_reads_and_fails_without_a_trace(monkeypatch):
    with pytest.raises(UnknownNameError):
        irds.read_topics("no-such-thing")
    during = []

    class Broken:
        def docs_iter(self):
            for number in range(3000):
                during.append(vars(tarfile.TarFile).get("extraction_filter") is not None)
                yield SimpleNamespace(doc_id=str(number), title="", text="words")
            raise OSError("no network")

    monkeypatch.setattr(irds, "_load", lambda _: Broken())
    documents = irds.corpus("broken").read()
    before = state()
    next(documents)
    assert state() == before  # whoever takes the documents does so in a process as it was
    assert all(during)
    with pytest.raises(NotAvailableError):
        list(documents)
    half_read = irds.corpus("broken").read()
    next(half_read)  # and never taken to its end


@pytest.mark.usefixtures("unchanged")
def test_the_last_thread_that_leaves_puts_back_what_the_first_one_found():
    from ir_datasets.indices import lz4_pickle

    inside, leave = threading.Event(), threading.Event()

    def hold():
        with guarded_records(), guarded_archives():
            inside.set()
            leave.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    inside.wait(60)
    with pytest.raises(ZeroDivisionError), guarded_records(), guarded_archives():
        1 / 0  # noqa: B018
    assert lz4_pickle.pickle is not pickle  # one is still inside
    assert vars(tarfile.TarFile)["extraction_filter"] is not None
    leave.set()
    thread.join()
    assert lz4_pickle.pickle is pickle


def test_an_attribute_that_was_not_there_goes_again():
    owner = SimpleNamespace(kept=1)
    with patched([(owner, "kept", 2), (owner, "new", 3)]):
        assert (owner.kept, owner.new) == (2, 3)
    assert vars(owner) == {"kept": 1}
