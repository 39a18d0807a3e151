"""What expansions cost, equal to the counts of a scripted server, and budgets that are never exceeded."""

from __future__ import annotations

import json
import sqlite3
import threading
from pathlib import Path

import pytest
from openai_server import openai_server

from expandr_repro.data.topics import Topic, read_topics, write_topics

PRICES = "currency: USD\nmock: {in: 1000, out: 5000}\n"


class Counted:
    """A server's answer that counts what it bills."""

    def __init__(self, text=lambda number: "word " * (3 + number % 7)):
        self.text, self.tokens_in, self.tokens_out, self.lock = text, 0, 0, threading.Lock()

    def __call__(self, number, body):
        text = self.text(number)
        usage = {"prompt_tokens": 10 + len(str(body)) % 9, "completion_tokens": len(text.split())}
        with self.lock:
            self.tokens_in += usage["prompt_tokens"]
            self.tokens_out += usage["completion_tokens"]
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
        return 200, {"choices": [choice], "usage": usage}, {}

    @property
    def price(self):
        return (self.tokens_in * 1000 + self.tokens_out * 5000) / 1e6


@pytest.fixture
def topics(tmp_path):
    path = tmp_path / "topics.jsonl"
    write_topics(path, [Topic(f"q{i}", f"what is thing number {i}") for i in range(12)])
    return path


