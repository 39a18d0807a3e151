"""API keys and endpoints with credentials: in no store, manifest, log, error or output, and on no command line of ours."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expandr_repro.console.redact import redacted, secrets_of, shown_url, without_secrets
from expandr_repro.regress.stages import run_stage
from tests.integration.openai_server import openai_server

AREA = "Attacked"
ROOT = Path(__file__).resolve().parents[2]

KEY = "sk-the-key-that-nobody-sees"
USER, PASSWORD, QUERY, FRAGMENT = "u5er-name", "p@ss/word", "q-5ecret-value", "fr4gment"
PAIR = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
SECRETS = (KEY, USER, PASSWORD, quote(PASSWORD, safe=""), QUERY, FRAGMENT, PAIR)


def with_secrets(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{USER}:{quote(PASSWORD, safe='')}@{parts.netloc}{parts.path}?api-version=1&api_key={QUERY}#{FRAGMENT}"


def leaks(folder: Path, *said: str) -> list[str]:
    """Return the secrets that were said, or are in any file, SQLite's own among them, and where."""
    found = [f"said: {secret}" for secret in SECRETS for text in said if secret in text]
    for path in folder.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            found += [f"{path}: {secret}" for secret in SECRETS if secret.encode() in content or secret in path.name]
    return found


@pytest.fixture
def topics(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("EXPANDR_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "topics.jsonl"
    path.write_text("".join(json.dumps({"qid": f"q{i}", "title": f"kiwi {i}"}) + "\n" for i in range(4)))
    return path


FAULTS = [(status, {"error": {"message": f"{secret} and {' '.join(SECRETS)}", "code": secret}}, {"x-echo": secret, **more})
          for secret in (KEY, PASSWORD, QUERY, PAIR)
          for status, more in ((400, {}), (401, {}), (403, {}), (404, {}), (422, {}), (429, {"retry-after": "9999"}), (500, {}), (307, {"location": f"http://{USER}:{KEY}@127.0.0.1:9/"}), (200, {}))]  # fmt: skip


@pytest.mark.parametrize("key_alone", [True, False])
def test_an_endpoint_that_repeats_what_it_was_sent_makes_nothing_of_ours_repeat_it(
    command, topics, tmp_path, key_alone, record_property
):
    for number, fault in enumerate(FAULTS):
        with openai_server(answer=lambda _, __, fault=fault: fault) as server:
            url = server.url if key_alone else with_secrets(server.url)
            result = command(
                "expand", "-v", "--topics", topics, "--base-url", url, "--model", "mock", "--output", tmp_path / f"{number}.jsonl", "--retries", 0,
                "--backoff", 0.01, "--concurrency", 2,
            )  # fmt: skip
        assert result.code == 2
        shown = {KEY} if key_alone else set(SECRETS)
        assert [leak for leak in leaks(tmp_path, result.out, result.err) if leak.rpartition(": ")[2] in shown] == []
    record_property("tried", len(FAULTS))


def test_a_run_that_succeeds_keeps_no_secret_in_store_output_provenance_or_log(
    command, topics, tmp_path, monkeypatch, record_property
):
    with openai_server() as server:
        words = ["expand", "-v", "--topics", topics, "--model", "mock", "--store", tmp_path / "store.sqlite"]
        by_flag = command(*words, "--base-url", with_secrets(server.url), "--output", tmp_path / "flag.jsonl")
        monkeypatch.setenv("OPENAI_BASE_URL", with_secrets(server.url))
        by_variable = command(*words, "--output", tmp_path / "variable.jsonl", "--seed", 7)
        monkeypatch.setenv("MY_KEY", KEY)
        by_name = command(*words, "--output", tmp_path / "name.jsonl", "--seed", 8, "--api-key-env", "MY_KEY")
    results = (by_flag, by_variable, by_name)
    assert [r.code for r in results] == [0, 0, 0]
    assert leaks(tmp_path, *(r.out + r.err for r in results)) == []
    record_property("tried", 3 * len(SECRETS))


@pytest.mark.parametrize(
    "url",
    ["ftp://{u}:{p}@host/v1?k={q}", "http://{u}:{p}@", "http://{u}:{p}@[bad/v1", "http://{u}:{p}@host:99999999/?k={q}", "{u}:{p}@host", "http://{u}:{p}@host:0",
     "http://{u}:{p}@127.0.0.1:9/v1?k={q}", "https://{u}:{p}@127.0.0.1:9/v1?k={q}", "http://{u}:{p}@no-such-host.invalid/v1?k={q}", "http://{u}:{p}@ho\u00dft\u2603/v1?k={q}",
     "http://{u}:{p}@127.0.0.1:9\\@evil/v1?k={q}"],
)  # fmt: skip
def test_an_address_that_cannot_be_used_is_not_repeated_with_its_secrets(command, topics, tmp_path, url):
    written = url.replace("{u}", USER).replace("{p}", quote(PASSWORD, safe="")).replace("{q}", QUERY)
    result = command(
        "expand",
        "-v",
        "--topics",
        topics,
        "--base-url",
        written,
        "--model",
        "m",
        "--output",
        tmp_path / "o.jsonl",
        "--retries",
        0,
    )
    assert result.code == 2
    assert leaks(tmp_path, result.out, result.err) == []


@pytest.mark.parametrize(
    "typed",
    [
        "sk-proj-abcdef.0123",
        "0123456789abcdef0123",
        "a b",
        "abcdef0123456789secret",
        "hf_AbCdEf",
        "$OPENAI_API_KEY=sk-1",
        "",
    ],
)
def test_a_key_typed_in_place_of_its_variables_name_is_not_repeated(command, topics, tmp_path, typed):
    with openai_server(key="another") as server:
        result = command(
            "expand",
            "-v",
            "--topics",
            topics,
            "--base-url",
            server.url,
            "--model",
            "m",
            "--output",
            tmp_path / "o.jsonl",
            "--api-key-env",
            typed,
        )
    assert result.code == 2
    assert "environment variable" in result.err or "the variable that --api-key-env names" in result.err
    assert not typed or typed not in result.out + result.err


def test_no_process_of_ours_has_the_key_on_its_command_line(topics, tmp_path, record_property):
    """Every user of a machine can read them all."""
    with openai_server(delay=1.5) as server:
        words = [
            "--topics",
            topics,
            "--base-url",
            server.url,
            "--model",
            "mock",
            "--output",
            tmp_path / "o.jsonl",
            "--store",
            tmp_path / "s.sqlite",
        ]
        started = subprocess.Popen(
            [sys.executable, "-m", "expandr_repro.expand", *map(str, words)], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        seen: set[bytes] = set()
        while started.poll() is None:
            seen |= {line for line in command_lines() if b"expandr_repro.expand" in line}
            time.sleep(0.05)
        out, err = started.communicate(timeout=60)
    assert started.returncode == 0, err
    assert len(seen) >= 1
    assert not any(KEY.encode() in line for line in seen)
    assert leaks(tmp_path, out.decode(), err.decode()) == []
    record_property("tried", len(seen))


def command_lines() -> list[bytes]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(path.read_bytes())
        except OSError:
            continue
    return found


def test_a_regressions_log_has_addresses_without_their_secrets(tmp_path, record_property):
    url = with_secrets("https://example.org/v1")
    run_stage("expand", ["true", "--base-url", url, f"--base-url={url}", f"'{url}'"], tmp_path / "a.log")
    assert leaks(tmp_path) == []
    assert (tmp_path / "a.log").read_text().count("https://example.org/v1") == 3
    record_property("tried", 3)


plain = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_.~", min_size=6, max_size=20)
hard = st.text(st.characters(min_codepoint=33, max_codepoint=0x2FF), min_size=6, max_size=20)


@given(user=plain, password=hard, value=hard, host=st.from_regex(r"[a-z]{1,5}\.example", fullmatch=True))
def test_no_part_of_an_addresss_secrets_is_shown_whatever_they_are_made_of(user, password, value, host):
    """A user's name that is in the host's could not be hidden there, and is no secret."""
    url = f"https://{user}:{quote(password, safe='')}@{host}/v1?key={quote(value, safe='')}"
    parts = {password, value, quote(password, safe=""), quote(value, safe="")} - {""}
    secrets = [part for part in parts if part not in f"https://{host}/v1"]
    for shown in (shown_url(url), without_secrets(f"cmd --base-url {url} 'x {url}'")):
        assert not [part for part in secrets if part in shown]
        assert host in shown
    said = redacted(f"the request to {url} with {password} and {value} failed", secrets_of(url, KEY))
    assert not [
        part for part in secrets if part in said and part not in "the request to with and failed *** https /v1 key"
    ]


def test_an_answer_without_end_is_not_read_to_its_end(command, topics, tmp_path, monkeypatch, record_property):
    """Whether it comes as it is or packed: a few kilobytes of gzip may become gigabytes."""
    from expandr_repro.llm.openai import endpoints

    monkeypatch.setattr(endpoints, "LONGEST_ANSWER", 1 << 20)
    huge = {"choices": [{"message": {"content": "x" * (2 << 20)}}]}
    with openai_server(answer=lambda _, __: (200, huge, {})) as server:
        result = command(
            "expand",
            "--topics",
            topics,
            "--base-url",
            server.url,
            "--model",
            "mock",
            "--output",
            tmp_path / "o.jsonl",
            "--retries",
            0,
        )
    assert result.code == 2
    assert "an answer of more than 1 MiB" in (tmp_path / "o.jsonl.failures.jsonl").read_text()
    record_property("tried", 4)
