"""Which weights are kept, and when training stops."""

from __future__ import annotations

from expandr_repro.training.early_stopping import Progress


def looks(*figures, patience=0, names=("a", "b")):
    state = Progress()
    best = [state.take({"a": a, "b": b}, step, names, patience) for step, (a, b) in enumerate(figures)]
    return state, best


def test_the_best_mean_is_kept_and_the_first_of_equal_ones():
    state, best = looks((0.5, 0.5), (0.9, 0.3), (0.6, 0.4), (0.7, 0.3))
    assert best == [True, True, False, False]
    assert (state.best_step, state.best, state.first, state.last) == (
        1,
        {"a": 0.9, "b": 0.3},
        {"a": 0.5, "b": 0.5},
        {"a": 0.7, "b": 0.3},
    )


def test_only_the_named_figures_decide():
    state, best = looks((0.5, 0.5), (0.1, 0.6), names=("b",))
    assert best == [True, True]
    assert state.best_step == 1


def test_patience_counts_looks_without_a_gain_and_starts_anew_at_each_gain():
    state, _ = looks((0.5, 0.5), (0.4, 0.4), (0.6, 0.6), (0.5, 0.5), patience=2)
    assert not state.stopped
    assert state.without_gain == 1
    state.take({"a": 0.1, "b": 0.1}, 4, ("a", "b"), 2)
    assert state.stopped


def test_without_patience_nothing_stops():
    state, _ = looks(*[(0.5, 0.5)] * 9)
    assert not state.stopped
