"""Write a report as one HTML page, with no data that could become markup.

Data is in script elements of type application/json, which no browser runs, with the characters escaped that could end or open
an element there. The page's own style and script are allowed by their hashes, and nothing else is.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from expandr_repro import __version__
from expandr_repro.io.files import read_text
from expandr_repro.io.paths import resource
from expandr_repro.report.gathering import Sheet

SCRIPTS = (
    "base.js",
    "theme.js",
    "table.js",
    "chart.js",
    "bars.js",
    "scatter.js",
    "costs.js",
    "list.js",
    "topic.js",
    "main.js",
)
"""The parts of the report's script, in the order in which they are joined."""

BRAND = 'expandr_repro <span class="muted">report</span>'

_ESCAPED = {ord(c): f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"}

_PLACE = re.compile(r"\{\{(\w+)\}\}")


def embedded(value: Any) -> str:
    """Return JSON that is safe in a script element whatever its strings contain.

    Raises:
        ValueError: a number that JSON does not know.
    """
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).translate(_ESCAPED)


def page(sheet: Sheet, title: str, brand: str = BRAND, above: str = "") -> str:
    """Return the whole page; equal sheets give equal pages.

    Args:
        sheet: what it shows.
        title: its heading.
        brand: HTML of the line above the heading.
        above: HTML between the heading and the report.
    """
    data = {"data": {"title": title, **sheet.data}, **sheet.pieces}
    return filled("page.html", SCRIPTS, title, data, brand=brand, above=above)


def filled(template: str, scripts: Sequence[str], title: str, data: Mapping[str, Any], **parts: str) -> str:
    """Return a page of a template, which allows its own style and script by their hashes and nothing else.

    Args:
        template: a file of `resources/report`: the body of the page, without the frame that all pages share.
        scripts: its script's parts, in the order in which they are joined.
        title: its heading.
        data: JSON by the id of its element.
        parts: HTML for the template's other places.
    """
    style = _part("style.css")
    script = '"use strict";\n(() => {\n' + "".join(_part("script", name) for name in scripts) + "})();\n"
    policy = (
        f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    values = {
        "title": html.escape(title),
        "policy": policy,
        "style": style,
        "script": script,
        "data": "\n".join(
            f'<script type="application/json" id="{name}">{embedded(value)}</script>' for name, value in data.items()
        ),
        "version": html.escape(__version__),
        **parts,
    }
    whole = _part("frame.html").replace("{{body}}", _part(template)).replace("{{bar}}", _part("bar.html"))
    # in one pass: what data holds is never looked at as a template
    return _PLACE.sub(lambda match: values[match[1]], whole)


def _part(*name: str) -> str:
    return read_text(resource("report", *name)).rstrip("\n") + "\n"


def _hash(content: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"
