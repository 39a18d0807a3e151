"""`prefer --serve`: rewards over HTTP as `prefer` gives them, and requests that make no sense."""

from __future__ import annotations

import concurrent.futures
import http.client
import json
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from expandr_repro.data.topics import Expansion, Topic, read_topics, write_topics
from expandr_repro.io.paths import resource
from expandr_repro.prefer.pairs import read_pairs

ROOT = Path(__file__).resolve().parents[2]
REWARD = "retriever=1,delta-ndcg=0.5"


@pytest.fixture(scope="module")
def url(cache):
    """A server of its own process, on a free port."""
    words = ["--serve", "--gold", "pocket/test", "--reward", REWARD, "--port", "0", "--device", "cpu"]
    process = subprocess.Popen(
        [sys.executable, "-m", "expandr_repro.prefer", *words], cwd=ROOT, stdout=subprocess.PIPE, text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert process.stdout is not None
    line = process.stdout.readline()
    yield line.split()[-1] if line.startswith("rewards of ") else pytest.fail(f"it printed {line!r}")
    process.terminate()
    process.wait(timeout=30)


def ask(url, body, method="POST", headers=None):
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=120)
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    connection.request(method, "/", None if method == "GET" else raw, headers or {})
    answer = connection.getresponse()
    found = answer.status, json.loads(answer.read())
    connection.close()
    return found


def test_a_request_by_qid_and_one_by_query_get_a_reward_for_each_text(url):
    topic = read_topics(resource("pocket") / "queries.jsonl")[0]
    texts = [topic.texts[0], "a text about tax law"]
    status, by_qid = ask(url, {"qid": topic.qid, "completions": texts})
    assert status == 200
    assert by_qid["rewards"][0] > by_qid["rewards"][1]
    assert by_qid["parts"]["retriever"] == [1.0, 0.5]
    assert by_qid["rewards"] == pytest.approx([r + 0.5 * d for r, d in zip(*by_qid["parts"].values(), strict=True)])
    assert ask(url, {"query": f"  {topic.title} ", "completions": texts}) == (200, by_qid)


def test_the_rewards_are_those_that_prefer_writes_into_pairs(url, command, tmp_path):
    topics = read_topics(resource("pocket") / "queries.jsonl")[:6]
    made = [
        Topic(t.qid, t.title, tuple(Expansion(x) for x in (t.texts[0], t.texts[0][:60], "hail and snow")))
        for t in topics
    ]
    write_topics(tmp_path / "candidates.jsonl", made)
    where = [
        "--gold",
        "pocket/test",
        "--reward",
        REWARD,
        "--device",
        "cpu",
        "--min-similarity",
        "0",
        "--output",
        tmp_path / "pairs.jsonl",
    ]
    assert command("prefer", "--candidates", tmp_path / "candidates.jsonl", *where).code == 0
    pairs = {p.qid: p for p in read_pairs(tmp_path / "pairs.jsonl")}
    status, answers = ask(url, [{"qid": t.qid, "completions": list(t.texts)} for t in made])
    assert status == 200
    for topic, answer in zip(made, answers, strict=True):
        pair = pairs[topic.qid]
        values = dict(zip(topic.texts, answer["rewards"], strict=True))
        assert values[pair.chosen] == pytest.approx(pair.chosen_reward, abs=1e-6)
        assert values[pair.rejected] == pytest.approx(pair.rejected_reward, abs=1e-6)


def test_a_blank_text_has_no_reward_and_takes_no_rank(url):
    _, answer = ask(url, {"qid": "animals-1", "completions": ["", "a thirsty cat", " \n"]})
    assert answer["rewards"][0] == answer["rewards"][2] == 0
    assert answer["parts"]["retriever"] == [0, 1, 0]


def test_many_requests_at_once_get_what_each_would_get_alone(url):
    bodies = [{"qid": "animals-1", "completions": ["a cat", f"a text about {n}"]} for n in range(8)]
    alone = [ask(url, body) for body in bodies]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda body: ask(url, body), bodies)) == alone


def test_what_is_served_is_told(url):
    status, about = ask(url, b"", "GET")
    assert status == 200
    assert about["rewards"] == {"retriever": 1.0, "delta-ndcg": 0.5}
    assert about["topics"] == 72


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{", "the body is not JSON"),
        (b"\xff", "the body is not JSON"),
        (b"", "the body is not JSON"),
        ("text", "wanted {"),
        ([], "an empty list"),
        ({"completions": ["a"]}, "one of qid and query"),
        ({"qid": "animals-1", "query": "x", "completions": ["a"]}, "one of qid and query"),
        ({"qid": 1, "completions": ["a"]}, "qid: found 1; wanted a string"),
        ({"qid": "nobody", "completions": ["a"]}, "qid 'nobody': none of the 72 topics"),
        ({"query": "nobody", "completions": ["a"]}, "query 'nobody': none of the 72 topics"),
        ({"qid": "animals-1"}, "completions: found nothing; wanted a list of texts"),
        ({"qid": "animals-1", "completions": []}, "wanted a list of texts, at least one"),
        ({"qid": "animals-1", "completions": "abc"}, "wanted a list of texts"),
        ({"qid": "animals-1", "completions": ["a", None]}, "wanted a list of texts"),
        ({"qid": "animals-1", "completions": ["a"], "texts": []}, "unknown key 'texts'"),
        (b"[" * 100_000, "the body is not JSON"),
    ],
)
def test_a_request_that_makes_no_sense_is_one_line_and_the_server_goes_on(url, body, said):
    status, answer = ask(url, body)
    assert status == 400
    assert said in answer["error"]
    assert "\n" not in answer["error"]
    assert ask(url, b"", "GET")[0] == 200


def test_a_body_of_unknown_or_huge_length_is_refused(url):
    assert ask(url, b"{}", headers={"Content-Length": "99999999999"})[0] == 413


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ([], "--serve: for which topics? Give --gold C"),
        (["--gold", "pocket/test", "--reward", "answer"], "the reward 'answer' needs --answers F"),
        (["--gold", "pocket/test", "--candidates", "x.jsonl"], "--candidates: applies only to pairs, not with --serve"),
        (["--gold", "pocket/test", "--reward", "retriever", "--port", "99999"], "--port 99999: cannot be listened on"),
    ],
)
def test_what_cannot_be_served_is_one_line(command, more, said):
    made = command("prefer", "--serve", *more)
    assert made.code == 2
    assert said in made.error


def test_pairs_need_candidates_and_a_place_to_be_written(command):
    assert "give --candidates F and --output F" in command("prefer", "--gold", "pocket/test").error
    assert (
        "--port: applies only with --serve"
        in command("prefer", "--candidates", "x", "--output", "y", "--port", "80").error
    )
