"""A method on topics: round by round and step by step over all topics, each step one batch through the store."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from expandr_repro.console.progress import text_progress
from expandr_repro.data.topics import Expansion, Topic
from expandr_repro.expand.budget import Budget
from expandr_repro.expand.fill import Expansions
from expandr_repro.expand.methods.asks import Ask
from expandr_repro.expand.methods.context import Context, Passage
from expandr_repro.expand.methods.spec import Choice, Method
from expandr_repro.expand.methods.window import fitting, lengths_of, window_of
from expandr_repro.expand.store import Store
from expandr_repro.expand.tasks import Assembly, Failure, Remaining, Task
from expandr_repro.io.files import sha256_text
from expandr_repro.llm.base import Generator
from expandr_repro.llm.chats import Chat, Prompted, messages_of


@dataclass
class State:
    """How far a topic is.

    Attributes:
        topic: with its texts so far.
        prompts: those that its texts answer, for the provenance.
        shown: docids of the passages in prompts so far, in that order.
        read: passages in prompts so far, repeated ones counted again.
        cut: passages that did not fit into a prompt.
        previous: what the step before gave.
    """

    topic: Topic
    prompts: list[dict[str, Any]] = field(default_factory=list)
    shown: list[str] = field(default_factory=list)
    read: int = 0
    cut: int = 0
    previous: list[str] = field(default_factory=list)


@dataclass
class Walk:
    """A method's way through its steps.

    Attributes:
        method: what it is.
        asks: its steps, ready.
        generator: of the texts.
        store: where they are kept.
        context: where the passages are from; None for none.
        window: tokens of prompt and answer together, where the user says how many.
        keep_refusals: as for a `Task`.
        retry_refused: as for a `Task`.
        trained_on: hash of the record of what the generator was trained on, where there is one.
        budget: what may be spent; None for no limit.
        reports: of the steps that were run, by step: for the process that puts the output together.
    """

    method: Method
    asks: Sequence[Ask]
    generator: Generator
    store: Store
    context: Context | None = None
    window: int | None = None
    keep_refusals: bool = False
    retry_refused: bool = False
    trained_on: str | None = None
    budget: Budget | None = None
    reports: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def go(self, topics: Sequence[Topic], *, ask: bool = True) -> tuple[list[State], Assembly]:
        """Go through all rounds and steps.

        Args:
            topics: this process's share, or all of them to put the output together.
            ask: ask for what the store lacks; else only put together what is there.

        Returns:
            The topics' states, and what there is to count; its own topics are those states'.
        """
        states = [State(replace(t, expansions=(), provenance=None)) for t in topics]
        assembly = Assembly()
        for turn in range(self.method.rounds):
            passages = self._passages(states) if self.context else {}
            for state in states:
                state.previous = []
            shown: dict[str, list[str]] = {}
            for number, one in enumerate(self.asks):
                assembly.merge(self._step(states, one, f"{turn}.{number}", passages, ask, shown))
            for state in states:
                state.shown += [d for d in dict.fromkeys(shown.get(state.topic.qid, ())) if d not in state.shown]
        assembly.topics = [s.topic for s in states]
        assembly.texts = sum(len(s.topic.expansions) for s in states)
        return states, assembly

    def _passages(self, states: Sequence[State]) -> dict[str, list[Passage]]:
        if self.context is None:
            return {}
        seen = {s.topic.qid: tuple(s.shown) for s in states} if self.method.fresh else {}
        return self.context.find([s.topic for s in states], seen)

    def _step(
        self, states: Sequence[State], one: Ask, key: str, context: Mapping[str, list[Passage]], ask: bool, shown: dict[str, list[str]]
    ) -> Assembly:  # fmt: skip
        """Ask one step about all topics that have what it needs."""
        ready = [s for s in states if not self._lacks(s, one, context)]
        passages = self._fitting(ready, one, context)
        task = self._task(ready, one, passages, int(key.split(".")[0]))
        work = Expansions(task, self.generator.identity, self.store, self.trained_on, self.budget)
        if ask:
            with text_progress(len(ready), len(work.settings)) as bar:
                work.run(self.generator, task.topics, bar)
            self.reports.setdefault(key, []).append(work.report())
        assembly = work.assemble(self.reports.get(key, ()))
        label = f"{one.label}{f' of round {key[0]}' if self.method.rounds > 1 else ''}"
        assembly.failures = [
            replace(f, reason=f"{label}: {f.reason}") if len(self.asks) > 1 else f for f in assembly.failures
        ]
        assembly.failures += self._skipped(states, one, context, label)
        for state, written in zip(ready, assembly.topics, strict=True):
            state.previous = work.items(state.topic)
            if one.step.type and written.expansions:
                self._take(state, written.expansions, one, passages.get(state.topic.qid, []), task)
            state.read += len(passages.get(state.topic.qid, ()))
            shown.setdefault(state.topic.qid, []).extend(p.docid for p in passages.get(state.topic.qid, ()) if p.docid)
        for state in states:
            if state not in ready:
                state.previous = []
        return assembly

    def _lacks(self, state: State, one: Ask, passages: Mapping[str, list[Passage]]) -> bool:
        """Return whether a topic has not got what a step needs: what the step before gives, or a passage."""
        return (one.wants_previous and not state.previous) or self._lacks_passages(state, one, passages)

    def _lacks_passages(self, state: State, one: Ask, passages: Mapping[str, list[Passage]]) -> bool:
        return one.wants_passages and self.context is not None and not passages.get(state.topic.qid)

    def _skipped(
        self, states: Sequence[State], one: Ask, passages: Mapping[str, list[Passage]], label: str
    ) -> list[Failure]:
        """Return the texts that are not asked for since a topic has no passage; where the step before gave nothing, that is listed already."""
        samples = range(len(one.plan.settings()))
        without = [s.topic.qid for s in states if self._lacks_passages(s, one, passages)]
        why = (
            f"{label}: the context has no passage for it" if len(self.asks) > 1 else "the context has no passage for it"
        )
        return [Failure(qid, n, why, "skipped") for qid in without for n in samples]

    def _fitting(
        self, states: Sequence[State], one: Ask, passages: Mapping[str, list[Passage]]
    ) -> dict[str, list[Passage]]:
        """Return the passages that go into each topic's prompt; those that do not fit are counted."""
        if not one.wants_passages:
            return {}
        asked = {s.topic.qid: passages.get(s.topic.qid, [])[: one.step.passages or None] for s in states}
        window = window_of(self.generator, self.window)
        if window is None:
            return asked
        by_qid = {s.topic.qid: s for s in states}
        kept = fitting(
            asked,
            lambda qid, some: self._render(by_qid[qid], one, some),
            lambda prompts: lengths_of(self.generator, prompts, one.plan.extra),
            window - one.plan.max_tokens,
        )
        for qid, some in kept.items():
            by_qid[qid].cut += len(asked[qid]) - len(some)
        return kept

    def _render(self, state: State, one: Ask, passages: Sequence[Passage]) -> Prompted:
        chosen = self._choice(state) if one.wants_previous else None
        return one.render(state.topic.title, [p.text for p in passages], state.previous, chosen)

    def _choice(self, state: State) -> Choice | None:
        return next((c for c in self.method.choices if state.previous == [c.name]), None)

    def _task(self, ready: Sequence[State], one: Ask, passages: Mapping[str, list[Passage]], turn: int) -> Task:
        prompts, facts = {}, {}
        for s in ready:
            qid = s.topic.qid
            prompts[qid] = self._render(s, one, passages.get(qid, ()))
            if one.fields - {"query"}:
                facts[qid] = {
                    "prompt_sha256": sha256_text(json.dumps(prompts[qid])),
                    "context_sha256": context_hash(passages.get(qid, ())),
                }
        return Task(
            [s.topic for s in ready], one.prompt, one.plan, {}, self.keep_refusals, self.retry_refused, prompts, facts,
            turn * len(one.plan.settings()), one.reader,
        )  # fmt: skip

    def _take(
        self, state: State, written: Sequence[Expansion], one: Ask, passages: Sequence[Passage], task: Task
    ) -> None:
        """Add texts to a topic, with the prompt that they answer."""
        kind = one.step.type
        record = prompt_record(task.prompts[state.topic.qid], one.prompt.name, passages)
        state.prompts.append(record)
        number = len(state.prompts) - 1
        texts = tuple(replace(e, type=kind, prompt=number) for e in written)
        state.topic = replace(state.topic, expansions=(*state.topic.expansions, *texts))

    def remaining(self, topics: Sequence[Topic]) -> tuple[Remaining, int, bool]:
        """Count what the store lacks, as far as that is known before anything is asked.

        Returns:
            The count, the texts in all, and whether prompts that depend on earlier answers or on a search were counted as if nothing of them were there.
        """
        states = [State(replace(t, expansions=(), provenance=None)) for t in topics]
        total, texts, guessed = Remaining(0, 0, 0, 0, 0.0), 0, False
        waiting: set[str] = set()
        for turn in range(self.method.rounds):
            passages = self._passages(states) if self.context and self.context.known else {}
            for one in self.asks:
                texts += len(states) * len(one.plan.settings())
                searched = one.wants_passages and self.context is not None and not self.context.known
                ready = (
                    []
                    if one.wants_previous or searched or turn
                    else [s for s in states if not self._lacks(s, one, passages)]
                )
                task = self._task(ready, one, self._fitting(ready, one, passages), turn)
                work = Expansions(task, self.generator.identity, self.store, self.trained_on)
                left = work.remaining()
                later = len(states) - len(ready)
                guessed |= later > 0
                requests = later * len(one.plan.settings())
                waiting |= {s.topic.qid for s in states} if later else work.lacking()
                likely = work.condition.mean_tokens_out()
                more = None if likely is None else likely * requests
                whole = [total.likely_tokens_out, left.likely_tokens_out, more if requests else 0.0]
                total = Remaining(
                    total.requests + left.requests + requests, len(waiting),
                    total.prompt_characters + left.prompt_characters + requests * sum(len(text) for _, text in one.templates),
                    total.most_tokens_out + left.most_tokens_out + requests * one.plan.max_tokens,
                    None if None in whole else sum(v for v in whole if v is not None),
                )  # fmt: skip
        return total, texts, guessed


def context_hash(passages: Sequence[Passage]) -> str:
    """Return the hash of passages: ids and texts, in order."""
    written = json.dumps([[p.docid, p.text] for p in passages])
    return hashlib.sha256(written.encode()).hexdigest()


def prompt_record(prompt: Prompted, name: str, passages: Sequence[Passage] = ()) -> dict[str, Any]:
    """Return what the provenance says of a prompt: its text or messages, and the passages in it."""
    chat: Chat = messages_of(prompt)
    record: dict[str, Any] = (
        {"text": prompt} if isinstance(prompt, str) else {"messages": [{"role": r, "content": c} for r, c in chat]}
    )
    if passages:
        record |= {"context": [p.docid for p in passages], "context_sha256": context_hash(passages)}
    return {"name": name, **record}