@pytest.fixture
def expand(command, tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    (tmp_path / "prices.yaml").write_text(PRICES)

    def call(server, topics, *more, output="out.jsonl"):
        return command(
            "expand", "--topics", topics, "--base-url", server.url, "--model", "mock", "--output", tmp_path / output,
            "--store", tmp_path / "store.sqlite", "--backoff", 0.02, "--costs", *more,
        )  # fmt: skip

    return call


def costs(path):
    return json.loads(Path(f"{path}.cost.json").read_text())


def summary(result):
    return {row[""]: row["expand"] for row in json.loads(result.out)}


def test_tokens_and_seconds_of_each_text_stand_next_to_the_expansions_and_sum_to_the_servers_counts(
    expand, topics, tmp_path
):
    bill = Counted()
    with openai_server(answer=bill) as server:
        result = expand(server, topics, "--samples", 2, "--prices", tmp_path / "prices.yaml", "--format", "json")

    assert result.code == 0, result.err
    written = costs(tmp_path / "out.jsonl")
    assert (written["requests"], written["tokens_in"], written["tokens_out"]) == (24, bill.tokens_in, bill.tokens_out)
    assert sum(t["tokens_in"] for t in written["texts"]) == bill.tokens_in
    assert sum(t["tokens_out"] for t in written["texts"]) == bill.tokens_out
    assert [(t["qid"], t["sample"]) for t in written["texts"][:3]] == [("q0", 0), ("q0", 1), ("q1", 0)]
    assert all(t["seconds"] >= 0 for t in written["texts"] if "seconds" in t)
    assert summary(result)["price (USD)"] == pytest.approx(bill.price, abs=1e-6)
    assert summary(result)["price per 1,000 queries (USD)"] == pytest.approx(bill.price * 1000 / 12, abs=1e-6)


def test_texts_that_came_out_empty_and_faults_count_as_the_server_counts_them(expand, topics, tmp_path):
    bill = Counted(lambda number: "" if number % 3 == 0 else "some words here")
    with openai_server(answer=bill, fault_rate=0.2, stall=0.1) as server:
        result = expand(server, topics, "--timeout", 5)

    assert result.code in (0, 2), result.err
    written = costs(tmp_path / "out.jsonl")
    assert (written["tokens_in"], written["tokens_out"]) == (bill.tokens_in, bill.tokens_out)
    assert written["requests"] > 12


def test_answers_that_cannot_be_read_and_are_asked_for_again_count_as_the_server_counts_them(expand, topics, tmp_path):
    bill = Counted()

    def answer(number, body):
        status, good, headers = bill(number, body)
        if number % 4 == 0:
            good["choices"][0]["finish_reason"] = "error"
        return status, good, headers

    with openai_server(answer=answer) as server:
        result = expand(server, topics, "--prices", tmp_path / "prices.yaml", "--format", "json")

    assert result.code == 0, result.err
    assert len(server.log) > 12
    written = costs(tmp_path / "out.jsonl")
    assert (written["tokens_in"], written["tokens_out"]) == (bill.tokens_in, bill.tokens_out)
    assert summary(result)["tokens in"] == bill.tokens_in
    assert summary(result)["price (USD)"] == pytest.approx(bill.price, abs=1e-6)


def test_a_rerun_pays_nothing_and_writes_the_same_bytes_and_costs(expand, topics, tmp_path):
    with openai_server(answer=Counted()) as server:
        expand(server, topics)
        before = {n: (tmp_path / n).read_bytes() for n in ("out.jsonl", "out.jsonl.cost.json")}
        result = expand(server, topics, "--prices", tmp_path / "prices.yaml", "--format", "json")

    assert {n: (tmp_path / n).read_bytes() for n in before} == before
    assert summary(result)["price (USD)"] == 0


def test_the_steps_of_a_method_count_all_that_they_asked_for(expand, topics, tmp_path):
    bill = Counted(lambda number: '["one thing", "another thing", "a third"]')
    with openai_server(answer=bill) as server:
        result = expand(server, topics, "--method", "qa-expand")

    assert result.code in (0, 1, 2), result.err
    written = costs(tmp_path / "out.jsonl")
    assert (written["requests"], written["tokens_in"], written["tokens_out"]) == (len(server.log), bill.tokens_in, bill.tokens_out)  # fmt: skip


def test_the_seconds_of_stores_of_before_are_not_known_and_they_are_used_as_ever(expand, topics, tmp_path):
    with openai_server(answer=Counted()) as server:
        expand(server, topics)
        before = (tmp_path / "out.jsonl").read_bytes()
        with sqlite3.connect(tmp_path / "store.sqlite") as store:
            store.execute("DROP TABLE seconds")
        asked = len(server.log)
        expand(server, topics)

    assert (tmp_path / "out.jsonl").read_bytes() == before
    assert len(server.log) == asked
    assert "seconds" not in costs(tmp_path / "out.jsonl")


def test_costs_that_nobody_asked_for_are_not_written_and_those_that_are_there_are_kept_up(
    command, topics, tmp_path, monkeypatch
):
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    costs_file = tmp_path / "out.jsonl.cost.json"

    def expand(*more):
        words = ("--topics", topics, "--base-url", server.url, "--model", "mock", "--store", tmp_path / "s")
        assert command("expand", *words, "--output", tmp_path / "out.jsonl", *more).code == 0

    with openai_server(answer=Counted()) as server:
        expand()
        assert not costs_file.exists()
        expand("--costs")
        first = costs_file.read_bytes()
        expand()

    assert len(server.log) == 12
    assert costs_file.read_bytes() == first


def test_a_backend_that_counts_no_tokens_leaves_no_file_of_costs(expand, topics, tmp_path):
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "words"}}
    with openai_server(answer=lambda number, body: (200, {"choices": [choice]}, {})) as server:
        assert expand(server, topics).code == 0

    assert not Path(f"{tmp_path / 'out.jsonl'}.cost.json").exists()


@pytest.mark.parametrize("money", [0.2, 0.9, 1.4])
@pytest.mark.parametrize("concurrency", [1, 8])
def test_a_budget_is_used_and_never_exceeded_and_what_is_left_is_reported(expand, topics, tmp_path, money, concurrency):
    bill = Counted()
    with openai_server(answer=bill, delay=0.01) as server:
        result = expand(
            server, topics, "--prices", tmp_path / "prices.yaml", "--budget", money, "--max-tokens", 10, "--samples", 4,
            "--concurrency", concurrency, "--format", "json",
        )  # fmt: skip

    assert result.code == 2
    assert 0.3 * money < bill.price <= money or (money == 0.2 and bill.price <= money)
    assert summary(result)["left of --budget (USD)"] == pytest.approx(money - bill.price, abs=1e-6)
    assert f"--budget {money:g} USD: {bill.price:.6f} spent, {money - bill.price:.6f} left" in result.err
    assert "not asked for: it might exceed --budget" in result.err
    assert (costs(tmp_path / "out.jsonl")["tokens_in"] if bill.tokens_in else 0) == bill.tokens_in


