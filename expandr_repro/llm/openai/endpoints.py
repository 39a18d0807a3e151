"""The endpoints of one run: their addresses and the key, whose turn it is, and who asked to be left alone for a while."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import logging
import os
import re
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from expandr_repro.console.redact import redacted, secrets_of, shown_url
from expandr_repro.errors import ExpandrError
from expandr_repro.llm.base import GeneratorOptions
from expandr_repro.llm.openai.retries import Fault, effort, fault_of

log = logging.getLogger(__name__)

DEFAULT_URL = "https://api.openai.com/v1"


LONGEST_ANSWER = 64 << 20
"""Bytes of an answer, unpacked: whoever sends more means no good."""

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


SOON = 1.0
"""Seconds without an answer after which faults in a row are worth a note."""


SILENCE = 30.0
"""Seconds without any answer that are worth a note; three times the longest answer where that is more."""


class Health:
    """Whether an endpoint answers; reported once when it stops and once when it is back.

    Args:
        shown: its address.
        effort: how long each request is tried, for the note.
    """

    def __init__(self, shown: str, effort: str) -> None:
        self._shown, self._effort = shown, effort
        self._faults, self._good = 0, time.monotonic()
        self._down: float | None = None
        self._longest = SILENCE / 3

    def good(self, seconds: float = 0.0) -> None:
        """Note that an answer came, after so many seconds."""
        now = time.monotonic()
        self._longest = max(self._longest, seconds)
        if self._down is not None:
            log.warning("%s: answers again, after %.0f s", self._shown, now - self._down)
        self._faults, self._good, self._down = 0, now, None

    def look(self, timeout: float) -> None:
        """Say once that no answer has come for much longer than any took so far."""
        silence = time.monotonic() - self._good
        if self._down is None and silence >= 3 * self._longest:
            self._down = self._good
            log.warning(
                "%s: no answer for %.0f s; waiting up to %g s for each (--timeout). What has arrived is kept",
                self._shown,
                silence,
                timeout,
            )

    def bad(self, fault: Fault) -> None:
        """Note a fault that may pass. One alone is none of the user's business, unless nobody is there or all have to wait."""
        self._faults += 1
        waits = fault.wait is not None and fault.wait >= 5
        in_a_row = self._faults >= 3 and time.monotonic() - self._good >= SOON
        if self._down is None and (waits or fault.gone or in_a_row or self._faults >= 20):
            self._down = self._good if self._faults > 1 else time.monotonic()
            wait = f", in {fault.wait:.0f} s as the endpoint asks" if waits else ""
            reason = fault.reason if self._shown in fault.reason else f"{self._shown}: {fault.reason}"
            log.warning("%s. Asking again%s: %s. What has arrived is kept", reason, wait, self._effort)


