"""`expand` and the answers of endpoints that are no plain text: reasoning, refusals, half texts, outages; and from a notebook."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
import time
from pathlib import Path

import pytest
from openai_server import openai_server

from expandr_repro.data.topics import Topic, read_topics, write_topics
from expandr_repro.expand.store import Store

P = "Rain falls from clouds and feeds the rivers."
NO = "I'm sorry, but I can't help with that."


@pytest.fixture
def topics(tmp_path):
    """Write some topics and return the file."""

    def make(count):
        path = tmp_path / f"topics{count}.jsonl"
        write_topics(path, [Topic(f"q{i}", f"what is thing number {i}") for i in range(count)])
        return path

    return make


@pytest.fixture
def expand(command, tmp_path, monkeypatch):
    """Run the command on a store of the test's own; returns its result."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)

    def call(url, topics, *more, output="out.jsonl"):
        return command(
            "expand", "--topics", topics, "--base-url", url, "--model", "mock", "--output", tmp_path / output, "--store", tmp_path / "store.sqlite",
            "--backoff", 0.02, "--format", "json", *more,
        )  # fmt: skip

    return call


def rows(result):
    return {row[""]: row["expand"] for row in json.loads(result.out)}


def chat(message, finish="stop"):
    """Return an answer of the protocol."""
    return 200, {"choices": [{"index": 0, "message": {"role": "assistant"} | message, "finish_reason": finish}]}, {}


def number_of(body):
    return int(body["messages"][0]["content"].split("number ")[1].split("\n")[0])


def test_plain_completions_are_not_taken_from_what_chat_was_asked(expand, topics, tmp_path):
    path = topics(2)
    with openai_server(reply=lambda body: f"{P} By {'chat' if 'messages' in body else 'completions'}.") as server:
        assert rows(expand(server.url, path))["requests"] == 2
        assert rows(expand(server.url, path, "--api", "completions", output="plain.jsonl"))["requests"] == 2
        assert rows(expand(server.url, path))["requests"] == 0
        assert rows(expand(server.url, path, "--api", "completions", output="plain.jsonl"))["requests"] == 0

    for name, api in (("out.jsonl", "chat"), ("plain.jsonl", "completions")):
        made = read_topics(tmp_path / name)
        assert [t.texts for t in made] == [(f"{P} By {api}.",)] * 2
        assert made[0].provenance["api"] == api


@pytest.mark.parametrize(
    "extra",
    [{"stop": ["\n"]}, {"n": 2}, {"seed": 7}, {"chat_template_kwargs": {"enable_thinking": False}}, {"top_k": 4}],
)
def test_whatever_else_changes_the_answer_is_asked_anew(expand, topics, extra):
    path = topics(1)
    with openai_server() as server:
        expand(server.url, path)
        assert rows(expand(server.url, path, "--extra", json.dumps(extra)))["requests"] == 1


