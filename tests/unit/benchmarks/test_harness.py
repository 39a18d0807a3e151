"""The harness: turns in alternating order, results before times, ratios round by round."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from benchmarks import checks, harness, processes
from benchmarks.harness import NotHereError, Side, measure, nothing, wrong
from benchmarks.results import Row, Sheet, as_json, from_json, number, ratio
from expandr_repro.data.trec import write_run
from expandr_repro.errors import CheckFailedError, SetupError


def test_sides_take_turns_and_every_other_round_is_in_the_opposite_order():
    order = []
    sides = [Side(name, lambda n=name: order.append(n)) for name in "abc"]
    rows = measure(sides, 3, nothing)
    assert "".join(order) == "abc" + "cba" + "abc"
    assert [(r.name, len(r.seconds)) for r in rows] == [("a", 3), ("b", 3), ("c", 3)]


def test_what_comes_before_a_round_is_done_each_time_and_not_timed():
    done = []
    clock = iter([0.0, 1.0, 5.0, 7.0])
    side = Side("a", lambda: done.append("work"), before=lambda: done.append("before"))
    patched = pytest.MonkeyPatch()
    with patched.context() as patch:
        patch.setattr(harness.time, "perf_counter", lambda: next(clock))
        (row,) = measure([side], 2, nothing)
    assert done == ["before", "work"] * 2
    assert row.seconds == [1.0, 2.0]


def test_a_wrong_result_ends_the_measurement():
    def check(results):
        if results["b"] != results["a"]:
            raise wrong("b", "another number")
        return {}

    with pytest.raises(CheckFailedError, match="b: another number; its time does not count") as caught:
        measure([Side("a", lambda: 1), Side("b", lambda: 2)], 1, check)
    assert caught.value.exit_code == 1


def test_a_peer_that_is_not_here_gets_a_row_that_says_so_and_the_others_are_compared():
    def missing():
        raise NotHereError("no Java")

    seen = []
    rows = measure([Side("a", lambda: 1), Side("b", missing)], 2, lambda r: seen.append(dict(r)) or {"a": "alone"})
    assert [(r.name, len(r.seconds), r.note) for r in rows] == [("a", 2, "alone"), ("b", 0, "not here: no Java")]
    assert seen == [{"a": 1}] * 2


def test_a_device_out_of_memory_is_a_row_and_another_error_is_an_error():
    class OutOfMemoryError(RuntimeError):
        pass

    def full():
        raise OutOfMemoryError

    def broken():
        raise RuntimeError("broken")

    (row,) = measure([Side("a", full)], 1, nothing)
    assert row.note == "not here: out of the device's memory"
    with pytest.raises(RuntimeError, match="broken"):
        measure([Side("a", broken)], 1, nothing)


def test_a_ratio_is_taken_round_by_round_and_for_an_item():
    slow, fast = Row("slow", 10, [10.0, 20.0, 10.0]), Row("fast", 20, [4.0, 10.0, 10.0])
    assert ratio(fast, slow) == "4.00 (2.00 to 5.00)"  # 1.0/0.2, 2.0/0.5, 1.0/0.5
    assert ratio(slow, slow) == "1"
    assert ratio(Row("none"), slow) is None


def test_a_sheet_shows_medians_ratios_limits_memory_and_what_was_checked():
    rows = [
        Row("ours", 100, [1.0, 3.0, 2.0], limit=0.5, peak=[10.0, 30.0, 20.0], figures={"recall": 0.5}, note="within 1e-7"),
        Row("theirs", 50, [4.0, 4.0, 4.0], limit=0.25),
        Row("absent", note="not here: x"),
    ]  # fmt: skip
    sheet = Sheet("s", "Title", "passages", rows, ["theirs"], limit="bytes")
    table = sheet.table()
    assert list(table.header) == ["", "passages/s", "times theirs", "limit", "of the limit", "peak MiB", "recall", "checked"]  # fmt: skip
    assert table.rows[0] == ["ours", "50.0", "4.00 (2.67 to 8.00)", "200", "25.0 %", "20.0", "0.5", "within 1e-7"]
    assert table.rows[1] == ["theirs", "12.5", "1", "200", "6.2 %", None, None, None]
    assert table.rows[2] == ["absent", None, None, None, None, None, None, "not here: x"]
    assert sheet.render("text").startswith("Title\n\n")
    kept = as_json("n", "c", "default", {"cores": 2}, [sheet])
    assert from_json(kept) == [sheet]


@pytest.mark.parametrize(
    ("value", "shown"),
    [(1234567, "1,234,567"), (1234.5, "1,234"), (12.34, "12.3"), (1.234, "1.23"), (0.01234, "0.0123"), (None, None), ("x", "x")],
)  # fmt: skip
def test_numbers_are_shown_with_the_digits_that_count(value, shown):
    assert number(value) == shown


def test_vectors_are_compared_exactly_or_by_cosine():
    exact = np.eye(3, dtype=np.float32)
    coarse = exact + np.float32(0.01)
    check = checks.same_vectors("a", 1e-5, {"c": 0.99})
    assert check({"a": exact, "b": exact[:2], "c": coarse})["b"] == "within 0e+00"
    with pytest.raises(CheckFailedError, match=r"b: a component differs by 1\.0e-02"):
        check({"a": exact, "b": coarse})
    with pytest.raises(CheckFailedError, match="c: the smallest cosine"):
        check({"a": exact, "c": exact[::-1]})
    with pytest.raises(CheckFailedError, match="b: vectors of the shape"):
        check({"a": exact, "b": exact[:, :2]})
    with pytest.raises(CheckFailedError, match="all finite"):
        check({"a": exact, "c": exact * np.float32("nan")})


def test_runs_are_the_same_where_scores_are_and_ties_may_be_cut_either_way(tmp_path):
    files = {name: tmp_path / f"{name}.trec" for name in ("a", "b")}
    write_run(files["a"], {"q": {"x": 2.0, "y": 1.0}}, "t")
    check = checks.same_runs(files, {"b": "a"}, 1e-3)
    write_run(files["b"], {"q": {"x": 2.0, "z": 1.0}}, "t")  # y and z are tied at the cut
    assert "within" in check({"a": 1, "b": 1})["b"]
    for other, error in (({"x": 2.0, "y": 1.5}, "a score differs"), ({"y": 2.0, "x": 1.0}, "a score differs"), ({"x": 2.0}, "1 documents")):  # fmt: skip
        write_run(files["b"], {"q": other}, "t")
        with pytest.raises(CheckFailedError, match=error):
            check({"a": 1, "b": 1})
    write_run(files["b"], {"p": {"x": 2.0, "y": 1.0}}, "t")
    with pytest.raises(CheckFailedError, match="1 topics, wanted"):
        check({"a": 1, "b": 1})


def test_a_commands_memory_is_its_own_and_not_that_of_who_started_it():
    ballast = np.ones(40 * 2**20)  # 320 MiB here
    small = processes.python(["-c", "print('small')"])
    large = processes.python(["-c", "x = bytearray(200 * 2**20); x[::4096] = b'1' * len(x[::4096])"])
    assert small.out == "small\n"
    assert small.peak < 150 < 200 <= large.peak < 400
    assert small.seconds > 0
    assert len(ballast)


def test_a_command_that_fails_says_its_last_line():
    with pytest.raises(SetupError, match="ended with exit code 3: nothing works"):
        processes.python(["-c", "import sys; print('nothing works', file=sys.stderr); sys.exit(3)"])
    assert sys.executable
