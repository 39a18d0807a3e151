"""Any OpenAI-compatible endpoint (vLLM, SGLang, Ollama, llama.cpp, the hosted ones), asked many times at once.

Every fault is either fatal for the run (a refused key, no such model), worth another try (rate limits, a server in
trouble, a broken connection, an answer without a text), or the end of that one request.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import re
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import replace
from typing import Any, cast

from expandr_repro.errors import ExpandrError, NotAvailableError, UnknownNameError
from expandr_repro.llm.answers.finishes import finish_of
from expandr_repro.llm.base import GeneratorOptions, Identity, Reply, Request, generator
from expandr_repro.llm.chats import messages_of, plain_text
from expandr_repro.llm.openai.endpoints import Endpoint, Endpoints, api_key, base_urls
from expandr_repro.llm.openai.retries import LONGEST_WAIT, Fault, backoff

log = logging.getLogger(__name__)

PATIENCE = 32
"""So many requests in a row without a text, each after all its tries, and the run is given up."""

FILTERED = re.compile(
    r"content_filter|content_policy_violation|ResponsibleAIPolicyViolation|content management policy", re.I
)
"""What a service says under status 400 where its filter takes the prompt or the answer away."""

WATCH = 5.0
"""Seconds from one look at whether endpoints still answer to the next."""

RAMP = 0.2
"""The first requests go out over so many seconds; else all answers come at once, wave after wave, and wait for each other."""


@generator("openai", options=("base_url", "api_key_env", "api", "concurrency", "timeout", "retries", "backoff"))
class OpenAIGenerator:
    """LLM behind one or several OpenAI-compatible endpoints.

    Args:
        options: model, base URLs, the key's environment variable, concurrency, timeout, retries.

    Raises:
        ExpandrError: a base URL or the key cannot be used.
    """

    def __init__(self, options: GeneratorOptions) -> None:
        self._options = options
        self._urls = base_urls(options.base_url)
        self._key = api_key(options.api_key_env)
        self._chance = random.Random()  # noqa: S311 - jitter, nothing secret
        self._failed_in_a_row = 0

    @property
    def identity(self) -> Identity:
        """What decides the texts, as far as an endpoint tells."""
        return Identity("openai", self._options.model, self._options.revision, api=self._options.api)

    def generate(self, requests: Iterator[Request], deliver: Callable[[Reply], None]) -> None:
        """Ask for each request's text; see `Generator`."""
        first = next(requests, None)
        if first is not None:  # nothing to ask for needs no endpoint
            run_anywhere(self._all(first, requests, deliver))

    async def _all(self, first: Request, rest: Iterator[Request], deliver: Callable[[Reply], None]) -> None:
        endpoints = Endpoints([Endpoint(url, self._key, self._options) for url in self._urls])
        waiting = [first]

        async def work(number: int) -> None:
            await asyncio.sleep(RAMP * number / self._options.concurrency)
            while (request := waiting.pop() if waiting else next(rest, None)) is not None:
                reply = await self._ask(endpoints, request)
                deliver(reply)
                self._give_up_where_nothing_works(reply)

        async def watch() -> None:
            while True:
                await asyncio.sleep(WATCH)
                for endpoint in endpoints.members:
                    endpoint.health.look(self._options.timeout)

        tasks: list[asyncio.Task[None]] = []
        watching = asyncio.create_task(watch())
        try:
            await self._look(endpoints)
            tasks = [asyncio.create_task(work(number)) for number in range(self._options.concurrency)]
            await asyncio.gather(*tasks)
        finally:
            for task in (watching, *tasks):
                task.cancel()
            await asyncio.gather(watching, *tasks, return_exceptions=True)
            await endpoints.close()

    async def _look(self, endpoints: Endpoints) -> None:
        """Find out, before anything is paid for, which endpoints answer and whether they take the key."""
        dead: list[tuple[Endpoint, Fault]] = []
        for endpoint in endpoints.members:
            for attempt in range(3):
                answer = await endpoint.send("GET", "models")
                if not (
                    isinstance(answer, Fault) and answer.retry and answer.wait is None and "HTTP" not in answer.reason
                ):
                    break
                await asyncio.sleep(0.2 * attempt)
            if isinstance(answer, Fault):
                if answer.reason.startswith("HTTP 401"):
                    raise self._fatal(answer, None)
                if not answer.reason.startswith("HTTP"):  # any status at all is a sign of life
                    dead.append((endpoint, answer))
        if len(dead) == len(endpoints.members):
            raise NotAvailableError(f"the endpoint does not answer: {dead[0][1].reason}")
        for endpoint, fault in dead:
            log.warning("going on without %s: %s", endpoint.shown, fault.reason)
            endpoints.members.remove(endpoint)

    async def _ask(self, endpoints: Endpoints, request: Request) -> Reply:
        """Ask until there is a text, or no hope for one."""
        path = "chat/completions" if self._options.api == "chat" else "completions"
        body = self._body(request)
        attempt = billed_in = billed_out = 0
        while True:
            endpoint = await endpoints.next()
            sent = time.monotonic()
            answer = await endpoint.send("POST", path, body)
            outcome = answer if isinstance(answer, Fault) else reply_of(request, answer, attempt)
            if isinstance(outcome, Reply):
                seconds = time.monotonic() - sent
                endpoint.health.good(seconds)
                whole_in, whole_out = outcome.tokens_in + billed_in, outcome.tokens_out + billed_out
                return replace(outcome, seconds=seconds, tokens_in=whole_in, tokens_out=whole_out)
            if isinstance(answer, dict):  # one that cannot be read is paid for all the same
                more_in, more_out = tokens_of(answer)
                billed_in, billed_out = billed_in + more_in, billed_out + more_out
            if outcome.retry:
                endpoint.health.bad(outcome)
            if outcome.fatal:
                raise self._fatal(
                    outcome, await self._models(endpoint) if outcome.reason.startswith("HTTP 404") else None
                )
            attempt += 1
            if (
                FILTERED.search(outcome.reason) and not outcome.retry
            ):  # the prompt itself was filtered: the model refuses
                return Reply(request, finish="content_filter", retries=attempt - 1)
            if not outcome.retry or attempt > self._options.retries:
                tries = "" if attempt == 1 else f" (after {attempt} tries)"
                return Reply(request, "", "", billed_in, billed_out, attempt - 1, outcome.reason + tries)
            log.debug("try %d failed: %s", attempt, outcome.reason)
            if outcome.wait is not None:
                endpoint.resume_at = max(endpoint.resume_at, time.monotonic() + outcome.wait)
            else:
                await asyncio.sleep(backoff(attempt, self._options.backoff, self._chance))

    def _body(self, request: Request) -> dict[str, Any]:
        sampling = request.sampling
        body: dict[str, Any] = {"model": self._options.model}
        if self._options.api == "chat":
            body["messages"] = [{"role": role, "content": text} for role, text in messages_of(request.prompt)]
        else:
            body["prompt"] = plain_text(request.prompt)
        body |= {"temperature": sampling.temperature, "top_p": sampling.top_p, "max_tokens": sampling.max_tokens}
        body |= {"seed": request.seed} | dict(sampling.extra)
        return {k: v for k, v in body.items() if v is not None}  # null in --extra takes a key out

    async def _models(self, endpoint: Endpoint) -> list[str]:
        answer = await endpoint.send("GET", "models")
        listed = answer.get("data") if isinstance(answer, dict) else None
        return [str(m["id"]) for m in listed if isinstance(m, dict) and "id" in m] if isinstance(listed, list) else []

    def _fatal(self, fault: Fault, models: list[str] | None) -> ExpandrError:
        variable, model = self._options.api_key_env, self._options.model
        if fault.reason.startswith("HTTP 401"):
            state = "was refused" if self._key else "is missing"
            # a name that looks like none may be the key itself, typed in the wrong place
            where = f"${variable}" if self._key or variable.isupper() else "the variable that --api-key-env names"
            return NotAvailableError(
                f"the API key {state} (HTTP 401); it is read from {where} (--api-key-env names another)"
            )
        if models and model not in models:
            return UnknownNameError("model", model, models, f"The endpoint serves {', '.join(models[:20])}.")
        fix = "check --base-url (it mostly ends with /v1) and --model"
        if fault.wait is not None and fault.wait > LONGEST_WAIT:
            fix = f"the endpoint asks to wait {fault.wait:.0f} s; run the same command again then"
        return NotAvailableError(f"the endpoint cannot be used: {fault.reason}; {fix}. What has arrived is kept")

    def _give_up_where_nothing_works(self, reply: Reply) -> None:
        self._failed_in_a_row = self._failed_in_a_row + 1 if reply.failure else 0
        if self._failed_in_a_row >= PATIENCE:
            raise NotAvailableError(
                f"{PATIENCE} requests in a row brought no text (the last: {reply.failure}); what has arrived is kept, run the same command again"
            )


