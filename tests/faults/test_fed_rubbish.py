"""Whatever a file holds, it is read or refused with one line; what is accepted survives being written; nothing takes hours or gigabytes."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expandr_repro.data.trec import read_qrels, read_run, write_qrels, write_run
from expandr_repro.errors import ExpandrError
from tests.faults.fuzz import CORPUS, FINDINGS, folder, oracle
from tests.faults.fuzz.targets import TARGETS, file_of, same
from tests.faults.rubbish import RUBBISH, SMALL, record
from tests.unit.strategies import grades, ids, rankings

AREA = "Fed rubbish"

ROOT = Path(__file__).resolve().parents[2]
READERS = tuple(n for n in TARGETS if n not in ("lines", "settings", "metric names", "cleaner", "logs of trainings"))
"""The readers of files that come from strangers."""

JSONL = ("topics", "expansions", "gold passages", "corpora", "preference pairs", "logs of trainings")
few = settings(max_examples=80, deadline=None, derandomize=True, database=None)


def kept(name: str) -> list[Path]:
    return [p for top in (CORPUS, FINDINGS) for p in sorted(folder(top, name).glob("*"))]


@pytest.mark.parametrize("name", TARGETS)
def test_every_input_that_the_fuzzer_kept_is_read_or_refused(name, record_property):
    for path in kept(name):
        TARGETS[name].read(path.read_bytes())
    record_property("tried", len(kept(name)))


def test_what_the_fuzzer_starts_from_are_good_files(record_property):
    for target in TARGETS.values():
        for seed in target.seeds:
            refused = seed[:1] in (b"\x04", b"\x05") and seed.startswith(TARGETS["lines"].seeds)
            if not refused:
                target.read.__wrapped__(seed)
    record_property("tried", sum(len(t.seeds) for t in TARGETS.values()))


@pytest.mark.parametrize("name", TARGETS)
def test_a_good_file_damaged_anywhere_is_read_or_refused(name, record_property):
    tried = []
    target = TARGETS[name]
    pieces = st.one_of(st.binary(max_size=6), st.sampled_from([w.encode() for w in ("", "\n", *target.words)]))

    @few
    @given(st.sampled_from(target.seeds), st.lists(st.tuples(st.floats(0, 1), st.integers(0, 40), pieces), max_size=4))
    def damaged(data, changes):
        for place, length, piece in changes:
            start = int(place * len(data))
            data = data[:start] + piece + data[start + length :]
        target.read(data)
        tried.append(1)

    damaged()
    record_property("tried", len(tried))


anything = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats() | st.text(max_size=5) | st.sampled_from(["\ud800", "1", "a b", "\ufeff1", 10**400]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["text", "sampling", "\udc00", "a"]), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
KEYS = ("qid", "_id", "id", "title", "text", "expansions", "sampling", "provenance", "title_sha256", "prompt", "chosen", "rejected", "chosen_reward", "rejected_reward", "step")  # fmt: skip


@pytest.mark.parametrize("name", JSONL)
def test_records_with_anything_under_any_key_are_read_or_refused(name, record_property):
    tried = []
    good = json.loads(TARGETS[name].seeds[0].splitlines()[0])

    @few
    @given(st.dictionaries(st.sampled_from(KEYS), anything, max_size=4), st.booleans())
    def records(values, escaped):
        line = json.dumps({**good, **values}, ensure_ascii=escaped)
        TARGETS[name].read(line.encode("utf-8", "surrogatepass"))
        tried.append(1)

    records()
    record_property("tried", len(tried))


@pytest.mark.parametrize(
    "name", ["encoder specs", "collections", "regressions", "training of encoders", "training of generators", "prompts"]
)
def test_settings_with_anything_under_any_key_are_read_or_refused(name, record_property):
    import yaml

    tried = []
    good = yaml.safe_load(TARGETS[name].seeds[0])

    @few
    @given(st.data())
    def values(data):
        changed = json.loads(json.dumps(good))
        place = changed
        while (
            (key := data.draw(st.sampled_from(sorted(place))))
            and isinstance(place[key], dict)
            and place[key]
            and data.draw(st.booleans())
        ):
            place = place[key]
        place[key] = data.draw(anything)
        written = json.dumps(changed) if data.draw(st.booleans()) else yaml.safe_dump(changed)
        TARGETS[name].read(written.encode("utf-8", "surrogatepass"))
        tried.append(1)

    values()
    record_property("tried", len(tried))


WORDS = ["q1", "q2", "Q0", "d1", "d2", "é", "1", "0.5", "-3e2", "1e39", "1e-50", "1_0", "+1", "-1", "\u0663", "nan", "inf", "0x10", "1e", ".5", "x", "\ufeffq", "query-id", "d\u00a01", "\x85", "\x1c"]  # fmt: skip
GAPS = [" "] * 12 + ["  ", "\t", "\x0b", "\x0c", "\r", "\u00a0", "\u3000", "\x1f"]
ENDS = ["\n"] * 8 + ["\r\n", "\n\n", " \n", "", "\r"]


def lines(columns: int) -> st.SearchStrategy[bytes]:
    word = st.tuples(st.sampled_from(WORDS), st.sampled_from(GAPS)).map("".join)
    line = st.tuples(
        st.lists(word, min_size=columns - 1, max_size=columns + 1).map("".join), st.sampled_from(ENDS)
    ).map("".join)
    return st.lists(line, max_size=4).map(lambda listed: "".join(listed).encode())


AGREE = {
    "runs": ("r.trec", 6, read_run, oracle.run, "parse_run"),
    "judgements": ("q.txt", 4, read_qrels, oracle.qrels, "parse_qrel"),
}


@pytest.mark.parametrize("kind", AGREE)
def test_runs_and_judgements_are_what_trec_eval_and_pytrec_eval_read_or_are_refused(kind, record_property):
    name, columns, *readers = AGREE[kind]
    tried = []

    @settings(few, max_examples=500)
    @given(lines(columns))
    def agree(data):
        _agrees(data, name, *readers)
        tried.append(1)

    agree()
    record_property("tried", len(tried))


def _agrees(data, name, read, theirs, parser):
    import pytrec_eval

    path = file_of(data, name)
    try:
        ours = read(path)
    except ExpandrError:
        return
    if data.startswith(b"query-id"):  # BEIR's header is a line of its own
        return
    assert same(ours) == same(theirs(data))
    if len(data.split(b"\n")[0].split()) > 3 and b"\r" not in data.replace(
        b"\r\n", b"\n"
    ):  # to Python, a lone one ends a line
        with path.open(encoding="utf-8-sig") as file:
            others = getattr(pytrec_eval, parser)(line for line in file if line.strip())
        assert {q: dict(ranked) for q, ranked in others.items()} == ours


def test_runs_and_judgements_that_we_write_are_read_alike_by_pytrec_eval(record_property):
    import pytrec_eval

    tried = []
    judgements = st.dictionaries(ids, grades, min_size=1)

    @settings(few, max_examples=200)
    @given(st.dictionaries(ids, rankings, min_size=1, max_size=3), st.dictionaries(ids, judgements, min_size=1))
    def alike(run, judged):
        path = file_of(b"", "w.trec")
        write_run(path, run)
        with path.open(encoding="utf-8", newline="\n") as file:
            assert pytrec_eval.parse_run(file) == read_run(path)
        write_qrels(path, judged)
        with path.open(encoding="utf-8", newline="\n") as file:
            assert pytrec_eval.parse_qrel(file) == read_qrels(path)
        tried.append(1)

    alike()
    record_property("tried", len(tried))


KINDS = ("topics", "runs", "qrels", "corpora tsv", "prompts", "manifests")
SLOW = {
    "a line of 100 MB": KINDS,
    "a line of 100 MB of spaces": KINDS,
    "a line of 100 MB of words": KINDS,
    "a record of 15 MB of empty lists": ("topics", "corpora"),
    "a record with a text of 15 MB": ("topics", "preference pairs"),
    "a YAML file of 250 KB of numbers to the base 60": ("training of encoders",),
    "a gzip bomb of line ends": ("topics", "runs", "prompts", "manifests"),
    "a gzip bomb of spaces": ("qrels", "corpora tsv", "prompts", "manifests"),
    "a gzip header with an endless name": ("topics", "runs"),
    "a gzip bomb of records": ("topics", "corpora", "prompts", "manifests"),
}
"""Rubbish that takes about a second to be read over is given to a few readers of different kinds; all other goes to all of them."""


@pytest.mark.parametrize("name", READERS)
def test_rubbish_of_many_kinds_is_refused_by_every_reader(name, record_property):
    for content in SMALL.values():
        TARGETS[name].read(content)
    record_property("tried", len(SMALL))


@pytest.mark.parametrize("name", RUBBISH)
def test_rubbish_of_any_size_is_refused_in_bounded_time_and_memory(name, record_property):
    readers = SLOW.get(name, READERS)
    command = [sys.executable, "-m", "tests.faults.rubbish", name, *readers]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # each thread maps memory, too
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout) < 1200, "megabytes beyond the file itself"
    record_property("tried", len(readers))


@pytest.mark.parametrize("name", JSONL)
def test_nesting_just_below_what_python_can_parse_is_read_or_refused(name, record_property):
    depths = range(850, 1000, 3)
    for depth in depths:
        TARGETS[name].read(record("[" * depth + "]" * depth))
        TARGETS[name].read(
            b'{"qid": "1", "_id": "1", "title": "a", "text": "a", "provenance": '
            + b'{"a": ' * depth
            + b"1"
            + b"}" * depth
            + b"}"
        )
    record_property("tried", 2 * len(depths))


COMMANDS = {
    "evaluate": ("evaluate", "--qrels", "pocket", "RUBBISH"),
    "evaluate, judgements": ("evaluate", "--qrels", "RUBBISH", "GOOD.trec"),
    "compare": ("compare", "--qrels", "pocket", "RUBBISH", "GOOD.trec"),
    "compare, judgements": ("compare", "--qrels", "RUBBISH", "GOOD.trec", "GOOD.too.trec"),
    "report": ("report", "--topics", "pocket", "--qrels", "pocket", "RUBBISH", "GOOD.trec", "--output", "OUT.html"),
    "report, topics": ("report", "--topics", "RUBBISH.jsonl", "--qrels", "pocket", "--corpus", "pocket", "GOOD.trec", "GOOD.too.trec", "--output", "OUT.html"),
    "report, expansions": ("report", "--topics", "pocket", "--qrels", "pocket", "GOOD.trec", "GOOD.too.trec", "--expansions", "RUBBISH.jsonl", "--output", "OUT.html"),
    "search, topics": ("search", "--topics", "RUBBISH.jsonl", "--index", "pocket"),
    "search, JSON topics": ("search", "--topics", "RUBBISH.json", "--index", "pocket"),
    "search, expansions": ("search", "--topics", "pocket", "--expansions", "RUBBISH.jsonl"),
    "search, encoder": ("search", "--topics", "pocket", "--encoder", "RUBBISH.yaml"),
    "search, judgements": ("search", "--topics", "pocket", "--qrels", "RUBBISH", "--output", "OUT.trec"),
    "encode": ("encode", "--corpus", "RUBBISH.jsonl", "--output", "OUT"),
    "prefer, candidates": ("prefer", "--candidates", "RUBBISH.jsonl", "--gold", "pocket/test", "--reward", "retriever=1", "--output", "OUT.jsonl"),
    "prefer, gold": ("prefer", "--candidates", "GOOD.jsonl", "--gold-file", "RUBBISH", "--reward", "retriever=1", "--output", "OUT.jsonl"),
    "prefer, answers": ("prefer", "--candidates", "GOOD.jsonl", "--gold", "pocket/test", "--answers", "RUBBISH.jsonl", "--output", "OUT.jsonl"),
    "prefer, prompt": ("prefer", "--candidates", "GOOD.jsonl", "--gold", "pocket/test", "--reward", "retriever=1", "--prompt", "RUBBISH.yaml", "--output", "OUT.jsonl"),
    "expand, prompt": ("expand", "--topics", "pocket", "--prompt", "RUBBISH.yaml", "--model", "none", "--base-url", "http://127.0.0.1:9/v1", "--output", "OUT.jsonl"),
    "expand show": ("expand", "show", "RUBBISH.jsonl"),
    "expand stats": ("expand", "stats", "RUBBISH.jsonl"),
    "train_encoder, settings": ("train_encoder", "--train", "pocket/test", "--config", "RUBBISH.yaml", "--output", "OUT"),
    "train_encoder, negatives": ("train_encoder", "--train", "pocket/test", "--negatives", "RUBBISH", "--output", "OUT"),
    "train_generator, pairs": ("train_generator", "--pairs", "RUBBISH.jsonl", "--model", "none", "--output", "OUT"),
    "train_generator, settings": ("train_generator", "--sft", "pocket/test", "--config", "RUBBISH.yaml", "--model", "none", "--output", "OUT"),
}  # fmt: skip
GIVEN = {
    **SMALL,
    **{
        n: RUBBISH[n]()
        for n in (
            "lists in lists",
            "a record of lists in lists",
            "YAML's billion laughs",
            "YAML's billion merges",
            "a number of a million bits",
        )
    },
}
"""What commands are given; a command that takes an empty file, or one with a byte order mark, for something else has its own tests."""


def arguments(place: Path, line: tuple[str, ...], content: bytes) -> list[str]:
    """Write the files that a command line names; return it with their paths."""
    candidates = {"qid": "animals-1", "title": "cat drinking a lot", "expansions": ["a", "b"]}
    (place / "GOOD.jsonl").write_text(json.dumps(candidates) + "\n")
    (place / "GOOD.trec").write_text("animals-1 Q0 d1 1 1.0 t\n")
    (place / "GOOD.too.trec").write_text("animals-1 Q0 d2 1 1.0 t\n")
    found = []
    for word in line:
        if word.startswith("RUBBISH"):
            (place / word).write_bytes(content)
        found.append(str(place / word) if word.startswith(("RUBBISH", "GOOD.", "OUT")) else word)
    return found


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_that_is_given_rubbish_says_so_in_one_line(command, tmp_path, name, record_property):
    for rubbish, content in GIVEN.items():
        called, *rest = arguments(tmp_path, COMMANDS[name], content)
        result = command(called, *rest)
        assert result.code == 2, (rubbish, result)
        assert "RUBBISH" in result.error, rubbish
        assert len(result.error) < 2500, rubbish
        assert not list(tmp_path.glob("OUT*")), rubbish
    record_property("tried", len(GIVEN))


@pytest.mark.parametrize("name", ["index", "docid", "manifest.json"])
def test_an_index_with_rubbish_in_one_of_its_files_is_loaded_or_refused(tmp_path, name, record_property):
    import faiss
    import numpy as np

    from expandr_repro.indexes.faiss_index import FaissIndex

    index = faiss.IndexFlatIP(4)
    index.add(np.eye(4, dtype=np.float32)[:1])
    for content in GIVEN.values():
        faiss.write_index(index, str(tmp_path / "index"))
        (tmp_path / "docid").write_text("d1\n")
        (tmp_path / name).write_bytes(content)
        with contextlib.suppress(ExpandrError):
            FaissIndex.load(tmp_path)
    record_property("tried", len(GIVEN))


@pytest.mark.parametrize("name", ["evaluate", "compare", "report", "search, topics", "prefer, candidates"])
def test_a_process_that_is_given_rubbish_ends_with_2_and_nothing_but_one_line(process, tmp_path, name):
    called, *rest = arguments(tmp_path, COMMANDS[name], RUBBISH["a record of lists in lists"]())
    result = process(f"expandr_repro.{called}", *rest)
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("error: ")
    assert result.err.count("\n") == 1
