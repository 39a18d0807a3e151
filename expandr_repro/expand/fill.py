"""Generate what the store lacks, and assemble augmented topics from the store.

The output depends on the store alone, never on the order in which texts arrived: a rerun, a run after a crash and two
runs side by side write the same bytes.
"""

from __future__ import annotations

import dataclasses
import itertools
import logging
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from expandr_repro.console.progress import TextBar
from expandr_repro.data.overlap.trained_on import TRAINED_ON_HASH
from expandr_repro.data.topics import Expansion, Topic
from expandr_repro.expand.budget import Budget
from expandr_repro.expand.store import Address, Condition, Store, Stored
from expandr_repro.expand.tasks import Assembly, Failure, Kind, Place, Remaining, Seen, Tally, Task
from expandr_repro.io.files import sha256_text
from expandr_repro.llm.answers.cleaning import CLEANER, Cleaned, clean
from expandr_repro.llm.answers.finishes import finish_of
from expandr_repro.llm.base import Generator, Identity, Reply, Request
from expandr_repro.llm.chats import asked_text, plain_text
from expandr_repro.llm.costs import Spent
from expandr_repro.llm.sampling import seed_of

log = logging.getLogger(__name__)

ATTEMPTS = 3
"""How often a sample is asked for until it is not empty, each time with another seed."""

READINGS = 2
"""How often a sample is asked for until its parser finds something, each time with another seed."""

CLAIM = 16
"""So many texts are claimed at a time."""

PATIENCE = 0.5
"""Seconds between two looks at what another process is asking for."""


