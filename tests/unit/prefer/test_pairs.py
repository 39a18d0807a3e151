from __future__ import annotations

import json
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expandr_repro.errors import ExpandrError, FormatError
from expandr_repro.prefer.pairs import PreferencePair, draw, pair_record, read_pairs, write_pairs
from expandr_repro.prefer.rewards import is_same_text
from unit.strategies import ids, said

numbers = st.floats(-10, 10)
GOOD = {"qid": "1", "prompt": "p", "chosen": "a", "rejected": "b", "chosen_reward": 2.0, "rejected_reward": 0.5}


@st.composite
def pairs(draw):
    better, worse = sorted([draw(numbers), draw(numbers)], reverse=True)
    provenance = draw(st.none() | st.just({"chosen_candidate": 3, "generator": None}))
    return PreferencePair(draw(ids), draw(said), draw(said), draw(said), better, worse, provenance)


@given(st.lists(pairs().filter(lambda p: not is_same_text(p.chosen, p.rejected)), min_size=1, max_size=4))
def test_pairs_are_read_as_they_were_written(tmp_path_factory, listed):
    path = tmp_path_factory.mktemp("pairs") / "pairs.jsonl"
    write_pairs(path, listed)
    assert read_pairs(path) == listed
    first = path.read_bytes()
    write_pairs(path, read_pairs(path))
    assert path.read_bytes() == first


@given(st.text(max_size=40) | st.dictionaries(st.sampled_from([*GOOD, "provenance"]), st.none() | st.integers() | st.text(max_size=5)).map(json.dumps))  # fmt: skip
def test_whatever_a_line_holds_it_is_a_pair_or_a_format_error(tmp_path_factory, line):
    path = tmp_path_factory.mktemp("pairs") / "pairs.jsonl"
    path.write_bytes(line.encode("utf-8", "surrogatepass"))
    with pytest.raises(FormatError):
        read_pairs(path)


def test_a_pair_has_the_columns_that_trl_reads(tmp_path):
    write_pairs(tmp_path / "x.jsonl", [PreferencePair("1", "p", "a", "b", 2.0, 0.5, {"generator": "m"})])
    record = json.loads((tmp_path / "x.jsonl").read_text())
    assert record == {**GOOD, "provenance": {"generator": "m"}}
    assert list(record)[:4] == ["qid", "prompt", "chosen", "rejected"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"chosen": "  "}, "`chosen` of topic '1' is empty"),
        ({"rejected": ""}, "`rejected` of topic '1' is empty"),
        ({"prompt": ""}, "`prompt` of topic '1' is empty"),
        ({"chosen": ["a"]}, "wanted a text"),
        ({"rejected": " a\n"}, "the same text"),
        ({"chosen": "\ud800"}, "surrogate"),
        ({"chosen_reward": "2"}, "wanted a finite number"),
        ({"chosen_reward": True}, "wanted a finite number"),
        ({"chosen_reward": float("nan")}, "wanted a finite number"),
        ({"rejected_reward": 10**400}, "wanted a finite number"),
        ({"rejected_reward": 3}, "has the higher reward"),
        ({"qid": "1 2"}, "white space"),
        ({"provenance": "me"}, "must be an object"),
    ],
)
def test_a_faulty_pair_is_refused_with_its_line(tmp_path, change, says):
    path = tmp_path / "pairs.jsonl"
    path.write_text(json.dumps(GOOD) + "\n\n" + json.dumps(GOOD | change) + "\n")
    with pytest.raises(FormatError, match="line 3: ") as error:
        read_pairs(path)
    assert says in str(error.value)


@pytest.mark.parametrize("key", GOOD)
def test_a_pair_without_one_of_its_keys_is_refused(tmp_path, key):
    (tmp_path / "x.jsonl").write_text(json.dumps({k: v for k, v in GOOD.items() if k != key}))
    with pytest.raises(FormatError, match="line 1"):
        read_pairs(tmp_path / "x.jsonl")


def test_a_file_without_pairs_is_refused(tmp_path):
    (tmp_path / "x.jsonl").write_text("\n")
    with pytest.raises(FormatError, match="contains no pairs"):
        read_pairs(tmp_path / "x.jsonl")


def some(count):
    return [PreferencePair(str(n), "p", "a", "b", 1.0, 0.0) for n in range(count)]


def test_without_a_sample_or_a_development_part_the_pairs_keep_their_order():
    assert draw(some(9), None, 0, 42) == (some(9), [])


def test_the_draws_are_those_of_the_official_scripts():
    listed = some(50)
    random.seed(42)
    expected = random.sample(listed, 20)
    random.seed(42)
    random.shuffle(expected)

    assert draw(listed, 20, 5, 42) == (expected[5:], expected[:5])


@given(st.integers(1, 20), st.integers(1, 30), st.integers(0, 5), st.integers(0, 3))
def test_a_draw_takes_each_pair_at_most_once_and_is_the_same_again(count, sample, dev, seed):
    if dev >= min(count, sample):
        with pytest.raises(ExpandrError, match="leave some for training"):
            draw(some(count), sample, dev, seed)
        return
    train, held_out = draw(some(count), sample, dev, seed)
    assert len(held_out) == dev
    assert len(train) + dev == min(count, sample) == len({p.qid for p in train + held_out})
    assert (train, held_out) == draw(some(count), sample, dev, seed)


def test_another_seed_draws_other_pairs():
    assert draw(some(50), 20, 5, 42) != draw(some(50), 20, 5, 43)


def test_a_record_without_provenance_has_no_such_key():
    assert pair_record(some(1)[0]) == {**GOOD, "qid": "0", "chosen_reward": 1.0, "rejected_reward": 0.0}


@pytest.mark.parametrize("value", [math.nan, math.inf, "\ud800"])
def test_provenance_that_could_not_be_written_again_is_refused(tmp_path, value):
    (tmp_path / "x.jsonl").write_text(json.dumps({**GOOD, "provenance": {"a": value}}))
    with pytest.raises(FormatError, match="line 1: `provenance` contains NaN"):
        read_pairs(tmp_path / "x.jsonl")
