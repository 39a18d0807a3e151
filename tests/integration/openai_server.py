"""A real HTTP server that speaks enough of the OpenAI protocol to test a client honestly, and to measure it.

Run as a program it prints its base URL and serves until its standard input closes. What it says depends on the request
alone, so that two runs against it get the same texts; whether it fails is drawn by chance.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import json
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

FAULTS = ("429", "500", "drop", "stall", "bad-json", "no-choices")

Body = dict[str, Any]
Answer = tuple[int, Body, dict[str, str]]


def echo(body: Body) -> str:
    """Say something that depends on prompt, seed and temperature alone."""
    asked = json.dumps([body.get("messages") or body.get("prompt"), body.get("seed"), body.get("temperature")])
    return "A passage about " + " ".join(hashlib.sha256(asked.encode()).hexdigest()[i : i + 8] for i in range(0, 64, 8))


@dataclass
class Server:
    """What the server does, and what it has seen.

    Attributes:
        reply: the text for a request's body.
        answer: a status, body and headers in place of a text, or None; called with the request's number from 0.
        delay: seconds before an answer.
        fault_rate: share of the requests that fail, by one of FAULTS.
        models: what GET /models lists.
        key: the key that is wanted, or None.
        log: the requests: path, headers, body, and the status or fault they met with.
        peak: the most requests at a time.
        began: when the first of the requests since the last report came.
        ended: when the last of them was answered.
    """

    reply: Callable[[Body], str] = echo
    answer: Callable[[int, Body], Answer | None] = lambda number, body: None
    delay: float = 0.0
    fault_rate: float = 0.0
    stall: float = 3.0
    finish: str = "stop"
    models: tuple[str, ...] = ("mock",)
    key: str | None = None
    log: list[dict[str, Any]] = field(default_factory=list)
    served: int = 0
    peak: int = 0
    began: float = 0.0
    ended: float = 0.0
    url: str = ""
    _now: int = 0
    _chance: random.Random = field(default_factory=lambda: random.Random(7))

    async def connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection, request after request."""
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                method, path, _ = head[0].split(" ", 2)
                headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in head[1:] if line)}
                raw = await reader.readexactly(int(headers.get("content-length", "0")))
                if not await self._serve(writer, method, path, headers, json.loads(raw) if raw else {}):
                    break
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _serve(
        self, writer: asyncio.StreamWriter, method: str, path: str, headers: dict[str, str], body: Body
    ) -> bool:
        if self.key is not None and headers.get("authorization") != f"Bearer {self.key}":
            said = f"Incorrect API key provided: {headers.get('authorization', 'none')}"
            return self._send(writer, 401, {"error": {"message": said, "code": "invalid_api_key"}})
        if method == "GET":
            listed = [{"id": m, "object": "model", "created": 0, "owned_by": "test"} for m in self.models]
            return self._send(writer, 200, {"object": "list", "data": listed})
        self.began = self.began or time.perf_counter()
        self._now += 1
        self.peak = max(self.peak, self._now)
        fault = self._chance.choice(FAULTS) if self._chance.random() < self.fault_rate else None
        entry = {"path": path, "headers": headers, "body": body, "fault": fault}
        number = len(self.log)
        self.log.append(entry)
        try:
            if self.delay:
                await asyncio.sleep(self.delay)
            if fault == "drop":
                return False
            if fault == "stall":
                await asyncio.sleep(self.stall)
                return False
            if fault == "bad-json":
                return self._send_raw(writer, 200, b'{"choices": [', {})
            if fault == "no-choices":
                return self._send(writer, 200, {"choices": []})
            if fault:
                headers = {"retry-after-ms": "20"} if fault == "429" else {}
                return self._send(writer, int(fault), {"error": {"message": f"injected {fault}"}}, headers)
            return self._answer(writer, number, body, path)
        finally:
            self._now -= 1
            self.ended = time.perf_counter()

    def _answer(self, writer: asyncio.StreamWriter, number: int, body: Body, path: str) -> bool:
        own = self.answer(number, body)
        if own is not None:
            return self._send(writer, *own)
        if body["model"] not in self.models:
            said = f"The model `{body['model']}` does not exist."
            return self._send(writer, 404, {"error": {"message": said, "code": "model_not_found"}})
        self.served += 1
        text = self.reply(body)
        choice: Body = {"index": 0, "finish_reason": self.finish}
        choice |= (
            {"message": {"role": "assistant", "content": text}} if path.endswith("chat/completions") else {"text": text}
        )
        usage = {"prompt_tokens": 12, "completion_tokens": len(text.split()), "total_tokens": 12 + len(text.split())}
        return self._send(
            writer,
            200,
            {"id": "x", "object": "chat.completion", "model": body["model"], "choices": [choice], "usage": usage},
        )

    def _send(
        self, writer: asyncio.StreamWriter, status: int, value: Body, headers: dict[str, str] | None = None
    ) -> bool:
        return self._send_raw(writer, status, json.dumps(value).encode(), headers or {})

    def _send_raw(self, writer: asyncio.StreamWriter, status: int, raw: bytes, headers: dict[str, str]) -> bool:
        own = "".join(f"{k}: {v}\r\n" for k, v in headers.items())
        writer.write(
            f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {len(raw)}\r\n{own}\r\n".encode()
            + raw
        )
        return True


@contextlib.contextmanager
def openai_server(**settings: Any) -> Iterator[Server]:
    """Serve in a thread; yields the server, whose `url` is its base URL."""
    server = Server(**settings)
    loop = asyncio.new_event_loop()
    ready = threading.Event()

    async def serve() -> None:
        listening = await asyncio.start_server(server.connection, "127.0.0.1", 0, backlog=1024)
        server.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1"
        ready.set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        listening.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for other in others:
            other.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    task = loop.create_task(serve())
    thread = threading.Thread(target=lambda: loop.run_until_complete(task), daemon=True)
    thread.start()
    ready.wait()
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join()


def main() -> None:
    """Serve until standard input closes; a line there asks for a report on what was served since the last one."""
    made = argparse.ArgumentParser(description=__doc__)
    made.add_argument("--delay", type=float, default=0.2)
    made.add_argument("--fault-rate", type=float, default=0.0)
    args = made.parse_args()
    with openai_server(delay=args.delay, fault_rate=args.fault_rate) as server:
        print(server.url, flush=True)
        for _ in sys.stdin:
            report = {"requests": len(server.log), "seconds": server.ended - server.began, "peak": server.peak}
            print(json.dumps(report), flush=True)
            server.log.clear()
            server.began = server.peak = 0


if __name__ == "__main__":
    main()
