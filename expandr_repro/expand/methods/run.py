"""One call of `expand --method`: finds the method, its examples and its context, goes through its steps, and puts the topics together."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from expandr_repro.console.progress import counted
from expandr_repro.data.collections import TopicSet, level_of, qrels_of, select_topics
from expandr_repro.data.overlap.trained_on import TRAINED_ON_HASH, TrainedOn, record_hash
from expandr_repro.errors import ExpandrError, NotAvailableError
from expandr_repro.expand.budget import Budget
from expandr_repro.expand.methods.asks import Ask, asks_of, prompt_hash, seed_in
from expandr_repro.expand.methods.context import Context, Function, Named, open_context, parse_context
from expandr_repro.expand.methods.parsers import VERSION as PARSERS
from expandr_repro.expand.methods.spec import METHODS, Method, find_method
from expandr_repro.expand.methods.walk import State, Walk
from expandr_repro.expand.options import store_file
from expandr_repro.expand.shares import Share
from expandr_repro.expand.store import Store
from expandr_repro.expand.tasks import Assembly, Remaining
from expandr_repro.io.files import sha256_file
from expandr_repro.llm.answers.cleaning import CLEANER
from expandr_repro.llm.base import Generator
from expandr_repro.llm.sampling import PRESETS

if TYPE_CHECKING:
    from expandr_repro.expand.options import ExpandRequest

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PreparedMethod:
    """A method that is about to begin.

    Attributes:
        topics: to be expanded.
        generator: of the texts.
        walk: on an open store.
        record: what the generator was trained on.
        seed: of the samples.
        bank: the SHA-256 of the prompt bank; None where the method's own prompts are used.
    """

    topics: TopicSet
    generator: Generator
    walk: Walk
    record: list[TrainedOn]
    seed: int
    bank: str | None = None

    @property
    def prompt(self) -> tuple[str, str]:
        """What the summary says of the prompts."""
        method = self.walk.method
        return "method", f"{method.name}, version {method.version}"

    def remaining(self) -> tuple[Remaining, int]:
        """Count what the store lacks, and all texts."""
        left, texts, guessed = self.walk.remaining(self.topics.topics)
        if guessed:
            log.info(
                "prompts that depend on earlier answers or on a search are counted as if none of their texts were there; passages in them are not counted"
            )
        return left, texts

    def generate(self) -> Assembly | None:
        """Generate what the store lacks; None in all processes but the first, which puts the output together."""
        share = Share.of_environment()
        if self.walk.budget:
            self.walk.budget.limit /= share.world
        states, assembly = self.walk.go(share.of(self.topics.topics))
        if share.world > 1:
            reports = share.gather({"steps": self.walk.reports})
            if not share.first:
                return None
            merged: dict[str, list[dict[str, Any]]] = {}
            for report in reports:
                for key, some in report["steps"].items():
                    merged.setdefault(key, []).extend(some)
            self.walk.reports = merged
            states, assembly = self.walk.go(self.topics.topics, ask=False)
        shared = self._provenance()
        assembly.topics = [replace(s.topic, provenance={**shared, "prompts": s.prompts}) for s in states]
        assembly.rows += self._rows(states)
        return assembly

    def _provenance(self) -> dict[str, Any]:
        walk = self.walk
        method, asks = walk.method, list(walk.asks)
        return {
            "method": method.name,
            "method_version": method.version,
            **({"method_origin": origin} if (origin := METHODS.origin(method.name)) else {}),
            "prompt": asks[0].prompt.name if len(asks) == 1 else method.name,
            "prompt_version": asks[0].prompt.version if len(asks) == 1 else method.version,
            "prompt_sha256": prompt_hash(asks),
            **({"prompt_bank_sha256": self.bank} if self.bank else {}),
            **self.generator.identity.record(),
            "cleaner": CLEANER,
            "parsers": PARSERS,
            "seed": self.seed,
            **({"rounds": method.rounds} if method.rounds > 1 else {}),
            **({"context": walk.context.facts} if walk.context else {}),
            "fusion": dict(method.fusion),
            **({TRAINED_ON_HASH: walk.trained_on} if walk.trained_on else {}),
        }

    def _rows(self, states: list[State]) -> list[tuple[str, int | str]]:
        """Return what there is to count of the passages, and warn of it."""
        if self.walk.context is None:
            return []
        rows: list[tuple[str, int | str]] = [("passages in prompts", sum(s.read for s in states))]
        if cut := sum(s.cut for s in states):
            topics = sum(s.cut > 0 for s in states)
            log.warning("%s did not fit into the model's window next to --max-tokens, in prompts of %s; they are left out, the last ones first",
                        counted(cut, "passage"), counted(topics, "topic"))  # fmt: skip
        rows.append(("passages cut", cut))
        if (relevant := self._relevant(states)) is not None:
            count, topics = relevant
            rows.append(("relevant passages in prompts", f"{count}, of {counted(topics, 'topic')}"))
            if count:
                log.warning("%s in the prompts of %s of %d: the method lets the LLM read what is searched for, so its scores are no measure of what the LLM knows",
                            counted(count, "relevant passage"), counted(topics, "topic"), len(states))  # fmt: skip
        return rows

    def _relevant(self, states: list[State]) -> tuple[int, int] | None:
        try:
            qrels = qrels_of(self.topics)
        except NotAvailableError:
            qrels = None
        if not qrels:
            return None
        level = level_of(self.topics)
        counts = [sum(qrels.get(s.topic.qid, {}).get(d, 0) >= level for d in s.shown) for s in states]
        return sum(counts), sum(c > 0 for c in counts)


@contextmanager
def prepared_method(
    request: ExpandRequest,
    topic_set: TopicSet,
    generator: Generator,
    record: list[TrainedOn],
    context: Function | None = None,
    budget: Budget | None = None,
) -> Iterator[PreparedMethod]:
    """Find what a request names, and open the store.

    Args:
        request: what and how.
        topic_set: the topics, before some are selected.
        generator: of the texts.
        record: what it was trained on.
        context: a function that gives passages, in place of what the request names.
        budget: what may be spent; None for no limit.

    Raises:
        ExpandrError: whatever the user can cause; the message says what to do.
    """
    method = find_method(str(request.method))
    plan = _changes(request)
    named: Named | Function = context or parse_context(request.context or method.context)
    if isinstance(named, Named) and request.context and named.kind != "none" and not method.needs_passages:
        raise ExpandrError(
            f"--context {request.context}: method {method.name!r} has no passages in its prompts; leave --context out"
        )
    if request.context_encoder and not (isinstance(named, Named) and named.kind == "dense"):
        raise ExpandrError("--context-encoder: applies only with --context dense; leave it out")
    asks = asks_of(method, topic_set, plan, request.examples_from, request.language, request.prompt_bank)
    some = select_topics(topic_set, request.limit, request.qids)
    for topic in some.topics:
        if not topic.title.strip():
            raise ExpandrError(f"topic {topic.qid!r} has an empty query; give it a text or take it out")
    with Store(store_file(request.store)) as store:
        opened = _context(named, method, asks, request, topic_set, store)
        walk = Walk(
            method, asks, generator, store, opened, request.window, request.keep_refusals, request.retry_refused,
            record_hash(record) if record else None, budget,
        )  # fmt: skip
        bank = sha256_file(request.prompt_bank) if request.prompt_bank else None
        yield PreparedMethod(some, generator, walk, record, seed_in(plan), bank)


def _context(
    named: Named | Function, method: Method, asks: list[Ask], request: ExpandRequest, topic_set: TopicSet, store: Store
) -> Context | None:
    if (isinstance(named, Named) and named.kind == "none") or not any(ask.wants_passages for ask in asks):
        if request.context == "none" and method.needs_passages:
            log.info("--context none: the prompts of method %s contain no passages", method.name)
        return None
    return open_context(named, topic_set, request.corpus, request.context_encoder, method.fusion, store)


def _changes(request: ExpandRequest) -> Mapping[str, Any]:
    """Return what the request says of the sampling, next to what the method says."""
    preset = PRESETS.get(request.preset)
    asked = {k: v for k, v in request.plan.items() if v is not None}
    if preset and request.preset != "expandr-eval":
        asked = {"temperatures": preset.temperatures, "samples": preset.samples} | asked
    return asked
