"""Secrets do not get into what is shown."""

from __future__ import annotations

import pytest

from expandr_repro.console.redact import redacted, shown_url


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://localhost:8000/v1", "http://localhost:8000/v1"),
        ("https://me:secret@example.org/v1", "https://example.org/v1"),
        ("https://example.org:444/v1?api-key=secret#secret", "https://example.org:444/v1"),
        ("http://me:secret@[::1]:80/v1", "http://[::1]:80/v1"),
    ],
)
def test_a_url_is_shown_without_its_secrets(url, shown):
    assert shown_url(url) == shown


def test_a_message_is_one_short_line_without_secrets():
    assert redacted("no\n  access with sk-1\tfor sk-1", ["sk-1", ""]) == "no access with *** for ***"
    assert len(redacted("x" * 5000, [])) == 300
