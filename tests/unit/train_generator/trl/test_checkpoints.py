"""Which checkpoint a training goes on from."""

from __future__ import annotations

import pytest

from expandr_repro.train_generator.trl.checkpoints import checkpoints, clear_after, last_whole, step_of


@pytest.fixture
def folder(tmp_path):
    for step, state in ((2, "{}"), (10, "{}"), (12, '{"half'), (14, None)):
        checkpoint = tmp_path / f"checkpoint-{step}"
        checkpoint.mkdir()
        (checkpoint / "rng_state.pth").write_bytes(b"")
        if state:
            (checkpoint / "trainer_state.json").write_text(state)
    (tmp_path / "checkpoint-x").mkdir()
    return tmp_path


def test_they_are_in_the_order_of_their_steps(folder):
    assert [step_of(c) for c in checkpoints(folder)] == [2, 10, 12, 14]


def test_one_that_was_not_written_to_its_end_is_passed_over(folder):
    assert last_whole(folder, 1) == folder / "checkpoint-10"


def test_one_without_the_random_numbers_of_each_process_is_passed_over(folder):
    (folder / "checkpoint-2" / "rng_state_1.pth").write_bytes(b"")

    assert last_whole(folder, 2) == folder / "checkpoint-2"
    assert last_whole(folder, 3) is None


def test_what_came_after_is_cleared_away(folder):
    clear_after(folder, folder / "checkpoint-10")

    assert [step_of(c) for c in checkpoints(folder)] == [2, 10]
    clear_after(folder, None)
    assert checkpoints(folder) == []
