"""`expand` against a real HTTP server that speaks the OpenAI protocol, well and badly."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from openai_server import openai_server

from expandr_repro.data.topics import Topic, read_topics, write_topics

ROOT = Path(__file__).resolve().parents[2]
KEY = "sk-a-secret-that-must-not-be-seen"


@pytest.fixture
def server():
    with openai_server() as made:
        yield made


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
    monkeypatch.setenv("OPENAI_API_KEY", KEY)

    def call(url, topics, *more, model="mock", output="out.jsonl"):
        return command(
            "expand", "--topics", topics, "--base-url", url, "--model", model, "--output", tmp_path / output,
            "--store", tmp_path / "store.sqlite", "--backoff", 0.02, *more,
        )  # fmt: skip

    return call


def figures(result):
    """Return the summary's rows."""
    return {row[""]: row["expand"] for row in json.loads(result.out)}


def failures(path):
    return [json.loads(line) for line in Path(f"{path}.failures.jsonl").read_text().splitlines()]


def test_topics_go_in_and_augmented_topics_come_out_that_search_takes(expand, server, command, tmp_path):
    result = expand(server.url, "pocket", "--format", "json")

    assert result.code == 0, result.err
    made = read_topics(tmp_path / "out.jsonl")
    assert len(made) == 72
    assert all(len(t.texts) == 1 and t.provenance["model"] == "mock" for t in made)
    assert figures(result)["requests"] == 72
    found = command(
        "search",
        "--topics",
        tmp_path / "out.jsonl",
        "--index",
        "pocket",
        "--qrels",
        "pocket",
        "--hits",
        20,
        "--format",
        "json",
    )
    assert found.code == 0, found.err
    assert json.loads(found.out)[0]["fusion"] == "mean"


def test_the_request_is_what_the_protocol_and_the_paper_want(expand, server, topics):
    assert expand(server.url, topics(1)).code == 0
    entry = server.log[0]

    assert entry["path"] == "/v1/chat/completions"
    assert entry["headers"]["authorization"] == f"Bearer {KEY}"
    seed = entry["body"].pop("seed")
    assert 0 <= seed < 2**31
    assert entry["body"] == {
        "model": "mock",
        "messages": [{"role": "user", "content": "Please write a passage to answer the question.\nQuestion: what is thing number 0\nPassage:"}],
        "temperature": 1.0,
        "top_p": 0.9,
        "max_tokens": 512,
    }  # fmt: skip


def test_plain_completions_and_further_settings_can_be_asked_for(expand, server, topics):
    extra = json.dumps({"top_k": 20, "seed": None, "max_tokens": None, "max_completion_tokens": 9})
    assert expand(server.url, topics(1), "--api", "completions", "--extra", extra, "--temperature", "0.5").code == 0
    entry = server.log[0]

    assert entry["path"] == "/v1/completions"
    assert entry["body"]["prompt"].endswith("\nPassage:")
    assert {k: v for k, v in entry["body"].items() if k not in ("prompt", "model")} == {
        "temperature": 0.5, "top_p": 0.9, "top_k": 20, "max_completion_tokens": 9,
    }  # fmt: skip


def test_the_candidates_preset_asks_for_32_different_texts_a_topic(expand, server, topics, tmp_path):
    assert expand(server.url, topics(2), "--preset", "expandr-candidates").code == 0
    made = read_topics(tmp_path / "out.jsonl")

    assert Counter(e.sampling["temperature"] for e in made[0].expansions) == {0.8: 8, 0.9: 8, 1.0: 8, 1.1: 8}
    assert len({e.sampling["seed"] for t in made for e in t.expansions}) == 64
    assert len({text for t in made for text in t.texts}) == 64


def test_a_rerun_asks_for_nothing_and_writes_the_same_bytes(expand, server, topics, tmp_path):
    path = topics(20)
    assert expand(server.url, path).code == 0
    first = (tmp_path / "out.jsonl").read_bytes()
    asked = len(server.log)

    result = expand("http://127.0.0.1:9/v1", path, "--format", "json")  # nobody is there, and nobody is needed
    assert result.code == 0, result.err
    assert (tmp_path / "out.jsonl").read_bytes() == first
    assert len(server.log) == asked
    assert figures(result)["requests"] == 0


