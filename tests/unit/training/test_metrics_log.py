"""The log of a training: records, going on after a kill, faults."""

from __future__ import annotations

import pytest

from expandr_repro.errors import FormatError
from expandr_repro.training.metrics_log import MetricsLog, read_metrics


def test_what_is_written_is_read(tmp_path):
    log = MetricsLog(tmp_path / "metrics.jsonl")
    log.write(1, {"loss": 0.5, "epoch": 1})
    log.write(2, {"loss": float("nan")})

    assert read_metrics(log.path) == [{"step": 1, "loss": 0.5, "epoch": 1}, {"step": 2, "loss": None}]


def test_a_new_log_forgets_an_old_one(tmp_path):
    MetricsLog(tmp_path / "m.jsonl").write(1, {"loss": 0.5})

    assert read_metrics(MetricsLog(tmp_path / "m.jsonl").path) == []


def test_a_resumed_log_keeps_its_records_up_to_the_step_byte_for_byte(tmp_path):
    log = MetricsLog(tmp_path / "m.jsonl")
    for step in (1, 2, 2, 3):
        log.write(step, {"loss": step / 3})
    whole = log.path.read_bytes()
    again = MetricsLog(log.path, resume_step=2)

    assert [r["step"] for r in read_metrics(again.path)] == [1, 2, 2]
    again.write(3, {"loss": 1.0})
    assert again.path.read_bytes() == whole


@pytest.mark.parametrize("tail", ['{"step": 2, "lo', '{"step": 2, "loss": 1.0}', "\n{"])
def test_a_line_that_a_killed_process_left_unfinished_is_dropped(tmp_path, tail):
    log = MetricsLog(tmp_path / "m.jsonl")
    log.write(1, {"loss": 0.5})
    with log.path.open("a") as file:
        file.write(tail)

    assert read_metrics(MetricsLog(log.path, resume_step=2).path) == [{"step": 1, "loss": 0.5}]


def test_a_resumed_log_that_is_not_there_starts_empty(tmp_path):
    assert read_metrics(MetricsLog(tmp_path / "m.jsonl", resume_step=7).path) == []


@pytest.mark.parametrize("line", ["{", "[1]", '{"loss": 1}', '{"step": "1"}', '{"step": true}'])
def test_a_fault_names_file_and_line(write, line):
    path = write("m.jsonl", '{"step": 1}\n' + line + "\n")

    with pytest.raises(FormatError, match=r"m\.jsonl, line 2: "):
        read_metrics(path)
    with pytest.raises(FormatError, match=r"m\.jsonl, line 2: "):
        MetricsLog(path, resume_step=5)
