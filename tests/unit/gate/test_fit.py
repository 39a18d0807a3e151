"""Fits of gates: equal to scikit-learn's own, calibrated and thresholded on topics that were not fitted on."""

from __future__ import annotations

import numpy as np
import pytest

from expandr_repro.data.topics import Expansion, Topic
from expandr_repro.errors import ExpandrError
from expandr_repro.gate.examples import Examples
from expandr_repro.gate.fit import _fitted, _threshold, calibration_error, fit, folds_of
from expandr_repro.gate.planted import planted
from expandr_repro.search.gate.learned import read_learned

FEATURES = ["query-length", "overlap"]


def examples(collection, size, seed, kind="", noise=0.0):
    """Topics whose expansions do harm where the second value is low."""
    rng = np.random.default_rng(seed)
    values = np.column_stack([rng.normal(8, 3, size), rng.uniform(0, 1, size)])
    gains = (
        np.where(values[:, 1] + rng.normal(0, noise, size) < 0.3, -0.2, 0.2)
        if noise or not kind
        else np.full(size, -0.3)
    )
    values[::17, 0] = np.nan
    alone = np.full(size, 0.5)
    return Examples(collection, kind, tuple(f"{n}" for n in range(size)), values, alone, alone + gains)


@pytest.mark.parametrize("model", ["logistic", "trees"])
def test_a_fitted_gate_gives_scikit_learns_probabilities(model):
    from sklearn.ensemble import GradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression

    from expandr_repro.gate.fit import STRENGTH, TREES

    one = examples("a", 300, 1, noise=0.2)
    good, weights = one.gains > 0, np.random.default_rng(2).uniform(0.5, 2, 300)
    learned = _fitted(one.values, good, weights, FEATURES, model, 7)
    filled = np.where(np.isnan(one.values), np.nanmedian(one.values, axis=0), one.values)
    if model == "trees":
        theirs = GradientBoostingClassifier(**TREES, random_state=7).fit(filled, good, sample_weight=weights)
    else:
        filled = (filled - filled.mean(axis=0)) / filled.std(axis=0)
        theirs = LogisticRegression(C=STRENGTH, max_iter=2000).fit(filled, good, sample_weight=weights)

    assert learned.probabilities(one.values) == pytest.approx(theirs.predict_proba(filled)[:, 1], abs=1e-9)


@pytest.mark.parametrize("model", ["logistic", "trees"])
def test_a_gate_finds_what_tells_harm_from_good_and_is_calibrated(model):
    sets = [examples(name, 200, seed, noise=0.1) for seed, name in enumerate("abc")]
    learned = fit(sets, FEATURES, model, 0.95, 0)
    held = learned.facts["held_out"]

    assert held["gain_with_gate"] >= 0.94 * held["gain"]  # 0.95 as a mean over the collections
    assert held["hurt_with_gate"] < 0.7 * held["hurt"]
    assert held["calibration_error"] < 0.1
    assert learned.facts["folds"] == "collections"
    assert 0 < learned.threshold < 1


def test_a_gate_learns_to_refuse_planted_texts():
    sets = [examples(name, 100, seed) for seed, name in enumerate("abc")]
    bad = [examples(name, 100, seed + 9, kind="empty talk") for seed, name in enumerate("abc")]
    for one in bad:
        one.values[:, 1] = -1.0

    held = fit([*sets, *bad], FEATURES, "logistic", 0.95, 0).facts["held_out"]

    assert held["planted_refused"] == held["planted"] == 300
    assert held["planted_change"] == 0


def test_the_same_examples_and_seed_give_the_same_gate():
    sets = [examples("a", 200, 1, noise=0.2)]

    assert fit(sets, FEATURES, "trees", 0.9, 3).content() == fit(sets, FEATURES, "trees", 0.9, 3).content()


def test_a_topic_is_in_one_fold_however_many_expansions_it_has_and_three_collections_are_the_folds():
    two = [examples("a", 50, 1), examples("a", 50, 2), examples("b", 30, 3)]
    folds = folds_of(two, 0)

    assert np.array_equal(folds[:50], folds[50:100])
    assert set(folds) == set(range(5))
    assert list(folds_of([examples(c, 3, 0) for c in "cab"], 0)) == [2, 2, 2, 0, 0, 0, 1, 1, 1]


def test_the_threshold_is_the_highest_that_keeps_the_share_of_each_collection_alike_and_equal_probabilities_go_together():
    held_out, gains = np.array([0.9, 0.8, 0.8, 0.3]), np.array([0.5, 0.4, -0.1, 0.2])

    one, two = np.array(["a"] * 4), np.array(["a", "b", "b", "b"])
    assert _threshold(held_out, gains, one, 0.5) == 0.9
    assert _threshold(held_out, gains, one, 0.7) == 0.8
    assert _threshold(held_out, gains, one, 0.9) == 0.3
    assert _threshold(held_out, gains, two, 0.75) == 0.8
    assert _threshold(held_out, -abs(gains), one, 0.9) == 0


def test_a_feature_without_any_value_does_not_count(tmp_path):
    one = examples("a", 200, 1, noise=0.2)
    one.values[:, 0] = np.nan
    learned = fit([one], FEATURES, "logistic", 0.95, 0)

    assert learned.weights[0] == 0
    assert all(np.isfinite(learned.probabilities(one.values)))


def test_too_little_harm_to_learn_from_is_an_error():
    one = examples("a", 30, 1)
    one.fused[:] = one.alone + 0.1

    with pytest.raises(ExpandrError, match="0 of 30 examples do harm"):
        fit([one], FEATURES, "logistic", 0.95, 0)


def test_the_calibration_error_is_the_distance_of_predicted_and_found_shares():
    assert calibration_error(np.array([0.2, 0.2, 0.9]), np.array([True, False, True])) == pytest.approx((0.6 + 0.1) / 3)


def test_planted_texts_are_of_another_topic_in_another_language_or_empty_talk():
    topics = [Topic(str(n), f"query {n}", (Expansion(f"text {n}"),)) for n in range(4)]
    kinds = planted(topics)

    assert list(kinds) == ["another topic's", "another language", "empty talk"]
    assert all(
        [t.qid for t in some] == ["0", "1", "2", "3"] and [t.title for t in some] == [t.title for t in topics]
        for some in kinds.values()
    )
    assert sorted(t.texts[0] for t in kinds["another topic's"]) == [f"text {n}" for n in range(4)]
    assert all(t.texts != other.texts for t, other in zip(kinds["another topic's"], topics, strict=True))


def test_a_file_written_by_fit_is_read_without_scikit_learn(tmp_path, monkeypatch):
    import json
    import sys

    learned = fit([examples("a", 200, 1, noise=0.2)], FEATURES, "trees", 0.95, 0)
    (tmp_path / "g.json").write_text(json.dumps(learned.content()))
    monkeypatch.setitem(sys.modules, "sklearn", None)

    assert read_learned(tmp_path / "g.json").probabilities(np.array([[3.0, 0.5]]))[0] > 0.5
