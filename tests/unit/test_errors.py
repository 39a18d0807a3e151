from __future__ import annotations

import errno
import functools

import pytest

from expandr_repro.errors import (
    CheckFailedError,
    ExpandrError,
    FormatError,
    MismatchError,
    NotAvailableError,
    SetupError,
    UnknownNameError,
    is_memory_fault,
    nearest,
    reason_of,
    shown,
    write_fault,
)


def test_a_format_error_names_file_line_and_problem():
    error = FormatError("topics.tsv", 7, "no tab")

    assert str(error) == "topics.tsv, line 7: no tab"
    assert (error.path, error.line, error.problem) == ("topics.tsv", 7, "no tab")


def test_a_format_error_of_a_whole_file_names_no_line():
    assert str(FormatError("topics.tsv", None, "contains no topics")) == "topics.tsv: contains no topics"


def test_an_unknown_name_offers_the_nearest_known_one():
    error = UnknownNameError("encoder", "contreiver", ["contriever", "bge-base-en-v1.5"])

    assert str(error) == "unknown encoder 'contreiver': did you mean 'contriever'?"


def test_a_name_like_no_other_gets_the_sorted_list():
    error = UnknownNameError("fusion", "zzz", ["rrf", "mean", "mean"], "See docs.")

    assert str(error) == "unknown fusion 'zzz': known: mean, rrf. See docs."


def test_the_hint_follows_the_offer():
    assert str(UnknownNameError("metric", "nDCG@1O", ["nDCG@10"], "A depth follows @.")).endswith(
        "did you mean 'nDCG@10'? A depth follows @."
    )


@pytest.mark.parametrize("error", [FormatError, UnknownNameError, MismatchError, NotAvailableError, SetupError])
def test_bad_input_exits_with_2(error: type[ExpandrError]):
    assert issubclass(error, ExpandrError)
    assert error.exit_code == 2


def test_a_failed_check_exits_with_1():
    assert issubclass(CheckFailedError, ExpandrError)
    assert CheckFailedError.exit_code == 1


def test_the_nearest_name_is_found_whatever_its_case():
    assert nearest("scifact", ["NFCorpus", "SciFact"]) == "SciFact"


def test_nothing_is_nearest_when_nothing_is_near():
    assert nearest("qqqq", ["scifact", "nfcorpus"]) is None


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        Exception("No space left on device (os error 28)"),  # tokenizers
        RuntimeError("[enforce fail at inline_container.cc:664] . unexpected pos 64 vs 0"),  # torch
        RuntimeError("PytorchStreamWriter failed writing file data/0: file write failed"),
        RuntimeError("basic_ios::clear: iostream error"),
    ],
)
def test_a_disk_that_is_full_is_known_by_what_libraries_say_of_it(error):
    assert str(error) in write_fault(error)


def test_a_full_disk_behind_another_error_is_found():
    error = RuntimeError("could not save")
    error.__cause__ = OSError(errno.ENOSPC, "No space left on device")
    assert "No space left on device" in write_fault(error)


def test_an_error_of_the_program_is_no_fault_of_the_disk():
    assert write_fault(ValueError("no such thing")) is None
    assert write_fault(FileNotFoundError(errno.ENOENT, "No such file")) is None


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp:121] err == 0. DefaultCPUAllocator: can't allocate memory: you tried"),
        RuntimeError("std::bad_alloc"),
        RuntimeError("can't start new thread"),
        RuntimeError("could not create a primitive"),
        RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"),
    ],
)  # fmt: skip
def test_memory_that_does_not_suffice_is_known_by_what_libraries_say_of_it(error):
    assert is_memory_fault(error)
    assert not is_memory_fault(ValueError("no such thing"))


@pytest.mark.parametrize(
    "value",
    [
        "x" * 10**6,
        [16**20_000],
        [[]] * 10**6,
        {n: n for n in range(10**5)},
        functools.reduce(lambda v, _: [v], range(900), 1),
    ],
)
def test_what_a_file_held_is_shown_in_brief(value):
    assert len(shown(value)) < 200


@pytest.mark.parametrize("value", [None, 5, 0.5, "é'", ["a", {"b": True}], {"a": [1]}])
def test_what_is_short_is_shown_as_it_is(value):
    assert shown(value) == repr(value)


def test_a_problem_of_megabytes_is_cut():
    assert len(str(FormatError("f", 1, "x" * 10**6))) < 1100


def test_a_problem_is_one_line_whatever_it_names():
    assert str(FormatError("f", None, "views.a\n\u2028b: found 1")) == "f: views.a  b: found 1"


def test_an_unknown_name_of_kilobytes_is_shown_in_brief():
    assert len(str(UnknownNameError("metric", "x" * 10_000, ["a"]))) < 200


@pytest.mark.parametrize(
    ("error", "reason"),
    [(OSError("\nno such host\nsee the log"), "no such host"), (RuntimeError(), "RuntimeError"), (ValueError("x" * 500), "x" * 200)],
    ids=["lines", "nothing", "long"],
)  # fmt: skip
def test_the_reason_of_another_librarys_error_is_its_first_line_or_its_kind(error, reason):
    assert reason_of(error) == reason
