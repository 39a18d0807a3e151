"""How many requests a second `expand` gets out of an endpoint, next to a client that asks one at a time.

A local server that speaks the OpenAI protocol takes 200 ms for an answer. With 64 requests at a time, 320 answers a second
are the ideal. The one-at-a-time client (the openai package, as most scripts use it) is measured on a part of the topics
in the same run; its time for all of them is extrapolated.

    python -m benchmarks expand_endpoint
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.texts import all_different
from expandr_repro.console.tables import Table
from expandr_repro.data.topics import Topic, read_topics, write_topics
from expandr_repro.expand import __main__ as expand

SERVER = Path(__file__).parents[1] / "tests" / "integration" / "openai_server.py"


def measure_expand(url: str, topics: Path, concurrency: int, folder: Path) -> tuple[float, int]:
    """Return (seconds, topics with an expansion) of one call of the command; Python's start is not part of it."""
    output = folder / "expanded.jsonl"
    words = ["--topics", str(topics), "--base-url", url, "--model", "mock", "--concurrency", str(concurrency),
             "--output", str(output), "--store", str(folder / "store.sqlite"), "--quiet"]  # fmt: skip
    start = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        code = expand.main(words)
    seconds = time.perf_counter() - start
    if code != 0:
        raise SystemExit(f"expand ended with exit code {code}")
    return seconds, sum(bool(t.texts) for t in read_topics(output))


def measure_sequential(url: str, titles: list[str]) -> float:
    """Return the seconds that the openai package needs for these queries, one after the other."""
    from openai import OpenAI

    client = OpenAI(base_url=url, api_key="unused")
    start = time.perf_counter()
    for title in titles:
        prompt = f"Please write a passage to answer the question.\nQuestion: {title}\nPassage:"
        client.chat.completions.create(model="mock", messages=[{"role": "user", "content": prompt}], max_tokens=512)
    return time.perf_counter() - start


def served(server: subprocess.Popen[str]) -> float:
    """Return the seconds from the first request to the last answer, as the server saw them."""
    if server.stdout is None or server.stdin is None:
        raise SystemExit("no pipe to the server")
    server.stdin.write("report\n")
    server.stdin.flush()
    return float(json.loads(server.stdout.readline())["seconds"])


def _row(name: str, seconds: float, requests: int, ideal: float, single: float) -> list[str | float | None]:
    return [name, seconds, requests / seconds, ideal / seconds, single / seconds]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark and print its table."""
    made = argparse.ArgumentParser(
        prog="python -m benchmarks expand_endpoint --",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--topics", type=int, default=1000)
    made.add_argument("--concurrency", type=int, default=64)
    made.add_argument("--delay", type=float, default=0.2, help="seconds an answer takes")
    made.add_argument("--sequential", type=int, default=50, help="topics for the one-at-a-time client")
    args = made.parse_args(argv)
    os.environ["NO_PROXY"] = "127.0.0.1"
    command = [sys.executable, str(SERVER), "--delay", str(args.delay)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        if server.stdout is None or server.stdin is None:
            raise SystemExit("no pipe to the server")
        url = server.stdout.readline().strip()
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            topics = [Topic(str(i), f"what is the meaning of query number {i}") for i in range(args.topics)]
            different = all_different([topic.title for topic in topics])
            write_topics(folder / "topics.jsonl", topics)
            whole, done = measure_expand(url, folder / "topics.jsonl", args.concurrency, folder)
            asking = served(server)
            again, _ = measure_expand(url, folder / "topics.jsonl", args.concurrency, folder)
            single = (
                measure_sequential(url, [t.title for t in topics[: args.sequential]]) / args.sequential * args.topics
            )
        server.stdin.close()
    ideal = args.topics * args.delay / args.concurrency
    rows: list[list[str | float | None]] = [
        _row("ideal", ideal, args.topics, ideal, single),
        _row(f"expand, {args.concurrency} at a time: first request to last answer", asking, args.topics, ideal, single),
        _row("expand, the whole call: imports, reading, asking, writing", whole, args.topics, ideal, single),
        ["expand again, all in the store", again, None, None, None],
        _row(f"one at a time (extrapolated from {args.sequential} topics)", single, args.topics, ideal, single),
    ]
    print(
        f"{args.topics} topics, {different} distinct texts, {done} with an expansion, {args.delay * 1000:.0f} ms an answer\n"
    )
    print(Table(["", "seconds", "requests/s", "of the ideal", "times one at a time"], rows).render("markdown"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