def run_anywhere(work: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine to its end, also where this thread is running an event loop already, as a notebook's is: then in a thread of its own.

    The calling thread waits, so that nothing runs next to it. Ctrl-C ends the work as it does elsewhere.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        asyncio.run(work)
        return
    ended: list[BaseException] = []
    started: list[tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]]] = []

    async def noted() -> None:
        started.append((asyncio.get_running_loop(), cast("asyncio.Task[Any]", asyncio.current_task())))
        await work

    def run() -> None:
        try:
            asyncio.run(noted())
        except BaseException as error:  # noqa: BLE001 - raised again below, in the thread that waits
            ended.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        thread.join()
    except BaseException:
        for loop, task in started:
            with contextlib.suppress(RuntimeError):  # it is over already
                loop.call_soon_threadsafe(task.cancel)
        thread.join()
        raise
    if ended:
        raise ended[0]


def reply_of(request: Request, answer: dict[str, Any], retries: int) -> Reply | Fault:
    """Read the text out of an answer of chat/completions or completions.

    Returns:
        The reply, or a fault where the answer has no choice that can be read.
    """
    choices = answer.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    if not isinstance(choice, dict):
        return Fault("the answer has no choices", retry=True)
    finish = finish_of(choice.get("finish_reason"))
    if finish is None:
        return Fault(f"the answer broke off (finish_reason {str(choice['finish_reason'])[:40]!r})", retry=True)
    message = choice.get("message")
    text = message.get("content") if isinstance(message, dict) else choice.get("text")
    if isinstance(text, list):  # content in parts, of which some may be thoughts
        parts = [p if isinstance(p, dict) else {"text": p} for p in text]
        text = "".join(str(p.get("text") or "") for p in parts if p.get("type", "text") in ("text", "output_text"))
        refusals = [p["refusal"] for p in parts if isinstance(p.get("refusal"), str)]
    else:
        refusals = []
    if isinstance(message, dict) and isinstance(message.get("refusal"), str):
        refusals.append(message["refusal"])
    if any(refusals) and not text:
        text, finish = "".join(refusals), "refusal"
    if text is not None and not isinstance(text, str):
        return Fault("the answer's text is not a string", retry=True)
    return Reply(request, text or "", finish, *tokens_of(answer), retries)


def tokens_of(answer: dict[str, Any]) -> tuple[int, int]:
    """Return the tokens of prompt and text that an answer counts; 0 where it does not tell."""
    usage = answer.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    return _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))


def _count(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