def test_a_dry_run_asks_for_nothing_and_says_what_remains(expand, server, topics):
    expand(server.url, topics(4))
    asked = len(server.log)
    result = expand(server.url, topics(10), "--dry-run", "--format", "json")

    rows = {row[""]: row["remaining"] for row in json.loads(result.out)}
    assert rows["requests"] == 6
    assert rows["tokens out, at most"] == 6 * 512
    assert rows["tokens out, about"] == 6 * 11
    assert len(server.log) == asked


def test_requests_go_out_together_up_to_the_concurrency(topics, expand):
    with openai_server(delay=0.05) as server:
        start = time.monotonic()
        assert expand(server.url, topics(48), "--concurrency", 16).code == 0

        assert server.peak == 16
        assert time.monotonic() - start < 48 * 0.05


def test_several_endpoints_are_served_in_turn_and_a_dead_one_is_left_out(expand, topics):
    with openai_server() as one, openai_server() as two:
        result = expand(one.url, topics(20), "--base-url", two.url, "--base-url", "http://127.0.0.1:9/v1")

        assert result.code == 0, result.err
        assert (len(one.log), len(two.log)) == (10, 10)
        assert "going on without http://127.0.0.1:9/v1" in result.err


def test_retry_after_is_obeyed_for_the_whole_endpoint(expand, topics):
    times = []

    def answer(number, body):
        times.append(time.monotonic())
        return (429, {"error": {"message": "slow down"}}, {"retry-after": "0.6"}) if number == 0 else None

    with openai_server(answer=answer) as server:
        result = expand(server.url, topics(6), "--concurrency", 2, "--format", "json")

    assert result.code == 0, result.err
    assert figures(result)["retries"] == 1
    assert min(t for t in times[2:]) - times[0] >= 0.59  # the second was on its way already


def test_every_fault_there_is_still_gives_every_topic_its_text(expand, topics, tmp_path):
    with openai_server(fault_rate=0.4, stall=1.0) as server:
        result = expand(
            server.url, topics(120), "--concurrency", 32, "--timeout", 0.5, "--retries", 30, "--format", "json"
        )

    assert result.code == 0, result.err
    assert {e["fault"] for e in server.log} == {None, "429", "500", "drop", "stall", "bad-json", "no-choices"}
    made = read_topics(tmp_path / "out.jsonl")
    assert [t.qid for t in made] == [f"q{i}" for i in range(120)]
    assert all(len(t.texts) == 1 for t in made)
    served = Counter(e["body"]["seed"] for e in server.log if e["fault"] is None)
    assert set(served.values()) == {1}  # none paid for twice
    assert figures(result)["retries"] == len(server.log) - 120


def test_where_tries_run_out_a_topic_has_a_text_or_is_in_the_list_and_a_rerun_mends_it(expand, topics, tmp_path):
    path = topics(100)
    with openai_server(fault_rate=0.5, stall=1.0) as server:
        result = expand(server.url, path, "--concurrency", 32, "--timeout", 0.5, "--retries", 1)

    assert result.code == 2
    listed = {f["qid"] for f in failures(tmp_path / "out.jsonl")}
    with_text = {t.qid for t in read_topics(tmp_path / "out.jsonl") if t.texts}
    assert listed | with_text == {f"q{i}" for i in range(100)}
    assert not listed & with_text
    assert 0 < len(listed) < 100
    assert f"listed in {tmp_path / 'out.jsonl'}.failures.jsonl" in result.err

    with openai_server() as server:
        assert expand(server.url, path).code == 0
    assert {e["body"]["messages"][0]["content"].split("number ")[1].split("\n")[0] for e in server.log} == {
        q[1:] for q in listed
    }
    assert not Path(f"{tmp_path / 'out.jsonl'}.failures.jsonl").exists()


