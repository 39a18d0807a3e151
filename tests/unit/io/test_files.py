from __future__ import annotations

import functools
import gzip
import hashlib
import json
import math
import os
import warnings
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expandr_repro.errors import FormatError, NotAvailableError, SetupError
from expandr_repro.io import files
from expandr_repro.io.files import (
    atomic_bytes,
    atomic_folder,
    atomic_text,
    is_surrogate_free,
    parse_object,
    read_facts,
    read_id,
    read_lines,
    read_text,
    sha256_file,
    sha256_text,
    write_json,
)
from unit.strategies import texts


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


class Interrupted(Exception):  # noqa: N818
    """What a caller may meet half way."""


def write_half(path: Path) -> None:
    with atomic_text(path) as file:
        file.write("x" * 100_000)
        raise Interrupted


def make_half(path: Path) -> None:
    with atomic_folder(path) as folder:
        (folder / "new").touch()
        raise Interrupted


def test_lines_are_numbered_from_one_and_lose_their_ends(write):
    assert list(read_lines(write("a.txt", "one\r\ntwo\n\nfour"))) == [(1, "one"), (2, "two"), (3, ""), (4, "four")]


def test_unicode_line_separators_end_no_line(write):
    assert list(read_lines(write("a.txt", "a\u2028b\u0085c\x0bd\n"))) == [(1, "a\u2028b\u0085c\x0bd")]


def test_a_gzipped_file_is_known_by_its_bytes_and_not_by_its_name(write):
    path = write("plain-name.txt", gzip.compress(b"one\ntwo\n"))

    assert list(read_lines(path)) == [(1, "one"), (2, "two")]


def test_a_plain_file_may_be_called_gz(tmp_path):
    (tmp_path / "a.gz").write_text("one\n")

    assert list(read_lines(tmp_path / "a.gz")) == [(1, "one")]


def test_a_byte_order_mark_is_dropped_at_the_start_alone(write):
    assert list(read_lines(write("a.txt", "\ufeffone\n\ufefftwo\n"))) == [(1, "one"), (2, "\ufefftwo")]


def test_an_empty_file_has_no_lines(write):
    assert list(read_lines(write("a.txt", ""))) == []


def test_bytes_that_are_not_utf8_are_named_with_their_line(write):
    path = write("a.txt", b"fine\ncaf\xe9\n")

    with pytest.raises(FormatError, match=r"a\.txt, line 2: not UTF-8 \(byte 0xe9\)"):
        list(read_lines(path))


def test_a_nul_byte_is_refused_with_its_line(write):
    with pytest.raises(FormatError, match=r"a\.txt, line 2: contains a NUL byte"):
        list(read_lines(write("a.txt", "a\nb\x00\n")))


def test_a_gzip_file_cut_short_is_called_damaged(write):
    path = write("a.gz", "".join(f"{i}\n" for i in range(5000)))
    path.write_bytes(path.read_bytes()[:-20])

    with pytest.raises(FormatError, match="the gzip file is damaged"):
        list(read_lines(path))


def test_a_line_beyond_the_limit_is_refused(write, monkeypatch):
    monkeypatch.setattr(files, "MAX_LINE", 1 << 20)

    with pytest.raises(FormatError, match="line 2: a line longer than 1 MiB"):
        list(read_lines(write("a.txt", b"ok\n" + b"x" * (1 << 20) + b"yy\n")))


def test_a_missing_file_is_not_available(tmp_path):
    with pytest.raises(NotAvailableError, match=r"none\.txt: cannot be read: No such file"):
        list(read_lines(tmp_path / "none.txt"))


def test_a_folder_cannot_be_read_as_a_file(tmp_path):
    with pytest.raises(NotAvailableError, match="cannot be read: Is a directory"):
        list(read_lines(tmp_path))


def test_a_pipe_is_refused_before_its_bytes_are_lost():
    reader, writer = os.pipe()
    os.write(writer, b"one\n")
    os.close(writer)

    with pytest.raises(NotAvailableError, match="not seekable"):
        list(read_lines(f"/dev/fd/{reader}"))
    os.close(reader)


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
def test_a_gzipped_file_is_closed_after_reading(write):
    path = write("a.gz", "one\n")

    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        assert read_text(path) == "one"


def test_a_text_is_read_whole_with_plain_line_ends(write):
    assert read_text(write("a.txt", "one\r\ntwo\n")) == "one\ntwo"


