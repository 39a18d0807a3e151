"""Costs next to expansions, and price tables."""

from __future__ import annotations

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expandr_repro.errors import ExpandrError, FormatError, UnknownNameError
from expandr_repro.llm.costs import (
    FACT,
    PRICE,
    TOKENS,
    Price,
    Spent,
    cost_columns,
    cost_path,
    gained,
    read_costs,
    read_prices,
    write_costs,
)

TABLE = "currency: EUR\nsmall: {in: 0.1, out: 0.4}\nqwen2.5:7b: {in: 0, out: 1}\n"


def test_prices_are_per_million_tokens_in_and_out_in_the_files_currency(write):
    prices = read_prices(write("p.yaml", TABLE))

    assert (prices.currency, prices.price("small")) == ("EUR", Price(0.1, 0.4))
    assert prices.price("small").of(2_000_000, 500_000) == pytest.approx(0.4)
    assert prices.price("qwen2.5:7b") == Price(0.0, 1.0)


def test_a_model_without_a_price_is_refused_with_the_nearest_one(write):
    with pytest.raises(UnknownNameError, match="'small'"):
        read_prices(write("p.yaml", TABLE)).price("smal")


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("", "wanted lines"),
        ("currency: USD\n", "names no model"),
        ("- a\n", "wanted lines"),
        ("currency: 3\nm: {in: 1, out: 1}\n", "currency"),
        ("m: 3\n", "m: found"),
        ("m: {in: 1}\n", "m: found"),
        ("m: {in: 1, out: 2, cached: 1}\n", "m: found"),
        ("m: {in: -1, out: 2}\n", "m.in"),
        ("m: {in: 1, out: .inf}\n", "m.out"),
        ("m: {in: 1, out: true}\n", "m.out"),
        ("m: {in: 1, out: 1\n", "not YAML"),
    ],
)
def test_a_price_table_that_makes_no_sense_is_refused_in_one_line(write, text, where):
    with pytest.raises(FormatError, match=where) as refused:
        read_prices(write("p.yaml", text))

    assert "\n" not in str(refused.value)


@given(
    st.lists(
        st.builds(Spent, st.text("ab1-é", min_size=1), st.integers(0, 9), st.integers(0, 10**9), st.integers(0, 10**9))
    )
)
def test_costs_are_read_as_they_were_written(tmp_path_factory, spent):
    file = tmp_path_factory.mktemp("costs") / "x.jsonl"
    file.write_text("expansions")
    write_costs(file, "m", spent)

    costs = read_costs(file)

    assert (costs.model, list(costs.spent)) == ("m", spent)


def test_seconds_are_written_where_they_are_known(write):
    file = write("x.jsonl", "expansions")
    write_costs(file, "m", [Spent("1", 0, 5, 6, 1.25), Spent("2", 0, 5, 6)])

    assert [s.seconds for s in read_costs(file).spent] == [1.25, 0]


def test_costs_of_other_expansions_do_not_count_and_are_reported(write, caplog):
    file = write("x.jsonl", "expansions")
    write_costs(file, "m", [Spent("1", 0, 5, 6)])
    file.write_text("others")

    with caplog.at_level(logging.WARNING):
        assert read_costs(file) is None
    assert "x.jsonl.cost.json" in caplog.text


def test_expansions_without_costs_are_read_as_before(write):
    assert read_costs(write("x.jsonl", "expansions")) is None


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"texts": 3, "model": "m", "expansions_sha256": "x"}', '{"texts": [{}]}']
)
def test_a_damaged_file_of_costs_is_an_error_that_names_it(write, text):
    file = write("x.jsonl", "expansions")
    cost_path(file).write_text(text)

    with pytest.raises(ExpandrError, match=r"x\.jsonl\.cost\.json"):
        read_costs(file)


def test_columns_have_tokens_per_query_and_the_price_of_1000_queries_of_the_runs_that_tell(write):
    prices = read_prices(write("p.yaml", TABLE))
    cost = {"model": "small", "topics": 4, "requests": 4, "tokens_in": 400, "tokens_out": 100}

    columns = cost_columns({"none": {}, "mean": {FACT: [cost]}, "two": {FACT: [cost, cost]}}, prices)

    assert columns[TOKENS] == {"none": None, "mean": 125.0, "two": 250.0}
    per_query = (100 * 0.1 + 25 * 0.4) / 1e6
    assert columns[f"{PRICE} (EUR)"] == {"none": None, "mean": pytest.approx(1000 * per_query), "two": pytest.approx(2000 * per_query)}  # fmt: skip


def test_there_are_no_columns_where_no_run_tells_what_its_expansions_cost():
    assert cost_columns({"a": {}, "b": {FACT: "damaged"}}, None) == {}


def test_costs_of_some_topics_are_theirs_alone(write):
    file = write("x.jsonl", "expansions")
    write_costs(file, "m", [Spent("1", 0, 5, 6), Spent("2", 0, 50, 60), Spent("1", 1, 1, 2)])

    assert read_costs(file).facts(["1", "3"]) == {
        "model": "m",
        "topics": 2,
        "requests": 2,
        "tokens_in": 6,
        "tokens_out": 8,
    }


def test_a_gain_is_for_a_thousand_tokens_more_than_the_run_compared_with():
    assert gained(0.03, 150.0, 0.0) == pytest.approx(0.2)
    assert gained(-0.01, 150.0, 50.0) == pytest.approx(-0.1)


@pytest.mark.parametrize(("tokens", "before"), [(None, 0.0), (50.0, None), (0.0, 0.0), (50.0, 50.0), (20.0, 50.0)])
def test_without_known_or_more_tokens_there_is_no_gain_to_show(tokens, before):
    assert gained(0.03, tokens, before) is None
