"""Endpoints and messages without their secrets, for print, logs and files."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit, urlunsplit


def shown_url(url: str) -> str:
    """Return a URL without user name, password, query and fragment, any of which may hold a key."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if ":" in host:  # an IPv6 address
        host = f"[{host}]"
    if parts.port:
        host = f"{host}:{parts.port}"
    return urlunsplit((parts.scheme, host, parts.path, "", ""))


def redacted(text: str, secrets: Iterable[str]) -> str:
    """Return a message on one line, each secret in it replaced, cut at 300 characters."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, "***")
    return " ".join(text.split())[:300]
