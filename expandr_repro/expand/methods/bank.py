"""Prompt banks in QueryGym's format: a YAML list of prompts, each with an id and a template of messages."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

from expandr_repro.errors import FormatError, UnknownNameError, nearest, shown
from expandr_repro.io.files import read_text
from expandr_repro.io.strict_yaml import MAX_YAML, parse_yaml
from expandr_repro.llm.chats import ROLES, Chat
from expandr_repro.llm.templates import fields_of

log = logging.getLogger(__name__)

FIELDS = (
    "query", "contexts", "passages", "documents_text", "examples", "questions", "answers", "previous", "patterns_json",
    "transformation_rule", "examples_json", "instruction", "language",
)  # fmt: skip
"""The placeholders that a bank's prompts may have: QueryGym's names and ours."""


def read_bank(path: str | Path) -> dict[str, Chat]:
    """Read a prompt bank: id -> messages, in the order in which QueryGym sends them (system, user, assistant).

    Of a role that a template has twice the last text counts, as YAML readers have it and QueryGym with them.

    Raises:
        FormatError: it is no prompt bank.
        NotAvailableError: the file cannot be read.
    """
    repeated: list[str] = []
    listed = parse_yaml(f"{read_text(path, MAX_YAML)}\n", path, repeated=repeated)
    if not isinstance(listed, list):
        raise FormatError(
            path, None, "wanted a list of prompts, each with `id` and `template` (QueryGym's prompt_bank.yaml)"
        )
    found: dict[str, Chat] = {}
    for number, entry in enumerate(listed, start=1):
        where = f"prompt {number}"
        if not isinstance(entry, dict) or not isinstance(entry.get("id"), str):
            raise FormatError(path, None, f"{where}: wanted keys and values with an `id`, found {shown(entry)}")
        if entry["id"] in found:
            raise FormatError(path, None, f"the id {entry['id']!r} is there twice; ids must be unique")
        found[entry["id"]] = _messages(path, entry["id"], entry.get("template"))
    for key in repeated:
        log.warning("%s: %s; the last one counts, as in QueryGym", path, key)
    return found


def _messages(path: str | Path, ident: str, template: object) -> Chat:
    if not isinstance(template, Mapping) or not template:
        raise FormatError(
            path, None, f"{ident}.template: wanted messages ({', '.join(ROLES)}), found {shown(template)}"
        )
    for role, text in template.items():
        if role not in ROLES:
            close = nearest(str(role), ROLES)
            raise FormatError(path, None, f"{ident}.template: unknown role {shown(role)}; " + (f"did you mean {close!r}?" if close else f"known: {', '.join(ROLES)}"))  # fmt: skip
        if not isinstance(text, str):
            raise FormatError(path, None, f"{ident}.template.{role}: found {shown(text)}, wanted a text")
        try:
            fields = fields_of(text)
        except ValueError as error:
            raise FormatError(
                path, None, f"{ident}.template.{role}: {error}; a literal brace is written {{{{ or }}}}"
            ) from error
        for name in sorted(fields - set(FIELDS)):
            close = nearest(name, FIELDS)
            raise FormatError(path, None, f"{ident}.template.{role}: unknown placeholder {{{name}}}; " + (f"did you mean {{{close}}}?" if close else "known: " + ", ".join(f"{{{k}}}" for k in FIELDS)))  # fmt: skip
    if "user" not in template:
        raise FormatError(path, None, f"{ident}.template: the message `user` is missing")
    return tuple((role, template[role]) for role in ROLES if role in template)


def banked(bank: Mapping[str, Chat], ident: str, path: str | Path) -> Chat:
    """Return a bank's prompt by its id.

    Raises:
        UnknownNameError: the bank has none.
    """
    if ident not in bank:
        raise UnknownNameError(f"prompt of {path}", ident, bank)
    return bank[ident]