def start(url, topics, folder, *more):
    command = [
        sys.executable, "-m", "expandr_repro.expand", "--topics", topics, "--base-url", url, "--model", "mock", "--output", folder / "out.jsonl",
        "--store", folder / "store.sqlite", "--timeout", 0.5, "--retries", 30, "--backoff", 0.02, "--concurrency", 16, *more,
    ]  # fmt: skip
    return subprocess.Popen(
        [str(c) for c in command], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_ten_kills_among_faults_leave_the_file_of_an_undisturbed_run(topics, tmp_path):
    path = topics(300)
    (tmp_path / "quiet").mkdir()
    (tmp_path / "killed").mkdir()
    with openai_server() as server:
        undisturbed = start(server.url, path, tmp_path / "quiet")
        assert "note: wrote" in undisturbed.communicate(timeout=60)[1], undisturbed.returncode
    with openai_server(delay=0.02, fault_rate=0.3, stall=1.0) as server:
        for kill in range(1, 11):
            process = start(server.url, path, tmp_path / "killed")
            while server.served < 25 * kill and process.poll() is None:
                time.sleep(0.005)
            assert process.poll() is None, process.communicate()
            process.send_signal(signal.SIGKILL)
            process.wait()
            assert not (tmp_path / "killed" / "out.jsonl").exists()
        last = start(server.url, path, tmp_path / "killed")
        assert last.wait(timeout=60) == 0, last.communicate()

    assert (tmp_path / "killed" / "out.jsonl").read_bytes() == (tmp_path / "quiet" / "out.jsonl").read_bytes()
    assert server.served <= 300 + 10 * 16  # a kill loses at most what is in flight
    assert sorted(p.name for p in (tmp_path / "killed").iterdir()) == ["out.jsonl", "store.sqlite"]


def test_two_processes_on_one_store_share_the_work_and_write_the_same_file(topics, tmp_path):
    path = topics(300)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    with openai_server(delay=0.05) as server:
        both = [start(server.url, path, tmp_path / name, "--store", tmp_path / "shared.sqlite") for name in ("a", "b")]
        for process in both:
            assert process.wait(timeout=60) == 0, process.communicate()

    assert (tmp_path / "a" / "out.jsonl").read_bytes() == (tmp_path / "b" / "out.jsonl").read_bytes()
    assert server.served == 300  # none asked for twice


def test_ctrl_c_keeps_what_has_arrived(topics, tmp_path):
    with openai_server(delay=0.05) as server:
        process = start(server.url, topics(500), tmp_path)
        while server.served < 50:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)

    assert process.returncode == 130
    assert "Traceback" not in err
    assert "what has arrived is kept; the same command goes on from there" in err
    with sqlite3.connect(tmp_path / "store.sqlite") as store:
        assert store.execute("SELECT count(*) FROM generations").fetchone()[0] >= 40


def test_an_unknown_model_is_named_beside_the_nearest_that_the_endpoint_serves(expand, server, topics):
    result = expand(server.url, topics(3), model="mokk")

    assert result.code == 2
    assert result.error == "error: unknown model 'mokk': did you mean 'mock'? The endpoint serves mock."


def test_a_dead_endpoint_is_one_line_within_seconds(expand, topics):
    result = expand("http://user:word@127.0.0.1:9/v1?key=hidden", topics(3))

    assert result.code == 2
    assert re.search(
        r"does not answer: http://127.0.0.1:9/v1: no connection \(Connection refused\); is the server running",
        result.error,
    )
    assert "word" not in result.err
    assert "hidden" not in result.err


def test_a_wrong_key_is_never_shown_or_kept(expand, topics, tmp_path, monkeypatch):
    with openai_server(key="sk-the-right-one") as server:
        wrong = expand(server.url, topics(3))
        monkeypatch.delenv("OPENAI_API_KEY")
        missing = expand(server.url, topics(3))

    assert (wrong.code, missing.code) == (2, 2)
    assert (
        "the API key was refused (HTTP 401); it is read from $OPENAI_API_KEY (--api-key-env names another)"
        in wrong.error
    )
    assert "the API key is missing (HTTP 401)" in missing.error
    assert KEY not in wrong.out + wrong.err
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or KEY.encode() not in path.read_bytes()