class Endpoint:
    """One OpenAI-compatible endpoint; lives within one event loop.

    Args:
        url: its base URL, e.g. http://localhost:8000/v1; a user name and password in it go before the key.
        key: the API key, or None.
        options: timeout and concurrency.
    """

    def __init__(self, url: str, key: str | None, options: GeneratorOptions) -> None:
        import aiohttp

        self.shown = shown_url(url)
        self.resume_at = 0.0
        self.health = Health(self.shown, effort(options.retries, options.backoff, options.timeout))
        self._parts = urlsplit(url)
        self._timeout = options.timeout
        self._secrets = secrets_of(url, key)
        self._session = aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {key}"} if key and not self._parts.username else {},
            connector=aiohttp.TCPConnector(limit=options.concurrency),
            timeout=aiohttp.ClientTimeout(total=options.timeout, sock_connect=min(10.0, options.timeout)),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=not _is_this_machine(url),  # a proxy is not meant for a server on this machine
        )

    async def send(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any] | Fault:
        """Send a request; return the answer's JSON object, or what went wrong."""
        import aiohttp

        url = urlunsplit(self._parts._replace(path=f"{self._parts.path}/{path}"))
        try:
            async with self._session.request(method, url, json=body, allow_redirects=False) as answer:
                raw = await _read_at_most(answer.content, LONGEST_ANSWER)
        except TimeoutError:
            return Fault(f"no answer from {self.shown} within {self._timeout:g} s", retry=True)
        except (aiohttp.InvalidURL, aiohttp.ClientConnectorCertificateError, UnicodeError, ValueError) as error:
            return Fault(f"{self.shown}: cannot be used ({type(error).__name__})", fatal=True)
        except aiohttp.ClientConnectorError as error:
            why = os.strerror(error.errno) if error.errno and error.errno > 0 else "no such host"
            return Fault(
                f"{self.shown}: no connection ({why}); is the server running, and the address right?",
                retry=True,
                gone=True,
            )
        except (aiohttp.ClientError, OSError):
            return Fault(f"{self.shown}: the connection broke off", retry=True)
        if raw is None:
            return Fault(
                f"{self.shown}: an answer of more than {LONGEST_ANSWER >> 20} MiB, which is not text; it was not read on"
            )
        return self._read(answer.status, answer.headers, raw)

    def _read(self, status: int, headers: Mapping[str, str], raw: bytes) -> dict[str, Any] | Fault:
        try:
            value = json.loads(raw)
        except (ValueError, RecursionError):
            value = None
        if status != 200:
            return fault_of(status, headers, self._message(status, value), time.time())
        if not isinstance(value, dict):
            return Fault(f"{self.shown}: the answer is not a JSON object", retry=True)
        # some proxies report the upstream's trouble under status 200, and some in the middle of a text
        choices = value.get("choices")
        for part in (value, *(c for c in choices if isinstance(c, dict))) if isinstance(choices, list) else (value,):
            if part.get("error") or part.get("object") == "error":
                return Fault(f"{self.shown}: {self._message(status, part) or 'an error'}", retry=True)
        return value

    def _message(self, status: int, value: Any) -> str:
        if status == 401:
            return ""  # such messages repeat parts of the key
        error = value.get("error", value) if isinstance(value, dict) else None
        if isinstance(error, dict):
            message = str(error.get("message") or error.get("detail") or "")
            code = str(error.get("code") or "")
            error = message if code in message or not code else f"{message} ({code})"
        return redacted(str(error or ""), self._secrets)

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()


async def _read_at_most(content: Any, limit: int) -> bytes | None:
    """Read an answer to its end, or None where it is longer than that."""
    raw = bytearray()
    async for part in content.iter_chunked(1 << 16):
        raw += part
        if len(raw) > limit:
            return None
    return bytes(raw)


def _is_this_machine(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def base_urls(given: tuple[str, ...]) -> list[str]:
    """Return the base URLs to use: those given, else $OPENAI_BASE_URL, else OpenAI's.

    Raises:
        ExpandrError: one is not an http or https URL.
    """
    urls = []
    for url in given or (os.environ.get("OPENAI_BASE_URL") or DEFAULT_URL,):
        trimmed = url.strip().rstrip("/").removesuffix("/chat/completions").removesuffix("/completions")
        try:
            parts = urlsplit(trimmed)
            usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            usable = False
        if not usable:
            raise ExpandrError(
                "--base-url: one of those given is not an http:// or https:// address, e.g. http://localhost:8000/v1"
            )
        urls.append(trimmed)
    return urls


def api_key(variable: str) -> str | None:
    """Return the API key from the environment, or None where there is none.

    Raises:
        ExpandrError: it contains characters that no header can carry, or what is named is not a variable.
    """
    if not _VARIABLE.fullmatch(variable):  # not repeated: it may be the key itself
        raise ExpandrError(
            "--api-key-env: wanted the name of an environment variable, such as OPENAI_API_KEY; a key has no place on a command line, which all users of a machine can read"
        )
    key = os.environ.get(variable, "").strip()
    if not key.isascii() or not key.isprintable() or " " in key:
        raise ExpandrError(
            f"the key in ${variable} contains white space or characters that are not ASCII; set it again"
        )
    return key or None


class Endpoints:
    """The endpoints in turn, leaving out for a while those that asked for it."""

    def __init__(self, members: list[Endpoint]) -> None:
        self.members = members
        self._turn = 0

    async def next(self) -> Endpoint:
        """Return the endpoint whose turn it is, waiting where all have asked to be left alone."""
        while True:
            now = time.monotonic()
            for step in range(len(self.members)):
                candidate = self.members[(self._turn + step) % len(self.members)]
                if candidate.resume_at <= now:
                    self._turn = (self._turn + step + 1) % len(self.members)
                    return candidate
            await asyncio.sleep(min(e.resume_at for e in self.members) - now + 0.001)

    async def close(self) -> None:
        """Close all connections."""
        for member in self.members:
            await member.close()