def test_an_object_is_parsed():
    assert parse_object("a.jsonl", 1, '{"a": [1, "é"]}') == {"a": [1, "é"]}


def test_broken_json_is_named_with_file_line_and_reason():
    with pytest.raises(FormatError, match=r"^a\.jsonl, line 3: not JSON \(Expecting value\)"):
        parse_object("a.jsonl", 3, '{"a": }')


@pytest.mark.parametrize("line", ["[" * 100_000, "1" * 5000])
def test_json_beyond_reason_is_refused(line):
    with pytest.raises(FormatError, match="nested too deeply or with too large a number"):
        parse_object("a.jsonl", 1, line)


@pytest.mark.parametrize(("line", "kind"), [("[1]", "list"), ("3", "int"), ("null", "NoneType")])
def test_json_that_is_no_object_is_refused(line, kind):
    with pytest.raises(FormatError, match=f"found a JSON {kind}, wanted an object"):
        parse_object("a.jsonl", 1, line)


def test_a_whole_number_becomes_the_id_it_spells():
    assert read_id("a", 1, 7, "the id") == "7"


def test_leading_zeros_of_an_id_stay():
    assert read_id("a", 1, "007", "the id") == "007"


@pytest.mark.parametrize("value", [True, None, 1.5, ["1"]])
def test_an_id_of_another_type_is_refused(value):
    with pytest.raises(FormatError, match=r"a, line 4: the id is .*; wanted a string"):
        read_id("a", 4, value, "the id")


@pytest.mark.parametrize("value", ["", " ", "a b", "a\tb", " a", "a\n", "a\u00a0b"])
def test_an_id_that_a_trec_run_cannot_carry_is_refused(value):
    with pytest.raises(FormatError, match="is empty or contains white space, which a TREC run cannot carry"):
        read_id("a", 1, value, "the docid")


@pytest.mark.parametrize("value", ["a\x00b", "\ud800"])
def test_an_id_that_no_text_file_can_carry_is_refused(value):
    with pytest.raises(FormatError, match="contains a NUL or half a surrogate pair"):
        read_id("a", 1, value, "the docid")


def test_half_a_surrogate_pair_is_told_from_a_whole_character():
    assert is_surrogate_free("😀")
    assert not is_surrogate_free("\ud83d")


@given(texts, st.sampled_from(["a.txt", "a.txt.gz"]))
def test_what_is_written_is_what_is_read(tmp_path_factory, text, name):
    path = tmp_path_factory.getbasetemp() / name
    with atomic_text(path) as file:
        file.write(text)

    data = path.read_bytes()
    assert (gzip.decompress(data) if name.endswith(".gz") else data) == text.encode()


def test_equal_text_is_packed_to_equal_bytes(tmp_path):
    for name in ("a.gz", "b.gz"):
        with atomic_text(tmp_path / name) as file:
            file.write("one\n" * 100)

    assert (tmp_path / "a.gz").read_bytes() == (tmp_path / "b.gz").read_bytes()


def test_folders_on_the_way_are_made(tmp_path):
    with atomic_text(tmp_path / "new" / "deep" / "a.txt") as file:
        file.write("x")

    assert (tmp_path / "new" / "deep" / "a.txt").read_text() == "x"


@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz"])
def test_a_write_that_fails_leaves_nothing_behind(tmp_path, name):
    with pytest.raises(Interrupted):
        write_half(tmp_path / name)

    assert names(tmp_path) == []


def test_a_write_that_fails_leaves_the_older_file_as_it_was(tmp_path):
    (tmp_path / "a.txt").write_text("old")

    with pytest.raises(Interrupted):
        write_half(tmp_path / "a.txt")

    assert names(tmp_path) == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "old"


def test_the_target_is_untouched_until_the_end(tmp_path):
    with atomic_bytes(tmp_path / "a.bin") as file:
        file.write(b"x")
        file.flush()
        assert not (tmp_path / "a.bin").exists()

    assert (tmp_path / "a.bin").read_bytes() == b"x"


def test_a_file_cannot_be_written_over_a_folder(tmp_path):
    with pytest.raises(SetupError, match="is a folder; wanted a file name"), atomic_text(tmp_path) as file:
        file.write("x")