def test_the_key_is_not_in_the_files_of_a_good_run_nor_in_its_words(expand, server, topics, tmp_path):
    server.answer = lambda number, body: (
        (400, {"error": {"message": f"your key {KEY} may not do this"}}, {}) if number == 0 else None
    )
    result = expand(server.url, topics(3), "--verbose")

    assert result.code == 2
    assert "your key *** may not do this" in failures(tmp_path / "out.jsonl")[0]["reason"]
    assert KEY not in result.out + result.err
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or KEY.encode() not in path.read_bytes()


def test_a_key_under_another_name_is_used(expand, topics, monkeypatch):
    monkeypatch.setenv("MY_KEY", "sk-mine")
    with openai_server(key="sk-mine") as server:
        assert expand(server.url, topics(1), "--api-key-env", "MY_KEY").code == 0


def test_an_endpoint_that_only_fails_is_given_up(expand, topics):
    with openai_server(answer=lambda number, body: (500, {"error": {"message": "broken"}}, {})) as server:
        result = expand(server.url, topics(200), "--retries", 0, "--concurrency", 4)

    assert result.code == 2
    assert "32 requests in a row brought no text (the last: HTTP 500: broken)" in result.error
    assert len(server.log) < 50


def test_a_used_up_quota_ends_the_run_at_once(expand, topics):
    said = {"error": {"message": "You exceeded your current quota.", "code": "insufficient_quota"}}
    with openai_server(answer=lambda number, body: (429, said, {}) if number >= 5 else None) as server:
        result = expand(server.url, topics(50), "--concurrency", 1)

    assert result.code == 2
    assert "cannot be used: HTTP 429: You exceeded your current quota. (insufficient_quota)" in result.error
    assert len(server.log) == 6


def test_a_redirect_is_not_followed_with_the_key(expand, topics):
    with openai_server() as other:
        moved = (307, {}, {"location": f"{other.url}/chat/completions"})
        with openai_server(answer=lambda number, body: moved) as server:
            result = expand(server.url, topics(1))

    assert result.code == 2
    assert "HTTP 307" in result.error
    assert other.log == []


def test_empty_texts_refusals_and_cut_texts_are_counted_and_listed(expand, topics, tmp_path):
    def reply(body):
        number = int(body["messages"][0]["content"].split("number ")[1].split("\n")[0])
        return ["", "I'm sorry, but I can't help with that.", "Sure! Here is a passage:\n\n**Rain** falls."][number % 3]

    with openai_server(reply=reply) as server:
        result = expand(server.url, topics(6), "--format", "json")

    assert result.code == 0  # nothing was left undone
    rows = figures(result)
    assert (rows["truncated"], rows["refused"], rows["empty"], rows["missing"], rows["expansions"]) == (0, 2, 2, 4, 2)
    assert rows["requests"] == 2 * 3 + 2 + 2  # an empty text is asked for three times
    assert [f["qid"] for f in failures(tmp_path / "out.jsonl")] == ["q0", "q1", "q3", "q4"]
    assert read_topics(tmp_path / "out.jsonl")[2].texts == ("Rain falls.",)


def test_gold_passages_of_the_collection_go_into_q2a(expand, server):
    assert expand(server.url, "pocket", "--prompt", "q2a").code == 0

    sent = server.log[0]["body"]["messages"][0]["content"]
    assert re.search(r"\nQuery: .+\nRelated Document: .{100,}\nAnswer:$", sent, re.S)


