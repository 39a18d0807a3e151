"""What must hold before anything is loaded."""

from __future__ import annotations

import pytest
import torch

from expandr_repro.errors import SetupError
from expandr_repro.train_generator.trl.checks import memory_advice, pick_one_device, pick_precision


def test_a_cpu_computes_in_fp32_unless_told_otherwise():
    assert pick_precision("auto", "cpu") == "fp32"
    assert pick_precision("bf16", "cpu") == "bf16"


@pytest.mark.parametrize("has", [True, False])
def test_a_gpu_computes_in_bf16_where_it_can(monkeypatch, has):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: has)

    assert pick_precision("auto", "cuda") == ("bf16" if has else "fp32")
    if not has:
        with pytest.raises(SetupError, match="this GPU has no bf16; use --set precision=fp32"):
            pick_precision("bf16", "cuda")


def test_several_gpus_are_fine_where_each_process_has_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(SetupError, match="2 GPUs are visible to one process"):
        pick_one_device("auto")
    monkeypatch.setenv("WORLD_SIZE", "2")

    assert pick_one_device("auto") == "cuda"
    assert pick_one_device("cpu") == "cpu"


def test_too_little_memory_becomes_advice():
    with pytest.raises(SetupError, match="lower batch_size"), memory_advice():
        raise torch.OutOfMemoryError("CUDA out of memory")
