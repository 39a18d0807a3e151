"""The steps of a method made ready for topics: prompts found, examples drawn, a bank's prompts in place of ours, settings changed."""

from __future__ import annotations

import json
import logging
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from expandr_repro.data.collections import TopicSet
from expandr_repro.data.passages import draw_examples, training_split
from expandr_repro.errors import ExpandrError
from expandr_repro.expand.methods.bank import banked, read_bank
from expandr_repro.expand.methods.parsers import Reader, reader_named
from expandr_repro.expand.methods.spec import Choice, Method, Step
from expandr_repro.io.files import sha256_text
from expandr_repro.llm.chats import Chat, Prompted
from expandr_repro.llm.prompts import Prompt, PromptSpec, find_prompt
from expandr_repro.llm.sampling import SamplingPlan
from expandr_repro.llm.templates import fields_of, partly_filled

log = logging.getLogger(__name__)

PASSAGES = {"passages", "contexts", "documents_text"}
PREVIOUS = {"previous", "questions", "answers", "transformation_rule", "examples_json"}
"""Placeholders that are filled in with passages, and with what the step before gave; QueryGym's names among them."""

KEYWORDS = 5
"""Words of a passage that stand for its keywords in an example."""

_COMMON = frozenset({
    "about", "above", "after", "also", "among", "been", "before", "being", "between", "both", "could", "does", "during", "each", "every", "from",
    "further", "have", "having", "here", "into", "itself", "just", "like", "more", "most", "much", "once", "only", "other", "over", "same", "should",
    "some", "such", "than", "that", "their", "them", "then", "there", "these", "they", "this", "those", "through", "under", "until", "very", "were",
    "what", "when", "where", "which", "while", "will", "with", "within", "would", "your", "however",
})  # fmt: skip
"""Words that are nobody's keywords."""


@dataclass(frozen=True)
class Ask:
    """One step, ready: what is asked about each topic, and how.

    Attributes:
        label: what to call it in messages.
        step: as it is written down.
        prompt: its id, version and text, for the store and the provenance.
        templates: its messages, with what is the same for all topics filled in.
        plan: its samples.
        reader: what reads the answers.
    """

    label: str
    step: Step
    prompt: Prompt
    templates: Chat
    plan: SamplingPlan
    reader: Reader

    @cached_property
    def fields(self) -> set[str]:
        """The placeholders that are still open."""
        return set().union(*(fields_of(text) for _, text in self.templates))

    @property
    def wants_passages(self) -> bool:
        """Whether passages go into the prompt."""
        return bool(self.fields & PASSAGES)

    @property
    def wants_previous(self) -> bool:
        """Whether what the step before gave goes into the prompt."""
        return bool(self.fields & PREVIOUS)

    def render(self, query: str, passages: Sequence[str] = (), previous: Sequence[str] = (), choice: Choice | None = None) -> Prompted:  # fmt: skip
        """Return the prompt of one topic.

        Args:
            query: the topic's.
            passages: texts of the context.
            previous: what the step before gave.
            choice: what the step before chose.
        """
        listed = [" ".join(text.split()) for text in passages]
        numbered = "\n".join(f"{number}. {text}" for number, text in enumerate(listed, start=1))
        values = {
            "query": query,
            "passages": numbered,
            "contexts": numbered,
            "documents_text": "\n\n".join(listed),
            "previous": _chosen(choice) if choice else previous[0] if len(previous) == 1 else "\n".join(f"{n}. {text}" for n, text in enumerate(previous, start=1)),
            "questions": json.dumps({f"question{n}": text for n, text in enumerate(previous, start=1)}, ensure_ascii=False),
            "answers": json.dumps({f"answer{n}": text for n, text in enumerate(previous, start=1)}, ensure_ascii=False),
            "transformation_rule": choice.rule if choice else "",
            "examples_json": json.dumps(_pairs(choice), indent=2, ensure_ascii=False) if choice else "[]",
        }  # fmt: skip
        chat = tuple((role, text.format(**values)) for role, text in self.templates)
        return chat[0][1] if [role for role, _ in chat] == ["user"] else chat


