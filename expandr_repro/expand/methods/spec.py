"""What an expansion method is: its steps as they are written down, checked; and the methods by name, ours, a plug-in's or a user's file."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from expandr_repro.errors import ExpandrError, FormatError, UnknownNameError, nearest
from expandr_repro.expand.methods.parsers import reader_named
from expandr_repro.io.strict_yaml import build, read_yaml
from expandr_repro.llm.prompts import prompts
from expandr_repro.llm.templates import fields_of
from expandr_repro.registry import Registry

FIELDS = ("query", "passages", "previous", "examples", "choices", "instruction", "language")
"""The placeholders of a step's template."""

Type = Literal["", "passage", "keywords", "question", "rewrite"]


@dataclass(frozen=True)
class Step:
    """One thing that an LLM is asked about every topic.

    Attributes:
        type: what its texts are; empty for a step whose texts only go into the next one, as {previous}.
        prompt: a prompt or a group of `prompts.yaml`, in place of a template.
        otherwise: the prompt where the group has none for the collection.
        template: what the user says.
        system: the system message.
        instructions: the step is asked once for each, as {instruction}.
        bank: its prompt in a prompt bank of QueryGym's format; for instructions one id each.
        example: how one example is written, with {query} and {passage} or {keywords}.
        examples: how many are drawn.
        example_words: where an example's passage is cut, in words.
        parser: what is read out of an answer, perhaps with parameters: `keywords:most=20`.
        samples: answers per topic.
        temperature: of the sampling.
        top_p: of the sampling.
        max_tokens: new tokens at most.
        passages: at most so many of the context's go into the prompt; 0 for all.
    """

    type: Type = ""
    prompt: str = ""
    otherwise: str = ""
    template: str = ""
    system: str = ""
    instructions: list[str] = field(default_factory=list)
    bank: list[str] = field(default_factory=list)
    example: str = ""
    examples: int = 0
    example_words: int = 128
    parser: str = "text"
    samples: int = 1
    temperature: float = 1.0
    top_p: float = 1.0
    max_tokens: int = 512
    passages: int = 0

    @property
    def fields(self) -> set[str]:
        """The placeholders in its messages."""
        if self.prompt:
            return fields_of(next(s.template for n, s in prompts().items() if n == self.prompt or n.startswith(f"{self.prompt}.")))  # fmt: skip
        return fields_of(self.template) | fields_of(self.system)


@dataclass(frozen=True)
class Choice:
    """One of the things that a step lets the LLM choose among; the next step gets its rule and its examples as {previous}."""

    name: str
    description: str
    rule: str
    examples: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Method:
    """An expansion method.

    Attributes:
        summary: what it does, in a few words.
        source: the paper, and the code where one was followed.
        steps: in the order in which they are asked.
        fusion: bm25 and dense: how its texts are searched with, as `--fusion` takes it.
        version: goes up when anything changes that changes a text.
        rounds: how often the steps are gone through, each time with passages found with the texts so far.
        context: where the passages are from where nothing else is asked for: bm25:10, dense:10 or none.
        fresh: whether passages of earlier rounds are left out.
        choices: what {choices} lists.
        name: by which it is known.
    """

    summary: str
    source: str
    steps: list[Step]
    fusion: dict[str, str]
    version: int = 1
    rounds: int = 1
    context: str = "none"
    fresh: bool = False
    choices: list[Choice] = field(default_factory=list)
    name: str = ""

    @property
    def needs_passages(self) -> bool:
        """Whether some step has passages in its prompt."""
        return any("passages" in step.fields for step in self.steps)

    @property
    def needs_examples(self) -> bool:
        """Whether some step has examples of training topics in its prompt."""
        return any("examples" in step.fields for step in self.steps)

    @property
    def calls(self) -> int:
        """Answers per topic."""
        return self.rounds * sum(step.samples * max(1, len(step.instructions)) for step in self.steps)

    @property
    def types(self) -> list[str]:
        """The types of its texts, each once."""
        return list(dict.fromkeys(step.type for step in self.steps if step.type))


def _adopt(thing: Any) -> Method:
    """Make a method of what a plug-in's entry point names: a method, a mapping as in YAML, or the path of a YAML file."""
    if isinstance(thing, Method):
        return check(thing, "plug-in", thing.name)
    if isinstance(thing, Mapping):
        return read_method(dict(thing), "plug-in", str(thing.get("name", "method")))
    if isinstance(thing, str | Path):
        return read_method(read_yaml(thing), str(thing), Path(thing).stem)
    raise ExpandrError(f"is {type(thing).__name__}; wanted a Method, a dict or the path of a YAML file")


