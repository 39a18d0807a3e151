"""What went wrong with a request to an endpoint, and whether and when to ask again."""

from __future__ import annotations

import email.utils
import random
from collections.abc import Mapping
from dataclasses import dataclass

RETRYABLE = {408, 409, 425, 429, 500, 502, 503, 504, 520, 522, 524, 529}
"""Statuses that may pass: timeouts, conflicts, rate limits, a server in trouble (529: overloaded)."""

LONGEST_WAIT = 600.0
"""Longest wait in seconds that is sat out when an endpoint asks for it."""

LONGEST_BACKOFF = 30.0
"""Longest wait of our own between two tries, in seconds."""


@dataclass(frozen=True)
class Fault:
    """Why a request brought no text.

    Attributes:
        reason: for people, without secrets.
        retry: whether asking again may help.
        fatal: whether every other request would fare the same.
        wait: seconds the endpoint asks to wait, or None.
        gone: whether nobody is there at all.
    """

    reason: str
    retry: bool = False
    fatal: bool = False
    wait: float | None = None
    gone: bool = False


def fault_of(status: int, headers: Mapping[str, str], message: str, now: float) -> Fault:
    """Classify an answer that is not 200.

    Args:
        status: of the answer.
        headers: of the answer; names found in lower case.
        message: what the endpoint says, without secrets.
        now: seconds since the epoch, for a Retry-After that is a date.
    """
    reason = f"HTTP {status}" + (f": {message}" if message else "")
    if status == 429 and any(word in message.lower() for word in ("insufficient_quota", "exceeded your current quota")):
        return Fault(reason, fatal=True)
    if status in RETRYABLE:
        wait = retry_after(headers, now)
        return Fault(reason, retry=True, fatal=wait is not None and wait > LONGEST_WAIT, wait=wait)
    return Fault(reason, fatal=status in (401, 402, 403, 404, 405, 407) or 300 <= status < 400)


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Return the seconds an endpoint asks to wait (`retry-after-ms`, `retry-after` in seconds or as a date), or None."""
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        written = headers.get(name)
        if written is None:
            continue
        try:
            return max(0.0, float(written) * unit)
        except ValueError:
            pass
        try:
            return max(0.0, email.utils.parsedate_to_datetime(written).timestamp() - now)
        except (ValueError, TypeError):
            continue
    return None


def backoff(attempt: int, first: float, chance: random.Random) -> float:
    """Return how long to wait before the next try, in seconds: doubling, with jitter of a half either way.

    Args:
        attempt: failed tries so far, from 1.
        first: the wait after the first, in seconds.
        chance: for the jitter.
    """
    return min(LONGEST_BACKOFF, first * 2.0 ** min(attempt - 1, 20)) * chance.uniform(0.5, 1.5)


def effort(retries: int, first: float, timeout: float) -> str:
    """Return how often and how long a request is tried, for a note.

    Args:
        retries: further tries.
        first: seconds before the first of them.
        timeout: seconds for one answer.
    """
    if not retries:
        return "not at all, since --retries is 0"
    waits = sum(min(LONGEST_BACKOFF, first * 2.0 ** min(n, 20)) for n in range(retries))
    long = f"{waits:.0f} s" if waits < 120 else f"{waits / 60:.0f} minutes"
    times = "once more" if retries == 1 else f"up to {retries} times"
    return f"each request {times} within about {long} and the time of its answers (at most {timeout:g} s each), then it is listed as failed"
