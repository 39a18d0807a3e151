"""Every method with every normalisation gives what ranx gives, on random runs."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from expandr_repro.errors import ExpandrError, UnknownNameError
from expandr_repro.fuse.methods import METHODS, Sheet, check_weights, method_named
from expandr_repro.fuse.norms import NORMS, normalized

PARAMETERS = {"rrf": "rrf:k=17", "gmnz": "gmnz:gamma=0.3", "logn_isr": "logn_isr:sigma=0.2", "rbc": "rbc:phi=0.7"}
WEIGHTS = (0.2, 0.7, 0.4)


def random_run(rng: random.Random) -> dict[str, dict[str, float]]:
    run = {}
    for qid in ("q1", "q2"):
        docids = rng.sample([f"d{n}" for n in range(12)], rng.randint(1, 9))
        scores = sorted((rng.uniform(-3, 9) for _ in docids), reverse=True)
        run[qid] = dict(zip(docids, scores, strict=True))
    return run


def cases() -> list[dict]:
    rng = random.Random(7)
    listed = []
    for name in METHODS:
        chosen = method_named(PARAMETERS.get(name, name))
        params = dict(chosen.values) | ({"weights": list(WEIGHTS)} if chosen.weighted else {})
        norms = [n for n in NORMS if n != "borda"] if chosen.by == "scores" else ["none"]
        norms += ["borda"] if name in ("sum", "wsum") else []
        for norm in norms:
            runs = [random_run(rng) for _ in WEIGHTS]
            listed.append({"method": name, "params": params, "norm": None if norm == "none" else norm, "runs": runs})
    return listed


CASES = cases()


@pytest.fixture(scope="module")
def theirs() -> list[dict[str, dict[str, float]]]:
    """What ranx says, as plain Python: compiled, it takes minutes."""
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("ranx_says.py")],
        input=json.dumps({"cases": CASES}), capture_output=True, text=True, check=False, env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("number", range(len(CASES)), ids=[f"{c['method']}-{c['norm'] or 'none'}" for c in CASES])
def test_a_method_with_a_normalisation_gives_what_ranx_gives(theirs, number):
    case = CASES[number]
    chosen = method_named(PARAMETERS.get(case["method"], case["method"]))
    chosen = replace(chosen, weights=WEIGHTS if chosen.weighted else ())
    for qid, expected in theirs[number].items():
        sheet = normalized(Sheet.of([run[qid] for run in case["runs"]]), case["norm"] or "none")
        ours = dict(zip(sheet.docids, chosen(sheet).tolist(), strict=True))

        assert ours.keys() == expected.keys()
        np.testing.assert_allclose([ours[d] for d in expected], list(expected.values()), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", METHODS)
def test_the_order_of_the_runs_makes_no_difference_to_the_last_bit(name):
    rng = random.Random(3)
    runs = [random_run(rng)["q1"] for _ in range(4)]
    weights = [0.1, 0.2, 0.3, 0.4]
    results = []
    for order in ([0, 1, 2, 3], [3, 1, 0, 2]):
        chosen = METHODS[name]
        chosen = replace(chosen, weights=tuple(weights[i] for i in order) if chosen.weighted else ())
        sheet = Sheet.of([runs[i] for i in order])
        results.append(dict(zip(sheet.docids, chosen(sheet).tolist(), strict=True)))

    assert results[0] == results[1]


def test_a_run_that_lacks_the_topic_adds_nothing():
    ranked = {"d1": 2.0, "d2": 1.0}
    for name in ("sum", "rrf", "mnz", "max", "rbc"):
        whole, alone = Sheet.of([ranked, {}]), Sheet.of([ranked])
        for norm in ("none", "min-max", "zmuv"):
            assert METHODS[name](normalized(whole, norm)).tolist() == METHODS[name](normalized(alone, norm)).tolist()


def test_an_unknown_method_offers_the_nearest():
    with pytest.raises(UnknownNameError, match="unknown fusion method 'wsumm': did you mean 'wsum'"):
        method_named("wsumm")


def test_condorcet_is_refused_with_the_reason():
    with pytest.raises(UnknownNameError, match="the order of a Python set"):
        method_named("condorcet")


def test_an_unknown_normalisation_offers_the_nearest():
    with pytest.raises(UnknownNameError, match="did you mean 'min-max'"):
        normalized(Sheet.of([{"d": 1.0}]), "minmax")


@pytest.mark.parametrize(
    ("name", "weights", "message"),
    [
        ("wsum", (), "needs --weights, one for each of the 2 runs"),
        ("wsum", (1.0,), "1 weights for 2 runs"),
        ("wsum", (1.0, -0.5), "-0.5 is no weight"),
        ("wsum", (1.0, float("nan")), "nan is no weight"),
        ("wsum", (0.0, 0.0), "all are 0"),
        ("rrf", (0.5, 0.5), "takes none"),
    ],
)
def test_weights_that_do_not_fit_are_refused(name, weights, message):
    with pytest.raises(ExpandrError, match=message):
        check_weights(METHODS[name], weights, 2)
