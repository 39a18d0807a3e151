"""Remove secrets from URLs and messages, for print, logs and files."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from urllib.parse import parse_qsl, unquote, urlsplit, urlunsplit


def shown_url(url: str) -> str:
    """Return a URL without user name, password, query and fragment, any of which may contain a key."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if ":" in host:  # an IPv6 address
        host = f"[{host}]"
    if parts.port:
        host = f"{host}:{parts.port}"
    return urlunsplit((parts.scheme, host, parts.path, "", ""))


_URL = re.compile(r"https?://[^\s'\"<>]+", re.I)


def without_secrets(text: str) -> str:
    """Return a text, such as a command line, with every URL in it as `shown_url` shows it."""

    def shown(match: re.Match[str]) -> str:
        try:
            return shown_url(match[0])
        except ValueError:  # no URL after all
            return "***"

    return _URL.sub(shown, text)


SHORTEST = 4
"""A part of a URL's query is taken for a secret from this length on: shorter ones would blot out plain words."""


def secrets_of(url: str, key: str | None) -> list[str]:
    """Return all by which an endpoint may repeat what it was sent: the key, the URL's user and password, its query and that query's values.

    As they stand, decoded, and as the `Authorization` header has them; the longest first, so that none is replaced in part.
    """
    parts = urlsplit(url)
    secrets = {key or "", parts.password or "", parts.query, parts.fragment}
    secrets |= {value for _, value in parse_qsl(parts.query) if len(value) >= SHORTEST}
    if parts.username and len(parts.username) >= SHORTEST:
        secrets.add(parts.username)
    secrets |= {unquote(secret) for secret in secrets}
    if parts.username:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        secrets.add(base64.b64encode(pair.encode()).decode())
    return sorted(secrets - {""}, key=lambda secret: (-len(secret), secret))


def redacted(text: str, secrets: Iterable[str]) -> str:
    """Return a message on one line, each secret in it replaced, cut at 300 characters."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, "***")
    return " ".join(text.split())[:300]
