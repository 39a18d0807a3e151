"""What `gate fit` refuses before it searches, and what it cannot learn from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from expandr_repro.errors import ExpandrError
from expandr_repro.gate import __main__ as gate
from expandr_repro.gate.examples import Examples
from expandr_repro.gate.fit import fit


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--features", "overlap:threshold=0.2"], "--features overlap:threshold=0.2: a threshold has no meaning here"),
        (["--features", "idf", "overlap:0.2"], "--features overlap:0.2: a threshold has no meaning here"),
        (["--metric", "nDCG@10,MAP"], "unknown metric 'nDCG@10,MAP': did you mean 'nDCG@10'?"),
        (["--metric", "nDGC@10"], "unknown metric 'nDGC@10'"),
    ],
)
def test_what_would_be_ignored_is_refused(words, message, tmp_path, capsys):
    assert gate.main(["fit", "--train", "pocket/test", "--output", str(tmp_path / "g.json"), *words]) == 2
    assert capsys.readouterr().err.startswith(f"error: {message}")


def test_topics_without_expansions_are_named_and_not_a_fusion_that_nobody_gave(tmp_path, capsys):
    topics = tmp_path / "topics.jsonl"
    topics.write_text('{"qid": "1", "title": "cats"}\n')
    assert gate.main(["fit", "--train", str(topics), "--index", "pocket", "--output", str(tmp_path / "g.json")]) == 2
    assert "the topics have no expansions, so there is nothing to choose; give some" in capsys.readouterr().err


def test_a_misspelt_word_is_offered_the_nearest_whatever_follows(capsys):
    assert gate.main(["shwo", "learned.json"]) == 2
    assert "unknown word after gate 'shwo': did you mean 'show'?" in capsys.readouterr().err


def test_expansions_that_change_no_score_are_nothing_to_learn_from():
    rng = np.random.default_rng(0)
    score, qids = np.full(40, 0.5), tuple(map(str, range(40)))
    real = Examples("a", "", qids, rng.normal(size=(40, 1)), score, score)
    with pytest.raises(ExpandrError, match="the expansions change no topic's score"):
        fit([real, replace(real, kind="another topic's")], ["idf"], "logistic", 0.95, 0)