class Expansions:
    """The expansions of a task by one generator, in a store.

    Args:
        task: what is to be generated.
        identity: the generator's.
        store: where the generations are kept.
        trained_on: hash of the record of what the generator was trained on, where there is one.
        budget: what this process may spend; None for no limit.
    """

    def __init__(
        self, task: Task, identity: Identity, store: Store, trained_on: str | None = None, budget: Budget | None = None
    ) -> None:
        self.task, self.identity, self._claims = task, identity, store.claims
        self._trained_on, self._budget, self._paid = trained_on, budget, 0.0
        self.settings = task.plan.settings()
        facts = {"prompt_sha256": task.prompt.sha256, **identity.key()}
        self.condition: Condition = store.condition(facts, task.prompt.template)
        self.tally = Tally()
        self._reasons: dict[tuple[str, int], str] = {}
        self._before: dict[
            tuple[str, int], int
        ] = {}  # attempts that earlier runs made, where refusals are asked for again

    def run(self, generator: Generator, mine: list[Topic], bar: TextBar) -> None:
        """Generate what the store lacks, keeping each text as it arrives.

        Args:
            generator: of the identity.
            mine: the topics that this process is to see to.
            bar: shows how far it is.

        Raises:
            ExpandrError: nothing can be generated, or nothing be kept.
        """
        again: list[Place] = []

        def deliver(reply: Reply) -> None:
            slot: Place = reply.request.ident
            self.tally.add(reply.retries, reply.tokens_in, reply.tokens_out)
            if self._budget:
                self._paid += self._budget.pay(slot.key, reply)
            if reply.failure:
                self._reasons[slot.topic.qid, slot.sample] = reply.failure
                self._claims.release([slot.key])
                bar.text_done(slot.topic.qid)
                return
            stored = Stored(reply.text, reply.finish, reply.tokens_in, reply.tokens_out, reply.seconds)
            self.condition.put(slot.key, slot.address, stored)
            if further := self._wanted(slot.topic, slot.sample):
                again.append(further)
            else:
                bar.text_done(slot.topic.qid, reply.tokens_out)

        waiting = False
        places = self._missing(((t, s) for t in mine for s in range(len(self.settings))), bar)
        while True:
            elsewhere: list[Place] = []
            unpaid: list[Place] = []
            before = self.tally.requests
            generator.generate(self._affordable(self._claimed(places, elsewhere), unpaid), deliver)
            if unpaid and self.tally.requests == before:  # else what was set aside and not used may pay for them
                for slot in unpaid:
                    self._reasons[slot.topic.qid, slot.sample] = "not asked for: it might exceed --budget"
                    bar.text_done(slot.topic.qid)
                unpaid.clear()
            if elsewhere and not again:
                if not waiting:
                    log.info("waiting for %d texts that another process is asking for", len(elsewhere))
                waiting = True
                time.sleep(PATIENCE)
            if not elsewhere and not again and not unpaid:
                return
            left = [(p.topic, p.sample) for p in (*again, *elsewhere, *unpaid)]
            again.clear()
            places = self._missing(left, bar)

    def _claimed(self, places: Iterator[Place], elsewhere: list[Place]) -> Iterator[Place]:
        """Yield the places that this process may ask for, and note those that another one is asking for just now."""
        while some := list(itertools.islice(places, CLAIM)):
            ours = self._claims.take([p.key for p in some])
            for slot in some:
                if slot.key in ours:
                    yield slot
                else:
                    elsewhere.append(slot)

    def _affordable(self, places: Iterator[Place], unpaid: list[Place]) -> Iterator[Request]:
        """Yield the requests that the budget has the money for, and note the places of the others."""
        for slot in places:
            request = self._request(slot)
            if self._budget is None or self._budget.reserve(slot.key, request):
                yield request
            else:
                self._claims.release([slot.key])
                unpaid.append(slot)

    def _missing(self, samples: Iterable[tuple[Topic, int]], bar: TextBar | None = None) -> Iterator[Place]:
        """Yield, of every sample that this run is to ask for, the first attempt that the store lacks."""
        for topic, sample in samples:
            if slot := self._wanted(topic, sample):
                yield slot
            elif bar:
                bar.text_done(topic.qid)

    def _wanted(self, topic: Topic, sample: int) -> Place | None:
        """Return the attempt that this run is to make for a sample, or None where none is."""
        seen = self._seen(topic, sample)
        before = self._before.setdefault((topic.qid, sample), seen.attempts) if self.task.retry_refused else 0
        most = {"empty": ATTEMPTS, "unread": READINGS, "failed": ATTEMPTS}.get(seen.kind, 0)
        if self.task.retry_refused and seen.kind in ("refused", "empty", "unread"):
            most = before + ATTEMPTS
        return self._place(topic, sample, seen.attempts) if seen.attempts < most else None

    def _seen(self, topic: Topic, sample: int) -> Seen:
        """Look up what the store has of a sample: the first text, else a refusal, else what came last."""
        seen = Seen("failed", 0)
        spent: dict[bytes, Spent] = {}
        for attempt in itertools.count():
            slot = self._place(topic, sample, attempt)
            stored = self.condition.get(slot.key)
            if stored is None:
                return seen
            kind = self._kind(slot, stored)
            spent[slot.key] = Spent(topic.qid, sample, stored.tokens_in, stored.tokens_out, stored.seconds)
            if kind == "text":
                return Seen(kind, attempt + 1, slot, stored, spent)
            if seen.kind == "refused":
                seen = dataclasses.replace(seen, attempts=attempt + 1)
            else:
                seen = Seen(kind, attempt + 1, slot, stored, spent)
        raise AssertionError

    def _kind(self, slot: Place, stored: Stored) -> Kind:
        if finish_of(stored.finish) is None:  # kept by an earlier version, which took half a text for a whole one
            return "failed"
        cleaned = self._cleaned(slot, stored)
        if cleaned.refused:
            return "refused"
        if cleaned.cut or cleaned.empty:
            return "cut" if cleaned.cut else "empty"
        return "text" if self.task.reader is None or self._read(slot, stored) else "unread"

    def _read(self, slot: Place, stored: Stored) -> list[str]:
        cleaned = self._cleaned(slot, stored).text
        return self.task.reader.read(stored.text, cleaned) if self.task.reader else [cleaned]

    def items(self, topic: Topic) -> list[str]:
        """Return the texts that the first sample of a topic holds; none where there is no such answer."""
        seen = self._seen(topic, 0)
        return self._read(seen.place, seen.stored) if seen.kind == "text" and seen.place and seen.stored else []

    def _cleaned(self, slot: Place, stored: Stored) -> Cleaned:
        return clean(stored.text, finish_of(stored.finish) or "", asked_text(self._request(slot).prompt))

    def _place(self, topic: Topic, sample: int, attempt: int) -> Place:
        number = self.task.first + sample
        seed = seed_of(self.task.plan.seed, topic.qid, number, attempt)
        address = Address(self.settings[sample], seed, sha256_text(self.task.filled_in(topic)), number)
        return Place(topic, sample, attempt, address, self.condition.key(address))

    def _request(self, slot: Place) -> Request:
        return Request(slot, self.task.rendered(slot.topic), slot.address.sampling, slot.address.seed)

    def lacking(self) -> set[str]:
        """Return the topics that texts are missing of."""
        return {
            slot.topic.qid
            for slot in self._missing((t, s) for t in self.task.topics for s in range(len(self.settings)))
        }

    def remaining(self) -> Remaining:
        """Count what the store lacks."""
        requests = characters = 0
        topics = set()
        for slot in self._missing((t, s) for t in self.task.topics for s in range(len(self.settings))):
            requests += 1
            topics.add(slot.topic.qid)
            characters += len(plain_text(self._request(slot).prompt))
        mean = self.condition.mean_tokens_out()
        likely = None if mean is None else mean * requests
        return Remaining(requests, len(topics), characters, requests * self.task.plan.max_tokens, likely)

    def assemble(self, reports: Iterable[Mapping[str, Any]] = ()) -> Assembly:
        """Put the output together from the store.

        Args:
            reports: of the processes, which know why samples are missing; see `report`.
        """
        reports = list(reports)
        reasons = {(qid, sample): reason for r in reports for qid, sample, reason in r["reasons"]}
        assembly = Assembly()
        for r in reports:
            assembly.tally.merge(Tally(**r["tally"]))
            assembly.paid += r.get("paid", 0.0)
        provenance = self.provenance()
        for topic in self.task.topics:
            expansions = []
            for sample in range(len(self.settings)):
                seen = self._seen(topic, sample)
                assembly.spent |= seen.spent
                assembly.truncated += seen.stored is not None and finish_of(seen.stored.finish) == "length"
                assembly.refused += seen.kind == "refused"
                if (
                    (seen.kind == "text" or (seen.kind == "refused" and self.task.keep_refusals))
                    and seen.place
                    and seen.stored
                ):
                    expansions.append(self._expansion(seen.place, seen.stored))
                else:
                    failure = self._failure(topic, sample, seen, reasons)
                    assembly.empty += failure.kind == "empty"
                    assembly.failures.append(failure)
            assembly.texts += len(expansions)
            assembly.topics.append(Topic(topic.qid, topic.title, tuple(expansions), provenance))
        return assembly

    def _failure(self, topic: Topic, sample: int, seen: Seen, reasons: Mapping[tuple[str, int], str]) -> Failure:
        if seen.kind == "refused" and seen.place and seen.stored:
            text = self._cleaned(seen.place, seen.stored).text[:80]
            return Failure(
                topic.qid, sample, f"refused: {text!r}" if text else "refused: the content filter took it", seen.kind
            )
        if seen.kind == "cut":
            limit = f"cut at --max-tokens {self.task.plan.max_tokens} before the answer began"
            return Failure(topic.qid, sample, limit, seen.kind)
        if seen.kind == "unread" and seen.place and seen.stored:
            text = " ".join(self._cleaned(seen.place, seen.stored).text.split())[:80]
            return Failure(topic.qid, sample, f"the parser found nothing in {text!r}, {seen.attempts} times", seen.kind)
        if seen.kind == "empty" and seen.attempts >= ATTEMPTS:
            return Failure(topic.qid, sample, f"empty, {seen.attempts} times", seen.kind)
        return Failure(topic.qid, sample, reasons.get((topic.qid, sample), "not generated"))

    def _expansion(self, slot: Place, stored: Stored) -> Expansion:
        text = self._cleaned(slot, stored)
        written = (
            self.task.reader.join(self._read(slot, stored)) if self.task.reader and not text.refused else text.text
        )
        sampling = (
            slot.address.sampling.record() | {"seed": slot.address.seed} | ({"refused": True} if text.refused else {})
        )
        return Expansion(written, sampling, finish_of(stored.finish) or "")

    def provenance(self) -> dict[str, Any]:
        """Return what made the expansions, for each line of the output."""
        prompt = self.task.prompt
        return {
            "prompt": prompt.name,
            "prompt_version": prompt.version,
            "prompt_sha256": prompt.sha256,
            **self.identity.record(),
            "cleaner": CLEANER,
            "seed": self.task.plan.seed,
            **({TRAINED_ON_HASH: self._trained_on} if self._trained_on else {}),
        }

    def report(self) -> dict[str, Any]:
        """Return what this process did, as JSON can hold it."""
        return {
            "tally": dataclasses.asdict(self.tally),
            "paid": self._paid,
            "reasons": [[qid, sample, reason] for (qid, sample), reason in self._reasons.items()],
        }
