"""Fit a learned gate: a logistic model or a small boosted tree, calibrated on topics that it was not fitted on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from expandr_repro.errors import ExpandrError
from expandr_repro.evaluate.significance import MARGIN
from expandr_repro.gate.examples import Examples
from expandr_repro.search.gate.learned import Learned, Tree

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LEAST = 10
"""Topics with harm and without that a fit needs."""

FOLDS = 5
STRENGTH = 0.1
"""Inverse of the logistic model's regularisation (scikit-learn's C)."""

TREES = {"n_estimators": 60, "max_depth": 2, "learning_rate": 0.1, "subsample": 0.7, "min_samples_leaf": 20}
"""What scikit-learn's GradientBoostingClassifier is given."""


def fit(examples: Sequence[Examples], features: Sequence[str], model: str, keep: float, seed: int) -> Learned:
    """Fit a model to tell whether a topic's expansions do no harm.

    Topics on which the two scores are equal count as no harm, planted ones as harm wherever the score does not rise. Folds are whole
    collections where there are three or more, else groups of topics; the model of each fold's complement gives the values that calibration
    and threshold are chosen on.

    Args:
        examples: the training topics.
        features: the gates that were measured, as typed.
        model: logistic or trees.
        keep: share of the mean gain that the threshold keeps.
        seed: of folds and trees.

    Raises:
        ExpandrError: too few topics are harmed, or too few are not.
    """
    import numpy as np

    values = np.concatenate([e.values for e in examples])
    gains = np.concatenate([e.gains for e in examples])
    planted = np.concatenate([np.full(len(e.qids), bool(e.kind)) for e in examples])
    good = np.where(planted, gains > MARGIN, gains >= -MARGIN)
    if min(good.sum(), (~good).sum()) < LEAST:
        raise ExpandrError(f"--train: {(~good).sum()} of {len(good)} examples do harm and {good.sum()} do none; a gate needs {LEAST} of each to learn from; give more topics or other expansions")  # fmt: skip
    if not (np.abs(gains[~planted]) > MARGIN).any():
        raise ExpandrError("--train: the expansions change no topic's score by --metric, so there is nothing to learn; give other expansions, or another metric")  # fmt: skip
    weights = _weights(examples)
    folds = folds_of(examples, seed)
    odds = np.zeros(len(values))
    for fold in np.unique(folds):
        inside = folds != fold
        if len(np.unique(good[inside])) < 2:
            raise ExpandrError("--train: without one of its folds, all topics of the rest do harm, or none does; give more topics")  # fmt: skip
        part = _fitted(values[inside], good[inside], weights[inside], features, model, seed)
        odds[~inside] = part.log_odds(values[~inside])
    whole = _fitted(values, good, weights, features, model, seed)
    calibrated = replace(whole, calibration=_calibration(odds, good, weights))
    slope, offset = calibrated.calibration
    held_out = 1 / (1 + np.exp(-(slope * odds + offset)))
    collections = np.concatenate([np.full(len(e.qids), e.collection) for e in examples])
    threshold = _threshold(held_out[~planted], gains[~planted], collections[~planted], keep)
    used, hurt = held_out >= threshold, gains < -MARGIN
    return replace(calibrated, threshold=threshold, facts={
        "folds": "collections" if len({e.collection for e in examples}) > 2 else f"{FOLDS} groups of topics",
        "held_out": {
            "topics": int((~planted).sum()), "gain": _share(gains[~planted].mean()), "gain_with_gate": _share((gains * used)[~planted].mean()),
            "oracle_gain": _share(np.maximum(gains[~planted], 0).mean()),
            "hurt": int((hurt & ~planted).sum()), "hurt_with_gate": int((hurt & used & ~planted).sum()),
            **({"planted": int(planted.sum()), "planted_refused": int((~used & planted).sum()), "planted_change": _share((gains * used)[planted].mean())} if planted.any() else {}),
            "brier": _share(np.average((held_out - good) ** 2, weights=weights)), "calibration_error": _share(calibration_error(held_out, good)),
        },
    })  # fmt: skip


def folds_of(examples: Sequence[Examples], seed: int) -> NDArray[np.int64]:
    """Return which fold each example is in: its collection where there are three or more, else one of `FOLDS` in which a topic is whole."""
    import numpy as np

    names = [(e.collection, qid) for e in examples for qid in e.qids]
    collections = sorted({c for c, _ in names})
    if len(collections) > 2:
        return np.array([collections.index(c) for c, _ in names])
    topics = sorted(set(names))
    order = np.random.default_rng(seed).permutation(len(topics))
    fold = {topics[row]: position % FOLDS for position, row in enumerate(order)}
    return np.array([fold[name] for name in names])


