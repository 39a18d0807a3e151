"""Rewards over HTTP, for trainers of other toolkits: topics and texts in, a reward for each text out."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from expandr_repro.console.terminal import one_line
from expandr_repro.data.collections import find_topics
from expandr_repro.data.overlap.sharing import same_title
from expandr_repro.data.splits import with_split
from expandr_repro.data.topics import Topic
from expandr_repro.encoders.protocol import TextEncoder
from expandr_repro.errors import ExpandrError, SetupError, shown
from expandr_repro.prefer.gold import find_gold, read_answers
from expandr_repro.prefer.options import PreferRequest
from expandr_repro.prefer.rewards import REWARDS, parse_rewards
from expandr_repro.prefer.scoring import Scorer, make_scorer
from expandr_repro.prefer.similarity import Case

log = logging.getLogger(__name__)

LARGEST = 64 << 20
"""Bytes of a request."""

HOST = "127.0.0.1"

WANTED = '{"qid": ... or "query": ..., "completions": [text, ...]}'


class AskedWronglyError(ExpandrError):
    """A request that makes no sense; the answer says why."""


def serving_scorer(request: PreferRequest, encoder: Callable[[], TextEncoder]) -> Scorer:
    """Return what rewards texts of a collection's topics.

    Args:
        request: what was asked for.
        encoder: loads the reward model, once all else is in order.

    Raises:
        ExpandrError: a reward lacks what it needs, or no topic has a gold passage.
    """
    if not request.gold:
        raise ExpandrError("--serve: for which topics? Give --gold C, e.g. --gold scifact/train")
    weights = parse_rewards(request.rewards)
    needs = [name for name in weights if REWARDS.find(name).of_answers]
    if needs and not request.answers:
        raise ExpandrError(f"the reward {needs[0]!r} needs --answers F (made by `expand --prompt q2a`); or go without: --reward retriever=1")  # fmt: skip
    topics = find_topics(with_split(request.gold, "--gold")).topics
    found = find_gold(request.gold, request.gold_file, topics)
    said = read_answers(request.answers, topics) if request.answers else None
    of_corpus = any(REWARDS.find(name).of_corpus for name in weights)
    cases = {
        t.qid: Case(Topic(t.qid, t.title), (), found.texts[t.qid], found.docids.get(t.qid, ""), said[t.qid] if said else "")
        for t in topics
        if t.qid in found.texts and (said is None or t.qid in said) and (t.qid in found.docids or not of_corpus)
    }  # fmt: skip
    if not cases:
        raise ExpandrError(
            f"--answers {request.answers}: no topic of {request.gold} with a gold passage has an answer there"
        )
    return make_scorer(
        cases, found, encoder(), weights, index=request.index, hits=request.hits, threads=request.threads
    )


class RewardServer:
    """Answers requests for rewards.

    Args:
        scorer: of the texts.
        port: to listen on, of this machine alone; 0 for a free one.

    Raises:
        SetupError: the port cannot be had.
    """

    def __init__(self, scorer: Scorer, port: int = 0) -> None:
        self.scorer = scorer
        self._by_title: dict[str, str] = {}
        for qid, case in scorer.cases.items():
            self._by_title.setdefault(same_title(case.topic.title), qid)
        try:
            self._server = ThreadingHTTPServer((HOST, port), _handler(self))
        except (OSError, OverflowError) as error:
            raise SetupError(f"--port {port}: cannot be listened on ({error}); --port 0 takes a free one") from error
        self._server.daemon_threads = True

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://{HOST}:{self._server.server_address[1]}"

    def run(self) -> None:
        """Answer until `stop` is called, or the process is interrupted."""
        try:
            self._server.serve_forever()
        finally:
            self._server.server_close()

    def stop(self) -> None:
        """Stop answering; called from another thread."""
        self._server.shutdown()

    def about(self) -> dict[str, Any]:
        """Return what is rewarded, and how."""
        return {
            "rewards": dict(self.scorer.weights),
            "encoder": self.scorer.encoder.identity.get("name", self.scorer.encoder.name),
            "topics": len(self.scorer.cases),
            "post": WANTED,
        }

    def answer(self, asked: Any) -> dict[str, Any] | list[dict[str, Any]]:
        """Return the rewards of one request, or of a list of them, which are encoded and searched together.

        Raises:
            AskedWronglyError: what is asked makes no sense.
        """
        several = asked if isinstance(asked, list) else [asked]
        groups = [self._group(one) for one in several]
        if not groups:
            raise AskedWronglyError(f"an empty list; wanted {WANTED}, or a list of such objects")
        made = [{"rewards": found.totals, "parts": found.parts} for found in self.scorer.score(groups)]
        return made if isinstance(asked, list) else made[0]

    def _group(self, asked: Any) -> tuple[str, list[str]]:
        if not isinstance(asked, Mapping):
            raise AskedWronglyError(f"found {shown(asked)}; wanted {WANTED}, or a list of such objects")
        if unknown := sorted(set(asked) - {"qid", "query", "completions"}):
            raise AskedWronglyError(f"unknown key {unknown[0]!r}; wanted {WANTED}")
        if ("qid" in asked) == ("query" in asked):
            raise AskedWronglyError(f"one of qid and query says which topic; wanted {WANTED}")
        texts = asked.get("completions")
        if not isinstance(texts, list) or not texts or not all(isinstance(t, str) for t in texts):
            raise AskedWronglyError(
                f"completions: found {'nothing' if texts is None else shown(texts)}; wanted a list of texts, at least one"
            )
        name = "qid" if "qid" in asked else "query"
        value = asked[name]
        if not isinstance(value, str):
            raise AskedWronglyError(f"{name}: found {shown(value)}; wanted a string")
        qid = value if name == "qid" else self._by_title.get(same_title(value))
        if qid is None or qid not in self.scorer.cases:
            raise AskedWronglyError(
                f"{name} {value[:80]!r}: none of the {len(self.scorer.cases)} topics with a gold passage has it"
            )
        return qid, texts


def _handler(server: RewardServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        server_version = "expandr_repro"

        def do_GET(self) -> None:
            self._send(200, server.about())

        def do_POST(self) -> None:
            length = self.headers.get("Content-Length", "")
            if not length.isascii() or not length.isdigit() or int(length) > LARGEST:
                self.close_connection = True  # what follows is not read
                self._send(
                    413 if length.isdigit() else 411,
                    {"error": f"Content-Length is {length or 'missing'!r}; wanted a number up to {LARGEST}"},
                )
                return
            body = self.rfile.read(int(length))
            try:
                self._send(200, server.answer(json.loads(body)))
            except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
                self._send(400, {"error": one_line(f"the body is not JSON ({error}); wanted {WANTED}")})
            except AskedWronglyError as error:
                self._send(400, {"error": one_line(str(error))})
            except Exception as error:  # noqa: BLE001 - one request must not end the server, nor hang its trainer
                log.warning("a request failed: %s", error)
                self._send(500, {"error": one_line(f"{type(error).__name__}: {error}")})

        def _send(self, status: int, content: Any) -> None:
            body = json.dumps(content, ensure_ascii=False).encode("utf-8", "replace")
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the parent's
            log.debug(format, *args)

    return Handler
