"""Check and fill prompt templates: Python format strings with named fields only."""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence

from expandr_repro.errors import FormatError, nearest


def fields_of(template: str) -> set[str]:
    """Return the placeholders of a template.

    Raises:
        ValueError: a lone brace.
    """
    fields = set()
    for _, name, form, conversion in string.Formatter().parse(template):
        if name is not None:  # a conversion or a format is no part of this little language: show it as found
            fields.add(name + (f"!{conversion}" if conversion else "") + (f":{form}" if form else ""))
    return fields


def check_template(template: str, known: Sequence[str], path: str, where: str) -> None:
    """Refuse a template with a lone brace, an unknown placeholder, or no place for the query.

    Args:
        template: the text.
        known: the placeholders it may have.
        path: the file, for the message.
        where: the place in the file, for the message.

    Raises:
        FormatError: it has one of these faults.
    """
    try:
        fields = fields_of(template)
    except ValueError as error:
        raise FormatError(path, None, f"{where}: {error}; a literal brace is written {{{{ or }}}}") from error
    for name in fields:
        if name not in known:
            close = nearest(name, known)
            offer = f"did you mean {{{close}}}?" if close else "known: " + ", ".join(f"{{{k}}}" for k in known)
            raise FormatError(path, None, f"{where}: unknown placeholder {{{name}}}; {offer}")
    if "query" not in fields:
        raise FormatError(path, None, f"{where}: the placeholder {{query}} is missing; every topic would get one text")


def partly_filled(template: str, values: Mapping[str, str]) -> str:
    """Return a template with some placeholders filled in; the others stay open."""
    parts = []
    for text, name, _, _ in string.Formatter().parse(template):
        parts.append(_escaped(text))
        if name is not None:
            parts.append(_escaped(values[name]) if name in values else f"{{{name}}}")
    return "".join(parts)


def _escaped(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")