METHODS: Registry[Method] = Registry("method", "expandr_repro.methods", "expandr_repro.expand.methods.ours", adopt=_adopt)  # fmt: skip


def find_method(name: str) -> Method:
    """Return a method by its name, of ours or of a plug-in, or from a user's YAML file.

    Raises:
        UnknownNameError: there is none.
        FormatError: the file is no method.
        NotAvailableError: the file is not there.
    """
    path = Path(name)
    if path.suffix in (".yaml", ".yml"):
        return read_method(read_yaml(path), str(path), path.stem)
    found = METHODS.find(name, "A .yaml file with one method will do as well.")
    return dataclasses.replace(found, name=name)


def read_method(values: Any, path: str, name: str) -> Method:
    """Make a method of parsed YAML: its keys, or one name with these.

    Raises:
        FormatError: something in it is wrong.
    """
    if isinstance(values, dict) and len(values) == 1 and isinstance(next(iter(values.values())), dict):
        name, values = next(iter(values.items()))
    if isinstance(values, dict):
        values = {**values, "name": values.get("name", name)}
    return check(build(Method, values, path, str(name)), path, str(name))


def check(method: Method, path: str, name: str) -> Method:
    """Refuse a method that cannot work.

    Raises:
        FormatError: why.
    """
    if not method.steps or not method.steps[-1].type:
        raise FormatError(
            path, None, f"{name}.steps: the last step needs a `type`: passage, keywords, question or rewrite"
        )
    for retriever in method.fusion:
        if retriever not in ("bm25", "dense"):
            raise FormatError(path, None, f"{name}.fusion: found {retriever!r}, wanted bm25 and dense")
    if method.rounds < 1:
        raise FormatError(path, None, f"{name}.rounds: {method.rounds}; wanted 1 or more")
    for number, step in enumerate(method.steps):
        _check_step(method, step, path, f"{name}.steps[{number}]", number)
    if method.needs_passages and method.context == "none":
        raise FormatError(
            path, None, f"{name}: {{passages}} is in a template, and `context` is missing; write e.g. bm25:10"
        )
    return method


def _check_step(method: Method, step: Step, path: str, where: str, number: int) -> None:
    def refuse(problem: str) -> None:
        raise FormatError(path, None, f"{where}: {problem}")

    if bool(step.prompt) == bool(step.template):
        refuse("wanted either `prompt`, a name in prompts.yaml, or a `template`")
    if step.prompt and not any(n == step.prompt or n.startswith(f"{step.prompt}.") for n in prompts()):
        refuse(
            f"unknown prompt {step.prompt!r}"
            + (f"; did you mean {close!r}?" if (close := nearest(step.prompt, prompts())) else "")
        )
    try:
        found = step.fields
        in_example = fields_of(step.example)
    except ValueError as error:
        raise FormatError(path, None, f"{where}: {error}; a literal brace is written {{{{ or }}}}") from error
    for name in sorted(found - set(FIELDS)):
        close = nearest(name, FIELDS)
        refuse(f"unknown placeholder {{{name}}}; " + (f"did you mean {{{close}}}?" if close else "known: " + ", ".join(f"{{{k}}}" for k in FIELDS)))  # fmt: skip
    if not found & {"query", "previous"}:
        refuse("the placeholder {query} is missing; every topic would get one text")
    if "previous" in found and number == 0:
        refuse("{previous} is what the step before this one gave, and this is the first")
    if ("choices" in found) != bool(step.parser == "choice") or ("choices" in found and not method.choices):
        refuse("{choices}, the method's `choices` and `parser: choice` go together")
    if ("instruction" in found) != bool(step.instructions):
        refuse("{instruction} and `instructions` go together")
    if not step.prompt and ("examples" in found) != bool(step.example and step.examples > 0):
        refuse("{examples}, `example` and `examples` go together")
    if unknown := in_example - {"query", "passage", "keywords"}:
        refuse(f"unknown placeholder {{{min(unknown)}}} in the example; known: {{query}}, {{passage}}, {{keywords}}")
    if step.bank and len(step.bank) != max(1, len(step.instructions)):
        refuse(f"{len(step.bank)} ids in `bank`; wanted {max(1, len(step.instructions))}")
    if step.samples < 1 or step.max_tokens < 1 or step.passages < 0:
        refuse("`samples` and `max_tokens` are 1 or more, `passages` 0 or more")
    if step.parser != "choice":
        try:
            reader_named(step.parser)
        except UnknownNameError as error:
            raise FormatError(path, None, f"{where}.parser: {error}") from error