def test_few_shot_examples_are_the_same_for_every_topic_and_every_run(expand, server, data):
    for output in ("a.jsonl", "b.jsonl"):
        assert expand(server.url, "scifact", "--prompt", "query2doc.few-shot", "--seed", 7, output=output).code == 0
    sent = [e["body"]["messages"][0]["content"] for e in server.log]

    assert len(sent) == 300
    assert len({s.rpartition("\n\nQuery: ")[0] for s in sent}) == 1
    assert sent[0].count("\nPassage:") == 5


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--prompt", "q2x"], "unknown prompt 'q2x': did you mean 'q2"),
        (["--prompt", "hyde"], "prompt 'hyde' has no version for the collection 'pocket'"),
        (
            ["--prompt", "query2doc.few-shot"],
            "no training qrels are known for these topics; name some with --examples-from",
        ),
        (["--backend", "vlm"], "unknown backend 'vlm': did you mean 'vllm'"),
        (["--adapter", "x"], "--adapter has no meaning for --backend openai"),
        (["--top-p", "2"], "--top-p 2: wanted a number above 0"),
        (["--temperature", "0", "--samples", "2"], "gives the same text 2 times"),
        (["--timeout", "0"], "--timeout is above 0"),
    ],
)
def test_what_makes_no_sense_is_one_line_before_anything_is_asked(expand, server, arguments, said):
    result = expand(server.url, "pocket", *arguments)

    assert result.code == 2
    assert said in result.error
    assert server.log == []


def test_an_output_that_cannot_be_written_is_found_out_before_anything_is_asked(expand, server, tmp_path):
    (tmp_path / "file").write_text("x")
    for output in ("file/out.jsonl", "."):
        result = expand(server.url, "pocket", output=output)
        assert result.code == 2
        assert result.error.startswith("error: --output ")
    assert server.log == []


def test_topics_with_an_empty_query_are_refused(expand, server, tmp_path):
    (tmp_path / "t.jsonl").write_text('{"qid": "1", "title": "rain"}\n{"qid": "2", "title": " "}\n')
    result = expand(server.url, tmp_path / "t.jsonl")

    assert result.code == 2
    assert "t.jsonl, line 2: topic '2' has an empty title" in result.error
    assert server.log == []


def test_a_user_s_own_prompt_is_used_and_shown(expand, server, topics, command, tmp_path):
    (tmp_path / "mine.txt").write_text("Explain in {{one}} line: {query}\n")
    assert expand(server.url, topics(2), "--prompt", tmp_path / "mine.txt").code == 0
    assert server.log[0]["body"]["messages"][0]["content"].startswith("Explain in {one} line: what is thing")

    shown = command("expand", "show", tmp_path / "out.jsonl", "q1", "--store", tmp_path / "store.sqlite")
    assert shown.code == 0
    assert "> Explain in {one} line: what is thing number 1" in shown.out
    assert "prompt mine (model mock, backend openai)" in shown.out
    assert "expansion 1 (temperature 1.0, top_p 0.9, max_tokens 512, seed " in shown.out
    assert "topic q0" not in shown.out


def test_what_an_llm_wrote_cannot_steer_the_terminal(command, tmp_path):
    line = {"qid": "1", "title": "rain", "expansions": [{"text": "red \x1b[31m text\x07"}]}
    (tmp_path / "t.jsonl").write_text(json.dumps(line) + "\n")

    out = command("expand", "show", tmp_path / "t.jsonl").out
    assert "\x1b" not in out
    assert "\x07" not in out


def test_show_of_an_unknown_topic_names_those_there_are(expand, server, topics, command, tmp_path):
    expand(server.url, topics(3))
    result = command("expand", "show", tmp_path / "out.jsonl", "q7")

    assert result.code == 2
    assert "unknown topic 'q7': known: q0, q1, q2." in result.error


def test_stats_are_printed_in_every_form(expand, server, topics, command, tmp_path):
    expand(server.url, topics(3), "--samples", 2)
    tables = json.loads(command("expand", "stats", tmp_path / "out.jsonl", "--format", "json").out)

    assert {r[""]: r["count"] for r in tables[0]}["expansions"] == 6
    assert (
        "| words of an expansion | 11.0000 |"
        in command("expand", "stats", tmp_path / "out.jsonl", "--format", "markdown").out
    )


def test_help_comes_fast_and_without_heavy_libraries():
    code = "import sys, expandr_repro.expand.__main__ as e; e.build_parser(); print(sorted({'torch', 'transformers', 'aiohttp', 'vllm'} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, env=os.environ, check=True
    )

    assert done.stdout.strip() == "[]"