def _weights(examples: Sequence[Examples]) -> NDArray[np.float64]:
    """Return a weight per example: each collection counts the same, and in it planted texts as much as real ones."""
    import numpy as np

    sizes: dict[tuple[str, bool], int] = {}
    for e in examples:
        sizes[e.collection, bool(e.kind)] = sizes.get((e.collection, bool(e.kind)), 0) + len(e.qids)
    total = sum(sizes.values()) / len(sizes)
    return np.concatenate([np.full(len(e.qids), total / sizes[e.collection, bool(e.kind)]) for e in examples])


def _fitted(
    values: NDArray[np.float64], good: NDArray[np.bool_], weights: NDArray[np.float64], features: Sequence[str], model: str, seed: int
) -> Learned:  # fmt: skip
    """Fit a model that is not calibrated yet."""
    import numpy as np

    lacking = np.isnan(values).all(axis=0)
    fill = np.where(lacking, 0.0, np.nanmedian(np.where(lacking, 0.0, values), axis=0))
    filled = np.where(np.isnan(values), fill, values)
    scale = filled.std(axis=0)
    empty = Learned(
        tuple(features), fill.tolist(), filled.mean(axis=0).tolist(), np.where(scale > 0, scale, 1.0).tolist(), 0.0
    )
    if model == "trees":
        from sklearn.ensemble import GradientBoostingClassifier

        boosted = GradientBoostingClassifier(**TREES, random_state=seed).fit(filled, good, sample_weight=weights)
        rate, first = TREES["learning_rate"], np.average(good, weights=weights)
        trees = [_tree(t[0].tree_, rate) for t in boosted.estimators_]
        return replace(empty, trees=trees, intercept=float(np.log(first / (1 - first))))
    from sklearn.linear_model import LogisticRegression

    standard = (filled - np.array(empty.mean)) / np.array(empty.scale)
    linear = LogisticRegression(C=STRENGTH, max_iter=2000).fit(standard, good, sample_weight=weights)
    return replace(empty, weights=linear.coef_[0].tolist(), intercept=float(linear.intercept_[0]))


def _tree(tree: Any, rate: float) -> Tree:
    """Return a tree of scikit-learn as numbers, its leaves scaled by the learning rate."""
    import numpy as np

    leaf = tree.children_left < 0
    return Tree(
        np.where(leaf, -1, tree.feature).tolist(), np.where(leaf, 0.0, tree.threshold).tolist(),
        np.where(leaf, 0, tree.children_left).tolist(), np.where(leaf, 0, tree.children_right).tolist(),
        (rate * tree.value[:, 0, 0]).tolist(),
    )  # fmt: skip


def _calibration(odds: NDArray[np.float64], good: NDArray[np.bool_], weights: NDArray[np.float64]) -> tuple[float, float]:  # fmt: skip
    """Return slope and offset of Platt's scaling; the log-odds as they are where they would be turned round."""
    from sklearn.linear_model import LogisticRegression

    scaled = LogisticRegression(C=1e6, max_iter=2000).fit(odds[:, None], good, sample_weight=weights)
    slope = float(scaled.coef_[0, 0])
    return (slope, float(scaled.intercept_[0])) if slope > 0 else (1.0, 0.0)


def _threshold(held_out: NDArray[np.float64], gains: NDArray[np.float64], collections: NDArray[np.str_], keep: float) -> float:  # fmt: skip
    """Return the highest probability that keeps a share of the gain, averaged over the collections that have one (more than all does not make up for another's loss); 0, which refuses nothing, where none has."""
    import numpy as np

    order = np.argsort(-held_out, kind="stable")
    parts = [np.where(collections == name, gains, 0)[order] for name in np.unique(collections)]
    kept = [np.minimum(np.cumsum(part) / part.sum(), 1) for part in parts if part.sum() > 0]
    if not kept:
        return 0.0
    last = np.append(np.diff(held_out[order]) != 0, True)  # equal probabilities are used together
    enough = np.flatnonzero((np.mean(kept, axis=0) >= keep - MARGIN) & last)
    return float(np.floor(held_out[order][enough[0]] * 1e4) / 1e4)


def calibration_error(probabilities: NDArray[np.float64], good: NDArray[np.bool_]) -> float:
    """Return the mean distance of predicted and found shares over ten bins of equal width, weighed by their size."""
    import numpy as np

    inside = np.minimum((probabilities * 10).astype(int), 9)
    distances = [abs(probabilities[inside == b].sum() - good[inside == b].sum()) for b in range(10)]
    return float(sum(distances) / max(len(good), 1))


def _share(value: float) -> float:
    return round(float(value), 4)