def test_a_device_is_not_replaced_by_a_file(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    with pytest.raises(SetupError, match="pipe: is a device or a pipe"), atomic_text(pipe) as file:
        file.write("x")
    assert pipe.is_fifo()


def test_a_place_below_a_file_cannot_be_written(write):
    path = write("file", "")

    with pytest.raises(SetupError, match=r"a\.txt: cannot be written: .*choose another place"):
        write_json(path / "a.txt", {})


def test_a_finished_folder_takes_the_place_of_the_older_one(tmp_path):
    (tmp_path / "index").mkdir()
    (tmp_path / "index" / "old").touch()

    with atomic_folder(tmp_path / "index") as folder:
        (folder / "new").touch()

    assert names(tmp_path) == ["index"]
    assert names(tmp_path / "index") == ["new"]


def test_a_folder_that_fails_leaves_the_older_one(tmp_path):
    (tmp_path / "index").mkdir()
    (tmp_path / "index" / "old").touch()

    with pytest.raises(Interrupted):
        make_half(tmp_path / "index")

    assert names(tmp_path) == ["index"]
    assert names(tmp_path / "index") == ["old"]


def test_a_folder_does_not_replace_a_file(write, tmp_path):
    write("index", "precious")

    with pytest.raises(SetupError, match="index: is a file; wanted a folder's name"):
        make_half(tmp_path / "index")
    assert names(tmp_path) == ["index"]
    assert (tmp_path / "index").read_text() == "precious"


def test_json_is_written_indented_in_the_order_given(tmp_path):
    write_json(tmp_path / "a.json", {"z": "é", "a": 1})

    assert (tmp_path / "a.json").read_text(encoding="utf-8") == '{\n  "z": "é",\n  "a": 1\n}\n'
    assert list(json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))) == ["z", "a"]


def test_a_files_hash_is_that_of_its_bytes(write):
    assert sha256_file(write("a", "abc")) == hashlib.sha256(b"abc").hexdigest() == sha256_text("abc")


def test_a_text_with_half_a_surrogate_pair_has_a_hash():
    assert sha256_text("\ud800") == hashlib.sha256(b"\xed\xa0\x80").hexdigest()


@pytest.mark.parametrize("content", [b"\n" * (1 << 23), b"1\ta\n" * (1 << 22)])
def test_a_gzip_file_that_holds_a_thousand_times_its_size_is_refused(write, content):
    with pytest.raises(FormatError, match=r"a\.gz, line \d+: the gzip file holds \d{3,4} times its size"):
        for _ in read_lines(write("a.gz", content)):
            pass


def test_a_large_gzip_file_of_texts_is_read(write, monkeypatch):
    monkeypatch.setattr(files, "UNCHECKED", 1000)
    content = "".join(f"line {n * n}\n" for n in range(20_000))

    assert "".join(line + "\n" for _, line in read_lines(write("a.gz", content))) == content


def test_a_text_too_long_to_be_read_as_a_whole_is_refused(write):
    path = write("a.txt", "one\ntwo\n")

    assert read_text(path, 22) == "one\ntwo"
    with pytest.raises(FormatError, match=r"a\.txt, line 2: more than 21 bytes up to here"):
        read_text(path, 21)


def test_an_id_that_begins_with_a_byte_order_mark_is_refused():
    with pytest.raises(FormatError, match=r"the id '\\ufeff1' begins with a byte order mark"):
        read_id("f", 3, "\ufeff1", "the id")


@pytest.mark.parametrize(
    "value", [[[[]]], {"a": 1}, 1.5, None, True, functools.reduce(lambda v, _: [v], range(900), 1)]
)
def test_whatever_is_no_id_is_shown_in_brief(value):
    with pytest.raises(FormatError, match=r"the id is .{1,90}; wanted a string"):
        read_id("f", 3, value, "the id")


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"a": [1, {"b": None, "c": 0.5}], "é": "x"},
        {"big": 10**4000},
        {"": functools.reduce(lambda v, _: [v], range(48), 1)},
    ],
)
def test_facts_that_can_be_written_are_kept(value):
    assert read_facts("f", 1, value, "sampling") == value


@pytest.mark.parametrize(
    "value",
    [{"a": math.nan}, {"a": [math.inf]}, {"a": "\ud800"}, {"\udc00": 1}, {"a": {"b": ["\ud800"]}}, {"": functools.reduce(lambda v, _: [v], range(60), 1)}],
)  # fmt: skip
def test_facts_that_no_file_can_carry_are_refused(value):
    with pytest.raises(
        FormatError, match="f, line 1: `sampling` contains NaN, an infinite number, half a surrogate pair or"
    ):
        read_facts("f", 1, value, "sampling")
