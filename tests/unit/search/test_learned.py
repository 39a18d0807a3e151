"""Learned gates: read from JSON, applied without scikit-learn, and refused where they are damaged."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from expandr_repro.data.topics import Expansion, Topic
from expandr_repro.errors import ExpandrError, FormatError, NotAvailableError
from expandr_repro.search.fusion import fusion_named
from expandr_repro.search.gate import Evidence, gate_named
from expandr_repro.search.gate.choose import Gating
from expandr_repro.search.gate.learned import Learned, Tree, names_file, read_learned

LINEAR = Learned(("query-length", "overlap:k=2"), fill=[3, 0.5], mean=[4, 0.5], scale=[2, 0.25], intercept=0.5, weights=[-1.0, 2.0], threshold=0.4)  # fmt: skip
STUMP = Tree([0, -1, -1], [4.0, 0, 0], [1, 0, 0], [2, 0, 0], [0, 1.5, -1.5])


def saved(learned, path):
    path.write_text(json.dumps(learned.content()), encoding="utf-8")
    return path


def evidence(title, alone="ab", fused="ab"):
    rankings = ({d: float(9 - n) for n, d in enumerate(docs)} for docs in (alone, fused))
    return Evidence(Topic("1", title, (Expansion("x"),)), *rankings)


def test_a_logistic_gate_gives_the_probability_of_its_weighed_values():
    log_odds = 0.5 - 1 * (6 - 4) / 2 + 2 * (0.5 - 0.5) / 0.25

    assert LINEAR(evidence("one two three four five six", "ab", "ac")) == pytest.approx(1 / (1 + np.exp(-log_odds)))


def test_a_value_that_is_missing_is_filled():
    assert LINEAR(evidence("one two three four", alone="")) == LINEAR(evidence("one two three four", "ab", "ac"))


def test_a_gate_of_trees_adds_what_they_give_and_is_calibrated():
    learned = replace(LINEAR, weights=(), trees=[STUMP, STUMP], calibration=(2.0, 1.0))

    assert learned(evidence("one two three four")) == pytest.approx(1 / (1 + np.exp(-(2 * (0.5 + 3) + 1))))
    assert learned(evidence("one two three four five")) == pytest.approx(1 / (1 + np.exp(-(2 * (0.5 - 3) + 1))))


@pytest.mark.parametrize("learned", [LINEAR, replace(LINEAR, weights=(), trees=[STUMP])])
def test_what_is_written_is_read(learned, tmp_path):
    path = saved(learned, tmp_path / "g.json")
    values = np.random.default_rng(3).normal(3, 2, (50, 2))

    assert read_learned(path).content() == learned.content()
    assert np.array_equal(read_learned(path).probabilities(values), learned.probabilities(values))


@pytest.mark.parametrize(
    "typed", ["{}", "learned:{}", "{}:0.25", "learned:{}:threshold=0.25", "{}:threshold=0.25,weight=true"]
)
def test_a_learned_gate_is_named_by_its_file(typed, tmp_path):
    path = saved(LINEAR, tmp_path / "g.json")
    chosen = gate_named(typed.format(path), "bm25")

    assert chosen.threshold == (0.25 if "0.25" in typed else 0.4)
    assert chosen.values["weight"] is ("weight" in typed)
    assert chosen.after
    assert chosen.learned.features == LINEAR.features


def test_a_gate_of_the_registry_names_no_file():
    assert not any(map(names_file, ("overlap", "overlap:k=3", "overlap:0.3")))


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("{}:threshold=2", "wanted a number, 0 to 1"),
        ("{}:weight=maybe", "wanted true or false"),
        ("{}:k=2", "parameter"),
        ("{}x.json", "there is no such file"),
    ],
)
def test_what_a_learned_gate_does_not_take_is_refused(typed, message, tmp_path):
    with pytest.raises(ExpandrError, match=message):
        gate_named(typed.format(saved(LINEAR, tmp_path / "g.json")), "dense")


def test_a_file_that_is_not_there_says_how_one_is_made(tmp_path):
    with pytest.raises(NotAvailableError, match="gate fit"):
        gate_named(f"learned:{tmp_path}/none.json", "dense")


@pytest.mark.parametrize(
    "damage",
    [
        lambda c: c.update(kind="run"),
        lambda c: c.update(model="forest"),
        lambda c: c.update(version=2),
        lambda c: c.update(weights=[1.0]),
        lambda c: c.update(weights=[1.0, float("nan")]),
        lambda c: c.update(weights=[1.0, True]),
        lambda c: c.update(threshold=1.5),
        lambda c: c.update(features=[]),
        lambda c: c["features"][0].update(scale=0),
        lambda c: c["features"][0].pop("fill"),
        lambda c: c.pop("calibration"),
        lambda c: c.update(model="trees", trees=[]),
        lambda c: c.update(model="trees", trees=[vars(STUMP) | {"left": [0, 0, 0]}]),
        lambda c: c.update(model="trees", trees=[vars(STUMP) | {"feature": [7, -1, -1]}]),
        lambda c: c.update(model="trees", trees=[vars(STUMP) | {"value": [0]}]),
    ],
)
def test_a_damaged_file_is_refused_by_name(damage, tmp_path):
    content = json.loads(json.dumps(LINEAR.content()))
    damage(content)
    path = tmp_path / "g.json"
    path.write_text(json.dumps(content))

    with pytest.raises(FormatError, match=r"g\.json"):
        read_learned(path)


@pytest.mark.parametrize("content", ["", "[]", "{", "null", '{"kind": "learned-gate"}'])
def test_what_is_no_learned_gate_is_refused(content, tmp_path):
    (tmp_path / "g.json").write_text(content)

    with pytest.raises(FormatError, match="gate fit"):
        read_learned(tmp_path / "g.json")


def test_a_feature_that_is_no_gate_here_is_named(tmp_path):
    path = saved(replace(LINEAR, features=("query-length", "of-a-plug-in")), tmp_path / "g.json")

    with pytest.raises(ExpandrError, match="of-a-plug-in"):
        read_learned(path)


def test_a_gate_that_learned_from_vectors_is_refused_for_bm25_and_weights_for_a_fusion_without_alpha(tmp_path):
    path = saved(replace(LINEAR, features=("query-length", "similarity")), tmp_path / "g.json")

    with pytest.raises(ExpandrError, match="compares vectors"):
        gate_named(str(path), "bm25")
    with pytest.raises(ExpandrError, match="alpha"):
        gate_named(f"{path}:weight=true", "dense", fusion_named("rrf", "dense"))
    assert gate_named(f"{path}:weight=true", "dense", fusion_named("mean", "dense")).values["weight"]


def test_the_reason_lists_the_values_that_move_the_verdict_most_first():
    assert LINEAR.reason(evidence("one two three four five six seven eight", "ab", "ac")).startswith(
        "query-length 8, overlap:k=2 0.5"
    )


class Searcher:
    """Ranks one document, whose score is the query's weight."""

    def run(self, topics, fusion, alone=None):
        return {t.qid: {"d": fusion.values["alpha"] if fusion.values["alpha"] is not None else 0.5} for t in topics}


def test_weights_fall_from_the_threshold_on_and_are_the_querys_alpha():
    learned = replace(
        LINEAR, features=("query-length",), fill=[1], mean=[0], scale=[1], weights=[-1.0], intercept=0.0, threshold=0.5
    )
    gate = learned.gate().set({"weight": True})
    topics = [Topic(str(n), " ".join("a" * n), (Expansion("x"),) * 1) for n in (0, 1, 2)]
    gating = Gating(gate, Searcher(), fusion_named("mean", "dense"), lambda run: run)
    run = gating.run(topics, {t.qid: {"d": 1.0} for t in topics})

    shares = [1.0, *(round(1 / (1 + np.exp(n)) / 0.5, 2) for n in (1, 2))]
    assert [run[t.qid]["d"] for t in topics] == pytest.approx([1 - s / 2 for s in shares])
    assert [c.chosen for c in gating.choices] == ["fusion", "weight", "weight"]
    assert gating.facts()["gate"]["topics_weighted"] == 2
