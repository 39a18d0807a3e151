"""Load prompts from `resources/prompts.yaml` or a user's file, check them, fill in examples, and render them for a topic.

A template is a Python format string with named fields only: {query}, {passage}, {examples}, {language}.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from expandr_repro.errors import ExpandrError, FormatError, UnknownNameError
from expandr_repro.io.files import read_text, sha256_text
from expandr_repro.io.paths import resource
from expandr_repro.io.strict_yaml import MAX_YAML, build, read_yaml
from expandr_repro.llm.templates import check_template, fields_of, partly_filled

PLACEHOLDERS = ("query", "passage", "examples", "language")
EXAMPLE_PLACEHOLDERS = ("query", "passage")


@dataclass(frozen=True)
class PromptSpec:
    """A prompt as it is written down.

    Attributes:
        template: the text, with placeholders.
        version: goes up when the template changes.
        purpose: what it makes of a query.
        source: whose words these are.
        collections: in a group of prompts (`hyde`), the collections that this one is for.
        example: how one example is written, with {query} and {passage}.
        examples: how many are drawn.
        example_words: where an example's passage is cut, in words.
    """

    template: str
    version: int = 1
    purpose: str = ""
    source: str = ""
    collections: list[str] = field(default_factory=list)
    example: str = ""
    examples: int = 0
    example_words: int = 128


@dataclass(frozen=True)
class Prompt:
    """A prompt ready for topics: only {query} and perhaps {passage} are still open.

    Attributes:
        name: its id.
        version: its spec's version.
        template: the text, examples and language filled in.
    """

    name: str
    version: int
    template: str

    @property
    def sha256(self) -> str:
        """The SHA-256 of the template, in hex."""
        return sha256_text(self.template)

    @property
    def needs_passage(self) -> bool:
        """Whether a topic needs a gold passage for it."""
        return "passage" in fields_of(self.template)

    def render(self, query: str, passage: str = "") -> str:
        """Return what the generator reads; braces within the query or passage stay as they are."""
        return self.template.format(query=query, passage=passage)


@functools.cache
def prompts() -> dict[str, PromptSpec]:
    """Return the prompts known by name (`resources/prompts.yaml`)."""
    return _read(resource("prompts.yaml"))


def find_prompt(name: str, collection: str | None = None) -> tuple[str, PromptSpec]:
    """Find a prompt by name, by group (`hyde`: the collection's own) or in a user's file.

    Args:
        name: a name, a group, or a file: YAML with one spec, or the bare template as .txt.
        collection: the collection whose topics are to be expanded, for a group.

    Returns:
        The prompt's id (for a file its stem) and its spec.

    Raises:
        UnknownNameError: no such prompt.
        ExpandrError: a group that has none for this collection.
        FormatError: the file is not a prompt.
        NotAvailableError: the file is not there.
    """
    known = prompts()
    if name in known:
        return name, known[name]
    path = Path(name)
    if path.suffix in (".yaml", ".yml", ".txt"):
        return path.stem, _user_prompt(path)
    members = {n: s for n, s in known.items() if n.startswith(f"{name}.")}
    if any(s.collections for s in members.values()):
        for member, spec in members.items():
            if collection in spec.collections:
                return member, spec
        needs = f"has no version for the collection {collection!r}" if collection else "needs a known collection"
        raise ExpandrError(f"prompt {name!r} {needs}; use --prompt {', or '.join(members)}")
    raise UnknownNameError("prompt", name, known, "A .yaml or .txt file with a template works as well.")


def _read(path: Path) -> dict[str, PromptSpec]:
    table = read_yaml(path)
    if not isinstance(table, dict):
        raise FormatError(path.name, None, "wanted prompts by name")
    return {
        name: _checked(build(PromptSpec, values, path.name, name), path.name, name) for name, values in table.items()
    }


def _user_prompt(path: Path) -> PromptSpec:
    if path.suffix == ".txt":
        spec = PromptSpec(template=read_text(path, MAX_YAML).removesuffix("\n"), source=path.name)
    else:
        spec = build(PromptSpec, read_yaml(path), path, "prompt")
    return _checked(spec, str(path), "template")


def _checked(spec: PromptSpec, path: str, where: str) -> PromptSpec:
    check_template(spec.template, PLACEHOLDERS, path, where)
    if spec.example:
        check_template(spec.example, EXAMPLE_PLACEHOLDERS, path, f"{where}.example")
    if ("examples" in fields_of(spec.template)) != bool(spec.example and spec.examples > 0):
        raise FormatError(path, None, f"{where}: {{examples}} in the template, `example` and `examples` go together")
    return spec


def prepare(
    name: str, spec: PromptSpec, examples: Iterable[tuple[str, str]] = (), language: str | None = None
) -> Prompt:
    """Fill in what is the same for all topics.

    Args:
        name: the prompt's id.
        spec: the prompt.
        examples: pairs of query and passage, for a prompt with {examples}.
        language: for a prompt with {language}.

    Raises:
        ExpandrError: the language is missing, or given to a prompt that has no place for it.
    """
    places = fields_of(spec.template)
    if ("language" in places) != (language is not None):
        fix = "add --language" if language is None else "leave --language out"
        raise ExpandrError(f"prompt {name!r} has {'a' if language is None else 'no'} {{language}} in it; {fix}")
    written = "".join(
        spec.example.format(query=query, passage=" ".join(passage.split()[: spec.example_words]))
        for query, passage in examples
    )
    values = {"examples": written, "language": language or ""}
    return Prompt(name, spec.version, partly_filled(spec.template, values))
