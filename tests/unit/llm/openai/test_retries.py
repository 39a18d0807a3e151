"""Which faults are worth another try, and when."""

from __future__ import annotations

import random

import pytest

from expandr_repro.llm.openai.retries import LONGEST_BACKOFF, backoff, fault_of, retry_after


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 502, 503, 504, 529])
def test_what_may_pass_is_tried_again(status):
    fault = fault_of(status, {}, "busy", 0.0)

    assert fault.retry
    assert not fault.fatal
    assert fault.reason == f"HTTP {status}: busy"


@pytest.mark.parametrize("status", [301, 302, 401, 402, 403, 404, 405])
def test_what_every_request_would_meet_is_fatal(status):
    fault = fault_of(status, {}, "", 0.0)

    assert fault.fatal
    assert not fault.retry


@pytest.mark.parametrize("status", [400, 413, 422])
def test_what_is_wrong_with_one_request_ends_that_one(status):
    fault = fault_of(status, {}, "too long", 0.0)

    assert not fault.retry
    assert not fault.fatal


def test_a_used_up_quota_is_fatal_though_its_status_is_that_of_a_rate_limit():
    assert fault_of(429, {}, "You exceeded your current quota (insufficient_quota)", 0.0).fatal


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "250", "retry-after": "7"}, 0.25),
        ({"retry-after": "Thu, 01 Jan 1970 00:01:40 GMT"}, 90.0),
        ({"retry-after": "Thu, 01 Jan 1970 00:00:00 GMT"}, 0.0),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({}, None),
    ],
)
def test_the_wait_that_is_asked_for_is_read(headers, seconds):
    assert retry_after(headers, now=10.0) == seconds


def test_to_be_asked_to_wait_for_an_hour_is_fatal():
    assert fault_of(429, {"retry-after": "3600"}, "", 0.0).fatal
    assert not fault_of(429, {"retry-after": "60"}, "", 0.0).fatal


def test_the_wait_doubles_with_jitter_up_to_a_limit():
    chance = random.Random(1)
    waits = [[backoff(attempt, 0.5, chance) for _ in range(200)] for attempt in range(1, 40)]

    for attempt, some in enumerate(waits, start=1):
        middle = min(LONGEST_BACKOFF, 0.5 * 2 ** (attempt - 1))
        assert 0.5 * middle <= min(some) < max(some) <= 1.5 * middle