def asks_of(
    method: Method,
    topics: TopicSet,
    plan: Mapping[str, Any],
    examples_from: str | None = None,
    language: str | None = None,
    prompt_bank: str | None = None,
) -> list[Ask]:
    """Return a method's steps, ready for topics; one with instructions once for each.

    Args:
        method: whose steps.
        topics: to be expanded; none of them becomes an example.
        plan: what the command line says of the sampling; samples and temperatures are those of the steps that write texts.
        examples_from: training topics for the examples.
        language: for {language}.
        prompt_bank: a file whose prompts take the place of the steps' own.

    Raises:
        ExpandrError: examples are needed and none can be drawn, a language is missing or too much, or the bank lacks a prompt.
    """
    bank = read_bank(prompt_bank) if prompt_bank else None
    seed = seed_in(plan)
    asks: list[Ask] = []
    for number, step in enumerate(method.steps, start=1):
        for turn, instruction in enumerate(step.instructions or [""]):
            name, version, spec, templates = _written(method, step, topics)
            if bank is not None and prompt_bank:
                if not step.bank:
                    raise ExpandrError(f"--prompt-bank: step {number} of method {method.name!r} names no prompt of a bank; add `bank: [ID]` to it, or leave --prompt-bank out")  # fmt: skip
                name, version, templates = step.bank[turn], 1, banked(bank, step.bank[turn], prompt_bank)
            label = (
                f"step {number}" + (f".{turn + 1}" if step.instructions else "")
                if method.calls > step.samples
                else "the step"
            )
            constants = {
                "instruction": instruction,
                "choices": _listed(method.choices),
                "patterns_json": _patterns(method.choices),
            }
            fields = set().union(*(fields_of(text) for _, text in templates))
            if "language" in fields:
                if language is None:
                    raise ExpandrError(f"method {method.name!r} has {{language}} in it; add --language")
                constants["language"] = language
            if "examples" in fields:
                constants["examples"] = _examples(spec, topics, examples_from, seed)
            filled = tuple((role, partly_filled(text, constants)) for role, text in templates)
            written = (
                filled[0][1] if [role for role, _ in filled] == ["user"] else json.dumps(filled, ensure_ascii=False)
            )
            supplied = {"choices": [c.name for c in method.choices]} if step.parser == "choice" else {}
            asks.append(Ask(label, step, Prompt(name, version, written), filled, _plan(step, plan), reader_named(step.parser, **supplied)))  # fmt: skip
    if language is not None and not any("language" in _fields(method, step, topics) for step in method.steps):
        raise ExpandrError(f"method {method.name!r} has no {{language}} in it; leave --language out")
    return asks


def seed_in(plan: Mapping[str, Any]) -> int:
    """Return the seed that the command line says, or the default."""
    return SamplingPlan.seed if plan.get("seed") is None else int(plan["seed"])


def prompt_hash(asks: Sequence[Ask]) -> str:
    """Return the hash of a method's prompts: of one alone that of its template, as for a prompt that is used without a method."""
    hashes = [ask.prompt.sha256 for ask in asks]
    return hashes[0] if len(hashes) == 1 else sha256_text("\n".join(hashes))


def _fields(method: Method, step: Step, topics: TopicSet) -> set[str]:
    return set().union(*(fields_of(text) for _, text in _written(method, step, topics)[3]))


def _written(method: Method, step: Step, topics: TopicSet) -> tuple[str, int, PromptSpec, Chat]:
    """Return a step's prompt: its id and version, how its examples are written, and its messages."""
    if not step.prompt:
        own = PromptSpec(step.template, example=step.example, examples=step.examples, example_words=step.example_words)
        system = (("system", step.system),) if step.system else ()
        return method.name, method.version, own, (*system, ("user", step.template))
    collection = topics.collection.dataset if topics.collection else None
    try:
        name, spec = find_prompt(step.prompt, collection)
    except ExpandrError:
        if not step.otherwise:
            raise
        name, spec = find_prompt(step.otherwise, collection)
        log.info("prompt %s has no wording of its own for %s; %s is used", step.prompt, topics.label, name)
    return name, spec.version, spec, (("user", spec.template),)


def _plan(step: Step, changes: Mapping[str, Any]) -> SamplingPlan:
    """Return a step's samples; how many there are, and at which temperatures, is changed only where they become expansions."""
    plan = SamplingPlan((step.temperature,), step.samples, step.top_p, step.max_tokens)
    wanted = {k: v for k, v in changes.items() if v is not None and (step.type or k not in ("samples", "temperatures"))}
    return replace(plan, **wanted)


def _examples(spec: PromptSpec, topics: TopicSet, source: str | None, seed: int) -> str:
    if not spec.example:
        spec = replace(spec, example="Query: {query}\nPassage: {passage}\n\n", examples=4)
    drawn = draw_examples(source or training_split(topics), spec.examples, seed, [t.title for t in topics.topics])
    return "".join(
        spec.example.format(query=query, passage=" ".join(passage.split()[: spec.example_words]), keywords=", ".join(keywords_of(passage)))
        for query, passage in drawn
    )  # fmt: skip


def keywords_of(passage: str) -> list[str]:
    """Return the words that a passage repeats most, first ones first: what stands for its keywords in an example.

    >>> keywords_of("Cats purr. A cat that purrs is a happy cat; cats purr by the larynx.")
    ['cats', 'purr', 'purrs', 'happy', 'larynx']
    """
    words = [w for w in re.findall(r"[^\W\d_]{4,}", passage.lower()) if w not in _COMMON]
    return [word for word, _ in Counter(words).most_common(KEYWORDS)]


def _pairs(choice: Choice) -> list[list[str]]:
    return [[part.strip() for part in example.split("->")] for example in choice.examples]


def _patterns(choices: Sequence[Choice]) -> str:
    """Return choices as QueryGym writes its patterns."""
    return json.dumps([{"pattern_name": c.name, "description": c.description, "transformation_rule": c.rule, "examples": _pairs(c)} for c in choices], indent=2, ensure_ascii=False)  # fmt: skip


def _listed(choices: Sequence[Choice]) -> str:
    return "\n".join(f"- {c.name}: {c.description}" for c in choices)


def _chosen(choice: Choice) -> str:
    examples = "".join(f"\n- {example}" for example in choice.examples)
    return choice.rule + (f"\nExamples:{examples}" if examples else "")