def test_thoughts_are_never_the_passage(expand, topics, tmp_path):
    answers = [
        {"content": P, "reasoning_content": "hm"},
        {"content": P, "reasoning": "hm"},
        {"content": f"<think>hm</think>{P}"},
        {"content": f"hm</think>{P}"},
        {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": P}]},
        {"content": [{"type": "reasoning", "text": "hm"}, {"type": "output_text", "text": P}]},
        {"content": f"analysisWe need to write.assistantfinal{P}"},
    ]
    with openai_server(answer=lambda number, body: chat(answers[number_of(body)])) as server:
        assert expand(server.url, topics(len(answers))).code == 0

    assert {t.texts for t in read_topics(tmp_path / "out.jsonl")} == {(P,)}


HALVES = [
    chat({"content": "Rain fa"}, "error"),
    chat({"content": "Rain fa"}, "abort"),
    chat({"content": "Rain fa"}, "cancelled"),
    chat({"content": "Rain fa"}, "something_new"),
    (
        200,
        {
            "choices": [
                {
                    "message": {"content": "Rain fa"},
                    "finish_reason": "stop",
                    "error": {"code": 502, "message": "upstream died"},
                }
            ]
        },
        {},
    ),
    (200, {"error": {"message": "upstream died", "code": 502}}, {}),
    (200, {"object": "error", "message": "upstream died"}, {}),
    (200, {"choices": []}, {}),
    (200, {"choices": None}, {}),
    (200, {"id": "x"}, {}),
]


@pytest.mark.parametrize("half", HALVES)
def test_half_a_text_is_asked_for_again_and_never_kept(expand, topics, tmp_path, half):
    with openai_server(answer=lambda number, body: half if number < 2 else chat({"content": P})) as server:
        result = expand(server.url, topics(1))

    assert (result.code, rows(result)["retries"]) == (0, 2)
    assert read_topics(tmp_path / "out.jsonl")[0].texts == (P,)
    with Store(tmp_path / "store.sqlite") as store:
        assert store.database.rows("SELECT text, finish FROM generations") == [(P, "stop")]


def test_half_a_text_that_an_earlier_version_kept_is_asked_for_again(expand, topics, tmp_path):
    path = topics(1)
    with openai_server(reply=lambda body: P) as server:
        expand(server.url, path)
        with Store(tmp_path / "store.sqlite") as store:
            store.database.rows("UPDATE generations SET text = 'Rain fa', finish = 'error'")
        assert rows(expand(server.url, path))["requests"] == 1

    assert read_topics(tmp_path / "out.jsonl")[0].texts == (P,)


@pytest.mark.parametrize("finish", ["length", "max_tokens", "MAX_TOKENS"])
def test_reasoning_cut_at_the_limit_is_truncated_and_not_paid_for_again(expand, topics, tmp_path, finish):
    answers = [
        {"content": None, "reasoning_content": "hm"},
        {"content": "<think>hm"},
        {"content": ""},
        {"content": "Okay, the user wants a passage"},
    ]
    path = topics(4)
    with openai_server(answer=lambda number, body: chat(answers[number_of(body)], finish)) as server:
        result = expand(server.url, path)
        assert (
            rows(result)["requests"],
            rows(result)["truncated"],
            rows(result)["empty"],
            rows(result)["refused"],
        ) == (4, 4, 0, 0)
        assert "4 expansions are missing: cut at --max-tokens 512 before the answer began" in result.err
        assert "give a higher --max-tokens" in result.err
        assert result.code == 1  # not one text
        assert rows(expand(server.url, path, "--retry-refused"))["requests"] == 0
    with openai_server(reply=lambda body: P) as server:
        assert expand(server.url, path, "--max-tokens", 2048).code == 0


def test_what_a_content_filter_takes_is_a_refusal(expand, topics):
    refused = [
        chat({"content": None}, "content_filter"),
        chat({"content": "Rain fa"}, "content_filter"),
        chat({"content": None, "refusal": "No."}),
        chat({"content": [{"type": "refusal", "refusal": "No."}]}),
        chat({"content": ""}, "SAFETY"),
        (
            400,
            {"error": {"code": "content_filter", "message": "The prompt triggered the content management policy."}},
            {},
        ),
        chat({"content": P}),
    ]
    with openai_server(answer=lambda number, body: refused[number_of(body)]) as server:
        result = expand(server.url, topics(7))

    assert (rows(result)["requests"], rows(result)["refused"], rows(result)["empty"], rows(result)["missing"]) == (
        7,
        6,
        0,
        6,
    )
    assert result.code == 0


def test_what_the_last_message_promises_is_what_the_same_command_does(expand, topics, tmp_path):
    path, said = topics(3), [NO, "", P]
    with openai_server(reply=lambda body: said[number_of(body)]) as server:
        first = expand(server.url, path)
        asked = len(server.log)
        again = expand(server.url, path)

        assert (first.code, again.code) == (0, 0)
        for result in (first, again):
            assert "1 expansion is missing: the model refused (topic q0, refused: " in result.err
            assert (
                "1 expansion is missing: the model returned no text (empty, 3 times). The same command does not ask again; --retry-refused does"
                in result.err
            )
            assert "the same command asks again for" not in result.err
        assert (asked, len(server.log), rows(again)["requests"]) == (5, 5, 0)

        said[:2] = ["Snow is frozen rain.", "Hail is ice."]
        retried = expand(server.url, path, "--retry-refused")
        assert (retried.code, rows(retried)["requests"], rows(retried)["missing"]) == (0, 2, 0)
        assert [t.texts for t in read_topics(tmp_path / "out.jsonl")] == [
            ("Snow is frozen rain.",),
            ("Hail is ice.",),
            (P,),
        ]
        written = (tmp_path / "out.jsonl").read_bytes()
        for more in ([], ["--retry-refused"]):
            assert rows(expand(server.url, path, *more))["requests"] == 0
            assert (tmp_path / "out.jsonl").read_bytes() == written
    assert not Path(f"{tmp_path / 'out.jsonl'}.failures.jsonl").exists()


def test_what_is_refused_again_is_asked_for_three_times_each_time_and_stays_refused(expand, topics):
    path = topics(1)
    with openai_server(reply=lambda body: NO) as server:
        expand(server.url, path)
        for _ in range(2):
            dry = json.loads(expand(server.url, path, "--retry-refused", "--dry-run").out)
            assert {row[""]: row["remaining"] for row in dry}["requests"] == 1
            result = expand(server.url, path, "--retry-refused")
            assert (rows(result)["requests"], rows(result)["refused"], result.code) == (3, 1, 1)
        assert len({entry["body"]["seed"] for entry in server.log}) == 7
        kept = expand(server.url, path, "--keep-refusals")
        assert (rows(kept)["requests"], rows(kept)["expansions"], kept.code) == (0, 1, 0)


def test_what_was_not_generated_ends_with_code_2_and_is_asked_for_again(expand, topics):
    path = topics(2)
    with openai_server(
        answer=lambda number, body: (400, {"error": {"message": "too long"}}, {}) if number_of(body) else None
    ) as server:
        result = expand(server.url, path)

    assert result.code == 2
    assert "1 expansion is missing: HTTP 400: too long" in result.err
    assert "the same command asks again for it" in result.err
    with openai_server() as server:
        assert (expand(server.url, path).code, len(server.log)) == (0, 1)


def test_a_passage_cut_at_the_limit_says_so_in_the_file(expand, topics, command, tmp_path):
    with openai_server(answer=lambda number, body: chat({"content": P}, ["stop", "length"][number_of(body)])) as server:
        result = expand(server.url, topics(2))

    assert rows(result)["truncated"] == 1
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [line["expansions"][0]["finish"] for line in lines] == ["stop", "length"]
    assert [t.expansions[0].finish for t in read_topics(tmp_path / "out.jsonl")] == ["stop", "length"]
    counted = json.loads(command("expand", "stats", tmp_path / "out.jsonl", "--format", "json").out)[0]
    assert {"": "cut at the token limit", "count": 1} in counted
    assert "finish length" in command("expand", "show", tmp_path / "out.jsonl", "q1").out


def test_expand_works_inside_a_running_event_loop_as_in_a_notebook(topics, tmp_path):
    from expandr_repro.expand.options import ExpandRequest
    from expandr_repro.expand.run import expand
    from expandr_repro.llm.base import GeneratorOptions

    async def notebook(url, output):
        options = GeneratorOptions(model="mock", base_url=(url,))
        return expand(
            ExpandRequest(str(topics(20)), generator=options, store=tmp_path / "store.sqlite", output=tmp_path / output)
        )

    with openai_server(delay=0.01) as server:
        assert asyncio.run(notebook(server.url, "a.jsonl")) == 0
        assert asyncio.run(notebook(server.url, "b.jsonl")) == 0
        assert len(server.log) == 20

    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()
    assert not list(tmp_path.glob("*.lock"))


def test_an_error_inside_a_running_event_loop_is_raised_where_it_was_called():
    from expandr_repro.errors import NotAvailableError
    from expandr_repro.llm.base import GeneratorOptions, Request, load_generator
    from expandr_repro.llm.sampling import Sampling

    async def notebook():
        generator = load_generator("openai", GeneratorOptions(model="mock", base_url=("http://127.0.0.1:9/v1",)))
        generator.generate(iter([Request("1", "rain", Sampling(), 1)]), print)

    with pytest.raises(NotAvailableError, match="does not answer"):
        asyncio.run(notebook())


def test_an_endpoint_that_breaks_half_way_is_noted_once_and_so_is_its_return(expand, topics):
    began = []

    def answer(number, body):
        if number < 5:
            return None
        began.append(time.monotonic())
        return (503, {"error": {"message": "down"}}, {}) if time.monotonic() - began[0] < 2.5 else None

    with openai_server(answer=answer) as server:
        result = expand(server.url, topics(20), "--concurrency", 4, "--retries", 12)

    assert result.code == 0
    notes = [line for line in result.err.splitlines() if line.startswith("warning: ") and server.url in line]
    assert len(notes) == 2, result.err
    assert "HTTP 503: down. Asking again: each request up to 12 times within about" in notes[0]
    assert "What has arrived is kept" in notes[0]
    assert "answers again, after" in notes[1]


def test_an_endpoint_that_is_gone_is_noted_at_once(expand, topics):
    """It goes after the first answers; the note comes long before the tries have run out."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
    serving = contextlib.ExitStack()
    server = serving.enter_context(openai_server(delay=0.05))
    threading.Thread(target=lambda: (wait_for(lambda: server.served >= 5), serving.close())).start()
    result = expand(server.url, topics(60), "--concurrency", 2, "--retries", 2)

    assert result.code == 2
    noted = [line for line in result.err.splitlines() if "Asking again" in line]
    assert len(noted) == 1, result.err
    assert "up to 2 times" in noted[0]


def wait_for(ready):
    while not ready():
        time.sleep(0.01)


def test_faults_now_and_then_are_no_news(expand, topics):
    with openai_server(fault_rate=0.2, stall=0.3) as server:
        result = expand(server.url, topics(60), "--timeout", 0.5, "--retries", 30, "--concurrency", 8)

    assert result.code == 0
    assert result.err.count("Asking again") <= 1
