"""Runs read in blocks: the same run, or the same refusal, as line by line."""

from __future__ import annotations

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expandr_repro.data import run_blocks
from expandr_repro.data.run_blocks import NotPlainError, plain_parts, read_plain_run
from expandr_repro.data.trec import read_run, read_run_by_lines
from expandr_repro.errors import FormatError

PLAIN = "".join(f"q{n // 10} Q0 d{n} {n % 10 + 1} {1 / (n + 1):.9g} tag\n" for n in range(200))


def outcome(read, path):
    try:
        run = read(path)
    except FormatError as error:
        return str(error)
    return [(qid, list(ranked.items())) for qid, ranked in run.items()]


def alike(path):
    assert outcome(read_run, path) == outcome(read_run_by_lines, path)


WORDS = st.sampled_from(
    ["q1", "q2", "Q0", "d1", "d2", "d3", "1", "0.5", "-3e2", "1_0", "nan", "inf", "x", "é", "\x85", "\x7f", "\x1c"]
)
GAPS = st.sampled_from([" "] * 12 + ["  ", "\t", "\u00a0", "\x0b", "\r", "\n"])
ENDS = st.sampled_from(["\n"] * 8 + ["\r\n", "\n\n", " \n", "", "\n ", "\r", "\x00\n"])
ODD = st.lists(st.tuples(st.lists(st.tuples(WORDS, GAPS), min_size=5, max_size=7), ENDS), max_size=4)
LINES = st.lists(
    st.tuples(st.sampled_from("ab"), st.integers(0, 30), st.floats(allow_nan=False, allow_infinity=False, width=32)),
    max_size=40,
)


@given(LINES, ODD, st.integers(1, 200))
def test_blocks_and_lines_agree_on_what_is_accepted_and_on_what_is_refused(tmp_path_factory, plain, odd, block):
    path = tmp_path_factory.mktemp("runs") / "x.trec"
    text = "".join(f"{q} Q0 d{d} 1 {s!r} t\n" for q, d, s in plain)
    text += "".join("".join(w + g for w, g in words)[:-1] + end for words, end in odd)
    path.write_bytes(text.encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_blocks, "BLOCK", block)
        alike(path)


@pytest.mark.parametrize("block", [1, 40, 1000, 1 << 17])
def test_a_plain_run_is_read_in_blocks_of_any_size(write, monkeypatch, block):
    monkeypatch.setattr(run_blocks, "BLOCK", block)
    for name in ("x.trec", "x.trec.gz"):
        path = write(name, PLAIN)
        assert read_plain_run(path) == read_run_by_lines(path)
    assert read_plain_run(write("cut.trec", PLAIN.rstrip("\n"))) == read_run_by_lines(path)


def test_a_topic_may_come_in_several_places_but_a_document_only_once(write):
    apart = "a Q0 1 1 2 t\nb Q0 1 1 2 t\na Q0 2 2 1 t\n"
    assert read_plain_run(write("x", apart)) == {"a": {"1": 2, "2": 1}, "b": {"1": 2}}
    path = write("y", apart + "a Q0 1 3 0 t\n")
    assert read_plain_run(path) is None
    with pytest.raises(FormatError, match="line 4: document '1' occurs twice for topic 'a'"):
        read_run(path)


@pytest.mark.parametrize(
    "text",
    ["", "\n", " ", "a b c\n", "a Q0 1 1 2\nt\n", "a Q0 1 1 2 t u\na Q0 1 1 2\n", "a Q0 1 1 x t\n", "a Q0 1 1 1e999 t\n", "a Q0 1 1 2 t\r\n",
     "a\tQ0\t1\t1\t2\tt\n", "\ufeffa Q0 1 1 2 t\n", "ä Q0 1 1 2 t\n", "a Q0 1 1 2 t\n\n", " a Q0 1 1 2 t\n", "a Q0 1 1  2 t\n", "a Q0 1\x00 1 2 t\n"],
)  # fmt: skip
def test_what_is_not_plain_is_left_to_the_careful_reader(write, text):
    path = write("x", text)
    assert read_plain_run(path) is None
    alike(path)


def test_a_damaged_gzip_file_is_refused_as_before(write, tmp_path):
    (tmp_path / "x.gz").write_bytes(gzip.compress(PLAIN.encode())[:-20])
    assert read_plain_run(tmp_path / "x.gz") is None
    alike(tmp_path / "x.gz")


def test_a_line_too_long_is_refused_as_before(write, monkeypatch):
    for module in ("data.run_blocks", "io.files"):
        monkeypatch.setattr(f"expandr_repro.{module}.MAX_LINE", 100)
    monkeypatch.setattr(run_blocks, "BLOCK", 64)
    path = write("x", PLAIN + "q Q0 " + "d" * 300 + " 1 2 t\n")
    with pytest.raises(FormatError, match="a line longer than"):
        read_run(path)


def parts_of(path):
    """Return the parts, or None where the file is left to others."""
    try:
        return list(plain_parts(path))
    except NotPlainError:
        return None


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 30)), max_size=60, unique=True), st.integers(1, 200))
def test_a_run_in_parts_is_the_run_with_every_topic_whole_and_once(tmp_path_factory, pairs, block):
    path = tmp_path_factory.mktemp("run") / "run.trec"
    path.write_text("".join(f"q{qid} Q0 d{n} 1 {n / 7:.4f} x\n" for qid, n in sorted(pairs)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_blocks, "BLOCK", block)
        parts = parts_of(path)
    if not pairs:
        assert parts is None
        return
    qids = [qid for part in parts for qid in part]
    assert len(set(qids)) == len(qids)
    assert {q: r for part in parts for q, r in part.items()} == read_run(path)


def test_a_run_comes_in_as_many_parts_as_it_has_blocks(write, monkeypatch):
    path = write("run.trec", "".join(f"q{n} Q0 d {n} 1.5 x\n" for n in range(100)))
    monkeypatch.setattr(run_blocks, "BLOCK", 100)
    assert max(map(len, parts_of(path))) < 10


@pytest.mark.parametrize("block", [1, 20, 1 << 17])
def test_topics_whose_lines_do_not_lie_together_are_left_to_the_reader_of_all(write, monkeypatch, block):
    text = "".join(f"q{n % 3} Q0 d{n} 1 {n}.5 x\n" for n in range(12))
    monkeypatch.setattr(run_blocks, "BLOCK", block)
    parts = parts_of(write("run.trec", text))
    if block > len(text):  # all in one part: whole all the same
        assert [sorted(p) for p in parts] == [["q0", "q1"], ["q2"]]
    else:
        assert parts is None


@pytest.mark.parametrize(
    "text",
    ["", "q1 Q0 d1 1 2.5\n", "q1 Q0 d1 1 nan x\n", "q1 Q0 d1 1 2.5 x\nq1 Q0 d1 2 1.5 x\n", "q1\tQ0 d1 1 2.5 x\n"],
)
def test_what_is_not_plain_has_no_parts(write, text):
    assert parts_of(write("run.trec", text)) is None