def test_the_same_command_goes_on_where_the_budget_ended_and_pays_for_nothing_twice(expand, topics, tmp_path):
    bill = Counted()
    more = ("--prices", tmp_path / "prices.yaml", "--budget", 0.4, "--max-tokens", 10)
    with openai_server(answer=bill) as server:
        codes = [expand(server, topics, *more).code for _ in range(6)]

    assert codes[0] == 2
    assert codes[-1] == 0
    assert len(server.log) == 12
    assert all(t.texts for t in read_topics(tmp_path / "out.jsonl"))


def test_a_budget_for_everything_changes_nothing(expand, topics, tmp_path):
    with openai_server(answer=Counted()) as server:
        result = expand(server, topics, "--prices", tmp_path / "prices.yaml", "--budget", 100)

    assert result.code == 0, result.err


def test_a_budget_holds_over_the_steps_of_a_method(expand, topics, tmp_path):
    bill = Counted(lambda number: "keywords, for, it")
    with openai_server(answer=bill) as server:
        result = expand(server, topics, "--method", "genqr-ensemble", "--prices", tmp_path / "prices.yaml", "--budget", 3, "--max-tokens", 20)  # fmt: skip

    assert result.code == 2, result.err
    assert 0 < bill.price <= 3


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--budget", 1), "--budget: applies only with --prices"),
        (("--prices", "none.yaml"), "none.yaml"),
        (("--prices", "PRICES", "--model", "other"), "other"),
    ],
)
def test_a_budget_without_prices_and_prices_without_the_model_are_refused_before_anything_is_asked(
    expand, topics, tmp_path, more, message
):
    with openai_server(answer=Counted()) as server:
        result = expand(server, topics, *(tmp_path / "prices.yaml" if m == "PRICES" else m for m in more))

    assert result.code == 2
    assert message in result.error
    assert server.log == []


def test_stats_compare_and_the_python_api_show_tokens_per_query_and_the_price_of_1000_queries(
    expand, command, tmp_path, cache
):
    import expandr_repro as ex

    prices = tmp_path / "prices.yaml"
    bill = Counted()
    with openai_server(answer=bill) as server:
        assert expand(server, "pocket").code == 0
    per_query, price = (bill.tokens_in + bill.tokens_out) / 72, bill.price * 1000 / 72

    stats = command("expand", "stats", tmp_path / "out.jsonl", "--prices", prices, "--format", "json")
    rows = {row[""]: row["cost"] for row in json.loads(stats.out)[2]}
    assert rows["tokens per query"] == pytest.approx(per_query)
    assert rows["price per 1,000 queries (USD)"] == pytest.approx(price)

    shared = ("--topics", "pocket", "--hits", 20)
    for fusion, more in (("none", ()), ("mean", ("--expansions", tmp_path / "out.jsonl"))):
        found = command("search", *shared, "--fusion", fusion, *more, "--output", tmp_path / f"{fusion}.trec")
        assert found.code == 0, found.err
    runs = (tmp_path / "none.trec", tmp_path / "mean.trec")
    shown = command("compare", "--qrels", "pocket", *runs, "--prices", prices)
    assert "price per 1,000 queries (USD)" in shown.out, shown.err
    compared = json.loads(command("compare", "--qrels", "pocket", *runs, "--prices", prices, "--format", "json").out)
    free = ("tokens per query", "price per 1,000 queries (USD)", "nDCG@10 gained per 1,000 tokens")
    assert compared["costs"]["none"] == dict.fromkeys(free)
    assert compared["costs"]["mean"]["tokens per query"] == pytest.approx(per_query)
    assert compared["costs"]["mean"]["price per 1,000 queries (USD)"] == pytest.approx(price)

    table = ex.significance({"none": runs[0], "mean": runs[1]}, "pocket", "nDCG@10", prices=prices)
    assert table["tokens per query"].tolist() == [pytest.approx(per_query)]
    assert table["price per 1,000 queries (USD)"].tolist() == [pytest.approx(price)]
    gain = table["difference"].tolist()[0] * 1000 / per_query
    assert table["gained per 1,000 tokens"].tolist() == [pytest.approx(gain)]
    assert compared["costs"]["mean"]["nDCG@10 gained per 1,000 tokens"] == pytest.approx(gain)
